/**
 * The explicit face: {@code format("flightcache")} and what the catalog gives.
 *
 * <pre>
 *  driver     FlightcacheSource ─► FlightcacheTable ─► FlightcacheScanBuilder ─► FlightcacheScan
 *                                        │                                           │ one plan
 *                                     Dataset ──── Client.plan ◄─────────────────────┘
 *                                          FlightcachePartition ◄── FlightcacheBatch
 *  executor   FlightcacheReaderFactory ─► FlightcacheReader ─── Client.read ─► CachedBatch
 * </pre>
 *
 * <p>A scan is planned once, against one snapshot; partitions are records of data. Spark filters
 * again whatever was pushed: the server is told only what it may leave out.
 */
package dev.flightcache.spark.source;

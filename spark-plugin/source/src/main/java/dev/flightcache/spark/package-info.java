/**
 * What both versions of Spark share, in Java 11 and with no type of Scala's collections.
 *
 * <pre>
 *  FlightcachePlugin   one setting of a job switches it on; registers the metrics
 *  Settings, Clients   spark.flightcache.* and the client that they make, one a process
 *  vector              batches as Spark's columnar batches
 *  range               which row groups of a file a task reads, and where its rows come from
 *  prune               Spark's conditions as SQL that a server may leave things out by
 *  source              the explicit face: format("flightcache") and the catalog
 * </pre>
 *
 * <p>The transparent face, whose signatures differ between the Scala versions, is compiled once for
 * each from {@code spark-plugin/parquet}.
 */
package dev.flightcache.spark;

/**
 * The transparent face: Parquet scans of Spark that the cache answers.
 *
 * <p>A strategy swaps the file format and wraps the file index of a scan, and lets Spark's own
 * strategy plan it, so the plan stays Spark's. In the order in which Spark calls:
 *
 * <pre>
 *  FlightcacheStrategy   is the path covered, do the columns fit? swap, else leave alone
 *  CachedParquetFormat   builds the read function, beside Spark's own two: with and without filters
 *  CachedFileIndex       lists by the index it wraps, plans at a node, puts tickets beside the files
 *  CachedReadFunction    in the task: tickets, or Spark's own reader
 * </pre>
 *
 * <p>These sources are compiled once for each version of Scala; {@code Seq} is another class in each.
 */
package dev.flightcache.spark.parquet;

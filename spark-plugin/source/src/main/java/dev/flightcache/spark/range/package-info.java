/**
 * The rows of a byte range of a file, from wherever they can be had.
 *
 * <p>A task returns exactly the rows of the row groups whose midpoint lies in its range, whatever
 * the source; so ranges of one file that come from the cache and ranges that Spark's own reader
 * gives can stand side by side, and one range can begin with the one and end with the other.
 *
 * <pre>
 *  FileSplits (with the file) ──► FileRange ──► CachedBatches ──error──► DirectBatches
 *                                                    └── RangeBatches: the ladder ──┘
 * </pre>
 */
package dev.flightcache.spark.range;

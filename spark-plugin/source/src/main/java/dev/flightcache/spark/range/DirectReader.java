package dev.flightcache.spark.range;

import java.io.IOException;

/** Spark's own reader of one file. */
public interface DirectReader {
  /**
   * The rows of the row groups whose midpoint lies in the byte range.
   *
   * @param filtered whether rows that Spark's pushed filters do not match may be left out; without,
   *     the n-th row is the n-th row of these row groups
   */
  Batches open(long start, long length, boolean filtered) throws IOException;

  /**
   * Checks that the file is still the version that was listed: other tasks may have given its rows.
   *
   * @throws IOException naming the file if it is another, or gone
   */
  void verify() throws IOException;
}

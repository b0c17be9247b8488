package dev.flightcache.spark.source;

import java.util.OptionalLong;
import org.apache.spark.sql.connector.read.Statistics;

/** What a plan tells the optimiser. */
final class ScanStatistics implements Statistics {
  private final long bytes;
  private final long rows;

  /**
   * Figures of a scan.
   *
   * @param rows -1 if unknown
   */
  ScanStatistics(long bytes, long rows) {
    this.bytes = bytes;
    this.rows = rows;
  }

  @Override
  public OptionalLong sizeInBytes() {
    return OptionalLong.of(bytes);
  }

  @Override
  public OptionalLong numRows() {
    return rows < 0 ? OptionalLong.empty() : OptionalLong.of(rows);
  }
}

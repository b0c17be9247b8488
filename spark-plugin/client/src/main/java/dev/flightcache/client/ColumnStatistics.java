package dev.flightcache.client;

import java.util.Optional;
import java.util.OptionalLong;

/** What the footers of all files of a plan tell exactly of a column. Immutable. */
public final class ColumnStatistics {
  private final String column;
  private final long nulls;
  private final String min;
  private final String max;

  /**
   * @param nulls -1 if unknown
   * @param min null if unknown
   * @param max null if unknown
   */
  ColumnStatistics(String column, long nulls, String min, String max) {
    this.column = column;
    this.nulls = nulls;
    this.min = min;
    this.max = max;
  }

  public String column() {
    return column;
  }

  /** Rows that are null; empty if unknown. */
  public OptionalLong nulls() {
    return nulls < 0 ? OptionalLong.empty() : OptionalLong.of(nulls);
  }

  /**
   * The lowest value; empty if unknown, and where all rows are null. A decimal number for integers,
   * decimals (without their point), dates (days), timestamps (in their unit) and booleans.
   */
  public Optional<String> min() {
    return Optional.ofNullable(min);
  }

  /** The highest value, likewise. */
  public Optional<String> max() {
    return Optional.ofNullable(max);
  }
}

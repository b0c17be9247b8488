package dev.flightcache.client;

import java.io.Serializable;

/** A row group of a split. */
public final class RowGroup implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int ordinal;
  private final long firstRow;
  private final long rows;
  private final long midpoint;

  RowGroup(int ordinal, long firstRow, long rows, long midpoint) {
    this.ordinal = ordinal;
    this.firstRow = firstRow;
    this.rows = rows;
    this.midpoint = midpoint;
  }

  /** Its number in the file. */
  public int ordinal() {
    return ordinal;
  }

  /** Its first row, counted from the start of the file. */
  public long firstRow() {
    return firstRow;
  }

  /** Rows that it holds before any filter. */
  public long rows() {
    return rows;
  }

  /** The byte by which parquet-mr assigns it to a byte range of the file. */
  public long midpoint() {
    return midpoint;
  }

  @Override
  public String toString() {
    return Integer.toString(ordinal);
  }
}

package dev.flightcache.client;

import java.nio.charset.StandardCharsets;

/** Which rows of the file a batch covers, as its metadata says. Immutable. */
final class BatchPosition {
  private final int rowGroup;
  private final long firstRow;
  private final long rows;

  BatchPosition(int rowGroup, long firstRow, long rows) {
    this.rowGroup = rowGroup;
    this.firstRow = firstRow;
    this.rows = rows;
  }

  /** Null where there is no metadata. */
  static BatchPosition parse(byte[] metadata) throws FlightcacheException {
    if (metadata.length == 0) {
      return null;
    }
    Json json = Json.parse(new String(metadata, StandardCharsets.UTF_8), "metadata of a batch");
    long first = json.count("first_row");
    long rows = json.count("rows");
    if (first + rows < 0) {
      throw new FlightcacheException(ErrorKind.INTERNAL, "a batch covers more rows than there are");
    }
    return new BatchPosition(json.ordinal("row_group"), first, rows);
  }

  int rowGroup() {
    return rowGroup;
  }

  long firstRow() {
    return firstRow;
  }

  /** Rows of the file; where some are filtered out the batch holds fewer. */
  long rows() {
    return rows;
  }

  /** First row behind it. */
  long end() {
    return firstRow + rows;
  }

  BatchPosition from(int dropped) {
    return new BatchPosition(rowGroup, firstRow + dropped, rows - dropped);
  }
}

package dev.flightcache.client;

import java.util.List;

/** A planned scan at one snapshot. */
public final class ScanPlan {
  private final String snapshot;
  private final long bytes;
  private final long rows;
  private final List<Field> fields;
  private final List<Split> splits;
  private final List<StoredObject> pruned;
  private final long schemas;
  private final List<String> partitionColumns;
  private final List<ColumnStatistics> statistics;

  ScanPlan(
      String snapshot,
      long bytes,
      long rows,
      List<Field> fields,
      List<Split> splits,
      List<StoredObject> pruned,
      long schemas,
      List<String> partitionColumns,
      List<ColumnStatistics> statistics) {
    this.snapshot = snapshot;
    this.bytes = bytes;
    this.rows = rows;
    this.fields = List.copyOf(fields);
    this.splits = List.copyOf(splits);
    this.pruned = List.copyOf(pruned);
    this.schemas = schemas;
    this.partitionColumns = List.copyOf(partitionColumns);
    this.statistics = List.copyOf(statistics);
  }

  /** Id of the snapshot. */
  public String snapshot() {
    return snapshot;
  }

  /** Bytes of the snapshot's objects as stored; -1 if unknown. */
  public long bytes() {
    return bytes;
  }

  /** Rows of the scan; -1 if unknown. */
  public long rows() {
    return rows;
  }

  /** The columns that batches will have. */
  public List<Field> fields() {
    return fields;
  }

  public List<Split> splits() {
    return splits;
  }

  /** Different schemas among the files; 0 if unknown. */
  public long schemas() {
    return schemas;
  }

  /** Columns that come from folders, and not from the files. */
  public List<String> partitionColumns() {
    return partitionColumns;
  }

  /** Of a command with {@code statistics}: these columns, in the order in which they were named. */
  public List<ColumnStatistics> statistics() {
    return statistics;
  }

  /** Of a command with a {@code prune}: files of the snapshot in which no row can match. */
  public List<StoredObject> pruned() {
    return pruned;
  }
}

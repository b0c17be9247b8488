package dev.flightcache.client;

import java.io.Serializable;
import java.util.List;

/** One version of a file, and the row groups of it that a split reads. */
public final class StoredObject implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String path;
  private final long size;
  private final String etag;
  private final long modifiedMs;
  private final RowGroup[] rowGroups;

  StoredObject(String path, long size, String etag, long modifiedMs, List<RowGroup> rowGroups) {
    this.path = path;
    this.size = size;
    this.etag = etag;
    this.modifiedMs = modifiedMs;
    this.rowGroups = rowGroups.toArray(new RowGroup[0]);
  }

  /** Path inside the container, without a leading slash. */
  public String path() {
    return path;
  }

  /** Size in bytes. */
  public long size() {
    return size;
  }

  /** ETag as the store gave it, with its quotes; empty where it gives none. */
  public String etag() {
    return etag;
  }

  /** When it was written, in milliseconds since the Unix epoch; -1 if unknown. */
  public long modifiedMs() {
    return modifiedMs;
  }

  /** The row groups, in file order. */
  public List<RowGroup> rowGroups() {
    return List.of(rowGroups);
  }

  @Override
  public String toString() {
    return path + List.of(rowGroups);
  }
}

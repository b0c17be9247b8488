package dev.flightcache.client;

import java.util.ArrayList;
import java.util.List;

/** Parts of plans, which only a client makes. */
public final class FakePlans {
  private FakePlans() {}

  /** A split of some row groups of one file. */
  public static Split split(String path, long size, List<String> locations, int... ordinals) {
    List<RowGroup> groups = new ArrayList<>();
    for (int ordinal : ordinals) {
      groups.add(new RowGroup(ordinal, 100L * ordinal, 100, ordinal));
    }
    StoredObject object = new StoredObject(path, size, "etag", -1, groups);
    return new Split(new byte[0], locations, Long.MAX_VALUE, false, List.of(object));
  }

  /** A row group of a split. */
  public static RowGroup rowGroup(int ordinal, long firstRow, long rows, long midpoint) {
    return new RowGroup(ordinal, firstRow, rows, midpoint);
  }

  /** One version of a file, and row groups of it. */
  public static StoredObject object(String path, String etag, List<RowGroup> groups) {
    return new StoredObject(path, 1000, etag, 0, groups);
  }

  /** A split of some row groups of one version of a file. */
  public static Split split(StoredObject object) {
    return new Split(new byte[0], List.of(), Long.MAX_VALUE, false, List.of(object));
  }
}

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
}

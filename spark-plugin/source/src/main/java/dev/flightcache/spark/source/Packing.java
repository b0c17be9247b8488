package dev.flightcache.spark.source;

import dev.flightcache.client.RowGroup;
import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import dev.flightcache.spark.Hosts;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Which splits one task reads: consecutive ones as long as they stay below a bound, so that a
 * dataset of many small files does not become a task for each.
 */
final class Packing {
  /** What opening a stream is worth, in bytes. */
  private static final long OPEN_BYTES = 1 << 20;

  private Packing() {}

  /**
   * Packs splits, each into exactly one partition.
   *
   * @param maxBytes bound for what is put together; a larger split stands alone
   * @param parallelism tasks that can run at once, so as many are made if there are enough splits
   * @param locality whether tasks should prefer the hosts of their splits
   */
  static List<FlightcachePartition> pack(
      List<Split> splits, long maxBytes, int parallelism, boolean locality) {
    long total = 0;
    for (Split split : splits) {
      total += bytes(split) + OPEN_BYTES;
    }
    long bound = Math.min(maxBytes, Math.max(OPEN_BYTES, total / Math.max(parallelism, 1)));
    List<FlightcachePartition> partitions = new ArrayList<>();
    List<Split> current = new ArrayList<>();
    long packed = 0;
    for (Split split : splits) {
      long size = bytes(split) + OPEN_BYTES;
      if (!current.isEmpty() && packed + size > bound) {
        partitions.add(partition(current, locality));
        current.clear();
        packed = 0;
      }
      current.add(split);
      packed += size;
    }
    if (!current.isEmpty()) {
      partitions.add(partition(current, locality));
    }
    return partitions;
  }

  /** About how many stored bytes a split reads: its share of the row groups of its files. */
  static long bytes(Split split) {
    long bytes = 0;
    for (StoredObject object : split.objects()) {
      List<RowGroup> groups = object.rowGroups();
      if (!groups.isEmpty()) {
        // Of groups behind the last one that is read nothing is known: this is an upper bound.
        long known = groups.get(groups.size() - 1).ordinal() + 1L;
        bytes += object.size() / known * groups.size();
      }
    }
    return bytes;
  }

  private static FlightcachePartition partition(List<Split> splits, boolean locality) {
    Set<String> hosts = new LinkedHashSet<>();
    if (locality) {
      for (Split split : splits) {
        Hosts.of(split).ifPresent(hosts::add);
      }
    }
    return new FlightcachePartition(splits, new ArrayList<>(hosts));
  }
}

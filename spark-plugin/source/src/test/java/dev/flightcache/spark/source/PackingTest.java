package dev.flightcache.spark.source;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.FakePlans;
import dev.flightcache.client.Split;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class PackingTest {
  private static final long MIB = 1 << 20;

  private static List<Split> files(int count, long bytes) {
    List<Split> splits = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      splits.add(FakePlans.split("f" + i, bytes, List.of("grpc://host-" + i + ":50051"), 0));
    }
    return splits;
  }

  private static List<Split> unpacked(List<FlightcachePartition> partitions) {
    List<Split> all = new ArrayList<>();
    partitions.forEach(partition -> all.addAll(partition.splits()));
    return all;
  }

  @Test
  void everySplitOnceAndInOrder() {
    List<Split> splits = files(1000, 3 * MIB);
    List<FlightcachePartition> partitions = Packing.pack(splits, 128 * MIB, 4, false);
    assertEquals(splits, unpacked(partitions));
    assertEquals(32, partitions.size());
    assertEquals(partitions.size(), Packing.pack(splits, 128 * MIB, 4, false).size());
  }

  @Test
  void manyTasksWhereThereIsRoom() {
    assertEquals(8, Packing.pack(files(8, 40 * MIB), 128 * MIB, 16, false).size());
    assertEquals(4, Packing.pack(files(8, 40 * MIB), 128 * MIB, 4, false).size());
    assertEquals(3, Packing.pack(files(3, 900 * MIB), 128 * MIB, 1, false).size());
    assertTrue(Packing.pack(List.of(), 128 * MIB, 4, false).isEmpty());
  }

  @Test
  void shareOfAFileByItsRowGroups() {
    assertEquals(10 * MIB, Packing.bytes(FakePlans.split("f", 10 * MIB, List.of(), 0)));
    assertEquals(4 * MIB, Packing.bytes(FakePlans.split("f", 10 * MIB, List.of(), 3, 4)));
    assertEquals(0, Packing.bytes(FakePlans.split("f", 10 * MIB, List.of())));
  }

  @Test
  void hostsOfOwnersOnlyWhereAskedFor() {
    List<Split> splits = files(2, MIB);
    FlightcachePartition near = Packing.pack(splits, 128 * MIB, 1, true).get(0);
    assertArrayEquals(new String[] {"host-0", "host-1"}, near.preferredLocations());
    FlightcachePartition any = Packing.pack(splits, 128 * MIB, 1, false).get(0);
    assertEquals(0, any.preferredLocations().length);
    List<Split> odd = List.of(FakePlans.split("f", MIB, List.of("not a url"), 0));
    assertEquals(0, Packing.pack(odd, MIB, 1, true).get(0).preferredLocations().length);
  }
}

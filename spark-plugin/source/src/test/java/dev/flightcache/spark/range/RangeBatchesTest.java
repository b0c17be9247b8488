package dev.flightcache.spark.range;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.FakePlans;
import dev.flightcache.client.RowGroup;
import dev.flightcache.client.StoredObject;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.ScanMetrics;
import java.io.IOException;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.junit.jupiter.api.Test;

/** The rows of all ranges of a file, wherever each of them comes from. */
class RangeBatchesTest {
  @Test
  void everyRowComesOnceWhereverTheNodeFails() throws IOException {
    int failed = 0;
    for (int seed = 0; seed < 5000; seed++) {
      Random random = new Random(seed);
      FakeFile file = new FakeFile(random, random.nextBoolean(), random.nextInt(40));
      TreeSet<Long> cuts = new TreeSet<>(List.of(0L, file.bytes));
      for (int i = random.nextInt(4); i > 0; i--) {
        cuts.add((long) random.nextInt((int) file.bytes));
      }
      int[] seen = new int[(int) file.rows];
      long start = 0;
      for (long end : cuts.tailSet(1L)) {
        read(file, start, end - start, true, seen);
        start = end;
      }
      boolean whole = !file.pruned && file.failures == 0;
      for (int row = 0; row < seen.length; row++) {
        int least = whole || row % FakeFile.EVERY == 0 ? 1 : 0;
        assertTrue(least <= seen[row] && seen[row] <= 1, "seed " + seed + ", row " + row);
      }
      assertEquals(0, file.open, "everything is closed");
      failed += file.failures > 0 ? 1 : 0;
    }
    assertTrue(failed > 1000 && failed < 4500, "some fail: " + failed);
  }

  private static void read(FakeFile file, long start, long length, boolean fallback, int[] seen)
      throws IOException {
    Set<Cause> direct = fallback ? EnumSet.allOf(Cause.class) : EnumSet.noneOf(Cause.class);
    RangeReads reads = new RangeReads(file, direct, new ScanMetrics());
    try (Batches batches = reads.read(file.splits, start, length, file, file, "t")) {
      for (ColumnarBatch batch = batches.next(); batch != null; batch = batches.next()) {
        for (int i = 0; i < batch.numRows(); i++) {
          seen[(int) batch.column(0).getLong(i)]++;
        }
      }
    }
  }

  @Test
  void withoutFallbackAFailureIsOne() {
    FakeFile file = new FakeFile(new Random(1), false, 0);
    int[] seen = new int[(int) file.rows];
    assertThrows(IOException.class, () -> read(file, 0, file.bytes, false, seen));
  }

  @Test
  void rowGroupsThatDoNotFollowEachOtherAreReadDirectly() {
    List<RowGroup> groups =
        List.of(FakePlans.rowGroup(0, 0, 5, 50), FakePlans.rowGroup(1, 5, 5, 40));
    StoredObject object = FakePlans.object("t", "e", groups);
    FileSplits splits = new FileSplits(object, List.of(FakePlans.split(object)), false);
    assertEquals(null, FileRange.of(splits, 0, 100));
  }

  @Test
  void aSplitOfAnotherFileIsRefused() {
    StoredObject mine = FakePlans.object("t", "e", List.of());
    for (StoredObject other :
        List.of(FakePlans.object("u", "e", List.of()), FakePlans.object("t", "f", List.of()))) {
      assertThrows(
          IllegalArgumentException.class,
          () -> new FileSplits(mine, List.of(FakePlans.split(other)), false));
    }
  }
}

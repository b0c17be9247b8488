package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import dev.flightcache.client.BatchStream;
import dev.flightcache.client.Client;
import dev.flightcache.client.Column;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FakePlans;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.RowGroup;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.execution.vectorized.OnHeapColumnVector;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * A file of random row groups, whose rows are their numbers, at a node that may fail at any batch,
 * and under Spark's reader. What is pushed down matches every fifth row; both may leave out pages
 * in which no row matches, the reader only where it is filtered, and the node single rows too.
 */
final class FakeFile implements Client, DirectReader, BatchMapper {
  static final int EVERY = 5;
  private static final int PAGE = 3;

  private final Random random;
  final boolean pruned;
  final List<RowGroup> groups = new ArrayList<>();
  final long rows;
  final long bytes;
  final FileSplits splits;
  private int batchesLeft;
  int failures;
  int open;

  /** @param batchesLeft after how many batches the node fails, for good */
  FakeFile(Random random, boolean pruned, int batchesLeft) {
    this.random = random;
    this.pruned = pruned;
    this.batchesLeft = batchesLeft;
    long row = 0;
    long at = 4;
    for (int ordinal = 0; ordinal < 1 + random.nextInt(8); ordinal++) {
      long count = random.nextInt(4) == 0 ? random.nextInt(3) : random.nextInt(20);
      at += 1 + random.nextInt(30);
      groups.add(FakePlans.rowGroup(ordinal, row, count, at));
      row += count;
    }
    this.rows = row;
    this.bytes = at + 10;
    List<Split> planned = new ArrayList<>();
    List<RowGroup> together = new ArrayList<>();
    for (RowGroup group : groups) {
      if (!pruned || matches(group.firstRow(), group.rows())) {
        together.add(group);
      }
      if (!together.isEmpty() && random.nextBoolean()) {
        planned.add(FakePlans.split(FakePlans.object("t", "e", together)));
        together.clear();
      }
    }
    if (!together.isEmpty()) {
      planned.add(FakePlans.split(FakePlans.object("t", "e", together)));
    }
    this.splits = new FileSplits(FakePlans.object("t", "e", List.of()), planned, pruned);
  }

  private static boolean matches(long first, long count) {
    return Math.floorDiv(first + count - 1, EVERY) * EVERY >= first && count > 0;
  }

  @Override
  public BatchStream read(Split split, long skipRows) throws FlightcacheException {
    fail();
    Deque<Rows> batches = new ArrayDeque<>();
    for (StoredObject object : split.objects()) {
      for (RowGroup group : object.rowGroups()) {
        long end = group.firstRow() + group.rows();
        for (long row = group.firstRow(); row < end; ) {
          long count = Math.min(1 + random.nextInt(7), end - row);
          if (!pruned || matches(row, count)) {
            int step = pruned && random.nextBoolean() ? EVERY : 1;
            batches.add(new Rows(group.ordinal(), row, (int) count, step));
          }
          row += count;
        }
      }
    }
    open++;
    return new Stream(batches);
  }

  private void fail() throws FlightcacheException {
    if (batchesLeft-- <= 0) {
      failures++;
      throw new FlightcacheException(ErrorKind.UNAVAILABLE, "the node is gone");
    }
  }

  @Override
  public Batches open(long start, long length, boolean filtered) {
    Deque<long[]> pages = new ArrayDeque<>();
    for (RowGroup group : groups) {
      if (group.midpoint() < start || group.midpoint() >= start + length) {
        continue;
      }
      for (long row = 0; row < group.rows(); row += PAGE) {
        long count = Math.min(PAGE, group.rows() - row);
        if (!filtered || matches(group.firstRow() + row, count)) {
          pages.add(new long[] {group.firstRow() + row, count});
        }
      }
    }
    open++;
    return new Batches() {
      @Override
      public ColumnarBatch next() {
        return pages.isEmpty() ? null : numbers(pages.peek()[0], (int) pages.poll()[1], 1);
      }

      @Override
      public void close() {
        open--;
      }
    };
  }

  @Override
  public void verify() {}

  @Override
  public ColumnarBatch map(Batch batch) {
    Rows rows = (Rows) batch;
    return numbers(rows.firstGiven(), rows.rows(), rows.step);
  }

  private static ColumnarBatch numbers(long first, int count, int step) {
    OnHeapColumnVector vector = new OnHeapColumnVector(Math.max(count, 1), DataTypes.LongType);
    for (int i = 0; i < count; i++) {
      vector.putLong(i, first + (long) i * step);
    }
    return new ColumnarBatch(new ColumnVector[] {vector}, count);
  }

  @Override
  public void ping(Duration deadline) {}

  @Override
  public ScanPlan plan(ScanCommand command, Duration deadline) {
    throw new UnsupportedOperationException();
  }

  @Override
  public List<Field> schema(ScanCommand command, Duration deadline) {
    throw new UnsupportedOperationException();
  }

  @Override
  public List<String> datasets(Duration deadline) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long idleNanos() {
    return 0;
  }

  @Override
  public long unmappedSplits() {
    return 0;
  }

  @Override
  public long allocatedBytes() {
    return 0;
  }

  @Override
  public void close() {}

  private final class Stream implements BatchStream {
    private final Deque<Rows> batches;
    private Rows current;
    private boolean closed;

    Stream(Deque<Rows> batches) {
      this.batches = batches;
    }

    @Override
    public boolean next() throws FlightcacheException {
      fail();
      current = batches.poll();
      return current != null;
    }

    @Override
    public Batch batch() {
      return current;
    }

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public long mappedBytes() {
      return 0;
    }

    @Override
    public long waitNanos() {
      return 0;
    }

    @Override
    public void cancel() {}

    @Override
    public void close() {
      open -= closed ? 0 : 1;
      closed = true;
    }
  }

  private static final class Rows implements Batch {
    private final int rowGroup;
    private final long first;
    private final int count;
    /** Of the covered rows those that are multiples of it are given. */
    private final int step;

    Rows(int rowGroup, long first, int count, int step) {
      this.rowGroup = rowGroup;
      this.first = first;
      this.count = count;
      this.step = step;
    }

    long firstGiven() {
      return Math.floorDiv(first + step - 1, step) * step;
    }

    @Override
    public int rows() {
      return (int) Math.floorDiv(first + count - firstGiven() + step - 1, step);
    }

    @Override
    public int columns() {
      return 0;
    }

    @Override
    public Column column(int index) {
      throw new IndexOutOfBoundsException(index);
    }

    @Override
    public int rowGroup() {
      return rowGroup;
    }

    @Override
    public boolean mapped() {
      return false;
    }

    @Override
    public long firstRow() {
      return first;
    }

    @Override
    public long coveredRows() {
      return count;
    }
  }
}

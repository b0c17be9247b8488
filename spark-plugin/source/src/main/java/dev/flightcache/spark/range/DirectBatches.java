package dev.flightcache.spark.range;

import dev.flightcache.client.RowGroup;
import dev.flightcache.spark.ScanMetrics;
import java.io.IOException;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * The rest of a range by Spark's own reader, exactly behind the last row that was given.
 *
 * <p>A row group that was given in part is read without filters, which skip pages: positions would
 * not match, and rows be lost or doubled. It is found as the range of one byte at its midpoint.
 */
final class DirectBatches implements Batches {
  private final DirectReader reader;
  private final ScanMetrics metrics;
  private final long end;

  private Batches current;
  private long skip;
  /** Where what is left begins once {@link #current} is done; none if not below the end. */
  private long rest;

  private DirectBatches(
      DirectReader reader,
      ScanMetrics metrics,
      Batches current,
      long skip,
      long rest,
      long end) {
    this.reader = reader;
    this.metrics = metrics;
    this.current = current;
    this.skip = skip;
    this.rest = rest;
    this.end = end;
  }

  /** The whole of a range. */
  static DirectBatches all(DirectReader reader, ScanMetrics metrics, long start, long length)
      throws IOException {
    Batches whole = reader.open(start, length, true);
    return new DirectBatches(reader, metrics, whole, 0, Long.MAX_VALUE, start + length);
  }

  /** What {@code cached} has not given of {@code range}. */
  static DirectBatches after(
      DirectReader reader, ScanMetrics metrics, FileRange range, CachedBatches cached)
      throws IOException {
    RowGroup group = cached.current();
    if (group == null) {
      return new DirectBatches(reader, metrics, null, 0, Long.MAX_VALUE, range.end());
    }
    if (cached.rowsGiven() == 0) {
      Batches whole = reader.open(group.midpoint(), range.end() - group.midpoint(), true);
      return new DirectBatches(reader, metrics, whole, 0, Long.MAX_VALUE, range.end());
    }
    Batches partial = reader.open(group.midpoint(), 1, false);
    long rest = cached.more() ? group.midpoint() + 1 : Long.MAX_VALUE;
    return new DirectBatches(reader, metrics, partial, cached.rowsGiven(), rest, range.end());
  }

  @Override
  public ColumnarBatch next() throws IOException {
    while (current != null) {
      ColumnarBatch batch = current.next();
      if (batch == null) {
        current.close();
        current = rest < end ? reader.open(rest, end - rest, true) : null;
        rest = Long.MAX_VALUE;
        skip = 0;
      } else if (skip >= batch.numRows()) {
        skip -= batch.numRows();
      } else {
        ColumnarBatch kept = skip == 0 ? batch : from(batch, (int) skip);
        skip = 0;
        metrics.direct(kept.numRows());
        return kept;
      }
    }
    return null;
  }

  private static ColumnarBatch from(ColumnarBatch batch, int row) {
    ColumnVector[] columns = new ColumnVector[batch.numCols()];
    for (int i = 0; i < columns.length; i++) {
      columns[i] = new SlicedVector(batch.column(i), row);
    }
    return new ColumnarBatch(columns, batch.numRows() - row);
  }

  @Override
  public void close() throws IOException {
    if (current != null) {
      current.close();
      current = null;
    }
  }
}

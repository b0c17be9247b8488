package dev.flightcache.spark.source;

import dev.flightcache.client.Batch;
import dev.flightcache.client.BatchStream;
import dev.flightcache.client.Client;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.Split;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.vector.CachedBatch;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.connector.metric.CustomTaskMetric;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** The batches of some splits, one stream after the other. */
final class FlightcacheReader implements PartitionReader<ColumnarBatch> {
  private final String dataset;
  private final Client client;
  private final Iterator<Split> splits;
  private final FileMetadata metadata;
  private final boolean caseSensitive;

  private Split split;
  private BatchStream stream;
  private CachedBatch columns;
  private ColumnarBatch batch;

  /** Of streams that are closed, and of readers before this one in the same task. */
  private long bytes;

  private long waitNanos;
  private long rows;

  FlightcacheReader(
      String dataset,
      Client client,
      List<Split> splits,
      FileMetadata metadata,
      boolean caseSensitive) {
    this.dataset = dataset;
    this.client = client;
    this.splits = splits.iterator();
    this.metadata = metadata;
    this.caseSensitive = caseSensitive;
  }

  @Override
  public boolean next() throws IOException {
    try {
      while (stream != null || splits.hasNext()) {
        if (stream == null) {
          split = splits.next();
          stream = client.read(split, 0);
          batch = null;
        }
        if (!stream.next()) {
          closeStream();
        } else if (stream.batch().rows() > 0) {
          show(stream.batch());
          return true;
        }
      }
      return false;
    } catch (FlightcacheException error) {
      throw Failures.ofTask(dataset, error);
    }
  }

  private void show(Batch next) throws IOException {
    if (columns == null) {
      List<Field> fields = new ArrayList<>();
      for (int i = 0; i < next.columns(); i++) {
        fields.add(next.column(i).field());
      }
      columns = new CachedBatch(fields, metadata.data(), caseSensitive);
    }
    if (batch == null) {
      batch = new ColumnarBatch(metadata.vectors(columns.vectors(), split));
    }
    columns.load(next, 0);
    batch.setNumRows(next.rows());
    rows += next.rows();
    Metrics.served(next.rows(), next.mapped());
  }

  @Override
  public ColumnarBatch get() {
    return batch;
  }

  @Override
  public CustomTaskMetric[] currentMetricsValues() {
    long streamBytes = stream == null ? 0 : stream.bytes();
    long streamNanos = stream == null ? 0 : stream.waitNanos();
    return TaskMetric.of(rows, bytes + streamBytes, waitNanos + streamNanos);
  }

  /** Goes on counting where the task's reader before stood. */
  @Override
  public void initMetricsValues(CustomTaskMetric[] before) {
    rows += TaskMetric.value(before, RowsMetric.NAME);
    bytes += TaskMetric.value(before, BytesMetric.NAME);
    waitNanos += TaskMetric.value(before, WaitMetric.NAME) * TaskMetric.NANOS_PER_MILLI;
  }

  private void closeStream() {
    if (stream != null) {
      bytes += stream.bytes();
      waitNanos += stream.waitNanos();
      Metrics.received(stream);
      stream.close();
      stream = null;
    }
  }

  @Override
  public void close() {
    closeStream();
  }
}

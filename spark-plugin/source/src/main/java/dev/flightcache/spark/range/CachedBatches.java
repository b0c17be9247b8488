package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import dev.flightcache.client.BatchStream;
import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.RowGroup;
import dev.flightcache.spark.ScanMetrics;
import java.io.IOException;
import java.util.Iterator;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** The rows of a range as the cache streams them, run by run, and how far they came. */
final class CachedBatches implements Batches {
  private final Client client;
  private final FileRange range;
  private final BatchMapper mapper;
  private final ScanMetrics metrics;
  private final Iterator<FileRange.Run> runs;

  private FileRange.Run run;
  private BatchStream stream;
  /** Of all row groups of the range, how many are done with. */
  private int groupsDone;
  /** Rows of the file's next row group that were given. */
  private long rowsGiven;

  CachedBatches(Client client, FileRange range, BatchMapper mapper, ScanMetrics metrics) {
    this.client = client;
    this.range = range;
    this.mapper = mapper;
    this.metrics = metrics;
    this.runs = range.runs().iterator();
  }

  @Override
  public ColumnarBatch next() throws IOException {
    while (true) {
      if (stream == null) {
        if (!runs.hasNext()) {
          return null;
        }
        run = runs.next();
        stream = client.read(run.split, 0);
      }
      Batch batch = nextOwned();
      if (batch == null) {
        endRun();
        continue;
      }
      if (batch.rows() == 0) {
        continue;
      }
      ColumnarBatch mapped = mapper.map(batch);
      advance(batch);
      metrics.served(batch.rows(), batch.mapped());
      return mapped;
    }
  }

  /** The row group in which {@link #rowsGiven()} counts; null if all were given. */
  RowGroup current() {
    return groupsDone < range.rowGroups().size() ? range.rowGroups().get(groupsDone) : null;
  }

  /** Rows of {@link #current()} that were given. */
  long rowsGiven() {
    return rowsGiven;
  }

  /** Whether a row group follows the current one. */
  boolean more() {
    return groupsDone + 1 < range.rowGroups().size();
  }

  private Batch nextOwned() throws FlightcacheException {
    int first = run.rowGroups.get(0).ordinal();
    int last = run.rowGroups.get(run.rowGroups.size() - 1).ordinal();
    while (stream.next()) {
      Batch batch = stream.batch();
      if (batch.rowGroup() < 0) {
        throw broken("a batch does not say which rows it covers");
      }
      if (batch.rowGroup() > last) {
        return null;
      }
      if (batch.rowGroup() >= first) {
        return batch;
      }
    }
    return null;
  }

  /** Notes that a batch was given, which must go on where the last one ended. */
  private void advance(Batch batch) throws FlightcacheException {
    RowGroup group = current();
    while (group != null && group.ordinal() < batch.rowGroup()) {
      finishGroup(group);
      group = current();
    }
    if (group == null || group.ordinal() != batch.rowGroup()) {
      throw broken("row group " + batch.rowGroup() + " was not planned");
    }
    long from = batch.firstRow() - group.firstRow();
    long covered = batch.coveredRows();
    boolean follows =
        range.pruned()
            ? from >= rowsGiven && batch.rows() <= covered
            : from == rowsGiven && batch.rows() == covered;
    if (!follows || covered > group.rows() - from) {
      throw broken("rows do not follow each other in row group " + group.ordinal());
    }
    rowsGiven = from + covered;
  }

  private void endRun() throws FlightcacheException {
    RowGroup last = run.rowGroups.get(run.rowGroups.size() - 1);
    for (RowGroup group = current();
        group != null && group.ordinal() <= last.ordinal();
        group = current()) {
      finishGroup(group);
    }
    closeStream();
  }

  private void finishGroup(RowGroup group) throws FlightcacheException {
    if (!range.pruned() && rowsGiven != group.rows()) {
      String rows = rowsGiven + " of " + group.rows();
      throw broken("row group " + group.ordinal() + " came with " + rows + " rows");
    }
    groupsDone++;
    rowsGiven = 0;
  }

  private static FlightcacheException broken(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "the answer of the cache is broken: " + what);
  }

  private void closeStream() {
    if (stream != null) {
      metrics.received(stream);
      stream.close();
      stream = null;
    }
  }

  @Override
  public void close() {
    closeStream();
  }
}

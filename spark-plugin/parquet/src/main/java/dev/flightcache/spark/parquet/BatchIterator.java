package dev.flightcache.spark.parquet;

import dev.flightcache.spark.range.Batches;
import java.io.Closeable;
import java.io.IOException;
import java.util.NoSuchElementException;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import scala.collection.AbstractIterator;
import scala.collection.Iterator;

/** Batches as Spark's scan iterates over them; it closes the iterator with the file or the task. */
final class BatchIterator extends AbstractIterator<ColumnarBatch> implements Closeable {
  private final Batches batches;
  private ColumnarBatch next;
  private boolean done;

  BatchIterator(Batches batches) {
    this.batches = batches;
  }

  /** The same, typed as the rows that Spark declares where it takes batches. */
  @SuppressWarnings("unchecked")
  Iterator<InternalRow> rows() {
    return (Iterator<InternalRow>) (Iterator<?>) this;
  }

  @Override
  public boolean hasNext() {
    if (next == null && !done) {
      try {
        next = batches.next();
      } catch (IOException error) {
        throw thrown(error);
      }
      done = next == null;
      if (done) {
        close();
      }
    }
    return next != null;
  }

  @Override
  public ColumnarBatch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the range has no more rows");
    }
    ColumnarBatch batch = next;
    next = null;
    return batch;
  }

  @Override
  public void close() {
    try {
      done = true;
      batches.close();
    } catch (IOException error) {
      throw thrown(error);
    }
  }

  /** Throws what Scala does not check, so that Spark sees the exception itself. */
  @SuppressWarnings("unchecked")
  static <E extends Throwable> RuntimeException thrown(IOException error) throws E {
    throw (E) error;
  }
}

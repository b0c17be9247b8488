package dev.flightcache.spark.range;

import java.io.Closeable;
import java.io.IOException;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** Some rows, batch by batch. A batch is valid until the next is asked for. */
public interface Batches extends Closeable {
  /** The next batch; null at the end. */
  ColumnarBatch next() throws IOException;
}

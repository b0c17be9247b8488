package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import java.io.IOException;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** Shows a batch of the cache as Spark's, without a copy. */
public interface BatchMapper {
  /**
   * The batch, valid as long as {@code batch} is.
   *
   * @throws RefusedException if Spark's own reader would not give these values
   */
  ColumnarBatch map(Batch batch) throws IOException;
}

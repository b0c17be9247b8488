package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import dev.flightcache.client.Field;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.vector.CachedBatch;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.vectorized.ColumnVectorUtils;
import org.apache.spark.sql.execution.vectorized.ConstantColumnVector;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** The columns that a scan needs of a file, and behind them the values of its partition. */
public final class PartitionedMapper implements BatchMapper {
  private final StructType required;
  private final StructType partition;
  private final InternalRow values;
  private final boolean caseSensitive;

  private CachedBatch shown;
  private ColumnVector[] columns;

  /**
   * A mapper for the batches of one file.
   *
   * @param required columns of the file, in the order in which Spark wants them
   * @param values those of {@code partition}, the same for every row
   */
  public PartitionedMapper(
      StructType required, StructType partition, InternalRow values, boolean caseSensitive) {
    this.required = required;
    this.partition = partition;
    this.values = values;
    this.caseSensitive = caseSensitive;
  }

  @Override
  public ColumnarBatch map(Batch batch) throws IOException {
    AncientValues.refuse(batch);
    if (shown == null) {
      open(batch);
    }
    shown.load(batch, 0);
    for (int i = 0; i < partition.size(); i++) {
      ConstantColumnVector constant =
          new ConstantColumnVector(batch.rows(), partition.apply(i).dataType());
      ColumnVectorUtils.populate(constant, values, i);
      columns[required.size() + i] = constant;
    }
    return new ColumnarBatch(columns, batch.rows());
  }

  private void open(Batch batch) throws RefusedException {
    List<Field> fields = new ArrayList<>(batch.columns());
    for (int i = 0; i < batch.columns(); i++) {
      fields.add(batch.column(i).field());
    }
    try {
      shown = new CachedBatch(fields, required, caseSensitive);
    } catch (IllegalArgumentException refused) {
      // The dataset's columns were others when the scan was planned.
      throw new RefusedException(Cause.COLUMNS, refused.getMessage());
    }
    int width = required.size() + partition.size();
    columns = Arrays.copyOf(shown.vectors(), width, ColumnVector[].class);
  }
}

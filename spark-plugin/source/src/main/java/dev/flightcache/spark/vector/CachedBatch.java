package dev.flightcache.spark.vector;

import dev.flightcache.client.Batch;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.util.List;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnVector;

/**
 * The columns that Spark requires, shown from one batch after the other by the same vectors. Not
 * thread safe.
 */
public final class CachedBatch {
  private final int columns;
  private final int[] sources;
  private final CachedVector[] vectors;

  /**
   * Vectors for batches of {@code fields}. A column that is not among them is null in every row.
   *
   * @throws IllegalArgumentException naming the column that {@link VectorTypes} refuses
   */
  public CachedBatch(List<Field> fields, StructType required, boolean caseSensitive) {
    StructField[] wanted = required.fields();
    this.columns = fields.size();
    this.sources = new int[wanted.length];
    this.vectors = new CachedVector[wanted.length];
    for (int i = 0; i < wanted.length; i++) {
      String name = wanted[i].name();
      try {
        sources[i] = Shape.find(fields, name, caseSensitive);
        vectors[i] =
            new CachedVector(
                sources[i] < 0
                    ? Shape.missing(wanted[i].dataType())
                    : Shape.of(fields.get(sources[i]), wanted[i].dataType(), caseSensitive));
      } catch (Refused refused) {
        throw new IllegalArgumentException("column " + refused.inside(name).getMessage());
      }
    }
  }

  /** The vectors, in the order of the required columns: the same ones for every batch. */
  public ColumnVector[] vectors() {
    return vectors.clone();
  }

  /**
   * Shows {@code batch} from row {@code skipRows} on, as long as the batch is valid.
   *
   * @throws FlightcacheException if it does not hold what was planned, or points outside its memory
   */
  public void load(Batch batch, int skipRows) throws FlightcacheException {
    if (batch.columns() != columns) {
      String message = "a batch of " + batch.columns() + " columns instead of " + columns;
      throw new FlightcacheException(ErrorKind.INTERNAL, message);
    }
    if (skipRows < 0 || skipRows > batch.rows()) {
      throw new IllegalArgumentException("skip " + skipRows + " of " + batch.rows() + " rows");
    }
    for (int i = 0; i < vectors.length; i++) {
      vectors[i].load(
          sources[i] < 0 ? null : batch.column(sources[i]), skipRows, batch.rows());
    }
  }
}

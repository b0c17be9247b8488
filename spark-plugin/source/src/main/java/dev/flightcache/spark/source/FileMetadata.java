package dev.flightcache.spark.source;

import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.connector.catalog.MetadataColumn;
import org.apache.spark.sql.execution.vectorized.ConstantColumnVector;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * What a scan needs of the files themselves: {@code _metadata}, with the names that it has where Spark
 * reads files. A column of that name in the dataset hides it.
 */
final class FileMetadata implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final String NAME = "_metadata";
  private static final String PATH = "file_path";
  private static final String FILE_NAME = "file_name";
  private static final String SIZE = "file_size";
  private static final String MODIFIED = "file_modification_time";
  private static final long MICROS_PER_MILLI = 1000;
  private static final long UNKNOWN = -1;

  private final StructType required;
  private final int at;

  /**
   * What is needed of {@code required}.
   *
   * @param schema the dataset's own columns
   */
  FileMetadata(StructType required, StructType schema) {
    this.required = required;
    List<String> names = List.of(required.fieldNames());
    this.at = List.of(schema.fieldNames()).contains(NAME) ? -1 : names.indexOf(NAME);
  }

  /** The column as tables show it. */
  static MetadataColumn column() {
    return new Shown();
  }

  /** Of what is required, the dataset's own columns. */
  StructType data() {
    if (at < 0) {
      return required;
    }
    List<StructField> fields = new ArrayList<>(List.of(required.fields()));
    fields.remove(at);
    return DataTypes.createStructType(fields);
  }

  /**
   * The required vectors of the rows of {@code split}.
   *
   * @param data those of {@link #data()}
   */
  ColumnVector[] vectors(ColumnVector[] data, Split split) throws IOException {
    if (at < 0) {
      return data;
    }
    if (split.objects().size() != 1) {
      throw new IOException("the rows of " + split + " do not tell which file they are from");
    }
    List<ColumnVector> vectors = new ArrayList<>(List.of(data));
    vectors.add(at, vector(split.objects().get(0), (StructType) required.apply(at).dataType()));
    return vectors.toArray(new ColumnVector[0]);
  }

  private static ColumnVector vector(StoredObject file, StructType type) {
    ConstantColumnVector whole = new ConstantColumnVector(Integer.MAX_VALUE, type);
    whole.setNotNull();
    for (int i = 0; i < type.size(); i++) {
      StructField field = type.apply(i);
      ConstantColumnVector value = new ConstantColumnVector(Integer.MAX_VALUE, field.dataType());
      value.setNotNull();
      fill(value, field.name(), file);
      whole.setChild(i, value);
    }
    return whole;
  }

  private static void fill(ConstantColumnVector value, String name, StoredObject file) {
    switch (name) {
      case PATH:
        value.setUtf8String(UTF8String.fromString(file.path()));
        break;
      case FILE_NAME:
        String last = file.path().substring(file.path().lastIndexOf('/') + 1);
        value.setUtf8String(UTF8String.fromString(last));
        break;
      case SIZE:
        value.setLong(file.size());
        break;
      case MODIFIED:
        if (file.modifiedMs() == UNKNOWN) {
          value.setNull();
        } else {
          value.setLong(file.modifiedMs() * MICROS_PER_MILLI);
        }
        break;
      default:
        throw new IllegalArgumentException(NAME + " has no field " + name);
    }
  }

  private static final class Shown implements MetadataColumn {
    @Override
    public String name() {
      return NAME;
    }

    @Override
    public DataType dataType() {
      return new StructType()
          .add(PATH, DataTypes.StringType, false)
          .add(FILE_NAME, DataTypes.StringType, false)
          .add(SIZE, DataTypes.LongType, false)
          .add(MODIFIED, DataTypes.TimestampType, true);
    }

    @Override
    public boolean isNullable() {
      return false;
    }

    @Override
    public String comment() {
      return "the file that a row is from";
    }
  }
}

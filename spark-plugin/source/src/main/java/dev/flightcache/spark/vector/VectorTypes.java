package dev.flightcache.spark.vector;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Which columns of a server Spark may read as which of its types, and which type it gives them
 * itself: the one place that both faces of the connector ask.
 */
public final class VectorTypes {
  private VectorTypes() {}

  /**
   * Why a column that arrives as {@code field} is not read as {@code type}; empty if it gives
   * exactly what Spark's own Parquet reader gives, names being told apart as Spark does by default,
   * without regard to case.
   */
  public static Optional<String> refusal(Field field, DataType type) {
    return refusal(field, type, false);
  }

  /**
   * The same under {@code spark.sql.caseSensitive}, which decides which field of a struct a name
   * means.
   */
  public static Optional<String> refusal(Field field, DataType type, boolean caseSensitive) {
    try {
      Shape.of(field, type, caseSensitive);
      return Optional.empty();
    } catch (Refused refused) {
      return Optional.of(refused.getMessage());
    }
  }

  /** Whether {@code type} leaves out fields of a struct in {@code field}, on any level. */
  public static boolean isPartOf(DataType type, Field field) {
    if (type instanceof StructType) {
      StructField[] wanted = ((StructType) type).fields();
      boolean part = wanted.length < field.children().size();
      for (StructField one : wanted) {
        for (Field child : field.children()) {
          part |= child.name().equalsIgnoreCase(one.name()) && isPartOf(one.dataType(), child);
        }
      }
      return part;
    }
    if (type instanceof ArrayType) {
      return isPartOf(((ArrayType) type).elementType(), field.children().get(0));
    }
    if (type instanceof MapType) {
      List<Field> entry = field.children().get(0).children();
      MapType map = (MapType) type;
      return isPartOf(map.keyType(), entry.get(0)) || isPartOf(map.valueType(), entry.get(1));
    }
    return false;
  }

  /** Whether {@code field} holds INT96 timestamps, on any level. */
  public static boolean holdsInt96(Field field) {
    return field.type().isInt96() || field.children().stream().anyMatch(VectorTypes::holdsInt96);
  }

  /**
   * The one of {@code fields} that Spark calls {@code name}; empty if there is none.
   *
   * @throws IllegalArgumentException if two could be meant
   */
  public static Optional<Field> find(List<Field> fields, String name, boolean caseSensitive) {
    try {
      int found = Shape.find(fields, name, caseSensitive);
      return found < 0 ? Optional.empty() : Optional.of(fields.get(found));
    } catch (Refused refused) {
      throw new IllegalArgumentException(refused.getMessage());
    }
  }

  /**
   * The type that Spark's own reader infers from such a column of a Parquet file, everything in it
   * nullable as there; empty if it has none. An accepted one, as {@link #refusal} says.
   *
   * @param inferLocal {@code spark.sql.parquet.inferTimestampNTZ.enabled}
   */
  public static Optional<DataType> inferred(Field field, boolean inferLocal) {
    Optional<DataType> type = unchecked(field, inferLocal);
    return type.filter(inferred -> refusal(field, inferred, true).isEmpty());
  }

  private static Optional<DataType> unchecked(Field field, boolean inferLocal) {
    List<Field> children = field.children();
    switch (field.type().kind()) {
      case LIST:
      case LARGE_LIST:
      case FIXED_SIZE_LIST:
        return children.size() != 1
            ? Optional.empty()
            : inferred(children.get(0), inferLocal)
                .map(item -> DataTypes.createArrayType(item, true));
      case STRUCT:
        return struct(children, inferLocal);
      case MAP:
        return children.size() != 1 ? Optional.empty() : map(children.get(0), inferLocal);
      default:
        return leaf(field.type(), inferLocal);
    }
  }

  private static Optional<DataType> map(Field entries, boolean inferLocal) {
    if (entries.children().size() != 2) {
      return Optional.empty();
    }
    Optional<DataType> value = inferred(entries.children().get(1), inferLocal);
    return inferred(entries.children().get(0), inferLocal)
        .flatMap(key -> value.map(type -> DataTypes.createMapType(key, type, true)));
  }

  private static Optional<DataType> struct(List<Field> children, boolean inferLocal) {
    List<StructField> fields = new ArrayList<>();
    for (Field child : children) {
      Optional<DataType> type = inferred(child, inferLocal);
      if (type.isEmpty()) {
        return Optional.empty();
      }
      fields.add(DataTypes.createStructField(child.name(), type.get(), true));
    }
    return Optional.of(DataTypes.createStructType(fields));
  }

  private static Optional<DataType> leaf(ColumnType type, boolean inferLocal) {
    switch (type.kind()) {
      case BOOL:
        return Optional.of(DataTypes.BooleanType);
      case INT8:
        return Optional.of(DataTypes.ByteType);
      case INT16:
      case UINT8:
        return Optional.of(DataTypes.ShortType);
      case INT32:
      case UINT16:
        return Optional.of(DataTypes.IntegerType);
      case INT64:
      case UINT32:
        return Optional.of(DataTypes.LongType);
      case UINT64:
        return Optional.of(DataTypes.createDecimalType(20, 0));
      case FLOAT32:
        return Optional.of(DataTypes.FloatType);
      case FLOAT64:
        return Optional.of(DataTypes.DoubleType);
      case DECIMAL32:
      case DECIMAL64:
      case DECIMAL128:
      case DECIMAL256:
        return decimal(type);
      case DATE32:
        return Optional.of(DataTypes.DateType);
      case TIMESTAMP:
        if (type.isInt96()) {
          return Optional.of(DataTypes.TimestampType);
        }
        boolean local = type.zone() == null && inferLocal;
        return type.unit() == TimeUnit.MICROSECOND || type.unit() == TimeUnit.MILLISECOND
            ? Optional.of(local ? DataTypes.TimestampNTZType : DataTypes.TimestampType)
            : Optional.empty();
      case UTF8:
      case LARGE_UTF8:
        return Optional.of(DataTypes.StringType);
      case BINARY:
      case LARGE_BINARY:
      case FIXED_SIZE_BINARY:
        return Optional.of(DataTypes.BinaryType);
      default:
        return Optional.empty();
    }
  }

  private static Optional<DataType> decimal(ColumnType type) {
    boolean fits =
        type.precision() >= 1
            && type.precision() <= 38
            && type.scale() >= 0
            && type.scale() <= type.precision();
    return fits
        ? Optional.of(DataTypes.createDecimalType(type.precision(), type.scale()))
        : Optional.empty();
  }
}

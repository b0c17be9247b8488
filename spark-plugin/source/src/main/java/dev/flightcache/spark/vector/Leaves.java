package dev.flightcache.spark.vector;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.TimeUnit;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;

/**
 * The table of accepted pairs that are not nested.
 *
 * <p>A pair stands here if Spark's vectorised reader gives, for every value, what a plain read of
 * the memory gives. Pairs that only some versions of Spark read (int to bigint, float to double)
 * do not, nor do nanoseconds that are not INT96 in the files.
 */
final class Leaves {
  private Leaves() {}

  /** How to read {@code from} as {@code to}; null if the pair is not accepted. */
  static Layout layout(ColumnType from, DataType to) {
    switch (from.kind()) {
      case BOOL:
        return only(to, DataTypes.BooleanType, Layout.BOOL);
      case INT8:
      case UINT8:
      case INT16:
      case UINT16:
      case INT32:
      case UINT32:
      case INT64:
      case UINT64:
        return integer(from, to);
      case FLOAT32:
        return only(to, DataTypes.FloatType, Layout.FLOAT);
      case FLOAT64:
        return only(to, DataTypes.DoubleType, Layout.DOUBLE);
      case DECIMAL32:
        return decimal(from, to, Layout.DECIMAL32);
      case DECIMAL64:
        return decimal(from, to, Layout.DECIMAL64);
      case DECIMAL128:
        return decimal(from, to, Layout.DECIMAL128);
      case DECIMAL256:
        return decimal(from, to, Layout.DECIMAL256);
      case DATE32:
        return only(to, DataTypes.DateType, Layout.INT32);
      case TIMESTAMP:
        return timestamp(from, to);
      case UTF8:
      case BINARY:
        return bytes(to, Layout.BYTES);
      case LARGE_UTF8:
      case LARGE_BINARY:
        return bytes(to, Layout.LARGE_BYTES);
      case FIXED_SIZE_BINARY:
        return only(to, DataTypes.BinaryType, Layout.FIXED_BYTES);
      default:
        return null;
    }
  }

  private static Layout integer(ColumnType from, DataType to) {
    boolean toInt = DataTypes.IntegerType.equals(to);
    boolean toShort = DataTypes.ShortType.equals(to);
    switch (from.kind()) {
      case INT8:
        return toInt || toShort || DataTypes.ByteType.equals(to) ? Layout.INT8 : null;
      case UINT8:
        return toInt || toShort ? Layout.UINT8 : null;
      case INT16:
        return toInt || toShort ? Layout.INT16 : null;
      case UINT16:
        return toInt ? Layout.UINT16 : null;
      case INT32:
        return toInt ? Layout.INT32 : null;
      case UINT32:
        return only(to, DataTypes.LongType, Layout.UINT32);
      case INT64:
        return only(to, DataTypes.LongType, Layout.INT64);
      default:
        return only(to, DataTypes.createDecimalType(20, 0), Layout.UINT64);
    }
  }

  private static Layout decimal(ColumnType from, DataType to, Layout layout) {
    if (!(to instanceof DecimalType)) {
      return null;
    }
    DecimalType decimal = (DecimalType) to;
    boolean fits = decimal.scale() == from.scale() && decimal.precision() >= from.precision();
    return fits ? layout : null;
  }

  private static Layout timestamp(ColumnType from, DataType to) {
    boolean instant = DataTypes.TimestampType.equals(to);
    if (from.isInt96()) {
      return instant ? int96(from.unit()) : null;
    }
    boolean local = DataTypes.TimestampNTZType.equals(to) && from.zone() == null;
    if (!instant && !local) {
      return null;
    }
    if (from.unit() == TimeUnit.MICROSECOND) {
      return Layout.INT64;
    }
    return from.unit() == TimeUnit.MILLISECOND ? Layout.MILLIS : null;
  }

  /** As local time Spark 3.5 does not read it; what is coarser than Spark's unit has lost something. */
  private static Layout int96(TimeUnit unit) {
    if (unit == TimeUnit.MICROSECOND) {
      return Layout.INT64;
    }
    return unit == TimeUnit.NANOSECOND ? Layout.NANOS : null;
  }

  private static Layout bytes(DataType to, Layout layout) {
    boolean accepted = DataTypes.StringType.equals(to) || DataTypes.BinaryType.equals(to);
    return accepted ? layout : null;
  }

  private static Layout only(DataType to, DataType accepted, Layout layout) {
    return accepted.equals(to) ? layout : null;
  }
}

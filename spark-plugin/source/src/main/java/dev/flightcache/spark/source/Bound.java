package dev.flightcache.spark.source;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.spark.range.AncientValues;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.Optional;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * The lowest or highest value of a column as Spark's own reader would give it: of types that Spark
 * orders as Parquet's statistics do, and nothing that it may rebase.
 */
final class Bound {
  private static final long MICROS_PER_MILLI = 1000;

  private Bound() {}

  /** The value that {@code text} is of a column that comes as {@code from} and is read as {@code to}. */
  static Optional<Object> value(String text, ColumnType from, DataType to) {
    if (from.kind() == Kind.UTF8 || from.kind() == Kind.LARGE_UTF8) {
      // Of strings with a collation the lowest may be another one.
      return Optional.ofNullable(
          to.equals(DataTypes.StringType) ? UTF8String.fromString(text) : null);
    }
    try {
      return Optional.ofNullable(number(new BigInteger(text), from, to));
    } catch (ArithmeticException | NumberFormatException error) {
      // It is no number, or one that the type has no room for: then the rows are asked.
      return Optional.empty();
    }
  }

  private static Object number(BigInteger value, ColumnType from, DataType to) {
    switch (from.kind()) {
      case BOOL:
        return to.equals(DataTypes.BooleanType) ? !value.equals(BigInteger.ZERO) : null;
      case DATE32:
        int day = value.intValueExact();
        return to.equals(DataTypes.DateType) && !AncientValues.isDay(day) ? day : null;
      case TIMESTAMP:
        return time(value.longValueExact(), from.unit(), to);
      case INT8:
      case INT16:
      case INT32:
      case INT64:
      case UINT8:
      case UINT16:
      case UINT32:
      case UINT64:
        return integer(value, to);
      case DECIMAL32:
      case DECIMAL64:
      case DECIMAL128:
        return decimal(new BigDecimal(value, from.scale()), to);
      default:
        return null;
    }
  }

  private static Object integer(BigInteger value, DataType to) {
    if (to.equals(DataTypes.LongType)) {
      return value.longValueExact();
    } else if (to.equals(DataTypes.IntegerType)) {
      return value.intValueExact();
    } else if (to.equals(DataTypes.ShortType)) {
      return value.shortValueExact();
    } else if (to.equals(DataTypes.ByteType)) {
      return value.byteValueExact();
    }
    return decimal(new BigDecimal(value), to);
  }

  private static Object decimal(BigDecimal value, DataType to) {
    if (!(to instanceof DecimalType)) {
      return null;
    }
    DecimalType type = (DecimalType) to;
    BigDecimal scaled = value.setScale(type.scale(), RoundingMode.UNNECESSARY);
    return scaled.precision() <= type.precision()
        ? Decimal.apply(scaled, type.precision(), type.scale())
        : null;
  }

  private static Object time(long value, TimeUnit unit, DataType to) {
    boolean moment = to.equals(DataTypes.TimestampType) || to.equals(DataTypes.TimestampNTZType);
    if (!moment || AncientValues.isTime(value, unit)) {
      return null;
    }
    switch (unit) {
      case MICROSECOND:
        return value;
      case MILLISECOND:
        return Math.multiplyExact(value, MICROS_PER_MILLI);
      default:
        return null;
    }
  }
}

package dev.flightcache.spark.prune;

import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.Field;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** A column that a server can prune by: what it is called there and how its values are written. */
final class PrunedColumn {
  private static final long DAY_MICROS = 86_400_000_000L;
  /** Where Spark keeps that a string is a CHAR, which it pads when it compares. */
  private static final String CHAR = "__CHAR_VARCHAR_TYPE_STRING";

  /** How values are compared and written. */
  enum Form {
    INTEGER,
    DECIMAL,
    /** Days since the epoch. */
    DATE,
    /** Microseconds since the epoch. */
    TIMESTAMP,
    STRING,
    BOOLEAN
  }

  final String name;
  final Form form;
  final DataType type;

  /**
   * By how many microseconds the server may read a timestamp otherwise than Spark: it takes a
   * literal for local time in the zone of the column, which only the column's field tells.
   */
  final long slackMicros;

  private PrunedColumn(String name, Form form, DataType type, long slackMicros) {
    this.name = name;
    this.form = form;
    this.type = type;
    this.slackMicros = slackMicros;
  }

  /**
   * The column of {@code schema} that Spark calls {@code name}; empty if there is none, or two, or
   * its values are not compared alike by Spark and by a server.
   *
   * @param fields the columns as the server has them; null if unknown
   */
  static Optional<PrunedColumn> find(String name, StructType schema, List<Field> fields) {
    StructField found = null;
    for (StructField field : schema.fields()) {
      if (fold(field.name()).equals(fold(name))) {
        if (found != null) {
          return Optional.empty();
        }
        found = field;
      }
    }
    if (found == null || found.metadata().contains(CHAR)) {
      return Optional.empty();
    }
    StructField column = found;
    return form(column.dataType())
        .flatMap(
            form ->
                fields == null
                    ? Optional.of(unknown(column, form))
                    : known(column, form, fields));
  }

  private static PrunedColumn unknown(StructField column, Form form) {
    boolean instant = DataTypes.TimestampType.equals(column.dataType());
    return new PrunedColumn(column.name(), form, column.dataType(), instant ? DAY_MICROS : 0);
  }

  private static Optional<PrunedColumn> known(StructField column, Form form, List<Field> fields) {
    Field found = null;
    for (Field field : fields) {
      if (fold(field.name()).equals(fold(column.name()))) {
        if (found != null) {
          return Optional.empty();
        }
        found = field;
      }
    }
    // Of INT96, which Spark cuts to microseconds, no statistics prune.
    if (found == null || found.type().isInt96()) {
      return Optional.empty();
    }
    boolean zoned =
        found.type().kind() == Kind.TIMESTAMP
            && found.type().zone() != null
            && !found.type().zone().equals("UTC")
            && !found.type().zone().equals("+00:00");
    return Optional.of(
        new PrunedColumn(found.name(), form, column.dataType(), zoned ? DAY_MICROS : 0));
  }

  private static Optional<Form> form(DataType type) {
    if (type instanceof DecimalType) {
      return Optional.of(Form.DECIMAL);
    }
    if (DataTypes.ByteType.equals(type)
        || DataTypes.ShortType.equals(type)
        || DataTypes.IntegerType.equals(type)
        || DataTypes.LongType.equals(type)) {
      return Optional.of(Form.INTEGER);
    }
    if (DataTypes.DateType.equals(type)) {
      return Optional.of(Form.DATE);
    }
    if (DataTypes.TimestampType.equals(type) || DataTypes.TimestampNTZType.equals(type)) {
      return Optional.of(Form.TIMESTAMP);
    }
    if (DataTypes.StringType.equals(type)) {
      return Optional.of(Form.STRING);
    }
    // Floats are left out: Spark and servers differ about NaN and the sign of zero.
    return DataTypes.BooleanType.equals(type) ? Optional.of(Form.BOOLEAN) : Optional.empty();
  }

  /** Names that are equal are those of one column. */
  private static String fold(String name) {
    return SQLConf.get().caseSensitiveAnalysis() ? name : name.toLowerCase(Locale.ROOT);
  }

  /** Its name as an identifier. */
  String quoted() {
    return '"' + name.replace("\"", "\"\"") + '"';
  }
}

package dev.flightcache.spark.prune;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import java.util.List;
import org.apache.spark.sql.connector.expressions.Expression;
import org.apache.spark.sql.connector.expressions.Expressions;
import org.apache.spark.sql.connector.expressions.GeneralScalarExpression;
import org.apache.spark.sql.connector.expressions.Literal;
import org.apache.spark.sql.connector.expressions.LiteralValue;
import org.apache.spark.sql.connector.expressions.filter.AlwaysFalse;
import org.apache.spark.sql.connector.expressions.filter.And;
import org.apache.spark.sql.connector.expressions.filter.Not;
import org.apache.spark.sql.connector.expressions.filter.Or;
import org.apache.spark.sql.connector.expressions.filter.Predicate;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.junit.jupiter.api.Test;

class PredicateTextTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "i int, d decimal(7,2), day date, at timestamp, s string, n struct<x:int>");
  private static final List<Field> FIELDS =
      List.of(
          field("i", ColumnType.of(Kind.INT32)),
          field("d", ColumnType.decimal(Kind.DECIMAL128, 7, 2)),
          field("day", ColumnType.of(Kind.DATE32)),
          field("at", ColumnType.time(Kind.TIMESTAMP, TimeUnit.MICROSECOND, "UTC")),
          field("s", ColumnType.of(Kind.UTF8)));

  private static Field field(String name, ColumnType type) {
    return new Field(name, true, type, List.of(), false);
  }

  private static Expression column(String... names) {
    return Expressions.column(String.join(".", names));
  }

  private static Literal<Object> literal(Object value, DataType type) {
    return new LiteralValue<>(value, type);
  }

  private static Predicate predicate(String name, Expression... children) {
    return new Predicate(name, children);
  }

  private static void says(String expected, Predicate... predicates) {
    assertEquals(
        expected, PredicateText.prune(List.of(predicates), SCHEMA, FIELDS).orElse(""));
  }

  private static final Literal<Object> FIVE = literal(5, DataTypes.IntegerType);

  @Test
  void comparisonsOnEitherSide() {
    for (String operator : List.of("=", "<>", "<", "<=", ">", ">=")) {
      says("\"i\" " + operator + " 5", predicate(operator, column("i"), FIVE));
    }
    says("\"i\" > 5", predicate("<", FIVE, column("i")));
    says("\"i\" >= 5", predicate("<=", FIVE, column("i")));
    says("\"i\" < 5", predicate(">", FIVE, column("i")));
    says("\"i\" <= 5", predicate(">=", FIVE, column("i")));
    says("\"i\" = 5", predicate("<=>", FIVE, column("i")));
    says("", predicate("=", column("i"), column("i")));
    says("", predicate("=", column("n", "x"), FIVE));
    Expression sum = new GeneralScalarExpression("+", new Expression[] {column("i"), FIVE});
    says("", predicate("=", sum, FIVE));
    says("", predicate("SOME_FUNCTION", column("i"), FIVE));
  }

  @Test
  void literalsAsSparkHoldsThem() {
    says("\"day\" = DATE '1970-01-06'", predicate("=", column("day"), literal(5, DataTypes.DateType)));
    says(
        "\"at\" = CAST('1969-12-31T23:59:59.999000' AS TIMESTAMP(6))",
        predicate("=", column("at"), literal(-1000L, DataTypes.TimestampType)));
    says(
        "\"at\" <= CAST('9999-12-31T23:59:59.999000' AS TIMESTAMP(6))",
        predicate("<=", column("at"), literal(253402300799999000L, DataTypes.TimestampType)));
    says("", predicate("<=", column("at"), literal(Long.MAX_VALUE, DataTypes.TimestampType)));
    says(
        "\"d\" = CAST('12.30' AS DECIMAL(7,2))",
        predicate(
            "=", column("d"), literal(Decimal.apply("12.3"), DataTypes.createDecimalType(7, 2))));
    says(
        "\"s\" = 'x'",
        predicate("=", column("s"), literal(UTF8String.fromString("x"), DataTypes.StringType)));
    byte[] broken = {(byte) 0xC3};
    says(
        "",
        predicate("=", column("s"), literal(UTF8String.fromBytes(broken), DataTypes.StringType)));
  }

  @Test
  void treesAndLists() {
    Predicate known = predicate("=", column("i"), FIVE);
    Predicate unknown = predicate("=", column("n", "x"), FIVE);
    says("\"i\" = 5", new And(known, unknown));
    says("", new Or(known, unknown));
    says("NOT ((\"i\" = 5 OR \"i\" = 5))", new Not(new Or(known, known)));
    says("", new Not(new And(known, unknown)));
    says("false", new AlwaysFalse());
    says("\"i\" IN (5,5)", predicate("IN", column("i"), FIVE, FIVE));
    Literal<Object> none = literal(null, DataTypes.IntegerType);
    says("\"i\" IN (5)", predicate("IN", column("i"), FIVE, none));
    says("", new Not(predicate("IN", column("i"), FIVE, none)));
    says("\"i\" IS NULL", predicate("IS_NULL", column("i")));
    says("\"i\" IS NOT NULL", predicate("IS_NOT_NULL", column("i")));
    Literal<Object> text = literal(UTF8String.fromString("a'"), DataTypes.StringType);
    says("\"s\" LIKE 'a''%'", predicate("STARTS_WITH", column("s"), text));
    says("", predicate("ENDS_WITH", column("s"), text));
  }
}

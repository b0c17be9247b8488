package dev.flightcache.spark.prune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Date;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.sources.AlwaysFalse;
import org.apache.spark.sql.sources.AlwaysTrue;
import org.apache.spark.sql.sources.And;
import org.apache.spark.sql.sources.EqualNullSafe;
import org.apache.spark.sql.sources.EqualTo;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.sources.GreaterThan;
import org.apache.spark.sql.sources.GreaterThanOrEqual;
import org.apache.spark.sql.sources.In;
import org.apache.spark.sql.sources.IsNotNull;
import org.apache.spark.sql.sources.IsNull;
import org.apache.spark.sql.sources.LessThan;
import org.apache.spark.sql.sources.LessThanOrEqual;
import org.apache.spark.sql.sources.Not;
import org.apache.spark.sql.sources.Or;
import org.apache.spark.sql.sources.StringContains;
import org.apache.spark.sql.sources.StringStartsWith;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MetadataBuilder;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class FilterTextTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
              "i int, l bigint, b tinyint, d decimal(7,2), f double, day date, at timestamp,"
                  + " local timestamp_ntz, s string, flag boolean, raw binary,"
                  + " nested struct<x:int>, `q\"x` int, `a.b` int, twice int, Twice int")
          .add(
              "padded",
              DataTypes.StringType,
              true,
              new MetadataBuilder().putString("__CHAR_VARCHAR_TYPE_STRING", "char(5)").build());

  private static final Filter KNOWN = new EqualTo("i", 5);
  private static final Filter UNKNOWN = new StringContains("s", "x");
  private static final Filter NULL_SAFE = new EqualNullSafe("i", 5);

  private static void says(String expected, Filter... filters) {
    assertEquals(expected, FilterText.prune(filters, SCHEMA).orElse(""));
  }

  @Test
  void comparisonsKeepTheirSide() {
    says("\"i\" = 5", new EqualTo("i", 5));
    says("\"i\" < 5", new LessThan("i", 5));
    says("\"i\" <= 5", new LessThanOrEqual("i", 5));
    says("\"i\" > 5", new GreaterThan("i", 5));
    says("\"i\" >= -5", new GreaterThanOrEqual("i", -5));
    says("NOT (\"i\" = 5)", new Not(new EqualTo("i", 5)));
    says("\"i\" IS NULL", new IsNull("i"));
    says("\"i\" IS NOT NULL", new IsNotNull("i"));
  }

  @Test
  void literalsOfEveryType() {
    says("\"l\" = 9223372036854775807", new EqualTo("l", Long.MAX_VALUE));
    says("", new EqualTo("l", Long.MIN_VALUE));
    says("\"b\" = -1", new EqualTo("b", (byte) -1));
    says("\"d\" = CAST('1.50' AS DECIMAL(7,2))", new EqualTo("d", new BigDecimal("1.5")));
    says("\"d\" = CAST('0.00' AS DECIMAL(7,2))", new EqualTo("d", new BigDecimal("0E+3")));
    says("\"d\" = CAST('-10000.00' AS DECIMAL(7,2))", new EqualTo("d", new BigDecimal("-1E+4")));
    says("", new EqualTo("d", new BigDecimal("1.555")));
    says("", new EqualTo("d", new BigDecimal("123456")));
    says("\"day\" = DATE '2020-02-29'", new EqualTo("day", Date.valueOf("2020-02-29")));
    says("\"day\" < DATE '1901-01-01'", new LessThan("day", LocalDate.of(1901, 1, 1)));
    says("", new LessThan("day", LocalDate.of(1900, 12, 31)));
    says("", new LessThan("day", LocalDate.of(10000, 1, 1)));
    says("", new LessThan("day", Date.valueOf("1582-10-01")));
    says("\"s\" = 'it''s \\ 😀'", new EqualTo("s", "it's \\ 😀"));
    says("", new EqualTo("s", "\uFFFD"));
    says("", new EqualTo("s", "\uD800"));
    says("\"flag\" = true", new EqualTo("flag", true));
    says("", new LessThan("flag", true));
    says("", new EqualTo("raw", "x".getBytes(StandardCharsets.UTF_8)));
    says("", new EqualTo("i", null));
    says("\"i\" IS NULL", new EqualNullSafe("i", null));
  }

  @Test
  void nothingOfFloatsOrWhatIsNotPlain() {
    says("", new EqualTo("f", 1.0), new IsNotNull("f"));
    says("", new EqualTo("nested.x", 1));
    says("", new EqualTo("a.b", 1), new EqualTo("`a.b`", 1));
    says("", new EqualTo("gone", 1));
    says("", new EqualTo("twice", 1));
    says("", new EqualTo("padded", "x"), new StringStartsWith("padded", "x"));
    says("\"q\"\"x\" = 1", new EqualTo("q\"x", 1));
    says("\"i\" = 1", new EqualTo("I", 1));
  }

  @Test
  void instantsAreToldADayApartWhereTheZoneIsUnknown() {
    Instant noon = Instant.parse("2020-01-02T12:00:00Z");
    says("\"at\" <= CAST('2020-01-03T12:00:00.000000' AS TIMESTAMP(6))", new LessThan("at", noon));
    says(
        "(\"at\" >= CAST('2020-01-01T12:00:00.000000' AS TIMESTAMP(6))"
            + " AND \"at\" <= CAST('2020-01-03T12:00:00.000000' AS TIMESTAMP(6)))",
        new EqualTo("at", Timestamp.from(noon)));
    says("", new Not(new LessThan("at", noon)));
    says("", new GreaterThan("at", Instant.parse("-0005-01-01T00:00:00Z")));
  }

  @Test
  void partsOfAMillisecondAreRoundedOutwards() {
    LocalDateTime whole = LocalDateTime.parse("2020-01-02T12:00:00.001");
    LocalDateTime part = LocalDateTime.parse("2020-01-02T12:00:00.0015");
    String first = "CAST('2020-01-02T12:00:00.001000' AS TIMESTAMP(6))";
    String second = "CAST('2020-01-02T12:00:00.002000' AS TIMESTAMP(6))";
    says("\"local\" < " + first, new LessThan("local", whole));
    says("\"local\" <= " + second, new LessThan("local", part));
    says("\"local\" >= " + first, new GreaterThan("local", part));
    says(
        "(\"local\" >= " + first + " AND \"local\" <= " + second + ")",
        new In("local", new Object[] {part, whole}));
    says("", new Not(new EqualTo("local", part)));
    says("NOT (\"local\" = " + first + ")", new Not(new EqualTo("local", whole)));
    says("NOT (\"local\" IN (" + first + "))", new Not(new In("local", new Object[] {whole})));
  }

  @Test
  void fieldsTellNamesAndZones() {
    ColumnType utc = ColumnType.time(Kind.TIMESTAMP, TimeUnit.MICROSECOND, "UTC");
    ColumnType berlin = ColumnType.time(Kind.TIMESTAMP, TimeUnit.MICROSECOND, "Europe/Berlin");
    Instant noon = Instant.parse("2020-01-02T12:00:00Z");
    Filter[] before = {new LessThan("at", noon)};
    assertEquals(
        "\"AT\" < CAST('2020-01-02T12:00:00.000000' AS TIMESTAMP(6))",
        FilterText.prune(before, SCHEMA, List.of(Columns.field("AT", utc))).orElse(""));
    assertEquals(
        "\"at\" <= CAST('2020-01-03T12:00:00.000000' AS TIMESTAMP(6))",
        FilterText.prune(before, SCHEMA, List.of(Columns.field("at", berlin))).orElse(""));
    assertEquals("", FilterText.prune(before, SCHEMA, List.of()).orElse(""));
    // Spark compares whole microseconds, a server the nanoseconds of the file.
    ColumnType int96 = ColumnType.int96(TimeUnit.NANOSECOND, null);
    Filter[] equal = {new EqualTo("at", noon), KNOWN};
    Field number = Columns.field("i", ColumnType.of(Kind.INT64));
    List<Field> fields = List.of(Columns.field("at", int96), number);
    assertEquals("\"i\" = 5", FilterText.prune(equal, SCHEMA, fields).orElse(""));
  }

  @Test
  void partsAreLeftOutOnlyWhereThatWeakens() {
    says("\"i\" = 5", KNOWN, UNKNOWN);
    says("\"i\" = 5", new And(UNKNOWN, KNOWN));
    says("", new Or(UNKNOWN, KNOWN));
    says("(\"i\" = 5 OR \"i\" = 5)", new Or(new And(UNKNOWN, KNOWN), KNOWN));
    says("", new Not(new And(UNKNOWN, KNOWN)));
    says("NOT ((\"i\" = 5 AND \"i\" = 5))", new Not(new And(KNOWN, KNOWN)));
    says("\"i\" = 5", NULL_SAFE);
    says("NOT (\"i\" IS NOT DISTINCT FROM 5)", new Not(NULL_SAFE));
    says("", new AlwaysTrue());
    says("false", new AlwaysFalse());
    says("\"s\" LIKE 'ab%'", new StringStartsWith("s", "ab"));
    says("\"s\" >= 'a%b'", new StringStartsWith("s", "a%b"));
    says("", new Not(new StringStartsWith("s", "a_b")));
    says("", new StringStartsWith("i", "a"));
  }

  @Test
  void listsWithNullsAndLongOnes() {
    says("\"i\" IN (1,2)", new In("i", new Object[] {1, 2}));
    says("\"i\" IN (1)", new In("i", new Object[] {1, null}));
    says("", new Not(new In("i", new Object[] {1, null})));
    says("NOT (\"i\" IN (1,2))", new Not(new In("i", new Object[] {1, 2})));
    says("", new In("i", new Object[] {}));
    says("", new In("d", new Object[] {new BigDecimal("1.555")}));
    Object[] many = new Object[101];
    Arrays.setAll(many, i -> (i * 7) % 101 - 50);
    says("(\"i\" >= -50 AND \"i\" <= 50)", new In("i", many));
    says("", new Not(new In("i", many)));
    Object[] texts = new Object[101];
    Arrays.setAll(texts, i -> i == 7 ? "\uFFFF" : i == 8 ? "😀" : "m" + i);
    // Java orders characters beyond the first 65,536 before U+FFFF, bytes do not.
    says("(\"s\" >= 'm0' AND \"s\" <= '😀')", new In("s", texts));
  }

  @Test
  void textsAreBounded() {
    Filter[] long1 = {new EqualTo("s", "x".repeat(70_000)), KNOWN};
    says("\"i\" = 5", long1);
    Filter[] many = new Filter[2_000];
    Arrays.setAll(many, i -> new GreaterThan("i", i));
    String text = FilterText.prune(many, SCHEMA).orElse("");
    assertTrue(text.startsWith("\"i\" > 0 AND \"i\" > 1 AND "), text);
    assertTrue(text.split(" ").length < 1_000);
    Filter chain = KNOWN;
    for (int i = 0; i < 2_000; i++) {
      chain = new And(chain, KNOWN);
    }
    assertTrue(FilterText.prune(new Filter[] {chain}, SCHEMA).isPresent());
    Filter deep = KNOWN;
    for (int i = 0; i < 100; i++) {
      deep = new Or(deep, KNOWN);
    }
    says("", deep);
  }

  private static final class Columns {
    static Field field(String name, ColumnType type) {
      return new Field(name, true, type, List.of(), false);
    }
  }
}

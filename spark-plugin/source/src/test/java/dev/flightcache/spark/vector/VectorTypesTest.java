package dev.flightcache.spark.vector;

import static dev.flightcache.spark.vector.Columns.encoded;
import static dev.flightcache.spark.vector.Columns.field;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class VectorTypesTest {
  private static final Field INT = field("a", Kind.INT32);

  private static ColumnType timestamp(TimeUnit unit, String zone) {
    return ColumnType.time(Kind.TIMESTAMP, unit, zone);
  }

  private static DataType ddl(String type) {
    return StructType.fromDDL("c " + type).apply(0).dataType();
  }

  /** Every type of Spark against every plain type of a server: accepted is what stands here. */
  @Test
  void acceptsExactlyTheTable() {
    Map<ColumnType, List<String>> table =
        Map.ofEntries(
            Map.entry(ColumnType.of(Kind.NULL), List.of()),
            Map.entry(ColumnType.of(Kind.BOOL), List.of("boolean")),
            Map.entry(ColumnType.of(Kind.INT8), List.of("tinyint", "smallint", "int")),
            Map.entry(ColumnType.of(Kind.INT16), List.of("smallint", "int")),
            Map.entry(ColumnType.of(Kind.INT32), List.of("int")),
            Map.entry(ColumnType.of(Kind.INT64), List.of("bigint")),
            Map.entry(ColumnType.of(Kind.UINT8), List.of("smallint", "int")),
            Map.entry(ColumnType.of(Kind.UINT16), List.of("int")),
            Map.entry(ColumnType.of(Kind.UINT32), List.of("bigint")),
            Map.entry(ColumnType.of(Kind.UINT64), List.of("decimal(20,0)")),
            Map.entry(ColumnType.of(Kind.FLOAT16), List.of()),
            Map.entry(ColumnType.of(Kind.FLOAT32), List.of("float")),
            Map.entry(ColumnType.of(Kind.FLOAT64), List.of("double")),
            Map.entry(
                ColumnType.decimal(Kind.DECIMAL32, 9, 2),
                List.of("decimal(9,2)", "decimal(18,2)", "decimal(38,2)")),
            Map.entry(
                ColumnType.decimal(Kind.DECIMAL128, 18, 2),
                List.of("decimal(18,2)", "decimal(38,2)")),
            Map.entry(ColumnType.decimal(Kind.DECIMAL256, 38, 2), List.of("decimal(38,2)")),
            Map.entry(ColumnType.decimal(Kind.DECIMAL256, 39, 2), List.of()),
            Map.entry(ColumnType.of(Kind.DATE32), List.of("date")),
            Map.entry(ColumnType.of(Kind.DATE64), List.of()),
            Map.entry(ColumnType.time(Kind.TIME64, TimeUnit.MICROSECOND, null), List.of()),
            Map.entry(timestamp(TimeUnit.SECOND, "UTC"), List.of()),
            Map.entry(timestamp(TimeUnit.MILLISECOND, "UTC"), List.of("timestamp")),
            Map.entry(timestamp(TimeUnit.MICROSECOND, "UTC"), List.of("timestamp")),
            Map.entry(timestamp(TimeUnit.NANOSECOND, "UTC"), List.of()),
            Map.entry(timestamp(TimeUnit.NANOSECOND, null), List.of()),
            Map.entry(ColumnType.int96(TimeUnit.NANOSECOND, null), List.of("timestamp")),
            Map.entry(ColumnType.int96(TimeUnit.NANOSECOND, "UTC"), List.of("timestamp")),
            Map.entry(ColumnType.int96(TimeUnit.MICROSECOND, null), List.of("timestamp")),
            Map.entry(ColumnType.int96(TimeUnit.MILLISECOND, null), List.of()),
            Map.entry(
                timestamp(TimeUnit.MICROSECOND, null), List.of("timestamp", "timestamp_ntz")),
            Map.entry(ColumnType.of(Kind.UTF8), List.of("string", "binary")),
            Map.entry(ColumnType.of(Kind.LARGE_UTF8), List.of("string", "binary")),
            Map.entry(ColumnType.of(Kind.BINARY), List.of("string", "binary")),
            Map.entry(ColumnType.of(Kind.LARGE_BINARY), List.of("string", "binary")),
            Map.entry(ColumnType.fixed(Kind.FIXED_SIZE_BINARY, 4), List.of("binary")),
            Map.entry(ColumnType.of(Kind.OTHER), List.of()));
    List<String> all =
        List.of(
            "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal(9,2)",
            "decimal(18,2)", "decimal(38,2)", "decimal(20,0)", "decimal(38,3)", "date",
            "timestamp", "timestamp_ntz", "string", "binary", "interval day to second",
            "interval year", "array<int>", "map<int,int>", "struct<a:int>");
    table.forEach(
        (from, accepted) -> {
          List<String> found = new ArrayList<>(all);
          found.removeIf(to -> VectorTypes.refusal(field("c", from), ddl(to)).isPresent());
          assertEquals(accepted, found, from.toString());
        });
  }

  @Test
  void namesWhatIsRefusedAndWhere() {
    Field list = field("item", ColumnType.of(Kind.LIST), field("x", Kind.FLOAT16));
    Field struct = field("s", ColumnType.of(Kind.STRUCT), INT, list);
    Optional<String> why = VectorTypes.refusal(struct, ddl("struct<a:int,item:array<float>>"));
    assertEquals(Optional.of("item: item: float16 is not read as float"), why);
    assertEquals(Optional.empty(), VectorTypes.refusal(struct, ddl("struct<a:int>")));
  }

  @Test
  void matchesFieldsOfStructsByName() {
    Field upper = field("A", Kind.INT64);
    Field both = field("s", ColumnType.of(Kind.STRUCT), INT, upper);
    Field one = field("s", ColumnType.of(Kind.STRUCT), upper);
    DataType lower = ddl("struct<a:bigint,b:int>");
    assertEquals(Optional.empty(), VectorTypes.refusal(one, lower));
    assertEquals(
        Optional.of("a struct of which no wanted field is there"),
        VectorTypes.refusal(one, lower, true));
    assertEquals(
        Optional.of("a is the name of two fields"),
        VectorTypes.refusal(both, ddl("struct<a:int>")));
    assertEquals(Optional.empty(), VectorTypes.refusal(both, ddl("struct<a:int>"), true));
  }

  @Test
  void refusesDictionariesOfNestedValues() {
    Field list = encoded(field("l", ColumnType.of(Kind.LIST), INT));
    assertTrue(VectorTypes.refusal(list, ddl("array<int>")).isPresent());
    assertTrue(VectorTypes.refusal(encoded(INT), ddl("int")).isEmpty());
  }

  @Test
  void infersWhatSparkInfers() {
    Field entries =
        field("entries", ColumnType.of(Kind.STRUCT), field("k", Kind.UTF8), field("v", Kind.UINT8));
    Field local = field("t", timestamp(TimeUnit.MILLISECOND, null));
    assertEquals(
        "map<string,smallint>",
        inferred(field("m", ColumnType.of(Kind.MAP), entries), true));
    assertEquals("timestamp_ntz", inferred(local, true));
    assertEquals("timestamp", inferred(local, false));
    Field int96 = field("t", ColumnType.int96(TimeUnit.NANOSECOND, null));
    assertEquals("array<timestamp>", inferred(field("l", ColumnType.of(Kind.LIST), int96), true));
    assertEquals("", inferred(field("t", timestamp(TimeUnit.NANOSECOND, null)), true));
    assertEquals("decimal(20,0)", inferred(field("u", Kind.UINT64), true));
    assertEquals(
        "array<struct<a:int>>",
        inferred(
            field("l", ColumnType.of(Kind.LARGE_LIST), field("i", ColumnType.of(Kind.STRUCT), INT)),
            true));
    Field half = field("h", Kind.FLOAT16);
    assertEquals("", inferred(field("s", ColumnType.of(Kind.STRUCT), INT, half), true));
    assertEquals("", inferred(field("d", ColumnType.decimal(Kind.DECIMAL256, 40, 2)), true));
    assertEquals("", inferred(field("d", ColumnType.decimal(Kind.DECIMAL128, 9, -2)), true));
  }

  private static String inferred(Field field, boolean local) {
    return VectorTypes.inferred(field, local).map(DataType::simpleString).orElse("");
  }
}

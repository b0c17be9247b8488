package dev.flightcache.spark.vector;

import static dev.flightcache.spark.vector.Columns.encoded;
import static dev.flightcache.spark.vector.Columns.field;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarArray;
import org.apache.spark.sql.vectorized.ColumnarMap;
import org.apache.spark.sql.vectorized.ColumnarRow;
import org.apache.spark.unsafe.types.UTF8String;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class CachedVectorTest {
  private static final Field INT = field("c", Kind.INT32);
  private static final Field TEXT = field("c", Kind.UTF8);

  private final Columns columns = new Columns();

  @AfterEach
  void free() {
    columns.close();
  }

  /** Reads a value as Spark's generated code does: by the type of the vector. */
  static Object value(ColumnVector vector, int row) {
    DataType type = vector.dataType();
    if (vector.isNullAt(row)) {
      return null;
    }
    switch (type.typeName().replaceAll("\\(.*", "")) {
      case "boolean":
        return vector.getBoolean(row);
      case "byte":
        return vector.getByte(row);
      case "short":
        return vector.getShort(row);
      case "integer":
      case "date":
        return vector.getInt(row);
      case "long":
      case "timestamp":
      case "timestamp_ntz":
        return vector.getLong(row);
      case "float":
        return vector.getFloat(row);
      case "double":
        return vector.getDouble(row);
      case "string":
        return vector.getUTF8String(row).toString();
      case "binary":
        return vector.getBinary(row);
      default:
        DecimalType decimal = (DecimalType) type;
        return vector.getDecimal(row, decimal.precision(), decimal.scale()).toJavaBigDecimal();
    }
  }

  static List<Object> values(ColumnVector vector, int rows) {
    List<Object> values = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      values.add(value(vector, row));
    }
    return values;
  }

  private static DataType ddl(String type) {
    return StructType.fromDDL("c " + type).apply(0).dataType();
  }

  private ColumnVector load(Columns.Raw column, DataType type, int skip)
      throws FlightcacheException {
    CachedBatch batch =
        new CachedBatch(List.of(column.field()), new StructType().add("c", type), true);
    batch.load(Columns.batch(column.length(), column), skip);
    return batch.vectors()[0];
  }

  private ColumnVector load(Columns.Raw column, String type) throws FlightcacheException {
    return load(column, ddl(type), 0);
  }

  private void check(Columns.Raw column, String type, Object... expected)
      throws FlightcacheException {
    List<Object> all = Arrays.asList(expected);
    for (int skip = 0; skip <= expected.length; skip++) {
      ColumnVector vector = load(column, ddl(type), skip);
      int rows = expected.length - skip;
      List<Object> rest = all.subList(skip, expected.length);
      assertEquals(rest, values(vector, rows), type + " from row " + skip);
      int nulls = (int) rest.stream().filter(value -> value == null).count();
      assertEquals(nulls, vector.numNulls(), type + " nulls from row " + skip);
      assertTrue(nulls == 0 || vector.hasNull());
    }
  }

  private Columns.Raw integers(Kind kind, int bytes, Long... values) {
    return columns.integers(field("c", kind), bytes, -1, values);
  }

  @Test
  void integersOfEveryWidthAndSign() throws FlightcacheException {
    Columns.Raw bytes = integers(Kind.INT8, 1, -128L, null, 127L);
    check(bytes, "tinyint", (byte) -128, null, (byte) 127);
    check(bytes, "smallint", (short) -128, null, (short) 127);
    check(bytes, "int", -128, null, 127);
    check(integers(Kind.UINT8, 1, 0L, null, 255L), "smallint", (short) 0, null, (short) 255);
    check(integers(Kind.UINT8, 1, 0L, null, 255L), "int", 0, null, 255);
    check(integers(Kind.INT16, 2, -32768L, null), "smallint", (short) -32768, null);
    check(integers(Kind.INT16, 2, -32768L, null), "int", -32768, null);
    check(integers(Kind.UINT16, 2, 65535L, null), "int", 65535, null);
    check(integers(Kind.INT32, 4, -2147483648L, null, 7L), "int", Integer.MIN_VALUE, null, 7);
    check(integers(Kind.UINT32, 4, 4294967295L, null, 7L), "bigint", 4294967295L, null, 7L);
    check(integers(Kind.INT64, 8, Long.MIN_VALUE, null), "bigint", Long.MIN_VALUE, null);
    BigInteger most = BigInteger.ONE.shiftLeft(64).subtract(BigInteger.ONE);
    check(
        columns.wide(field("c", Kind.UINT64), 8, 0, most, null, BigInteger.ONE),
        "decimal(20,0)",
        new BigDecimal(most),
        null,
        BigDecimal.ONE);
  }

  @Test
  void booleansAndFloats() throws FlightcacheException {
    check(
        columns.booleans(field("c", Kind.BOOL), true, null, false, true, true, true, true, true,
            false, true),
        "boolean",
        true, null, false, true, true, true, true, true, false, true);
    long nan = Float.floatToRawIntBits(Float.NaN);
    long minusZero = Float.floatToRawIntBits(-0.0f);
    check(integers(Kind.FLOAT32, 4, nan, null, minusZero), "float", Float.NaN, null, -0.0f);
    long third = Double.doubleToRawLongBits(1.0 / 3);
    check(integers(Kind.FLOAT64, 8, third, null), "double", 1.0 / 3, null);
  }

  @Test
  void datesAndTimestamps() throws FlightcacheException {
    check(integers(Kind.DATE32, 4, -719162L, null, 20000L), "date", -719162, null, 20000);
    Field micros = field("c", ColumnType.time(Kind.TIMESTAMP, TimeUnit.MICROSECOND, "UTC"));
    check(columns.integers(micros, 8, 0, -1L, null), "timestamp", -1L, null);
    Field local = field("c", ColumnType.time(Kind.TIMESTAMP, TimeUnit.MILLISECOND, null));
    Columns.Raw millis = columns.integers(local, 8, Long.MAX_VALUE, -1L, null, 12L);
    check(millis, "timestamp_ntz", -1000L, null, 12000L);
    check(millis, "timestamp", -1000L, null, 12000L);
    // The filler of the null would overflow.
    assertArrayEquals(new long[] {-1000, 0, 12000}, load(millis, "timestamp").getLongs(0, 3));
    Columns.Raw far = columns.integers(local, 8, 0, Long.MAX_VALUE);
    ColumnVector vector = load(far, "timestamp");
    assertThrows(ArithmeticException.class, () -> vector.getLong(0));
  }

  /** Towards the past, also before 1970: a time is a day and nanoseconds in it, and those are cut. */
  @Test
  void nanosecondsOfInt96AreCutToMicroseconds() throws FlightcacheException {
    Field int96 = field("c", ColumnType.int96(TimeUnit.NANOSECOND, null));
    Columns.Raw nanos =
        columns.integers(int96, 8, -1, -1001L, -1000L, -1L, null, 0L, 999L, 1000L, Long.MIN_VALUE);
    Long[] micros = {-2L, -1L, -1L, null, 0L, 0L, 1L, -9_223_372_036_854_776L};
    check(nanos, "timestamp", (Object[]) micros);
    assertArrayEquals(new long[] {-1, -1}, load(nanos, ddl("timestamp"), 1).getLongs(0, 2));
    assertThrows(IllegalArgumentException.class, () -> load(nanos, "timestamp_ntz"));
  }

  @Test
  void decimalsOfEveryWidth() throws FlightcacheException {
    BigInteger[] small = {BigInteger.valueOf(-12345), null, BigInteger.valueOf(99999)};
    Object[] shown = {new BigDecimal("-123.45"), null, new BigDecimal("999.99")};
    int bytes = 4;
    for (Kind kind :
        List.of(Kind.DECIMAL32, Kind.DECIMAL64, Kind.DECIMAL128, Kind.DECIMAL256)) {
      Field field = field("c", ColumnType.decimal(kind, 5, 2));
      check(columns.wide(field, bytes, 0, small), "decimal(5,2)", shown);
      check(columns.wide(field, bytes, 0, small), "decimal(18,2)", shown);
      check(columns.wide(field, bytes, 0, small), "decimal(38,2)", shown);
      bytes *= 2;
    }
    BigInteger nines = BigInteger.TEN.pow(38).subtract(BigInteger.ONE);
    BigInteger edge = BigInteger.ONE.shiftLeft(63);
    for (Kind kind : List.of(Kind.DECIMAL128, Kind.DECIMAL256)) {
      Field field = field("c", ColumnType.decimal(kind, 38, 10));
      int width = kind == Kind.DECIMAL128 ? 16 : 32;
      check(
          columns.wide(field, width, 0, nines, nines.negate(), edge, edge.negate(), null),
          "decimal(38,10)",
          new BigDecimal(nines, 10),
          new BigDecimal(nines.negate(), 10),
          new BigDecimal(edge, 10),
          new BigDecimal(edge.negate(), 10),
          null);
    }
  }

  @Test
  void stringsAndBinaries() throws FlightcacheException {
    for (Kind kind : List.of(Kind.UTF8, Kind.LARGE_UTF8, Kind.BINARY, Kind.LARGE_BINARY)) {
      Columns.Raw text = columns.strings(field("c", kind), "", null, "naïve", "😀", "");
      check(text, "string", "", null, "naïve", "😀", "");
      ColumnVector binary = load(text, DataTypes.BinaryType, 2);
      assertArrayEquals("naïve".getBytes(java.nio.charset.StandardCharsets.UTF_8),
          binary.getBinary(0));
    }
    Field fixed = field("c", ColumnType.fixed(Kind.FIXED_SIZE_BINARY, 3));
    Columns.Raw raw =
        columns.raw(fixed, new Object[] {1, null, 1}).data(new byte[] {1, 2, 3, 0, 0, 0, 7, 8, 9});
    ColumnVector vector = load(raw, "binary");
    assertArrayEquals(new byte[] {1, 2, 3}, vector.getBinary(0));
    assertNull(vector.getBinary(1));
    assertArrayEquals(new byte[] {7, 8, 9}, vector.getBinary(2));
  }

  @Test
  void dictionariesWithIndicesOfEveryWidth() throws FlightcacheException {
    Columns.Raw words = columns.strings(TEXT, "one", "two", null, "four");
    for (int bits : List.of(8, 16, 32, 64)) {
      for (boolean unsigned : List.of(false, true)) {
        // 77, in the place of nulls, points outside.
        Columns.Raw column =
            columns.encoded(encoded(TEXT), bits, unsigned, words, 3L, null, 0L, 2L, 1L);
        check(column, "string", "four", null, "one", null, "two");
      }
    }
    String[] many = new String[256];
    Arrays.setAll(many, i -> "v" + i);
    check(
        columns.encoded(encoded(TEXT), 8, true, columns.strings(TEXT, many), 255L, 128L),
        "string",
        "v255",
        "v128");
    Columns.Raw numbers = columns.integers(INT, 4, 0, 10L, 20L);
    Columns.Raw column = columns.encoded(encoded(INT), 8, false, numbers, 1L, null, 0L);
    check(column, "int", 20, null, 10);
    assertArrayEquals(new int[] {20, 10, 10}, load(column, "int").getInts(0, 3));
    Columns.Raw flags = columns.booleans(field("c", Kind.BOOL), false, true);
    check(
        columns.encoded(encoded(field("c", Kind.BOOL)), 8, false, flags, 1L, 0L),
        "boolean",
        true,
        false);
    Columns.Raw none = columns.strings(TEXT);
    Columns.Raw nulls = columns.encoded(encoded(TEXT), 32, false, none, null, null);
    check(nulls, "string", null, null);
  }

  @Test
  void bulkReadsEqualSingleOnes() throws FlightcacheException {
    Long[] values = {5L, -1L, 3L, 100L, 42L};
    ColumnVector bytes = load(integers(Kind.INT8, 1, values), DataTypes.ByteType, 1);
    assertArrayEquals(new byte[] {-1, 3}, bytes.getBytes(0, 2));
    ColumnVector shorts = load(integers(Kind.INT16, 2, values), DataTypes.ShortType, 1);
    assertArrayEquals(new short[] {3, 100, 42}, shorts.getShorts(1, 3));
    ColumnVector ints = load(integers(Kind.INT32, 4, values), DataTypes.IntegerType, 1);
    assertArrayEquals(new int[] {-1, 3, 100, 42}, ints.getInts(0, 4));
    ColumnVector small = load(integers(Kind.UINT8, 1, 255L, 3L), DataTypes.IntegerType, 0);
    assertArrayEquals(new int[] {255, 3}, small.getInts(0, 2));
    ColumnVector longs = load(integers(Kind.INT64, 8, values), DataTypes.LongType, 1);
    assertArrayEquals(new long[] {3, 100}, longs.getLongs(1, 2));
    ColumnVector wide = load(integers(Kind.UINT32, 4, values), DataTypes.LongType, 0);
    assertArrayEquals(new long[] {5, 4294967295L}, wide.getLongs(0, 2));
    long half = Double.doubleToRawLongBits(0.5);
    ColumnVector doubles = load(integers(Kind.FLOAT64, 8, 0L, half), DataTypes.DoubleType, 1);
    assertArrayEquals(new double[] {0.5}, doubles.getDoubles(0, 1));
    long floatHalf = Float.floatToRawIntBits(0.5f);
    ColumnVector floats = load(integers(Kind.FLOAT32, 4, 0L, floatHalf), DataTypes.FloatType, 1);
    assertArrayEquals(new float[] {0.5f}, floats.getFloats(0, 1));
    ColumnVector bools =
        load(columns.booleans(field("c", Kind.BOOL), true, false, true), DataTypes.BooleanType, 1);
    assertArrayEquals(new boolean[] {false, true}, bools.getBooleans(0, 2));
  }

  @Test
  void listsOfEveryKind() throws FlightcacheException {
    Columns.Raw items = columns.integers(field("item", Kind.INT32), 4, 0, 1L, 2L, null, 4L, 5L);
    for (Kind kind : List.of(Kind.LIST, Kind.LARGE_LIST)) {
      Field list = field("c", ColumnType.of(kind), items.field());
      Columns.Raw column = columns.lists(list, items, 2, -1, 0, 3);
      ColumnVector vector = load(column, ddl("array<int>"), 1);
      assertNull(vector.getArray(0));
      assertEquals(0, vector.getArray(1).numElements());
      ColumnarArray last = vector.getArray(2);
      assertTrue(last.isNullAt(0));
      assertEquals(5, last.getInt(2));
      assertEquals(3, last.copy().numElements());
      assertTrue(last.copy().isNullAt(0));
    }
    Field fixed = field("c", ColumnType.fixed(Kind.FIXED_SIZE_LIST, 2), items.field());
    Columns.Raw pairs = columns.raw(fixed, new Object[] {1, 1}).children(items);
    assertArrayEquals(new int[] {0, 4}, load(pairs, "array<int>").getArray(1).toIntArray());
  }

  @Test
  void mapsAndStructs() throws FlightcacheException {
    Columns.Raw keys = columns.strings(field("key", Kind.UTF8), "a", "b", "a");
    Columns.Raw numbers = columns.integers(field("value", Kind.INT64), 8, 0, 1L, null, 3L);
    Field entries = field("entries", ColumnType.of(Kind.STRUCT), keys.field(), numbers.field());
    Columns.Raw pairs = columns.raw(entries, new Object[] {1, 1, 1}).children(keys, numbers);
    Field map = field("c", ColumnType.of(Kind.MAP), entries);
    ColumnVector vector = load(columns.lists(map, pairs, 0, 2, -1, 1), ddl("map<string,bigint>"),
        1);
    ColumnarMap first = vector.getMap(0);
    assertEquals("b", first.keyArray().getUTF8String(1).toString());
    assertTrue(first.valueArray().isNullAt(1));
    assertNull(vector.getMap(1));
    assertEquals(3L, vector.getMap(2).valueArray().getLong(0));
  }

  @Test
  void structsByNameWithMissingFields() throws FlightcacheException {
    Columns.Raw x = columns.integers(field("x", Kind.INT32), 4, 0, 1L, 2L, 3L);
    Columns.Raw y = columns.strings(field("y", Kind.UTF8), "a", null, "c");
    Field struct = field("c", ColumnType.of(Kind.STRUCT), x.field(), y.field());
    Columns.Raw column = columns.raw(struct, new Object[] {1, null, 1}).children(x, y);
    ColumnVector vector = load(column, ddl("struct<y:string,gone:array<struct<z:int>>,x:int>"), 1);
    assertNull(vector.getStruct(0));
    ColumnarRow row = vector.getStruct(1);
    assertEquals(UTF8String.fromString("c"), row.getUTF8String(0));
    assertTrue(row.isNullAt(1));
    assertEquals(3, row.getInt(2));
    assertTrue(row.copy().isNullAt(1));
  }

  @Test
  void missingColumnsAndEmptyBatches() throws FlightcacheException {
    StructType required =
        new StructType().add("gone", "struct<a:int,b:array<string>>").add("c", "string");
    CachedBatch batch = new CachedBatch(List.of(TEXT), required, true);
    ColumnVector[] vectors = batch.vectors();
    batch.load(Columns.batch(2, columns.strings(TEXT, "a", "b")), 0);
    assertEquals(2, vectors[0].numNulls());
    assertNull(vectors[0].getStruct(1));
    assertEquals(List.of("a", "b"), values(vectors[1], 2));
    Columns.Raw empty = columns.strings(TEXT);
    empty.offsets = 0;
    batch.load(Columns.batch(0, empty), 0);
    assertEquals(0, vectors[1].numNulls());
    // Vectors are the same, and nothing of the batch before shows.
    batch.load(Columns.batch(1, columns.strings(TEXT, (String) null)), 0);
    assertTrue(vectors[1].isNullAt(0));
    batch.load(Columns.batch(1, columns.strings(TEXT, "z")), 0);
    assertFalse(vectors[1].hasNull());
    assertEquals(List.of("z"), values(vectors[1], 1));
    vectors[1].closeIfFreeable();
    vectors[1].close();
    assertEquals(List.of("z"), values(vectors[1], 1));
  }
}

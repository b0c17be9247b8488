package dev.flightcache.spark.vector;

import static dev.flightcache.spark.vector.Columns.encoded;
import static dev.flightcache.spark.vector.Columns.field;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.util.List;
import java.util.function.Consumer;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a hostile server may send: each is an error of that batch, and no memory is read. */
class BoundsTest {
  private static final Field TEXT = field("c", Kind.UTF8);
  private static final Field INT = field("c", Kind.INT32);

  private final Columns columns = new Columns();

  @AfterEach
  void free() {
    columns.close();
  }

  private static void load(Field planned, Columns.Raw column, String type)
      throws FlightcacheException {
    StructType required = StructType.fromDDL("c " + type);
    CachedBatch batch = new CachedBatch(List.of(planned), required, true);
    batch.load(Columns.batch(column.length(), column), 0);
  }

  /** Spoils a column that is accepted as it is. */
  private static void refuses(
      Columns.Raw column, String type, String why, Consumer<Columns.Raw> spoil) {
    Field planned = column.field();
    assertDoesNotThrow(() -> load(planned, column, type));
    spoil.accept(column);
    FlightcacheException error =
        assertThrows(FlightcacheException.class, () -> load(planned, column, type));
    assertEquals(ErrorKind.INTERNAL, error.kind());
    assertTrue(error.getMessage().contains(why), error.getMessage());
  }

  @Test
  void offsetsOutsideTheBytes() {
    String why = "offsets point outside";
    refuses(columns.strings(TEXT, "ab", "c"), "string", why, c -> putInt(c.offsets, 8, 4));
    refuses(columns.strings(TEXT, "ab", "c"), "string", why, c -> putInt(c.offsets, 4, 9));
    refuses(columns.strings(TEXT, "ab", "c"), "string", why, c -> putInt(c.offsets, 0, -1));
    refuses(
        columns.strings(TEXT, "ab", "c"), "string", why,
        c -> putInt(c.offsets, 4, Integer.MIN_VALUE));
    refuses(columns.strings(TEXT, "ab", "c"), "string", "no offsets", c -> c.offsets = 0);
    Field large = field("c", Kind.LARGE_UTF8);
    refuses(
        columns.strings(large, "ab", "c"), "string", why,
        c -> Platform.putLong(null, c.offsets + 8, Long.MIN_VALUE));
    refuses(
        columns.strings(large, "ab", "c"), "string", why,
        c -> Platform.putLong(null, c.offsets + 16, Long.MAX_VALUE));
  }

  @Test
  void indicesOutsideTheDictionary() {
    Columns.Raw words = columns.strings(TEXT, "a", "b");
    String why = "index points outside";
    for (int index : List.of(2, -1, Integer.MAX_VALUE)) {
      refuses(
          columns.encoded(encoded(TEXT), 32, false, words, 0L, null, 1L), "string", why,
          c -> putInt(c.data, 8, index));
    }
    refuses(
        columns.encoded(encoded(TEXT), 32, false, words, 0L, null, 1L), "string", why,
        c -> c.nulls = 0);
    refuses(
        columns.encoded(encoded(TEXT), 32, false, words, 0L, 1L), "string", "too short",
        c -> c.dataBytes = 7);
    refuses(
        columns.encoded(encoded(TEXT), 32, false, words, 0L, 1L), "string", "24 bits",
        c -> c.indexBits = 24);
    Columns.Raw nested = columns.encoded(encoded(TEXT), 32, false, words, 0L);
    refuses(
        columns.encoded(encoded(TEXT), 32, false, words, 0L), "string", "its dictionary has one",
        c -> c.dictionary = nested);
    Columns.Raw spoilt = columns.strings(TEXT, "a", "b");
    putInt(spoilt.offsets, 8, 100);
    refuses(
        columns.encoded(encoded(TEXT), 32, false, words, 0L), "string", "offsets point outside",
        c -> c.dictionary = spoilt);
  }

  @Test
  void buffersThatAreTooShort() {
    refuses(columns.integers(INT, 4, 0, 1L, 2L), "int", "too short", c -> c.dataBytes = 7);
    refuses(columns.integers(INT, 4, 0, 1L, 2L), "int", "too short", c -> c.data = 0);
    Field flag = field("c", Kind.BOOL);
    Boolean[] nine = {true, true, true, true, true, true, true, true, true};
    refuses(columns.booleans(flag, nine), "boolean", "too short", c -> c.dataBytes = 1);
    Field fixed = field("c", ColumnType.fixed(Kind.FIXED_SIZE_BINARY, 2));
    refuses(
        columns.raw(fixed, new Object[] {1}).data(new byte[2]), "binary", "too short",
        c -> c.dataBytes = 1);
  }

  @Test
  void childrenThatAreTooShort() {
    Columns.Raw items = columns.integers(field("item", Kind.INT32), 4, 0, 1L, 2L);
    Columns.Raw one = columns.integers(field("item", Kind.INT32), 4, 0, 1L);
    Field list = field("c", ColumnType.of(Kind.LIST), items.field());
    refuses(
        columns.lists(list, items, 1, 1), "array<int>", "offsets point outside",
        c -> c.children(one));
    Field fixed = field("c", ColumnType.fixed(Kind.FIXED_SIZE_LIST, 2), items.field());
    refuses(
        columns.raw(fixed, new Object[] {1}).children(items), "array<int>", "too few items",
        c -> c.children(one));
    Field struct = field("c", ColumnType.of(Kind.STRUCT), items.field());
    refuses(
        columns.raw(struct, new Object[] {1, 1}).children(items), "struct<item:int>",
        "too few values", c -> c.children(one));
    Field entries =
        field("entries", ColumnType.of(Kind.STRUCT), items.field(), field("v", Kind.INT32));
    Columns.Raw values = columns.integers(field("v", Kind.INT32), 4, 0, 1L, 2L);
    Columns.Raw pairs = columns.raw(entries, new Object[] {1, 1}).children(items, values);
    Columns.Raw lame = columns.raw(entries, new Object[] {1, 1}).children(items);
    Field map = field("c", ColumnType.of(Kind.MAP), entries);
    refuses(columns.lists(map, pairs, 2), "map<int,int>", "planned was", c -> c.children(lame));
  }

  @Test
  void anotherColumnThanWasPlanned() {
    Columns.Raw longs = columns.integers(field("c", Kind.INT64), 8, 0, 1L);
    assertThrows(FlightcacheException.class, () -> load(INT, longs, "int"));
    CachedBatch batch = new CachedBatch(List.of(INT), StructType.fromDDL("c int"), true);
    assertThrows(FlightcacheException.class, () -> batch.load(Columns.batch(1), 0));
    Columns.Raw one = columns.integers(INT, 4, 0, 1L);
    assertThrows(FlightcacheException.class, () -> batch.load(Columns.batch(2, one), 0));
    assertThrows(
        IllegalArgumentException.class, () -> batch.load(Columns.batch(1, one), 2));
  }

  private static void putInt(long address, int at, int value) {
    Platform.putInt(null, address + at, value);
  }
}

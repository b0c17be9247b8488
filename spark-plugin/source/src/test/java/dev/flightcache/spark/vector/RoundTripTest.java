package dev.flightcache.spark.vector;

import static dev.flightcache.spark.vector.Columns.encoded;
import static dev.flightcache.spark.vector.Columns.field;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarArray;
import org.apache.spark.sql.vectorized.ColumnarRow;
import org.junit.jupiter.api.Test;

/** Random nested columns, shown by the same vectors batch after batch, from random rows on. */
class RoundTripTest {
  private static final Field NUMBER = field("n", Kind.INT64);
  private static final Field TEXT = encoded(field("t", Kind.UTF8));
  private static final Field ROW = field("item", ColumnType.of(Kind.STRUCT), NUMBER, TEXT);
  private static final Field LIST = field("l", ColumnType.of(Kind.LIST), ROW);

  private final Random random = new Random(7);

  /** A column and what its rows are. */
  private static final class Made {
    final Columns.Raw column;
    final List<Object> rows;

    Made(Columns.Raw column, List<Object> rows) {
      this.column = column;
      this.rows = rows;
    }
  }

  @Test
  void listsOfStructsWithDictionaries() throws FlightcacheException {
    StructType required = StructType.fromDDL("l array<struct<t:string,n:bigint>>, n bigint");
    CachedBatch batch = new CachedBatch(List.of(NUMBER, LIST), required, true);
    ColumnVector[] vectors = batch.vectors();
    for (int round = 0; round < 300; round++) {
      try (Columns columns = new Columns()) {
        int rows = random.nextInt(50);
        int skip = random.nextInt(rows + 1);
        Made numbers = numbers(columns, rows);
        Made lists = lists(columns, rows);
        batch.load(Columns.batch(rows, numbers.column, lists.column), skip);
        List<Object> shown = new ArrayList<>();
        for (int row = 0; row < rows - skip; row++) {
          shown.add(list(vectors[0], row));
        }
        assertEquals(lists.rows.subList(skip, rows), shown);
        assertEquals(
            numbers.rows.subList(skip, rows), CachedVectorTest.values(vectors[1], rows - skip));
      }
    }
  }

  private static Object list(ColumnVector vector, int row) {
    ColumnarArray array = vector.getArray(row);
    if (array == null) {
      return null;
    }
    List<Object> items = new ArrayList<>();
    for (int i = 0; i < array.numElements(); i++) {
      ColumnarRow item = array.isNullAt(i) ? null : array.getStruct(i, 2);
      items.add(
          item == null
              ? null
              : Arrays.asList(
                  item.isNullAt(0) ? null : item.getUTF8String(0).toString(),
                  item.isNullAt(1) ? null : item.getLong(1)));
    }
    return items;
  }

  private Made numbers(Columns columns, int rows) {
    Long[] values = new Long[rows];
    Arrays.setAll(values, i -> isNull() ? null : (Long) random.nextLong());
    return new Made(columns.integers(NUMBER, 8, 13, values), Arrays.asList((Object[]) values));
  }

  private Made texts(Columns columns, int rows) {
    String[] words = new String[1 + random.nextInt(5)];
    Arrays.setAll(words, i -> isNull() ? null : "w".repeat(random.nextInt(40)) + i);
    Long[] indices = new Long[rows];
    Arrays.setAll(indices, i -> isNull() ? null : (Long) (long) random.nextInt(words.length));
    List<Object> shown = new ArrayList<>();
    for (Long index : indices) {
      shown.add(index == null ? null : words[(int) (long) index]);
    }
    Columns.Raw dictionary = columns.strings(field("t", Kind.UTF8), words);
    return new Made(columns.encoded(TEXT, 16, false, dictionary, indices), shown);
  }

  private Made structs(Columns columns, int rows) {
    Made numbers = numbers(columns, rows);
    Made texts = texts(columns, rows);
    Object[] shown = new Object[rows];
    Arrays.setAll(
        shown,
        i -> isNull() ? null : Arrays.asList(texts.rows.get(i), numbers.rows.get(i)));
    Columns.Raw column = columns.raw(ROW, shown).children(numbers.column, texts.column);
    return new Made(column, Arrays.asList(shown));
  }

  private Made lists(Columns columns, int rows) {
    long[] lengths = new long[rows];
    int total = 0;
    for (int i = 0; i < rows; i++) {
      lengths[i] = isNull() ? -1 : random.nextInt(4);
      total += (int) Math.max(lengths[i], 0);
    }
    Made items = structs(columns, total);
    List<Object> shown = new ArrayList<>();
    int at = 0;
    for (long length : lengths) {
      shown.add(length < 0 ? null : items.rows.subList(at, at + (int) length));
      at += (int) Math.max(length, 0);
    }
    return new Made(columns.lists(LIST, items.column, lengths), shown);
  }

  private boolean isNull() {
    return random.nextInt(4) == 0;
  }
}

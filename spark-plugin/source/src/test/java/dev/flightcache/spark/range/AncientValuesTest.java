package dev.flightcache.spark.range;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import dev.flightcache.client.Field;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.vector.Columns;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Values that would be wrong without Spark's reader, and their neighbours that are not. */
class AncientValuesTest {
  private static final Field INT96 =
      Columns.field("c", ColumnType.int96(TimeUnit.NANOSECOND, null));
  private static final Field MICROS =
      Columns.field("c", ColumnType.time(Kind.TIMESTAMP, TimeUnit.MICROSECOND, "UTC"));
  private static final long IN_1899 = -2_208_988_800_001L;
  private static final long IN_1901 = -2_177_452_800_000L;

  private final Columns columns = new Columns();

  @AfterEach
  void free() {
    columns.close();
  }

  private void accepted(Columns.Raw column) {
    assertDoesNotThrow(() -> AncientValues.refuse(Columns.batch(column.length(), column)));
  }

  private void refused(Cause why, Columns.Raw column) {
    RefusedException refused =
        assertThrows(
            RefusedException.class,
            () -> AncientValues.refuse(Columns.batch(column.length(), column)));
    assertEquals(why, refused.why());
  }

  @Test
  void timesBefore1900MayNeedRebasing() {
    accepted(columns.integers(MICROS, 8, 0, 1_000 * IN_1901, null, 7L));
    refused(Cause.CALENDAR, columns.integers(MICROS, 8, 0, 7L, 1_000 * IN_1899));
    accepted(columns.integers(INT96, 8, 0, 1_000_000 * IN_1901, 7L));
    refused(Cause.CALENDAR, columns.integers(INT96, 8, 0, 1_000_000 * IN_1899));
  }

  /** The decoder leaves the year 1717 in the slot of an INT96 that is null. */
  @Test
  void whatLiesInTheSlotOfANullDoesNotCount() {
    long slot = -7_952_618_389_194_932_224L;
    accepted(columns.integers(INT96, 8, slot, 1L, null, 3L));
    // A field that must be there has no nulls of its own.
    Columns.Raw required = columns.integers(INT96, 8, 0, 1L, slot, 3L);
    Field struct = Columns.field("s", ColumnType.of(Kind.STRUCT), INT96);
    accepted(columns.raw(struct, new Object[] {1, null, 3}).children(required));
    refused(Cause.CALENDAR, columns.raw(struct, new Object[] {1, 2, null}).children(required));
  }

  @Test
  void partsOfMicrosecondsBefore1970AreCutAsTheFileHasThem() {
    accepted(columns.integers(INT96, 8, -1, -1_000L, null, 1L, 1_999L));
    refused(Cause.COLUMNS, columns.integers(INT96, 8, 0, 1L, -1_001L));
    Field list = Columns.field("l", ColumnType.of(Kind.LIST), INT96);
    refused(
        Cause.COLUMNS, columns.lists(list, columns.integers(INT96, 8, 0, 1L, -1_001L), 1, -1, 1));
  }

  @Test
  void datesBefore1582MayNeedRebasing() {
    Field date = Columns.field("d", Kind.DATE32);
    accepted(columns.integers(date, 4, 0, -141_427L, 20_000L));
    refused(Cause.CALENDAR, columns.integers(date, 4, 0, -141_428L));
  }
}

package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import dev.flightcache.client.Column;
import dev.flightcache.client.ColumnType;
import dev.flightcache.spark.Cause;
import java.time.Instant;
import org.apache.spark.unsafe.Platform;

/**
 * Dates and times that mean what only Spark's own reader knows.
 *
 * <p>Old ones may have been written by another calendar. Spark decides by the metadata of a file and by
 * its settings whether it takes them as they are, rebases them, or fails; no node knows either. Later
 * values are the same in every case: dates from 15 October 1582 on, and times from 1900 on, where the
 * last zones left their local mean time.
 *
 * <p>Of INT96, a day and nanoseconds in it, Spark cuts the nanoseconds to microseconds towards zero.
 * Before 1970 writers differ in whether they count back from the day's end (Arrow's do) or on from its
 * beginning, and in 64 bits of nanoseconds both look the same: it matters where a part of a
 * microsecond is left.
 */
public final class AncientValues {
  private static final int FIRST_DAY = -141_427;
  private static final long FIRST_SECOND = Instant.parse("1900-01-02T00:00:00Z").getEpochSecond();
  private static final long NANOS_PER_MICRO = 1_000;

  private final Column column;
  /** The struct that it is in, row by row; null if it is in none. */
  private final AncientValues struct;

  private AncientValues(Column column, AncientValues struct) {
    this.column = column;
    this.struct = struct;
  }

  /** Whether a date, in days since the Unix epoch, is so old. */
  public static boolean isDay(int day) {
    return day < FIRST_DAY;
  }

  /** Whether a time since the Unix epoch is so old. */
  public static boolean isTime(long time, ColumnType.TimeUnit unit) {
    return time < FIRST_SECOND * perSecond(unit);
  }

  /**
   * Looks at every value of {@code batch}.
   *
   * @throws RefusedException if one of them is Spark's to read
   */
  static void refuse(Batch batch) throws RefusedException {
    for (int i = 0; i < batch.columns(); i++) {
      of(batch.column(i), null).refuse();
    }
  }

  private static AncientValues of(Column column, AncientValues struct) {
    boolean plain = column.dictionary() == null;
    return new AncientValues(plain ? column : column.dictionary(), plain ? struct : null);
  }

  private void refuse() throws RefusedException {
    ColumnType type = column.field().type();
    if (type.kind() == ColumnType.Kind.DATE32) {
      if (anyDayBefore()) {
        throw new RefusedException(Cause.CALENDAR, "dates before 1582 may need rebasing");
      }
    } else if (type.kind() == ColumnType.Kind.TIMESTAMP) {
      if (anyTimeBefore(FIRST_SECOND * perSecond(type.unit()))) {
        throw new RefusedException(Cause.CALENDAR, "times before 1900 may need rebasing");
      }
      if (type.isInt96() && type.unit() == ColumnType.TimeUnit.NANOSECOND && anyCut()) {
        String what = "INT96 times before 1970 have parts of microseconds";
        throw new RefusedException(Cause.COLUMNS, what);
      }
    } else {
      boolean rows = type.kind() == ColumnType.Kind.STRUCT;
      for (int i = 0; i < column.children(); i++) {
        of(column.child(i), rows ? this : null).refuse();
      }
    }
  }

  /** A null's slot may hold anything: at worst Spark's own reader takes a batch that is fine. */
  private boolean anyDayBefore() {
    int rows = (int) Math.min(column.length(), column.dataBytes() / Integer.BYTES);
    int least = FIRST_DAY;
    for (int row = 0; row < rows; row++) {
      least = Math.min(least, Platform.getInt(null, column.dataAddress() + 4L * row));
    }
    return isDay(least);
  }

  /** Of INT96 a null's slot does hold a time before 1900: only what is there is looked at. */
  private boolean anyTimeBefore(long first) {
    int rows = (int) Math.min(column.length(), column.dataBytes() / Long.BYTES);
    long least = first;
    for (int row = 0; row < rows; row++) {
      long time = Platform.getLong(null, column.dataAddress() + 8L * row);
      if (time < least && isThere(row)) {
        least = time;
      }
    }
    return least < first;
  }

  private boolean anyCut() {
    int rows = (int) Math.min(column.length(), column.dataBytes() / Long.BYTES);
    for (int row = 0; row < rows; row++) {
      long nanos = Platform.getLong(null, column.dataAddress() + 8L * row);
      if (nanos < 0 && nanos % NANOS_PER_MICRO != 0 && isThere(row)) {
        return true;
      }
    }
    return false;
  }

  /** Whether neither the value is null nor a struct that it is in. */
  private boolean isThere(int row) {
    boolean bitmap = column.nullCount() > 0 && column.validityAddress() != 0;
    if (bitmap && row < column.length()) {
      byte bits = Platform.getByte(null, column.validityAddress() + (row >> 3));
      if ((bits >> (row & 7) & 1) == 0) {
        return false;
      }
    }
    return struct == null || struct.isThere(row);
  }

  private static long perSecond(ColumnType.TimeUnit unit) {
    switch (unit) {
      case SECOND:
        return 1;
      case MILLISECOND:
        return 1_000;
      case MICROSECOND:
        return 1_000_000;
      default:
        return 1_000_000_000;
    }
  }
}

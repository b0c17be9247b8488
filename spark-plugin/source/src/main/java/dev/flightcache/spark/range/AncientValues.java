package dev.flightcache.spark.range;

import dev.flightcache.client.Batch;
import dev.flightcache.client.Column;
import dev.flightcache.client.ColumnType;
import java.time.Instant;
import org.apache.spark.unsafe.Platform;

/**
 * Dates and times that old writers may have meant in another calendar.
 *
 * <p>Spark decides by the metadata of a file and by its settings whether it takes them as they are,
 * rebases them, or fails; no node knows either. Later values are the same in every case: dates from
 * 15 October 1582 on, and times from 1900 on, where the last zones left their local mean time.
 */
public final class AncientValues {
  private static final int FIRST_DAY = -141_427;
  private static final long FIRST_SECOND = Instant.parse("1900-01-02T00:00:00Z").getEpochSecond();

  private AncientValues() {}

  /** Whether a date, in days since the Unix epoch, is so old. */
  public static boolean isDay(int day) {
    return day < FIRST_DAY;
  }

  /** Whether a time since the Unix epoch is so old. */
  public static boolean isTime(long time, ColumnType.TimeUnit unit) {
    return time < FIRST_SECOND * perSecond(unit);
  }

  static boolean in(Batch batch) {
    for (int i = 0; i < batch.columns(); i++) {
      if (in(batch.column(i))) {
        return true;
      }
    }
    return false;
  }

  private static boolean in(Column column) {
    Column values = column.dictionary() == null ? column : column.dictionary();
    ColumnType type = values.field().type();
    if (type.kind() == ColumnType.Kind.DATE32) {
      return anyDayBefore(values);
    }
    if (type.kind() == ColumnType.Kind.TIMESTAMP) {
      return anyTimeBefore(values, FIRST_SECOND * perSecond(type.unit()));
    }
    for (int i = 0; i < values.children(); i++) {
      if (in(values.child(i))) {
        return true;
      }
    }
    return false;
  }

  /** A null's slot may hold anything: at worst Spark's own reader takes a batch that is fine. */
  private static boolean anyDayBefore(Column column) {
    int rows = (int) Math.min(column.length(), column.dataBytes() / Integer.BYTES);
    int least = FIRST_DAY;
    for (int row = 0; row < rows; row++) {
      least = Math.min(least, Platform.getInt(null, column.dataAddress() + 4L * row));
    }
    return isDay(least);
  }

  private static boolean anyTimeBefore(Column column, long first) {
    int rows = (int) Math.min(column.length(), column.dataBytes() / Long.BYTES);
    long least = first;
    for (int row = 0; row < rows; row++) {
      least = Math.min(least, Platform.getLong(null, column.dataAddress() + 8L * row));
    }
    return least < first;
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

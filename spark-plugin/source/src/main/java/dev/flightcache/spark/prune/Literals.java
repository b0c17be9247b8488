package dev.flightcache.spark.prune;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Date;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Locale;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.unsafe.types.UTF8String;

/** Values of conditions: from what Spark gives, in both its interfaces, to SQL. */
final class Literals {
  private static final long FIRST_DAY = LocalDate.of(1, 1, 1).toEpochDay();
  private static final long LAST_DAY = LocalDate.of(9999, 12, 31).toEpochDay();
  /** Before, java.sql counts days by another calendar and hours by local mean time. */
  private static final LocalDate LEGACY_FROM = LocalDate.of(1901, 1, 1);

  private static final long DAY_MICROS = 86_400_000_000L;
  private static final DateTimeFormatter MICROS =
      DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS", Locale.ROOT);

  private Literals() {}

  /**
   * The value of a condition on {@code column} in one comparable form: {@code Long} for integers,
   * days and microseconds, {@code BigDecimal}, {@code String} or {@code Boolean}. Null if it is of
   * another type, or cannot be written without loss.
   */
  static Comparable<?> value(PrunedColumn column, Object raw) {
    switch (column.form) {
      case INTEGER:
        return integer(raw);
      case DECIMAL:
        return decimal((DecimalType) column.type, raw);
      case DATE:
        Long day = day(raw);
        return day != null && day >= FIRST_DAY && day <= LAST_DAY ? day : null;
      case TIMESTAMP:
        return micros(raw);
      case STRING:
        return string(raw);
      default:
        return raw instanceof Boolean ? (Boolean) raw : null;
    }
  }

  private static Long integer(Object raw) {
    boolean integer =
        raw instanceof Byte
            || raw instanceof Short
            || raw instanceof Integer
            || raw instanceof Long;
    // The least has no literal: it is read as the negative of a number that is too large.
    return integer && ((Number) raw).longValue() != Long.MIN_VALUE
        ? Long.valueOf(((Number) raw).longValue())
        : null;
  }

  private static BigDecimal decimal(DecimalType type, Object raw) {
    Object value = raw instanceof Decimal ? ((Decimal) raw).toJavaBigDecimal() : raw;
    if (!(value instanceof BigDecimal)) {
      return null;
    }
    BigDecimal stripped = ((BigDecimal) value).stripTrailingZeros();
    if (stripped.scale() > type.scale()
        || stripped.precision() - stripped.scale() > type.precision() - type.scale()) {
      return null;
    }
    return stripped.setScale(type.scale());
  }

  private static Long day(Object raw) {
    Long day = null;
    if (raw instanceof Integer) {
      day = ((Integer) raw).longValue();
    } else if (raw instanceof LocalDate) {
      day = ((LocalDate) raw).toEpochDay();
    } else if (raw instanceof Date) {
      day = ((Date) raw).toLocalDate().toEpochDay();
    }
    return day == null || day < LEGACY_FROM.toEpochDay() ? null : day;
  }

  private static Long micros(Object raw) {
    Long micros = null;
    if (raw instanceof Long) {
      micros = (Long) raw;
    } else if (raw instanceof Instant) {
      micros = micros((Instant) raw);
    } else if (raw instanceof LocalDateTime) {
      micros = micros(((LocalDateTime) raw).toInstant(ZoneOffset.UTC));
    } else if (raw instanceof Timestamp) {
      micros = micros(((Timestamp) raw).toInstant());
    }
    return micros == null || micros < LEGACY_FROM.toEpochDay() * DAY_MICROS ? null : micros;
  }

  private static Long micros(Instant instant) {
    try {
      return ChronoUnit.MICROS.between(Instant.EPOCH, instant);
    } catch (ArithmeticException overflow) {
      return null;
    }
  }

  private static String string(Object raw) {
    String text = raw instanceof String || raw instanceof UTF8String ? raw.toString() : null;
    // Bytes that are no UTF-8 become replacements, which compare otherwise.
    boolean exact =
        text != null
            && text.indexOf('\uFFFD') < 0
            && new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8)
                .equals(text);
    return exact ? text : null;
  }

  /** A value in SQL; null if it has no literal there. */
  static String sql(PrunedColumn column, Comparable<?> value) {
    switch (column.form) {
      case DECIMAL:
        DecimalType type = (DecimalType) column.type;
        String digits = ((BigDecimal) value).toPlainString();
        String target = "DECIMAL(" + type.precision() + "," + type.scale() + ")";
        return "CAST('" + digits + "' AS " + target + ")";
      case DATE:
        return "DATE '" + padded(LocalDate.ofEpochDay((Long) value)) + "'";
      case TIMESTAMP:
        return timestamp((Long) value);
      case STRING:
        return quoted((String) value);
      default:
        return value.toString();
    }
  }

  private static String padded(LocalDate date) {
    return date.format(DateTimeFormatter.ISO_LOCAL_DATE);
  }

  /** As TIMESTAMP(6): without the digit it counts nanoseconds and ends in the year 2262. */
  private static String timestamp(long micros) {
    long day = Math.floorDiv(micros, DAY_MICROS);
    if (day < FIRST_DAY || day > LAST_DAY) {
      return null;
    }
    LocalDateTime time =
        LocalDate.ofEpochDay(day)
            .atStartOfDay()
            .plus(Math.floorMod(micros, DAY_MICROS), ChronoUnit.MICROS);
    return "CAST('" + MICROS.format(time) + "' AS TIMESTAMP(6))";
  }

  static String quoted(String text) {
    return "'" + text.replace("'", "''") + "'";
  }

  /** Order of two values of one column, strings by their bytes. */
  static int compare(Comparable<?> left, Comparable<?> right) {
    if (left instanceof String) {
      byte[] first = ((String) left).getBytes(StandardCharsets.UTF_8);
      return Arrays.compareUnsigned(first, ((String) right).getBytes(StandardCharsets.UTF_8));
    }
    if (left instanceof Long) {
      return Long.compare((Long) left, (Long) right);
    }
    if (left instanceof BigDecimal) {
      return ((BigDecimal) left).compareTo((BigDecimal) right);
    }
    return Boolean.compare((Boolean) left, (Boolean) right);
  }
}

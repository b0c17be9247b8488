package dev.flightcache.client;

import java.util.Objects;

/** A type of Arrow: its kind and what the kind needs. Immutable. */
public final class ColumnType {
  /** The kinds that Parquet can give. Widths in bits are part of the name. */
  public enum Kind {
    NULL,
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    DECIMAL32,
    DECIMAL64,
    DECIMAL128,
    DECIMAL256,
    /** Days since the Unix epoch. */
    DATE32,
    /** Milliseconds since the Unix epoch. */
    DATE64,
    TIME32,
    TIME64,
    TIMESTAMP,
    /** Offsets of 32 bits. */
    UTF8,
    /** Offsets of 64 bits. */
    LARGE_UTF8,
    BINARY,
    LARGE_BINARY,
    FIXED_SIZE_BINARY,
    LIST,
    LARGE_LIST,
    FIXED_SIZE_LIST,
    STRUCT,
    MAP,
    /** Anything that this client does not read. */
    OTHER
  }

  /** Units of times and timestamps. */
  public enum TimeUnit {
    SECOND,
    MILLISECOND,
    MICROSECOND,
    NANOSECOND
  }

  private final Kind kind;
  private final int width;
  private final int scale;
  private final TimeUnit unit;
  private final String zone;
  private final boolean int96;

  private ColumnType(
      Kind kind, int width, int scale, TimeUnit unit, String zone, boolean int96) {
    this.kind = Objects.requireNonNull(kind);
    this.width = width;
    this.scale = scale;
    this.unit = unit;
    this.zone = zone;
    this.int96 = int96;
  }

  public static ColumnType of(Kind kind) {
    return new ColumnType(kind, 0, 0, null, null, false);
  }

  /** A decimal of one of the DECIMAL kinds. */
  public static ColumnType decimal(Kind kind, int precision, int scale) {
    return new ColumnType(kind, precision, scale, null, null, false);
  }

  /** A fixed size binary (bytes) or list (items). */
  public static ColumnType fixed(Kind kind, int size) {
    return new ColumnType(kind, size, 0, null, null, false);
  }

  /** A time, or a timestamp, whose {@code zone} is null where it is local. */
  public static ColumnType time(Kind kind, TimeUnit unit, String zone) {
    return new ColumnType(kind, 0, 0, Objects.requireNonNull(unit), zone, false);
  }

  /** A timestamp that the files hold as INT96. */
  public static ColumnType int96(TimeUnit unit, String zone) {
    return new ColumnType(Kind.TIMESTAMP, 0, 0, Objects.requireNonNull(unit), zone, true);
  }

  public Kind kind() {
    return kind;
  }

  /** Digits of a decimal. */
  public int precision() {
    return width;
  }

  /** Digits of a decimal after the point. */
  public int scale() {
    return scale;
  }

  /** Bytes of a fixed size binary, items of a fixed size list. */
  public int size() {
    return width;
  }

  /** Unit of a time or timestamp, else null. */
  public TimeUnit unit() {
    return unit;
  }

  /** Zone of a timestamp; null where it is local. */
  public String zone() {
    return zone;
  }

  /** Whether it is a timestamp that every file which has it holds as INT96. */
  public boolean isInt96() {
    return int96;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof ColumnType)) {
      return false;
    }
    ColumnType that = (ColumnType) other;
    return kind == that.kind
        && width == that.width
        && scale == that.scale
        && int96 == that.int96
        && unit == that.unit
        && Objects.equals(zone, that.zone);
  }

  @Override
  public int hashCode() {
    return Objects.hash(kind, width, scale, unit, zone, int96);
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(kind.name().toLowerCase(java.util.Locale.ROOT));
    if (kind.name().startsWith("DECIMAL")) {
      text.append('(').append(width).append(", ").append(scale).append(')');
    } else if (kind == Kind.FIXED_SIZE_BINARY || kind == Kind.FIXED_SIZE_LIST) {
      text.append('(').append(width).append(')');
    } else if (unit != null) {
      String name = unit.name().toLowerCase(java.util.Locale.ROOT);
      text.append('(').append(name).append(zone == null ? "" : ", " + zone);
      text.append(int96 ? ", int96)" : ")");
    }
    return text.toString();
  }
}

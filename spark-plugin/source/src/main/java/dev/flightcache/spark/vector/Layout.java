package dev.flightcache.spark.vector;

/** How the values of a vector lie in memory, which together with its type says how to read them. */
enum Layout {
  /** A column that the file lacks: nulls. */
  MISSING(0),
  /** A bit a value. */
  BOOL(0),
  INT8(1),
  UINT8(1),
  INT16(2),
  UINT16(2),
  INT32(4),
  UINT32(4),
  INT64(8),
  UINT64(8),
  /** Timestamps in milliseconds; Spark's count microseconds. */
  MILLIS(8),
  /** Timestamps in nanoseconds, of which Spark's count the whole microseconds before. */
  NANOS(8),
  FLOAT(4),
  DOUBLE(8),
  DECIMAL32(4),
  DECIMAL64(8),
  DECIMAL128(16),
  DECIMAL256(32),
  /** Strings or bytes behind offsets of 32 bits. */
  BYTES(0),
  /** Strings or bytes behind offsets of 64 bits. */
  LARGE_BYTES(0),
  FIXED_BYTES(0),
  LIST(0),
  LARGE_LIST(0),
  FIXED_LIST(0),
  STRUCT(0),
  MAP(0);

  /** Bytes of a value; 0 where that is no constant of the layout. */
  final int width;

  Layout(int width) {
    this.width = width;
  }

  boolean isLarge() {
    return this == LARGE_BYTES || this == LARGE_LIST;
  }

  boolean isNested() {
    return compareTo(LIST) >= 0;
  }
}

package dev.flightcache.client;

import dev.flightcache.client.ColumnType.Kind;

/** How a column's buffers follow each other in a message. Immutable. */
final class Layout {
  private final Field field;
  private final Layout[] children;
  private final Layout values;
  private final long dictionaryId;
  private final int indexBits;
  private final boolean unsignedIndices;

  private Layout(
      Field field, Layout[] children, Layout values, long id, int indexBits, boolean unsigned) {
    this.field = field;
    this.children = children;
    this.values = values;
    this.dictionaryId = id;
    this.indexBits = indexBits;
    this.unsignedIndices = unsigned;
  }

  static Layout plain(Field field, Layout[] children) {
    return new Layout(field, children, null, 0, 0, false);
  }

  /** Indices into the dictionary {@code id} of {@code values}. */
  static Layout dictionary(Field field, Layout values, long id, int indexBits, boolean unsigned) {
    return new Layout(field, new Layout[0], values, id, indexBits, unsigned);
  }

  Field field() {
    return field;
  }

  Layout[] children() {
    return children;
  }

  /** Of what its dictionary holds; null where it has none. */
  Layout values() {
    return values;
  }

  long dictionaryId() {
    return dictionaryId;
  }

  int indexBits() {
    return indexBits;
  }

  boolean unsignedIndices() {
    return unsignedIndices;
  }

  Kind kind() {
    return field.type().kind();
  }

  /** Bits of a value, where all are equally wide and lie in one buffer; else 0. */
  int valueBits() {
    return values == null ? valueBits(field.type()) : indexBits;
  }

  /** Bits of an offset, 0 where there are none. */
  int offsetBits() {
    return values == null ? offsetBits(kind()) : 0;
  }

  static int valueBits(ColumnType type) {
    switch (type.kind()) {
      case BOOL:
        return 1;
      case INT8:
      case UINT8:
        return 8;
      case INT16:
      case UINT16:
      case FLOAT16:
        return 16;
      case INT32:
      case UINT32:
      case FLOAT32:
      case DECIMAL32:
      case DATE32:
      case TIME32:
        return 32;
      case INT64:
      case UINT64:
      case FLOAT64:
      case DECIMAL64:
      case DATE64:
      case TIME64:
      case TIMESTAMP:
        return 64;
      case DECIMAL128:
        return 128;
      case DECIMAL256:
        return 256;
      case FIXED_SIZE_BINARY:
        return Math.multiplyExact(type.size(), 8);
      default:
        return 0;
    }
  }

  private static int offsetBits(Kind kind) {
    switch (kind) {
      case UTF8:
      case BINARY:
      case LIST:
      case MAP:
        return 32;
      case LARGE_UTF8:
      case LARGE_BINARY:
      case LARGE_LIST:
        return 64;
      default:
        return 0;
    }
  }
}

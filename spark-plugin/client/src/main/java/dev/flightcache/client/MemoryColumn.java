package dev.flightcache.client;

import java.util.Arrays;

/** A column whose buffers are regions of a message. Immutable. */
final class MemoryColumn implements Column {
  private final Layout layout;
  private final int length;
  private final int nullCount;
  private final Region validity;
  private final Region offsets;
  private final Region data;
  private final MemoryColumn dictionary;
  private final MemoryColumn[] children;

  /** Regions and the dictionary are null where the column has none. */
  MemoryColumn(
      Layout layout,
      int length,
      int nullCount,
      Region validity,
      Region offsets,
      Region data,
      MemoryColumn dictionary,
      MemoryColumn[] children) {
    this.layout = layout;
    this.length = length;
    this.nullCount = nullCount;
    this.validity = validity;
    this.offsets = offsets;
    this.data = data;
    this.dictionary = dictionary;
    this.children = children;
  }

  /**
   * The same column without its first {@code from} values; bitmaps that move go to {@code bits}.
   */
  MemoryColumn from(int from, ShiftedBits bits) throws FlightcacheException {
    return slice(from, length - from, bits);
  }

  private MemoryColumn slice(int from, int count, ShiftedBits bits) throws FlightcacheException {
    Region kept = validity == null ? null : bits.shift(validity, from, count);
    int nulls = validity == null ? nullCount : count - ShiftedBits.ones(kept, count);
    if (layout.kind() == ColumnType.Kind.NULL) {
      nulls = count;
    }
    Region values = data;
    if (layout.valueBits() == 1) {
      values = bits.shift(data, from, count);
    } else if (layout.valueBits() > 0) {
      values = data.from((long) from * layout.valueBits() / 8);
    }
    // Offsets count from the start of the values, wherever the first of them stands.
    Region starts = offsets == null ? null : offsets.from((long) from * layout.offsetBits() / 8);
    MemoryColumn[] items = children;
    if (layout.kind() == ColumnType.Kind.STRUCT && dictionary == null) {
      items = children.clone();
      for (int i = 0; i < items.length; i++) {
        items[i] = items[i].slice(from, count, bits);
      }
    } else if (layout.kind() == ColumnType.Kind.FIXED_SIZE_LIST && dictionary == null) {
      int size = layout.field().type().size();
      items = new MemoryColumn[] {children[0].slice(from * size, count * size, bits)};
    }
    return new MemoryColumn(layout, count, nulls, kept, starts, values, dictionary, items);
  }

  @Override
  public Field field() {
    return layout.field();
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public int nullCount() {
    return nullCount;
  }

  @Override
  public long validityAddress() {
    return nullCount == 0 || validity == null ? 0 : validity.address();
  }

  @Override
  public long offsetsAddress() {
    return offsets == null ? 0 : offsets.address();
  }

  @Override
  public long dataAddress() {
    return data == null ? 0 : data.address();
  }

  @Override
  public long dataBytes() {
    return data == null ? 0 : data.bytes();
  }

  @Override
  public int indexBits() {
    return layout.indexBits();
  }

  @Override
  public boolean unsignedIndices() {
    return layout.unsignedIndices();
  }

  @Override
  public Column dictionary() {
    return dictionary;
  }

  @Override
  public int children() {
    return children.length;
  }

  @Override
  public Column child(int index) {
    return children[index];
  }

  @Override
  public String toString() {
    return layout.field()
        + "["
        + length
        + "]"
        + (children.length == 0 ? "" : Arrays.toString(children));
  }
}

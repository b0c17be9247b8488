package dev.flightcache.spark.vector;

import dev.flightcache.client.Column;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.math.BigDecimal;
import java.math.BigInteger;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarArray;
import org.apache.spark.sql.vectorized.ColumnarMap;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * A column of a batch as Spark sees it: addresses of memory that the client owns.
 *
 * <p>One class for every type, so that a call in generated code has one target. Spark's own vector
 * over Arrow makes a {@code BigDecimal} of each decimal and names Arrow's types, which are
 * relocated here.
 *
 * <pre>
 *  row ──(+ skipped rows)──► place ──(index, if there is a dictionary)──► value
 * </pre>
 */
public final class CachedVector extends ColumnVector {
  /** What empty columns and columns of nulls point at; kept for the life of the process. */
  private static final long ZEROS = zeros();

  private final Shape shape;
  private final Layout layout;
  private final int size;
  private final CachedVector[] children;
  private Field checked;

  /** Keeps the memory that is shown: a map of a file goes when nothing refers to it. */
  private Column shown;

  private int skip;
  private int length;
  private boolean allNull;

  /** Bitmap of the rows; 0 if all are there. */
  private long validity;

  /** Bitmap of the dictionary's values; 0 if all are there. */
  private long valueValidity;

  private int nulls;
  private long data;
  private long offsets;

  /** 0 where there is no dictionary. */
  private long indices;

  private int indexBits;
  private boolean unsigned;
  private int values;

  CachedVector(Shape shape) {
    super(shape.type);
    this.shape = shape;
    this.layout = shape.layout;
    this.size = shape.field == null ? 0 : shape.field.type().size();
    this.children = new CachedVector[shape.children.length];
    for (int i = 0; i < children.length; i++) {
      children[i] = new CachedVector(shape.children[i]);
    }
    showNulls(0);
  }

  private static long zeros() {
    long address = Platform.allocateMemory(64);
    Platform.setMemory(address, (byte) 0, 64);
    return address;
  }

  /**
   * Shows a column from row {@code skip} on.
   *
   * @param needed rows that it must hold
   * @throws FlightcacheException if it is not what was planned, or points outside its buffers
   */
  void load(Column column, int skip, long needed) throws FlightcacheException {
    if (layout == Layout.MISSING) {
      showNulls(needed);
      this.skip = skip;
      return;
    }
    check(column, needed);
    this.shown = column;
    this.length = column.length();
    boolean bitmap = column.validityAddress() != 0 && column.nullCount() > 0;
    if (length == 0 || (bitmap && column.nullCount() >= length)) {
      showNulls(length);
      this.skip = skip;
      return;
    }
    this.skip = skip;
    this.allNull = false;
    this.validity = bitmap ? column.validityAddress() : 0;
    this.nulls = bitmap ? column.nullCount() : 0;
    Column dictionary = column.dictionary();
    this.indices = dictionary == null ? 0 : column.dataAddress();
    this.indexBits = column.indexBits();
    this.unsigned = column.unsignedIndices();
    if (dictionary == null) {
      this.valueValidity = 0;
      loadValues(column);
    } else {
      loadDictionary(column, dictionary);
    }
  }

  private void check(Column column, long needed) throws FlightcacheException {
    if (column.field() != checked) {
      Shape.same(shape.field, column);
      checked = column.field();
    }
    if (column.length() < needed) {
      throw Bounds.malformed(column, "it has too few values");
    }
    if (column.dictionary() != null && layout.isNested()) {
      throw Bounds.malformed(column, "it has a dictionary");
    }
  }

  private void loadDictionary(Column column, Column dictionary) throws FlightcacheException {
    if (dictionary.dictionary() != null) {
      throw Bounds.malformed(column, "its dictionary has one");
    }
    this.values = dictionary.length();
    Bounds.indices(column, values);
    boolean bitmap = dictionary.validityAddress() != 0 && dictionary.nullCount() > 0;
    this.valueValidity = bitmap ? dictionary.validityAddress() : 0;
    if (values == 0) {
      this.data = ZEROS;
      this.offsets = ZEROS;
      this.valueValidity = 0;
    } else {
      loadValues(dictionary);
    }
  }

  private void loadValues(Column column) throws FlightcacheException {
    this.data = column.dataAddress() == 0 ? ZEROS : column.dataAddress();
    this.offsets = column.offsetsAddress();
    switch (layout) {
      case BYTES:
      case LARGE_BYTES:
        Bounds.offsets(column, layout.isLarge(), column.dataBytes());
        break;
      case FIXED_BYTES:
        Bounds.fixed(column, 8L * size);
        break;
      case LIST:
      case LARGE_LIST:
      case FIXED_LIST:
      case MAP:
        loadItems(column);
        break;
      case STRUCT:
        for (int i = 0; i < children.length; i++) {
          Column child = shape.sources[i] < 0 ? null : column.child(shape.sources[i]);
          children[i].load(child, skip, length);
        }
        break;
      default:
        Bounds.fixed(column, layout == Layout.BOOL ? 1 : 8L * layout.width);
    }
  }

  private void loadItems(Column column) throws FlightcacheException {
    Column items = column.child(0);
    if (layout != Layout.FIXED_LIST) {
      Bounds.offsets(column, layout.isLarge(), items.length());
    } else if (size < 0 || (long) size * length > items.length()) {
      throw Bounds.malformed(column, "it has too few items");
    }
    if (layout == Layout.MAP) {
      Shape.same(shape.field.children().get(0), items);
      children[0].load(items.child(0), 0, items.length());
      children[1].load(items.child(1), 0, items.length());
    } else {
      children[0].load(items, 0, 0);
    }
  }

  private void showNulls(long rows) {
    skip = 0;
    length = (int) rows;
    allNull = true;
    nulls = length;
    validity = 0;
    valueValidity = 0;
    data = ZEROS;
    offsets = ZEROS;
    indices = ZEROS;
    indexBits = 0;
    values = 0;
    for (CachedVector child : children) {
      child.showNulls(0);
    }
  }

  /** Where the value of a row lies. What a null's index says is never followed. */
  private int place(int row) {
    return indices == 0 ? row + skip : indexed(row + skip);
  }

  private int indexed(int at) {
    if (indexBits == 0) {
      return 0;
    }
    long index = Bounds.index(indices, indexBits, unsigned, at);
    return index >= 0 && index < values ? (int) index : 0;
  }

  @Override
  public boolean hasNull() {
    return allNull || validity != 0 || valueValidity != 0;
  }

  @Override
  public int numNulls() {
    if (!hasNull()) {
      return 0;
    }
    if (skip == 0 && valueValidity == 0) {
      return nulls;
    }
    int count = 0;
    for (int row = 0; row < length - skip; row++) {
      count += isNullAt(row) ? 1 : 0;
    }
    return count;
  }

  @Override
  public boolean isNullAt(int row) {
    if (validity != 0 && !Bounds.isSet(validity, row + skip)) {
      return true;
    }
    return allNull || (valueValidity != 0 && !Bounds.isSet(valueValidity, indexed(row + skip)));
  }

  @Override
  public boolean getBoolean(int row) {
    return Bounds.isSet(data, place(row));
  }

  @Override
  public byte getByte(int row) {
    return Platform.getByte(null, data + place(row));
  }

  @Override
  public short getShort(int row) {
    return layout == Layout.INT16
        ? Platform.getShort(null, data + 2L * place(row))
        : (short) integer(place(row));
  }

  @Override
  public int getInt(int row) {
    return layout == Layout.INT32
        ? Platform.getInt(null, data + 4L * place(row))
        : (int) integer(place(row));
  }

  @Override
  public long getLong(int row) {
    return layout == Layout.INT64
        ? Platform.getLong(null, data + 8L * place(row))
        : integer(place(row));
  }

  @Override
  public float getFloat(int row) {
    return Platform.getFloat(null, data + 4L * place(row));
  }

  @Override
  public double getDouble(int row) {
    return Platform.getDouble(null, data + 8L * place(row));
  }

  private long integer(int place) {
    switch (layout) {
      case INT8:
        return Platform.getByte(null, data + place);
      case UINT8:
        return Platform.getByte(null, data + place) & 0xFF;
      case INT16:
        return Platform.getShort(null, data + 2L * place);
      case UINT16:
        return Platform.getShort(null, data + 2L * place) & 0xFFFF;
      case INT32:
      case DECIMAL32:
        return Platform.getInt(null, data + 4L * place);
      case UINT32:
        return Platform.getInt(null, data + 4L * place) & 0xFFFF_FFFFL;
      case MILLIS:
        return Math.multiplyExact(Platform.getLong(null, data + 8L * place), 1000L);
      case NANOS:
        return Math.floorDiv(Platform.getLong(null, data + 8L * place), 1000L);
      case MISSING:
        return 0;
      default:
        // Of the wider decimals, the low word: all of a value of at most 18 digits.
        return Platform.getLong(null, data + (long) layout.width * place);
    }
  }

  @Override
  public Decimal getDecimal(int row, int precision, int scale) {
    if (isNullAt(row)) {
      return null;
    }
    int place = place(row);
    if (precision <= Decimal.MAX_LONG_DIGITS()) {
      return Decimal.createUnsafe(integer(place), precision, scale);
    }
    BigDecimal value =
        layout == Layout.DECIMAL32 || layout == Layout.DECIMAL64
            ? BigDecimal.valueOf(integer(place), scale)
            : new BigDecimal(wide(data + (long) layout.width * place), scale);
    return Decimal.apply(value, precision, scale);
  }

  /** The integer at an address, as wide as the layout says; all but UINT64 have a sign. */
  private BigInteger wide(long address) {
    long low = Platform.getLong(null, address);
    if (layout == Layout.DECIMAL128 && Platform.getLong(null, address + 8) == low >> 63) {
      return BigInteger.valueOf(low);
    }
    byte[] bytes = new byte[layout.width];
    for (int i = 0; i < bytes.length; i++) {
      bytes[bytes.length - 1 - i] = Platform.getByte(null, address + i);
    }
    return layout == Layout.UINT64 ? new BigInteger(1, bytes) : new BigInteger(bytes);
  }

  private long offset(int at) {
    return layout.isLarge()
        ? Platform.getLong(null, offsets + 8L * at)
        : Platform.getInt(null, offsets + 4L * at);
  }

  @Override
  public UTF8String getUTF8String(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int place = place(row);
    if (layout == Layout.BYTES) {
      int start = Platform.getInt(null, offsets + 4L * place);
      int end = Platform.getInt(null, offsets + 4L * place + 4);
      return UTF8String.fromAddress(null, data + start, end - start);
    }
    long start = offset(place);
    return UTF8String.fromAddress(null, data + start, Math.toIntExact(offset(place + 1) - start));
  }

  @Override
  public byte[] getBinary(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int place = place(row);
    boolean fixed = layout == Layout.FIXED_BYTES;
    long start = fixed ? (long) size * place : offset(place);
    byte[] bytes = new byte[fixed ? size : Math.toIntExact(offset(place + 1) - start)];
    Platform.copyMemory(null, data + start, bytes, Platform.BYTE_ARRAY_OFFSET, bytes.length);
    return bytes;
  }

  @Override
  public ColumnarArray getArray(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int at = row + skip;
    if (layout == Layout.FIXED_LIST) {
      return new ColumnarArray(children[0], size * at, size);
    }
    int start = (int) offset(at);
    return new ColumnarArray(children[0], start, (int) offset(at + 1) - start);
  }

  @Override
  public ColumnarMap getMap(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int start = (int) offset(row + skip);
    int count = (int) offset(row + skip + 1) - start;
    return new ColumnarMap(children[0], children[1], start, count);
  }

  @Override
  public ColumnVector getChild(int ordinal) {
    return children[ordinal];
  }

  @Override
  public byte[] getBytes(int row, int count) {
    byte[] array = new byte[count];
    if (layout == Layout.INT8 && indices == 0) {
      copy(row, 1, array, Platform.BYTE_ARRAY_OFFSET, count);
      return array;
    }
    return super.getBytes(row, count);
  }

  @Override
  public int[] getInts(int row, int count) {
    if (layout != Layout.INT32 || indices != 0) {
      return super.getInts(row, count);
    }
    int[] array = new int[count];
    copy(row, 4, array, Platform.INT_ARRAY_OFFSET, count);
    return array;
  }

  @Override
  public long[] getLongs(int row, int count) {
    long[] array = new long[count];
    if (layout == Layout.INT64 && indices == 0) {
      copy(row, 8, array, Platform.LONG_ARRAY_OFFSET, count);
      return array;
    }
    for (int i = 0; i < count; i++) {
      // What lies in a null's place may not be read: as milliseconds it may overflow.
      array[i] = isNullAt(row + i) ? 0 : getLong(row + i);
    }
    return array;
  }

  @Override
  public float[] getFloats(int row, int count) {
    if (indices != 0) {
      return super.getFloats(row, count);
    }
    float[] array = new float[count];
    copy(row, 4, array, Platform.FLOAT_ARRAY_OFFSET, count);
    return array;
  }

  @Override
  public double[] getDoubles(int row, int count) {
    if (indices != 0) {
      return super.getDoubles(row, count);
    }
    double[] array = new double[count];
    copy(row, 8, array, Platform.DOUBLE_ARRAY_OFFSET, count);
    return array;
  }

  private void copy(int row, int width, Object array, long base, int count) {
    long from = data + (long) width * (row + skip);
    Platform.copyMemory(null, from, array, base, (long) width * count);
  }

  /** Nothing: the memory is its stream's. */
  @Override
  public void close() {}

  /** Nothing, where Spark would free what a reader still fills. */
  @Override
  public void closeIfFreeable() {}
}

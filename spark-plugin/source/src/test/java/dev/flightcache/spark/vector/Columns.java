package dev.flightcache.spark.vector;

import dev.flightcache.client.Batch;
import dev.flightcache.client.Column;
import dev.flightcache.client.ColumnType;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.Field;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.unsafe.Platform;

/** Columns in Arrow's layout, built by hand in memory of exactly the size that they need. */
public final class Columns implements AutoCloseable {
  private final List<Long> allocated = new ArrayList<>();
  private final Map<Long, Long> sizes = new HashMap<>();

  /** Memory that holds {@code bytes}. */
  public long memory(byte[] bytes) {
    long address = Platform.allocateMemory(Math.max(bytes.length, 1));
    allocated.add(address);
    sizes.put(address, (long) bytes.length);
    Platform.copyMemory(bytes, Platform.BYTE_ARRAY_OFFSET, null, address, bytes.length);
    return address;
  }

  /** Frees the memory, having spoilt it, so that whoever reads on reads nonsense. */
  @Override
  public void close() {
    sizes.forEach((address, size) -> Platform.setMemory(address, (byte) 0xEE, size));
    sizes.clear();
    allocated.forEach(Platform::freeMemory);
    allocated.clear();
  }

  public static Field field(String name, Kind kind) {
    return field(name, ColumnType.of(kind));
  }

  public static Field field(String name, ColumnType type, Field... children) {
    return new Field(name, true, type, List.of(children), false);
  }

  public static Field encoded(Field field) {
    return new Field(field.name(), field.nullable(), field.type(), field.children(), true);
  }

  /** Integers of {@code bytes} each, little endian; nulls have {@code filler} in their place. */
  public Raw integers(Field field, int bytes, long filler, Long... values) {
    BigInteger[] wide = new BigInteger[values.length];
    for (int i = 0; i < values.length; i++) {
      wide[i] = values[i] == null ? null : BigInteger.valueOf(values[i]);
    }
    return wide(field, bytes, filler, wide);
  }

  /** The same of any width. */
  public Raw wide(Field field, int bytes, long filler, BigInteger... values) {
    byte[] data = new byte[values.length * bytes];
    for (int i = 0; i < values.length; i++) {
      BigInteger value = values[i] == null ? BigInteger.valueOf(filler) : values[i];
      for (int b = 0; b < bytes; b++) {
        data[i * bytes + b] = value.shiftRight(8 * b).byteValue();
      }
    }
    return raw(field, values).data(data);
  }

  public Raw booleans(Field field, Boolean... values) {
    byte[] bits = new byte[(values.length + 7) / 8];
    for (int i = 0; i < values.length; i++) {
      bits[i >> 3] |= (byte) (Boolean.TRUE.equals(values[i]) ? 1 << (i & 7) : 0);
    }
    return raw(field, values).data(bits);
  }

  public Raw strings(Field field, String... values) {
    byte[][] bytes = new byte[values.length][];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = values[i] == null ? null : values[i].getBytes(StandardCharsets.UTF_8);
    }
    return bytes(field, bytes);
  }

  /** Strings or binaries, of the large kinds as well. */
  public Raw bytes(Field field, byte[]... values) {
    long[] lengths = new long[values.length];
    int total = 0;
    for (int i = 0; i < values.length; i++) {
      lengths[i] = values[i] == null ? 0 : values[i].length;
      total += (int) lengths[i];
    }
    ByteBuffer all = ByteBuffer.allocate(total);
    Arrays.stream(values).filter(value -> value != null).forEach(all::put);
    boolean large = field.type().kind().name().startsWith("LARGE");
    return raw(field, values).offsets(large, lengths).data(all.array());
  }

  /** Lists or maps of {@code lengths} items each; -1 is null. */
  public Raw lists(Field field, Raw items, long... lengths) {
    Object[] values = new Object[lengths.length];
    long[] counts = new long[lengths.length];
    for (int i = 0; i < lengths.length; i++) {
      values[i] = lengths[i] < 0 ? null : lengths[i];
      counts[i] = Math.max(lengths[i], 0);
    }
    boolean large = field.type().kind() == Kind.LARGE_LIST;
    return raw(field, values).offsets(large, counts).children(items);
  }

  /** A column without buffers but for its validity, which follows the nulls of {@code values}. */
  public Raw raw(Field field, Object[] values) {
    Raw raw = new Raw(field, values.length);
    byte[] bits = new byte[(values.length + 7) / 8];
    for (int i = 0; i < values.length; i++) {
      raw.nulls += values[i] == null ? 1 : 0;
      bits[i >> 3] |= (byte) (values[i] != null ? 1 << (i & 7) : 0);
    }
    raw.validity = raw.nulls == 0 ? 0 : memory(bits);
    return raw;
  }

  /** Indices into {@code dictionary}. */
  public Raw encoded(Field field, int bits, boolean unsigned, Raw dictionary, Long... indices) {
    Raw raw = integers(field, bits / 8, 77, indices);
    raw.indexBits = bits;
    raw.unsigned = unsigned;
    raw.dictionary = dictionary;
    return raw;
  }

  /** A column whose parts a test may spoil. */
  public final class Raw implements Column {
    Field field;
    int length;
    int nulls;
    long validity;
    long offsets;
    long data;
    long dataBytes;
    int indexBits;
    boolean unsigned;
    Raw dictionary;
    Raw[] children = {};

    private Raw(Field field, int length) {
      this.field = field;
      this.length = length;
    }

    Raw data(byte[] bytes) {
      this.data = memory(bytes);
      this.dataBytes = bytes.length;
      return this;
    }

    Raw offsets(boolean large, long... lengths) {
      int width = large ? 8 : 4;
      ByteBuffer buffer = ByteBuffer.allocate(width * (lengths.length + 1));
      buffer.order(ByteOrder.LITTLE_ENDIAN);
      long at = 0;
      for (int i = 0; i <= lengths.length; i++) {
        if (large) {
          buffer.putLong(at);
        } else {
          buffer.putInt((int) at);
        }
        at += i < lengths.length ? lengths[i] : 0;
      }
      this.offsets = memory(buffer.array());
      return this;
    }

    public Raw children(Raw... columns) {
      this.children = columns;
      return this;
    }

    @Override
    public Field field() {
      return field;
    }

    @Override
    public int length() {
      return length;
    }

    @Override
    public int nullCount() {
      return nulls;
    }

    @Override
    public long validityAddress() {
      return validity;
    }

    @Override
    public long offsetsAddress() {
      return offsets;
    }

    @Override
    public long dataAddress() {
      return data;
    }

    @Override
    public long dataBytes() {
      return dataBytes;
    }

    @Override
    public int indexBits() {
      return indexBits;
    }

    @Override
    public boolean unsignedIndices() {
      return unsigned;
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
  }

  /** A batch of columns of one length. */
  public static Batch batch(int rows, Column... columns) {
    return new Batch() {
      @Override
      public int rows() {
        return rows;
      }

      @Override
      public int columns() {
        return columns.length;
      }

      @Override
      public Column column(int index) {
        return columns[index];
      }

      @Override
      public int rowGroup() {
        return 0;
      }

      @Override
      public boolean mapped() {
        return false;
      }

      @Override
      public long firstRow() {
        return 0;
      }

      @Override
      public long coveredRows() {
        return rows;
      }
    };
  }
}

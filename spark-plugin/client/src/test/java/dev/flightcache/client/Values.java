package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.netty.util.internal.PlatformDependent;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Reads a column's values by its addresses, as Spark does. */
final class Values {
  private Values() {}

  /** A message that is read while its call is closed is freed a moment later. */
  static void assertFreed(Client client) {
    long end = System.nanoTime() + 20_000_000_000L;
    while (client.allocatedBytes() > 0 && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
    assertEquals(0, client.allocatedBytes());
  }

  static List<Object> all(Column column) {
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < column.length(); i++) {
      values.add(at(column, i));
    }
    return values;
  }

  /**
   * A value as a plain Java object; bytes as a list of them, a struct as the list of its fields.
   */
  static Object at(Column column, int i) {
    if (column.field().type().kind() == ColumnType.Kind.NULL && column.dictionary() == null) {
      return null;
    }
    if (column.validityAddress() != 0 && !bit(column.validityAddress(), i)) {
      return null;
    }
    if (column.dictionary() != null) {
      return at(column.dictionary(), Math.toIntExact(index(column, i)));
    }
    ColumnType type = column.field().type();
    long data = column.dataAddress();
    switch (type.kind()) {
      case BOOL:
        return bit(data, i);
      case INT8:
        return (long) PlatformDependent.getByte(data + i);
      case UINT8:
        return PlatformDependent.getByte(data + i) & 0xffL;
      case INT16:
      case FLOAT16:
        return (long) PlatformDependent.getShort(data + 2L * i);
      case UINT16:
        return PlatformDependent.getShort(data + 2L * i) & 0xffffL;
      case INT32:
      case DATE32:
      case TIME32:
        return (long) PlatformDependent.getInt(data + 4L * i);
      case UINT32:
        return PlatformDependent.getInt(data + 4L * i) & 0xffffffffL;
      case INT64:
      case UINT64:
      case DATE64:
      case TIME64:
      case TIMESTAMP:
        return PlatformDependent.getLong(data + 8L * i);
      case FLOAT32:
        return Float.intBitsToFloat(PlatformDependent.getInt(data + 4L * i));
      case FLOAT64:
        return Double.longBitsToDouble(PlatformDependent.getLong(data + 8L * i));
      case DECIMAL32:
        return decimal(data + 4L * i, 4, type.scale());
      case DECIMAL64:
        return decimal(data + 8L * i, 8, type.scale());
      case DECIMAL128:
        return decimal(data + 16L * i, 16, type.scale());
      case DECIMAL256:
        return decimal(data + 32L * i, 32, type.scale());
      case FIXED_SIZE_BINARY:
        return bytes(data + (long) type.size() * i, type.size());
      default:
        return variable(column, type, i);
    }
  }

  private static Object variable(Column column, ColumnType type, int i) {
    switch (type.kind()) {
      case UTF8:
      case LARGE_UTF8:
        return new String(run(column, i), StandardCharsets.UTF_8);
      case BINARY:
      case LARGE_BINARY:
        return boxed(run(column, i));
      case LIST:
      case LARGE_LIST:
      case MAP:
        return items(column.child(0), offset(column, i), offset(column, i + 1));
      case FIXED_SIZE_LIST:
        return items(column.child(0), (long) i * type.size(), (i + 1L) * type.size());
      case STRUCT:
        List<Object> fields = new ArrayList<>();
        for (int child = 0; child < column.children(); child++) {
          fields.add(at(column.child(child), i));
        }
        return fields;
      default:
        throw new AssertionError(type);
    }
  }

  private static long index(Column column, int i) {
    long data = column.dataAddress();
    switch (column.indexBits()) {
      case 8:
        return column.unsignedIndices()
            ? PlatformDependent.getByte(data + i) & 0xffL
            : PlatformDependent.getByte(data + i);
      case 16:
        return PlatformDependent.getShort(data + 2L * i);
      case 32:
        return PlatformDependent.getInt(data + 4L * i);
      default:
        return PlatformDependent.getLong(data + 8L * i);
    }
  }

  private static List<Object> items(Column child, long from, long to) {
    List<Object> items = new ArrayList<>();
    for (long i = from; i < to; i++) {
      items.add(at(child, Math.toIntExact(i)));
    }
    return items;
  }

  private static byte[] run(Column column, int i) {
    long from = offset(column, i);
    byte[] bytes = new byte[Math.toIntExact(offset(column, i + 1) - from)];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = PlatformDependent.getByte(column.dataAddress() + from + at);
    }
    return bytes;
  }

  private static long offset(Column column, int i) {
    switch (column.field().type().kind()) {
      case LARGE_UTF8:
      case LARGE_BINARY:
      case LARGE_LIST:
        return PlatformDependent.getLong(column.offsetsAddress() + 8L * i);
      default:
        return PlatformDependent.getInt(column.offsetsAddress() + 4L * i);
    }
  }

  private static boolean bit(long address, int i) {
    return (PlatformDependent.getByte(address + (i >> 3)) >> (i & 7) & 1) == 1;
  }

  private static BigDecimal decimal(long address, int width, int scale) {
    byte[] big = new byte[width];
    for (int i = 0; i < width; i++) {
      big[width - 1 - i] = PlatformDependent.getByte(address + i);
    }
    return new BigDecimal(new BigInteger(big), scale);
  }

  private static List<Object> bytes(long address, int count) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = PlatformDependent.getByte(address + i);
    }
    return boxed(bytes);
  }

  static List<Object> boxed(byte[] bytes) {
    List<Object> boxed = new ArrayList<>();
    for (byte value : bytes) {
      boxed.add(value);
    }
    return boxed;
  }
}

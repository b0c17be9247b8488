package dev.flightcache.spark.vector;

import dev.flightcache.client.Column;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import org.apache.spark.unsafe.Platform;

/**
 * Proves, once a batch, that no value of a column points outside its buffers, so that getters need
 * not check: bytes from the wire must not crash the JVM.
 *
 * <p>That validity and offsets are as long as the column says is the client's promise.
 */
final class Bounds {
  private Bounds() {}

  /** Checks that values of a fixed width, {@code bits} each, are all there. */
  static void fixed(Column column, long bits) throws FlightcacheException {
    long bytes = (column.length() * bits + 7) / 8;
    if (bits < 0 || bytes > column.dataBytes() || (bytes > 0 && column.dataAddress() == 0)) {
      throw malformed(column, "its buffer is too short");
    }
  }

  /** Checks that offsets grow from zero or more to at most {@code limit}. */
  static void offsets(Column column, boolean large, long limit) throws FlightcacheException {
    long address = column.offsetsAddress();
    if (address == 0) {
      throw malformed(column, "it has no offsets");
    }
    int length = column.length();
    boolean grow = large ? grow64(address, length) : grow32(address, length);
    long first = large ? Platform.getLong(null, address) : Platform.getInt(null, address);
    long end = address + (long) length * (large ? 8 : 4);
    long last = large ? Platform.getLong(null, end) : Platform.getInt(null, end);
    if (!grow || first < 0 || last > limit) {
      throw malformed(column, "its offsets point outside its values");
    }
  }

  private static boolean grow32(long address, int length) {
    long steps = 0;
    long previous = Platform.getInt(null, address);
    for (int i = 1; i <= length; i++) {
      long next = Platform.getInt(null, address + 4L * i);
      steps |= next - previous;
      previous = next;
    }
    return steps >= 0;
  }

  private static boolean grow64(long address, int length) {
    boolean grow = true;
    long previous = Platform.getLong(null, address);
    for (int i = 1; i <= length; i++) {
      long next = Platform.getLong(null, address + 8L * i);
      grow &= next >= previous;
      previous = next;
    }
    return grow;
  }

  /** Checks that every index that is not null points at one of {@code values} values. */
  static void indices(Column column, int values) throws FlightcacheException {
    int bits = column.indexBits();
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) {
      throw malformed(column, "its indices have " + bits + " bits");
    }
    fixed(column, bits);
    long address = column.dataAddress();
    long validity = column.nullCount() == 0 ? 0 : column.validityAddress();
    boolean unsigned = column.unsignedIndices();
    for (int i = 0; i < column.length(); i++) {
      long index = index(address, bits, unsigned, i);
      if ((index < 0 || index >= values) && (validity == 0 || isSet(validity, i))) {
        throw malformed(column, "an index points outside its dictionary");
      }
    }
  }

  static long index(long address, int bits, boolean unsigned, int at) {
    switch (bits) {
      case 8:
        byte narrow = Platform.getByte(null, address + at);
        return unsigned ? narrow & 0xFF : narrow;
      case 16:
        short small = Platform.getShort(null, address + 2L * at);
        return unsigned ? small & 0xFFFF : small;
      case 32:
        int middle = Platform.getInt(null, address + 4L * at);
        return unsigned ? middle & 0xFFFF_FFFFL : middle;
      default:
        return Platform.getLong(null, address + 8L * at);
    }
  }

  static boolean isSet(long bitmap, int at) {
    return (Platform.getByte(null, bitmap + (at >> 3)) >> (at & 7) & 1) != 0;
  }

  static FlightcacheException malformed(Column column, String what) {
    String name = column.field().name();
    return new FlightcacheException(
        ErrorKind.INTERNAL, "column " + name + " arrived malformed: " + what);
  }
}

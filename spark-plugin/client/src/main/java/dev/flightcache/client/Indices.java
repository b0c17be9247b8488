package dev.flightcache.client;

import java.nio.ByteBuffer;

/** Looks whether the indices of a dictionary column stay inside its dictionary. */
final class Indices {
  private Indices() {}

  /**
   * @param validity null where no value is null; an index of a null may be anything
   * @throws FlightcacheException {@code INTERNAL} if one leads out of the dictionary
   */
  static void check(Layout layout, Region data, int length, Region validity, int values)
      throws FlightcacheException {
    ByteBuffer indices = data.view();
    ByteBuffer bits = validity == null ? null : validity.view();
    for (int i = 0; i < length; i++) {
      long index = at(indices, i, layout.indexBits(), layout.unsignedIndices());
      if (Long.compareUnsigned(index, values) >= 0 && isThere(bits, i)) {
        String column = "`" + layout.field().name() + "`";
        throw new FlightcacheException(
            ErrorKind.INTERNAL,
            "the node sent for column " + column + " indices that lead out of the dictionary");
      }
    }
  }

  private static boolean isThere(ByteBuffer bits, int i) {
    return bits == null || (bits.get(i >> 3) >> (i & 7) & 1) == 1;
  }

  private static long at(ByteBuffer indices, int i, int bits, boolean unsigned) {
    switch (bits) {
      case 8:
        return unsigned ? indices.get(i) & 0xff : indices.get(i);
      case 16:
        return unsigned ? indices.getShort(2 * i) & 0xffff : indices.getShort(2 * i);
      case 32:
        return unsigned ? indices.getInt(4 * i) & 0xffff_ffffL : indices.getInt(4 * i);
      default:
        return indices.getLong(8 * i);
    }
  }
}

package dev.flightcache.client;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Bitmaps of a slice that does not begin at a whole byte: an address cannot say that, so their bits
 * are moved into memory of their own.
 */
final class ShiftedBits {
  private final Memory memory;
  private final List<Block> blocks = new ArrayList<>();

  ShiftedBits(Memory memory) {
    this.memory = memory;
  }

  /** The {@code count} bits of {@code source} behind its first {@code from}. */
  Region shift(Region source, int from, int count) throws FlightcacheException {
    Region bytes = source.from(Math.min(from / 8, source.bytes()));
    int by = from % 8;
    if (by == 0 || count == 0) {
      return bytes;
    }
    int length = (count + 7) / 8;
    Block block = memory.take(length);
    blocks.add(block);
    ByteBuffer read = bytes.view();
    ByteBuffer write = block.view(0, length);
    for (int i = 0; i < length; i++) {
      int low = (read.get(i) & 0xff) >>> by;
      int high = i + 1 < read.capacity() ? (read.get(i + 1) & 0xff) << (8 - by) : 0;
      write.put(i, (byte) (low | high));
    }
    return new Region(block, 0, length);
  }

  /** How many of the first {@code count} bits are set. */
  static int ones(Region bits, int count) {
    ByteBuffer read = bits.view();
    int ones = 0;
    for (int i = 0; i < count / 8; i++) {
      ones += Integer.bitCount(read.get(i) & 0xff);
    }
    int rest = count % 8;
    return rest == 0 ? ones : ones + Integer.bitCount(read.get(count / 8) & ((1 << rest) - 1));
  }

  /** What the slice holds beside its batch. */
  List<Block> blocks() {
    return blocks;
  }
}

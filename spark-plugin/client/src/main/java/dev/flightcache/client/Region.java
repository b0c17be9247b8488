package dev.flightcache.client;

import java.nio.ByteBuffer;

/**
 * One buffer of a column: a run of bytes of a block, which it keeps reachable. Immutable.
 *
 * <p>Readers go by its address, past every check of Java; so whoever makes one has checked that the
 * block is large enough.
 */
final class Region {
  private final Block block;
  private final int at;
  private final int bytes;

  /**
   * @param block null for no bytes of a message that has none
   */
  Region(Block block, int at, int bytes) {
    this.block = block;
    this.at = at;
    this.bytes = bytes;
  }

  long address() {
    return block == null ? 0 : block.address() + at;
  }

  int bytes() {
    return bytes;
  }

  /** What is behind its first {@code skipped} bytes. */
  Region from(long skipped) {
    int skip = Math.toIntExact(skipped);
    return new Region(block, at + skip, bytes - skip);
  }

  /** Its content, little endian. */
  ByteBuffer view() {
    return block == null ? ByteBuffer.allocate(0) : block.view(at, bytes);
  }
}

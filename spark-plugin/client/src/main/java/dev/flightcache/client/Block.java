package dev.flightcache.client;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicBoolean;

/** Memory of one message's body. Whoever holds it frees it, once. */
final class Block {
  private final Memory memory;
  private final ByteBuf buffer;
  private final int bytes;
  private final AtomicBoolean freed = new AtomicBoolean();

  /**
   * @param memory what it is given back to; null if it is not freed
   */
  Block(Memory memory, ByteBuf buffer, int bytes) {
    this.memory = memory;
    this.buffer = buffer;
    this.bytes = bytes;
  }

  int bytes() {
    return bytes;
  }

  /**
   * Memory of a mapped file, which lives as long as anything refers to it; it is no part of the
   * bounded memory, and there is nothing to free.
   */
  static Block mapped(ByteBuf part) {
    return new Block(null, part, part.capacity());
  }

  /** Where it is to be filled. */
  ByteBuf buffer() {
    return buffer;
  }

  long address() {
    return buffer.memoryAddress();
  }

  /** Some of it, to read and write; out of bounds it throws. */
  ByteBuffer view(int at, int length) {
    // Not every buffer of Netty's begins at the place that it is asked for.
    return buffer.nioBuffer(at, length).slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Idempotent. */
  void free() {
    if (memory != null && freed.compareAndSet(false, true)) {
      buffer.release();
      memory.gaveBack(bytes);
    }
  }
}

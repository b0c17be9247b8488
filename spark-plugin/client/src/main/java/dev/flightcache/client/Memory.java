package dev.flightcache.client;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory off the heap for the bodies of messages, with a hard limit for all streams of a client
 * together. Netty's pool keeps it, which takes whole chunks from the system and gives them back
 * when they are empty. What gRPC holds of a message that is not whole yet comes on top: at most the
 * window of each stream.
 */
final class Memory {
  /** Messages are 1 to 4 MiB: a chunk of 16 MiB holds several. */
  private static final int CHUNK_ORDER = 11;

  private static final int PAGE_BYTES = 8192;
  private static final int ARENAS = 2;

  private final long limit;
  private final AtomicLong used = new AtomicLong();
  private final AtomicLong expected = new AtomicLong();
  private final PooledByteBufAllocator pool =
      new PooledByteBufAllocator(true, 0, ARENAS, PAGE_BYTES, CHUNK_ORDER, 0, 0, false);

  Memory(long limit) {
    this.limit = limit;
  }

  /**
   * Takes {@code bytes}.
   *
   * @throws FlightcacheException {@code EXHAUSTED} past the limit
   */
  Block take(int bytes) throws FlightcacheException {
    if (used.addAndGet(bytes) > limit) {
      used.addAndGet(-bytes);
      throw exhausted(bytes, null);
    }
    try {
      ByteBuf buffer = pool.directBuffer(Math.max(bytes, 1), Math.max(bytes, 1));
      if (!buffer.hasMemoryAddress()) {
        buffer.release();
        used.addAndGet(-bytes);
        throw new FlightcacheException(
            ErrorKind.INTERNAL, "this JVM gives no addresses of direct memory");
      }
      return new Block(this, buffer, bytes);
    } catch (OutOfMemoryError error) {
      // The JVM's own bound of direct memory, not its heap: nothing else suffers.
      used.addAndGet(-bytes);
      throw exhausted(bytes, error);
    }
  }

  void gaveBack(int bytes) {
    used.addAndGet(-bytes);
  }

  /** Notes that a stream asked for {@code bytes} more, or that they came or will not come. */
  void expect(long bytes) {
    expected.addAndGet(bytes);
  }

  /** Whether so much is taken or on its way that streams should not read ahead. */
  boolean scarce() {
    return used.get() + expected.get() > limit / 2;
  }

  /** Bytes that are taken at this moment. */
  long used() {
    return used.get();
  }

  private FlightcacheException exhausted(int bytes, Throwable cause) {
    String text = "no room for " + bytes + " bytes: the client's streams hold " + used.get();
    String rest = " of " + limit + "; raise its memory or read fewer splits at a time";
    return FlightcacheException.outOfMemory(text + rest, cause);
  }
}

package dev.flightcache.client;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The maps of this process, whose number is bounded: a system that has none left for the JVM ends
 * it.
 *
 * <p>A map lives until nothing refers to it any more, and is never taken away by a call: whoever
 * reads a column after its stream is closed would end the process. What is mapped is the page cache,
 * and so counts neither as memory of the heap nor of streams.
 */
final class Maps {
  /** A quarter of what Linux gives a process. */
  private static final int MOST = 16_384;

  private static final Cleaner CLEANER = Cleaner.create();
  private static final AtomicInteger LIVE = new AtomicInteger();

  private Maps() {}

  /**
   * The first {@code bytes} of a file, read-only.
   *
   * @throws FlightcacheException {@code EXHAUSTED} if there are too many maps
   */
  static ByteBuf map(FileChannel file, int bytes) throws IOException {
    if (LIVE.incrementAndGet() > MOST) {
      LIVE.decrementAndGet();
      throw new FlightcacheException(ErrorKind.EXHAUSTED, "there are " + MOST + " maps already");
    }
    ByteBuffer map = null;
    try {
      map = file.map(FileChannel.MapMode.READ_ONLY, 0, bytes);
    } finally {
      if (map == null) {
        LIVE.decrementAndGet();
      }
    }
    CLEANER.register(map, LIVE::decrementAndGet);
    ByteBuf buffer = Unpooled.wrappedBuffer(map);
    if (!buffer.hasMemoryAddress()) {
      throw new FlightcacheException(
          ErrorKind.INTERNAL, "this JVM gives no addresses of mapped memory");
    }
    return buffer;
  }

  /** Maps that live at this moment. */
  static int live() {
    return LIVE.get();
  }
}

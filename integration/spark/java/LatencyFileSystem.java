package dev.flightcache.integration;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * The local disk with the manners of an object store, for {@code fs.file.impl}: every request waits, and a stream has
 * so many bytes a second. Older Sparks cannot speak to an imitated Blob, so this stands in for one.
 *
 * <p>A read that goes on where the last one ended belongs to the request that is open; a seek begins another. What was
 * read is handed out of a buffer of 4 MiB, as abfs reads ahead.
 */
public final class LatencyFileSystem extends RawLocalFileSystem {
  /** Milliseconds that a request takes to its first byte. */
  static final String LATENCY_MS = "fs.latency.ms";

  /** Bytes a second that a stream gives, 0: as fast as it can. */
  static final String BYTES_PER_S = "fs.latency.bytes_per_s";

  private static final int BUFFER_BYTES = 4 << 20;
  private static final AtomicLong REQUESTS = new AtomicLong();
  private static final AtomicLong BYTES = new AtomicLong();

  private long latencyNs;
  private long bytesPerS;

  @Override
  public void initialize(URI uri, Configuration conf) throws IOException {
    super.initialize(uri, conf);
    setConf(conf);
    latencyNs = conf.getLong(LATENCY_MS, 15) * 1_000_000L;
    bytesPerS = conf.getLong(BYTES_PER_S, 60_000_000L);
  }

  @Override
  public FSDataInputStream open(Path path, int bufferSize) throws IOException {
    FileStatus status = getFileStatus(path);
    if (status.isDirectory()) {
      throw new FileNotFoundException(path + " is a folder");
    }
    return new FSDataInputStream(new Stream(super.open(path, bufferSize), status.getLen()));
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    request();
    return super.getFileStatus(path);
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    request();
    return super.listStatus(path);
  }

  /** Returns how many requests this process made. */
  public static long requests() {
    return REQUESTS.get();
  }

  /** Returns how many bytes of files this process read. */
  public static long bytes() {
    return BYTES.get();
  }

  private void request() {
    REQUESTS.incrementAndGet();
    pause(latencyNs);
  }

  private static void pause(long ns) {
    long end = System.nanoTime() + ns;
    for (long left = ns; left > 0; left = end - System.nanoTime()) {
      LockSupport.parkNanos(left);
    }
  }

  /** Reads of one open file: a request for each place it goes to, and a pace. */
  private final class Stream extends FSInputStream {
    private final FSDataInputStream file;
    private final long length;
    private final byte[] buffer = new byte[BUFFER_BYTES];
    private long position;
    private long start;
    private int held;
    private long next = -1;

    Stream(FSDataInputStream file, long length) {
      this.file = file;
      this.length = length;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int wanted) throws IOException {
      if (wanted == 0) {
        return 0;
      }
      if (position >= length) {
        return -1;
      }
      if (position < start || position >= start + held) {
        fill(wanted);
      }
      int from = (int) (position - start);
      int given = Math.min(wanted, held - from);
      System.arraycopy(buffer, from, into, offset, given);
      position += given;
      return given;
    }

    private void fill(int wanted) throws IOException {
      if (position != next) {
        request();
      }
      boolean onward = position == next;
      int size = (int) Math.min(onward ? BUFFER_BYTES : Math.max(wanted, 64 << 10), length - position);
      size = Math.min(size, BUFFER_BYTES);
      file.readFully(position, buffer, 0, size);
      start = position;
      held = size;
      next = position + size;
      BYTES.addAndGet(size);
      if (bytesPerS > 0) {
        pause(size * 1_000_000_000L / bytesPerS);
      }
    }

    @Override
    public void seek(long to) throws IOException {
      if (to < 0 || to > length) {
        throw new IOException("cannot seek to " + to + " of " + length + " bytes");
      }
      position = to;
    }

    @Override
    public long getPos() {
      return position;
    }

    @Override
    public boolean seekToNewSource(long target) {
      return false;
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}

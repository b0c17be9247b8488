package dev.flightcache.spark.range;

import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.Warnings;
import java.io.IOException;
import java.io.InterruptedIOException;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * The rows of a range: from the cache as long as it gives them, from there on by Spark's own reader.
 *
 * <p>The client has tried every node before an error comes here.
 */
public final class RangeBatches implements Batches {
  private final FileRange range;
  private final DirectReader reader;
  private final boolean fallback;
  private final String file;
  private final CachedBatches cached;

  private DirectBatches direct;

  private RangeBatches(
      FileRange range, CachedBatches cached, DirectReader reader, boolean fallback, String file) {
    this.range = range;
    this.cached = cached;
    this.reader = reader;
    this.fallback = fallback;
    this.file = file;
  }

  /**
   * The rows of {@code length} bytes from {@code start} of a file that the driver planned.
   *
   * @param fallback whether Spark's own reader may take over
   * @param file names the file in messages
   */
  public static Batches of(
      Client client,
      FileSplits splits,
      long start,
      long length,
      BatchMapper mapper,
      DirectReader reader,
      boolean fallback,
      String file)
      throws IOException {
    FileRange range = FileRange.of(splits, start, length);
    if (range == null) {
      return direct(Cause.LAYOUT, reader, start, length, fallback, file);
    }
    CachedBatches cached = new CachedBatches(client, range, mapper);
    return new RangeBatches(range, cached, reader, fallback, file);
  }

  /**
   * The rows of a range by Spark's own reader alone.
   *
   * @param why what is counted
   */
  public static Batches direct(
      Cause why, DirectReader reader, long start, long length, boolean fallback, String file)
      throws IOException {
    Metrics.fallback(why);
    if (!fallback) {
      throw new IOException(file + " is not read from the cache (" + why + "), and must be");
    }
    return DirectBatches.all(reader, start, length);
  }

  @Override
  public ColumnarBatch next() throws IOException {
    while (direct == null) {
      try {
        return cached.next();
      } catch (RuntimeException error) {
        goDirect(Cause.INTERNAL, new IOException(error.toString(), error));
      } catch (RefusedException error) {
        goDirect(error.why(), error);
      } catch (FlightcacheException error) {
        if (error.kind() == ErrorKind.CANCELLED) {
          InterruptedIOException stopped = new InterruptedIOException(error.getMessage());
          stopped.initCause(error);
          throw stopped;
        }
        goDirect(Cause.of(error.kind()), error);
      }
    }
    return direct.next();
  }

  private void goDirect(Cause why, IOException error) throws IOException {
    Metrics.fallback(why);
    if (!fallback) {
      throw new IOException(file + " is not read from the cache: " + error.getMessage(), error);
    }
    Warnings.direct(why, file + ": " + error.getMessage());
    reader.verify();
    direct = DirectBatches.after(reader, range, cached);
    cached.close();
  }

  @Override
  public void close() throws IOException {
    cached.close();
    if (direct != null) {
      direct.close();
    }
  }
}

package dev.flightcache.spark.range;

import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Warnings;
import java.io.IOException;
import java.io.InterruptedIOException;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * The rows of a range: from the cache as long as it gives them, from there on by Spark's own reader.
 *
 * <p>The client has tried every node before an error comes here.
 */
final class RangeBatches implements Batches {
  private final RangeReads reads;
  private final FileRange range;
  private final DirectReader reader;
  private final String file;
  private final CachedBatches cached;

  private DirectBatches direct;

  /**
   * The rows of {@code range}.
   *
   * @param file names the file in messages
   */
  RangeBatches(
      RangeReads reads, FileRange range, BatchMapper mapper, DirectReader reader, String file) {
    this.reads = reads;
    this.range = range;
    this.reader = reader;
    this.file = file;
    this.cached = new CachedBatches(reads.client(), range, mapper, reads.metrics());
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
    reads.metrics().fallback(why);
    if (!reads.mayGoDirect(why)) {
      throw new IOException(file + " is not read from the cache: " + error.getMessage(), error);
    }
    Warnings.direct(why, file + ": " + error.getMessage());
    reader.verify();
    direct = DirectBatches.after(reader, reads.metrics(), range, cached);
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

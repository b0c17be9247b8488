package dev.flightcache.spark.range;

import dev.flightcache.client.Client;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.ScanMetrics;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;

/** How a task reads ranges of files: what all of them share. */
public final class RangeReads {
  private final Client client;
  private final Set<Cause> direct;
  private final ScanMetrics metrics;

  /**
   * Reads by {@code client}.
   *
   * @param direct the causes for which Spark's own reader may take over
   */
  public RangeReads(Client client, Set<Cause> direct, ScanMetrics metrics) {
    this.client = client;
    this.direct = direct.isEmpty() ? EnumSet.noneOf(Cause.class) : EnumSet.copyOf(direct);
    this.metrics = metrics;
  }

  /**
   * The rows of {@code length} bytes from {@code start} of a file that the driver planned.
   *
   * @param file names the file in messages
   */
  public Batches read(
      FileSplits splits,
      long start,
      long length,
      BatchMapper mapper,
      DirectReader reader,
      String file)
      throws IOException {
    FileRange range = FileRange.of(splits, start, length);
    return range == null
        ? direct(Cause.LAYOUT, reader, start, length, file)
        : new RangeBatches(this, range, mapper, reader, file);
  }

  /**
   * The rows of a range by Spark's own reader alone.
   *
   * @param why what is counted
   */
  public Batches direct(Cause why, DirectReader reader, long start, long length, String file)
      throws IOException {
    metrics.fallback(why);
    if (!mayGoDirect(why)) {
      throw new IOException(file + " is not read from the cache (" + why + "), and must be");
    }
    return DirectBatches.all(reader, metrics, start, length);
  }

  boolean mayGoDirect(Cause why) {
    return direct.contains(why);
  }

  Client client() {
    return client;
  }

  ScanMetrics metrics() {
    return metrics;
  }
}

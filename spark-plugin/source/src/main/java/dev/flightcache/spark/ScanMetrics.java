package dev.flightcache.spark;

import dev.flightcache.client.BatchStream;
import java.io.Serializable;

/**
 * What one scan did. It counts for the process, whose sinks show it; a face that can show it beside
 * the scan as well extends this.
 */
public class ScanMetrics implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Rows that came from the cache, and whether they were mapped. */
  public void served(long rows, boolean mapped) {
    Metrics.served(rows, mapped);
  }

  /** Rows that Spark's own reader gave. */
  public void direct(long rows) {
    Metrics.direct(rows);
  }

  /** What a stream that ends has received, and how long the task waited for it. */
  public void received(BatchStream stream) {
    Metrics.received(stream);
  }

  /** One file or range that did not come from the cache. */
  public void fallback(Cause cause) {
    Metrics.fallback(cause);
  }
}

package dev.flightcache.spark;

import java.io.Serializable;

/**
 * What one scan did. It counts for the process, whose sinks show it; a face that can show it beside
 * the scan as well extends this.
 */
public class ScanMetrics implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Rows that came from the cache. */
  public void served(long rows) {
    Metrics.served(rows);
  }

  /** Rows that Spark's own reader gave. */
  public void direct(long rows) {
    Metrics.direct(rows);
  }

  /** Bytes of messages, and the time that the task waited for them. */
  public void received(long bytes, long waitNanos) {
    Metrics.received(bytes, waitNanos);
  }

  /** One file or range that did not come from the cache. */
  public void fallback(Cause cause) {
    Metrics.fallback(cause);
  }
}

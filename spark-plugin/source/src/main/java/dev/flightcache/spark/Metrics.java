package dev.flightcache.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import dev.flightcache.client.BatchStream;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/**
 * What the connector did in this process, for Spark's metric sinks. Counters only grow.
 *
 * <p>Whether a chunk was a hit or a miss are the node's words; here it is told which way rows came.
 */
public final class Metrics {
  private static final LongAdder SERVED = new LongAdder();
  private static final LongAdder DIRECT = new LongAdder();
  private static final LongAdder MAPPED = new LongAdder();
  private static final LongAdder MAPPED_BYTES = new LongAdder();
  private static final LongAdder BYTES = new LongAdder();
  private static final LongAdder WAIT_NANOS = new LongAdder();
  private static final Map<Cause, LongAdder> FALLBACKS = new EnumMap<>(Cause.class);

  static {
    for (Cause cause : Cause.values()) {
      FALLBACKS.put(cause, new LongAdder());
    }
  }

  private Metrics() {}

  /**
   * Rows that came from the cache.
   *
   * @param mapped whether they lay in files of a node on this machine
   */
  public static void served(long rows, boolean mapped) {
    SERVED.add(rows);
    if (mapped) {
      MAPPED.add(rows);
    }
  }

  /** Rows of scans of ours that Spark's own reader gave. */
  public static void direct(long rows) {
    DIRECT.add(rows);
  }

  /** What a stream came to: bytes of messages and of files, and the time that its task waited. */
  public static void received(BatchStream stream) {
    BYTES.add(stream.bytes());
    MAPPED_BYTES.add(stream.mappedBytes());
    WAIT_NANOS.add(stream.waitNanos());
  }

  /** One file, range or scan that did not come from the cache. */
  public static void fallback(Cause cause) {
    FALLBACKS.get(cause).increment();
  }

  static void register(MetricRegistry registry) {
    gauge(registry, "rows.served", SERVED::sum);
    gauge(registry, "rows.direct", DIRECT::sum);
    gauge(registry, "rows.mapped", MAPPED::sum);
    gauge(registry, "bytes", BYTES::sum);
    gauge(registry, "bytes.mapped", MAPPED_BYTES::sum);
    gauge(registry, "splits.unmapped", Clients::unmappedSplits);
    gauge(registry, "wait_ms", () -> WAIT_NANOS.sum() / 1_000_000);
    gauge(registry, "allocated_bytes", Clients::allocatedBytes);
    FALLBACKS.forEach((cause, count) -> gauge(registry, "fallbacks." + cause.label(), count::sum));
  }

  private static void gauge(MetricRegistry registry, String name, Gauge<Long> value) {
    registry.register("flightcache." + name, value);
  }
}

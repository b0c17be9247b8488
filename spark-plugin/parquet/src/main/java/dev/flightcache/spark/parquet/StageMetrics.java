package dev.flightcache.spark.parquet;

import dev.flightcache.client.BatchStream;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.ScanMetrics;
import java.util.EnumMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * Figures of a scan on the pages of its stages, by the names that they have in metric sinks: Spark's
 * own node for a scan of files takes no metrics but its own.
 *
 * <p>Spark holds its accumulators weakly, so they live as long as the plan. Their class is Spark's,
 * for what reads an executor's heartbeats does not see classes of {@code --jars}.
 */
final class StageMetrics extends ScanMetrics {
  private static final long serialVersionUID = 1L;
  private static final long NANOS_PER_MILLI = 1_000_000;

  private final LongAccumulator served;
  private final LongAccumulator mapped;
  private final LongAccumulator direct;
  private final LongAccumulator bytes;
  private final LongAccumulator mappedBytes;
  private final LongAccumulator waitMillis;
  private final Map<Cause, LongAccumulator> fallbacks = new EnumMap<>(Cause.class);

  /** Of this task, what is less than a millisecond yet. */
  private long waitNanos;

  /** Figures that {@code context} shows. */
  StageMetrics(SparkContext context) {
    this.served = context.longAccumulator("flightcache.rows.served");
    this.mapped = context.longAccumulator("flightcache.rows.mapped");
    this.direct = context.longAccumulator("flightcache.rows.direct");
    this.bytes = context.longAccumulator("flightcache.bytes");
    this.mappedBytes = context.longAccumulator("flightcache.bytes.mapped");
    this.waitMillis = context.longAccumulator("flightcache.wait_ms");
    for (Cause cause : Cause.values()) {
      String name = "flightcache.fallbacks." + cause.label();
      fallbacks.put(cause, context.longAccumulator(name));
    }
  }

  @Override
  public void served(long rows, boolean isMapped) {
    super.served(rows, isMapped);
    served.add(rows);
    if (isMapped) {
      mapped.add(rows);
    }
  }

  @Override
  public void direct(long rows) {
    super.direct(rows);
    direct.add(rows);
  }

  @Override
  public synchronized void received(BatchStream stream) {
    super.received(stream);
    bytes.add(stream.bytes());
    if (stream.mappedBytes() > 0) {
      // What was added to is shown, even if it was nothing.
      mappedBytes.add(stream.mappedBytes());
    }
    waitNanos += stream.waitNanos();
    waitMillis.add(waitNanos / NANOS_PER_MILLI);
    waitNanos %= NANOS_PER_MILLI;
  }

  @Override
  public void fallback(Cause cause) {
    super.fallback(cause);
    fallbacks.get(cause).add(1);
  }
}

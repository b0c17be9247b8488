package dev.flightcache.spark;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One warning a minute for each cause, not one a task. */
public final class Warnings {
  private static final Logger LOG = LoggerFactory.getLogger("dev.flightcache.spark");
  private static final long QUIET_NANOS = TimeUnit.MINUTES.toNanos(1);
  private static final Map<Cause, Long> LAST = new ConcurrentHashMap<>();

  private Warnings() {}

  /** Says that Spark's own reader took over, and why. */
  public static void direct(Cause cause, String message) {
    long now = System.nanoTime();
    boolean[] due = {false};
    LAST.compute(
        cause,
        (key, last) -> {
          due[0] = last == null || now - last >= QUIET_NANOS;
          return due[0] ? Long.valueOf(now) : last;
        });
    if (due[0]) {
      LOG.warn("read without the cache ({}): {}", cause.label(), message);
    } else {
      LOG.debug("read without the cache ({}): {}", cause.label(), message);
    }
  }
}

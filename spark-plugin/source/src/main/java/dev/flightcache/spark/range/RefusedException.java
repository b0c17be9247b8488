package dev.flightcache.spark.range;

import dev.flightcache.spark.Cause;
import java.io.IOException;

/** Rows of the cache that are not what Spark's own reader would give, or cannot be told from it. */
public final class RefusedException extends IOException {
  private static final long serialVersionUID = 1L;

  private final Cause cause;

  public RefusedException(Cause cause, String message) {
    super(message);
    this.cause = cause;
  }

  Cause why() {
    return cause;
  }
}

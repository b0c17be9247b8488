package dev.flightcache.spark.source;

import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import java.io.IOException;
import java.io.InterruptedIOException;

/** What a user reads when a read fails: what was wrong, and what to do. */
final class Failures {
  private Failures() {}

  static String message(String dataset, FlightcacheException error) {
    return "flightcache cannot read " + dataset + ": " + error.getMessage() + advice(error);
  }

  /** The error of a task. Its node's other locations were tried before. */
  static IOException ofTask(String dataset, FlightcacheException error) {
    String message = message(dataset, error);
    if (error.kind() == ErrorKind.CANCELLED) {
      InterruptedIOException stopped = new InterruptedIOException(message);
      stopped.initCause(error);
      return stopped;
    }
    return new IOException(message, error);
  }

  private static String advice(FlightcacheException error) {
    if (error.outOfMemory()) {
      return ": set `spark.flightcache.memory`, or the option `memory`, and as much more"
          + " `spark.executor.memoryOverhead`";
    }
    switch (error.kind()) {
      case STALE:
        return "; its files changed after the query was planned: run the query again";
      case UNAUTHENTICATED:
        return "; set the option `token`, or FLIGHTCACHE_TOKEN";
      case EXHAUSTED:
        return "; the nodes are at a ceiling: run fewer tasks at once, or add nodes";
      case UNAVAILABLE:
      case TIMEOUT:
        return "; is a node up at the option `url`?";
      default:
        return "";
    }
  }
}

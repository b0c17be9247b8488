package dev.flightcache.client;

import java.util.concurrent.ThreadLocalRandom;
import java.util.function.LongSupplier;

/**
 * Leaves a node alone that failed several times in a row, so that not every task waits for a
 * timeout. When the time is over one caller probes the node; the others go on leaving it alone
 * until that one has its answer.
 */
final class Breaker {
  /** Failures in a row that open it. */
  static final int FAILURES = 3;

  /** Shortest time that it stays open, in nanoseconds; the longest is half as much again. */
  static final long OPEN_NANOS = 5_000_000_000L;

  private final LongSupplier clock;
  private int failures;
  private long openUntil;
  private boolean probing;

  /**
   * @param clock nanoseconds, as {@link System#nanoTime()} gives them
   */
  Breaker(LongSupplier clock) {
    this.clock = clock;
  }

  /** Whether the caller may ask the node; who may, says afterwards how it went. */
  synchronized boolean enter() {
    if (failures < FAILURES) {
      return true;
    }
    if (probing || clock.getAsLong() - openUntil < 0) {
      return false;
    }
    probing = true;
    return true;
  }

  /** The node answered, be it with an error. */
  synchronized void answered() {
    failures = 0;
    probing = false;
  }

  /** The node was not there, or did not answer in time. */
  synchronized void failed() {
    failures = Math.min(failures + 1, FAILURES);
    probing = false;
    if (failures == FAILURES) {
      // Callers that were turned away together do not come back together.
      long jitter = ThreadLocalRandom.current().nextLong(OPEN_NANOS / 2);
      openUntil = clock.getAsLong() + OPEN_NANOS + jitter;
    }
  }

  /** The caller gave up before there was an answer. */
  synchronized void left() {
    probing = false;
  }

  /** Ends a call that {@link #enter} let through, by what came of it. */
  void ended(FlightcacheException error) {
    switch (error.kind()) {
      case UNAVAILABLE:
      case TIMEOUT:
        failed();
        break;
      case CANCELLED:
        left();
        break;
      default:
        answered();
    }
  }
}

package dev.flightcache.client;

import java.util.function.LongSupplier;

/**
 * Remembers of a node whether its files are found on this machine, so that one that is elsewhere is
 * not asked for each split.
 */
final class Locality {
  /** How long a node whose files are not found is not asked again, in nanoseconds. */
  static final long APART_NANOS = 60_000_000_000L;

  private final LongSupplier clock;
  private boolean met;
  private boolean apart;
  private long until;

  /**
   * @param clock nanoseconds, as {@link System#nanoTime()} gives them
   */
  Locality(LongSupplier clock) {
    this.clock = clock;
  }

  synchronized boolean mayAsk() {
    return !apart || clock.getAsLong() - until >= 0;
  }

  /** Its files were here, as it told. */
  synchronized void here() {
    met = true;
    apart = false;
  }

  /** A file was not found: as with a node elsewhere, or as one that went meanwhile. */
  synchronized void missed() {
    if (!met) {
      apart();
    }
  }

  /** Its files cannot be read from here, or are others than it tells of. */
  synchronized void apart() {
    met = false;
    apart = true;
    until = clock.getAsLong() + APART_NANOS;
  }
}

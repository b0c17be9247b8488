package dev.flightcache.spark.vector;

/** A pair of types that is not accepted; the message says why in a few words. */
final class Refused extends Exception {
  private static final long serialVersionUID = 1L;

  Refused(String message) {
    super(message, null, false, false);
  }

  /** The same reason, told of a value inside another. */
  Refused inside(String name) {
    return new Refused(name + ": " + getMessage());
  }
}

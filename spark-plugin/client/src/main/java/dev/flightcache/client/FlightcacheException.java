package dev.flightcache.client;

import java.io.IOException;

/** Why a call failed. The message names what it concerns and holds no credential. */
public final class FlightcacheException extends IOException {
  private static final long serialVersionUID = 1L;

  /** In place of a time to come back, of an error that no node told. */
  private static final long OWN = -2;

  private final ErrorKind kind;
  private final long retryAfterMs;

  public FlightcacheException(ErrorKind kind, String message, Throwable cause) {
    this(kind, message, cause, -1);
  }

  FlightcacheException(ErrorKind kind, String message, Throwable cause, long retryAfterMs) {
    super(message, cause);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }

  public FlightcacheException(ErrorKind kind, String message) {
    this(kind, message, null);
  }

  /** An {@code EXHAUSTED} that is not a node's: this client's own memory is at its limit. */
  static FlightcacheException outOfMemory(String message, Throwable cause) {
    return new FlightcacheException(ErrorKind.EXHAUSTED, message, cause, OWN);
  }

  /** Whether it is the limit of this client's memory that was met, and no node's. */
  public boolean outOfMemory() {
    return kind == ErrorKind.EXHAUSTED && retryAfterMs == OWN;
  }

  public ErrorKind kind() {
    return kind;
  }

  /** When the node asks to come back, in milliseconds; negative if it does not say. */
  long retryAfterMs() {
    return retryAfterMs;
  }

  /** Whether the same ticket may succeed at another node. */
  public boolean elsewhere() {
    switch (kind) {
      case UNAVAILABLE:
      case EXHAUSTED:
      case TIMEOUT:
      case INTERNAL:
        return true;
      default:
        return false;
    }
  }
}

package dev.flightcache.spark;

import dev.flightcache.client.ErrorKind;
import java.util.Locale;

/** Why rows did not come from the cache: the label of a counter. */
public enum Cause {
  /** No dataset covers the path, or the snapshot does not hold the file. */
  UNCOVERED,
  /** The file is another version than the one that the cache knows. */
  CHANGED,
  /** A column comes in a form that Spark would not read from the file. */
  COLUMNS,
  /** The row groups of the file do not follow each other. */
  LAYOUT,
  /** Dates or times of another calendar, which only Spark's reader rebases. */
  CALENDAR,
  INVALID,
  NOT_FOUND,
  DENIED,
  UNAUTHENTICATED,
  STALE,
  EXHAUSTED,
  UNAVAILABLE,
  DATA,
  TIMEOUT,
  CANCELLED,
  INTERNAL;

  /** The cause that an error of the client is. */
  public static Cause of(ErrorKind kind) {
    switch (kind) {
      case INVALID:
        return INVALID;
      case NOT_FOUND:
        return NOT_FOUND;
      case DENIED:
        return DENIED;
      case UNAUTHENTICATED:
        return UNAUTHENTICATED;
      case STALE:
        return STALE;
      case EXHAUSTED:
        return EXHAUSTED;
      case UNAVAILABLE:
        return UNAVAILABLE;
      case DATA:
        return DATA;
      case TIMEOUT:
        return TIMEOUT;
      case CANCELLED:
        return CANCELLED;
      default:
        return INTERNAL;
    }
  }

  /** As counters are named. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}

package dev.flightcache.client;

/** What went wrong, by what the caller does next; the kinds of the server, and one of our own. */
public enum ErrorKind {
  /** The request is wrong: fix it. */
  INVALID,
  /** No such dataset, column or object, or none that the caller may read. */
  NOT_FOUND,
  /** The caller may not do this. */
  DENIED,
  /** The caller's credentials are missing or bad. */
  UNAUTHENTICATED,
  /** The planned version is gone: plan again. */
  STALE,
  /** A ceiling is reached: back off. */
  EXHAUSTED,
  /** The node is not there: ask elsewhere. */
  UNAVAILABLE,
  /** The object cannot be decoded. */
  DATA,
  /** The node did not answer in time. */
  TIMEOUT,
  /** The caller gave up. */
  CANCELLED,
  /** A bug of the server or of this client. */
  INTERNAL
}

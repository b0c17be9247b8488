package dev.flightcache.client;

/**
 * The batches of a split. Not thread safe, but that {@link #cancel()} may be called by anybody.
 *
 * <p>Where a node fails in the middle, the stream goes on at the next one, exactly behind the last
 * row that it gave, if it can; else {@link #next()} throws, and the position tells where it stood.
 */
public interface BatchStream extends AutoCloseable {
  /**
   * Goes to the next batch; the one before is invalid from here on.
   *
   * @return false at the end
   */
  boolean next() throws FlightcacheException;

  /** The current batch. */
  Batch batch();

  /** Bytes received so far, message bodies alone. */
  long bytes();

  /** Bytes given so far that lie in files of a node on this machine, and were not sent. */
  long mappedBytes();

  /** Nanoseconds spent waiting for messages so far. */
  long waitNanos();

  /** Ends the stream from any thread; {@link #next()} then throws {@code CANCELLED}. */
  void cancel();

  /** Cancels what is under way and frees every buffer; idempotent. */
  @Override
  void close();
}

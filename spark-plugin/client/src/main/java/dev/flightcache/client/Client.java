package dev.flightcache.client;

import java.time.Duration;
import java.util.List;

/**
 * Speaks to the nodes of a cache. Thread safe; one serves a whole process.
 *
 * <p>A node that fails is left alone for a while (one breaker a node), then one call probes it.
 */
public interface Client extends AutoCloseable {
  /** A client that connects when it is first used. */
  static Client open(ClientOptions options) {
    return new FlightClients(options);
  }

  /**
   * Asks whether any node is there and takes our credentials.
   *
   * @throws FlightcacheException if none answers within {@code deadline}
   */
  void ping(Duration deadline) throws FlightcacheException;

  /**
   * Plans a scan at the first node that answers.
   *
   * @param deadline how long all nodes together may take
   */
  ScanPlan plan(ScanCommand command, Duration deadline) throws FlightcacheException;

  /** The columns that {@code command} would give. */
  List<Field> schema(ScanCommand command, Duration deadline) throws FlightcacheException;

  /** Names of the datasets that the caller may read. */
  List<String> datasets(Duration deadline) throws FlightcacheException;

  /**
   * Opens a split at its first location that answers and waits for its first batch. A ticket that
   * is about to expire is renewed before.
   *
   * @param skipRows rows of the split to leave out at its start; only of one that is not filtered
   * @throws FlightcacheException with the kind of the last location's error if none serves it
   */
  BatchStream read(Split split, long skipRows) throws FlightcacheException;

  /** How long nothing was asked of it and no stream was open, in nanoseconds. */
  long idleNanos();

  /** Bytes of buffers that streams hold at this moment. */
  long allocatedBytes();

  /** Splits so far that were to be mapped from files of a node on this machine and were streamed. */
  long unmappedSplits();

  /** Cancels all streams and closes all connections. */
  @Override
  void close();
}

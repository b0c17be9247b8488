package dev.flightcache.spark;

import dev.flightcache.client.Client;
import dev.flightcache.client.ClientOptions;
import dev.flightcache.client.FlightcacheException;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The clients of this process: one for equal options, shared by all its tasks. */
public final class Clients {
  private static final Logger LOG = LoggerFactory.getLogger(Clients.class);

  /** How long a node may take to say that it is there. */
  private static final Duration ALIVE = Duration.ofMillis(200);

  /** The same, the first time: connecting loads classes, and may shake hands. */
  private static final Duration FIRST = Duration.ofSeconds(2);

  /** The same, while nobody waits. */
  private static final Duration PATIENT = Duration.ofSeconds(10);

  private static final Map<ClientOptions, Client> OPEN = new ConcurrentHashMap<>();
  private static final Set<ClientOptions> MET = ConcurrentHashMap.newKeySet();

  private Clients() {}

  /** The client for {@code options}; it is closed with the process. */
  public static Client of(ClientOptions options) {
    return OPEN.computeIfAbsent(options, Client::open);
  }

  /**
   * The client for {@code options}, if a node says at once that it is there.
   *
   * @throws FlightcacheException if none does
   */
  public static Client alive(ClientOptions options) throws FlightcacheException {
    Client client = of(options);
    try {
      client.ping(MET.contains(options) ? ALIVE : FIRST);
    } finally {
      MET.add(options);
    }
    return client;
  }

  /** Connects, so that the first question need not; for a thread that may wait. */
  static void meet(ClientOptions options) {
    try {
      of(options).ping(PATIENT);
      MET.add(options);
    } catch (FlightcacheException error) {
      LOG.debug("no node is there yet: {}", error.getMessage());
    }
  }

  /** Bytes of buffers that the streams of all clients hold. */
  static long allocatedBytes() {
    return OPEN.values().stream().mapToLong(Client::allocatedBytes).sum();
  }

  /** Splits that were to be mapped and were streamed, of all clients. */
  static long unmappedSplits() {
    return OPEN.values().stream().mapToLong(Client::unmappedSplits).sum();
  }

  /** Closes all clients; streams that are open end. */
  static void close() {
    OPEN.keySet().forEach(
        options -> {
          MET.remove(options);
          Client client = OPEN.remove(options);
          if (client != null) {
            client.close();
          }
        });
  }
}

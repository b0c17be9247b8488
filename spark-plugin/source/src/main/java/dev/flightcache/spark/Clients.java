package dev.flightcache.spark;

import dev.flightcache.client.Client;
import dev.flightcache.client.ClientOptions;
import dev.flightcache.client.FlightcacheException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
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

  /** Clients that stay whatever they do: the options of a process are few, but for tokens that change. */
  private static final int KEPT = 8;

  /** Of more than that, those close that were not used for this long. */
  private static final long IDLE_NANOS = Duration.ofMinutes(10).toNanos();

  private static final Map<ClientOptions, Entry> OPEN = new ConcurrentHashMap<>();

  /** Of clients that are closed. */
  private static final LongAdder UNMAPPED = new LongAdder();

  private Clients() {}

  /** The client for {@code options}; it is closed with the process, or when it is long unused. */
  public static Client of(ClientOptions options) {
    return entry(options).client;
  }

  private static Entry entry(ClientOptions options) {
    Entry known = OPEN.get(options);
    if (known != null) {
      return known;
    }
    closeIdle(KEPT, IDLE_NANOS);
    return OPEN.computeIfAbsent(options, Entry::new);
  }

  /**
   * The client for {@code options}, if a node says at once that it is there.
   *
   * @throws FlightcacheException if none does
   */
  public static Client alive(ClientOptions options) throws FlightcacheException {
    Entry entry = entry(options);
    try {
      entry.client.ping(entry.met ? ALIVE : FIRST);
    } finally {
      entry.met = true;
    }
    return entry.client;
  }

  /** Connects, so that the first question need not; for a thread that may wait. */
  static void meet(ClientOptions options) {
    Entry entry = entry(options);
    try {
      entry.client.ping(PATIENT);
      entry.met = true;
    } catch (FlightcacheException error) {
      LOG.debug("no node is there yet: {}", error.getMessage());
    }
  }

  /** Bytes of buffers that the streams of all clients hold. */
  static long allocatedBytes() {
    return OPEN.values().stream().mapToLong(entry -> entry.client.allocatedBytes()).sum();
  }

  /** Closes clients, if there are more than {@code kept}, that nobody has used for a while. */
  static void closeIdle(int kept, long idleNanos) {
    for (ClientOptions options : List.copyOf(OPEN.keySet())) {
      Entry entry = OPEN.size() < kept ? null : OPEN.get(options);
      if (entry != null && entry.client.idleNanos() >= idleNanos && OPEN.remove(options, entry)) {
        UNMAPPED.add(entry.client.unmappedSplits());
        entry.client.close();
      }
    }
  }

  /** How many are open. */
  static int open() {
    return OPEN.size();
  }

  /** Splits that were to be mapped and were streamed, of all clients. */
  static long unmappedSplits() {
    return UNMAPPED.sum()
        + OPEN.values().stream().mapToLong(entry -> entry.client.unmappedSplits()).sum();
  }

  /** Closes all clients; streams that are open end. */
  static void close() {
    OPEN.forEach(
        (options, entry) -> {
          if (OPEN.remove(options, entry)) {
            entry.client.close();
          }
        });
  }

  /** A client, and whether its nodes were asked whether they are there. */
  private static final class Entry {
    private final Client client;
    private volatile boolean met;

    Entry(ClientOptions options) {
      this.client = Client.open(options);
    }
  }
}

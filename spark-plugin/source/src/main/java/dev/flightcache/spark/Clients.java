package dev.flightcache.spark;

import dev.flightcache.client.Client;
import dev.flightcache.client.ClientOptions;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The clients of this process: one for equal options, shared by all its tasks. */
public final class Clients {
  private static final Map<ClientOptions, Client> OPEN = new ConcurrentHashMap<>();

  private Clients() {}

  /** The client for {@code options}; it is closed with the process. */
  public static Client of(ClientOptions options) {
    return OPEN.computeIfAbsent(options, Client::open);
  }

  /** Bytes of buffers that the streams of all clients hold. */
  static long allocatedBytes() {
    return OPEN.values().stream().mapToLong(Client::allocatedBytes).sum();
  }

  /** Closes all clients; streams that are open end. */
  static void close() {
    OPEN.keySet().forEach(
        options -> {
          Client client = OPEN.remove(options);
          if (client != null) {
            client.close();
          }
        });
  }
}

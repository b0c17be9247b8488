package dev.flightcache.client;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.ChannelOption;
import io.netty.handler.ssl.SslContext;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A node and the connections to it: as many as streams at once, up to a few, for one event loop
 * does not fill a fast network. Streams that nobody reads do not hold up others of their
 * connection: gRPC bounds what is under way by the window of each stream alone.
 */
final class Node {
  private static final int CONNECTIONS = 4;

  /** Of a stream. HTTP/2's own 64 KiB allow 0.3 MB/s over a wide area network. */
  private static final int WINDOW_BYTES = 8 << 20;

  /** The largest message; nodes send 1 to 4 MiB, and a plan of many files in one. */
  static final int MESSAGE_BYTES = 64 << 20;

  private static final int IDLE_MINUTES = 2;
  private static final int KEEP_ALIVE_SECONDS = 30;
  private static final int KEEP_ALIVE_TIMEOUT_SECONDS = 10;

  private final NodeAddress address;
  private final ClientOptions options;
  private final SslContext tls;
  private final Breaker breaker = new Breaker(System::nanoTime);
  private final Locality locality = new Locality(System::nanoTime);
  private final List<Connection> connections = new ArrayList<>();
  private boolean closed;

  /** One channel and how many calls use it. */
  static final class Connection {
    private final ManagedChannel channel;
    private int calls;

    Connection(ManagedChannel channel) {
      this.channel = channel;
    }

    ManagedChannel channel() {
      return channel;
    }
  }

  /**
   * @param tls null for nodes without
   */
  Node(NodeAddress address, ClientOptions options, SslContext tls) {
    this.address = address;
    this.options = options;
    this.tls = tls;
  }

  NodeAddress address() {
    return address;
  }

  Breaker breaker() {
    return breaker;
  }

  Locality locality() {
    return locality;
  }

  /** The connection with the fewest calls; to be given back. */
  synchronized Connection take() throws FlightcacheException {
    if (closed) {
      throw new FlightcacheException(ErrorKind.CANCELLED, "the client is closed");
    }
    Connection least = null;
    for (Connection connection : connections) {
      if (least == null || connection.calls < least.calls) {
        least = connection;
      }
    }
    if (least == null || least.calls > 0 && connections.size() < CONNECTIONS) {
      least = new Connection(channel());
      connections.add(least);
    }
    least.calls++;
    return least;
  }

  /** One that could not connect goes: gRPC would keep it from trying again for up to minutes. */
  synchronized void giveBack(Connection connection) {
    connection.calls--;
    if (connection.channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      connections.remove(connection);
      connection.channel.shutdown();
    }
  }

  synchronized void close() {
    closed = true;
    connections.forEach(connection -> connection.channel.shutdownNow());
  }

  private ManagedChannel channel() {
    int connectMs = Math.toIntExact(options.connectTimeout().toMillis());
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress(address.host(), address.port())
            .flowControlWindow(WINDOW_BYTES)
            .maxInboundMessageSize(MESSAGE_BYTES)
            .idleTimeout(IDLE_MINUTES, TimeUnit.MINUTES)
            .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, connectMs)
            .disableRetry()
            .userAgent("flightcache-jvm");
    if (tls == null) {
      builder.usePlaintext();
    } else {
      builder.sslContext(tls);
    }
    if (options.token() != null) {
      Metadata headers = new Metadata();
      headers.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
          "Bearer " + options.token());
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    return builder.build();
  }
}

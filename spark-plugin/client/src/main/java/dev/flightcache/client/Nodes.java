package dev.flightcache.client;

import io.grpc.netty.GrpcSslContexts;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLException;

/** The nodes that a client has spoken to, each with its connections and its breaker. */
final class Nodes {
  /** A cell has at most 512 nodes; whoever names more than this is not to be believed. */
  private static final int MOST = 4096;

  private final ClientOptions options;
  private final List<NodeAddress> planners = new ArrayList<>();
  private final Map<NodeAddress, Node> known = new HashMap<>();
  private final SslContext tls;
  private final boolean tlsOnly;
  private boolean closed;

  /**
   * @throws IllegalArgumentException for a URL, a token, a certificate or a key that cannot be used
   */
  Nodes(ClientOptions options) {
    this.options = options;
    boolean any = false;
    for (String url : options.urls()) {
      NodeAddress address = NodeAddress.parse(url);
      planners.add(address);
      any |= address.tls();
    }
    this.tlsOnly = any;
    String token = options.token();
    if (token != null && !token.matches("[\\x21-\\x7e]+")) {
      throw new IllegalArgumentException("the token is empty, or has characters that none has");
    }
    this.tls = tls(options);
  }

  /** Those that plan, in order of preference. */
  List<NodeAddress> planners() {
    return planners;
  }

  /** Whether the token may go there: once a user asks for TLS, no plan leads to a node without. */
  boolean mayAsk(NodeAddress address) {
    return address.tls() || !tlsOnly || planners.contains(address);
  }

  /** The node at {@code address}. */
  synchronized Node at(NodeAddress address) throws FlightcacheException {
    if (closed) {
      throw new FlightcacheException(ErrorKind.CANCELLED, "the client is closed");
    }
    Node node = known.get(address);
    if (node == null) {
      if (known.size() >= MOST) {
        throw new FlightcacheException(
            ErrorKind.INTERNAL, "plans name more than " + MOST + " nodes");
      }
      node = new Node(address, options, address.tls() ? tls : null);
      known.put(address, node);
    }
    return node;
  }

  synchronized void close() {
    closed = true;
    known.values().forEach(Node::close);
  }

  /** By the JDK's own TLS: a native one would have to be relocated for every platform. */
  private static SslContext tls(ClientOptions options) {
    try {
      SslContextBuilder builder =
          GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK);
      if (options.caPem() != null) {
        builder.trustManager(Pem.certificates(options.caPem()));
      }
      if (options.certPem() != null && options.keyPem() != null) {
        builder.keyManager(Pem.key(options.keyPem()), Pem.certificates(options.certPem()));
      }
      return builder.build();
    } catch (SSLException error) {
      throw new IllegalArgumentException("the certificates cannot be used", error);
    }
  }
}

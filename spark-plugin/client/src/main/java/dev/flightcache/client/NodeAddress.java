package dev.flightcache.client;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.Locale;

/** Where a node listens, read from the URL that a user or a plan gives. Immutable. */
final class NodeAddress {
  private final String host;
  private final int port;
  private final boolean tls;

  private NodeAddress(String host, int port, boolean tls) {
    this.host = host;
    this.port = port;
    this.tls = tls;
  }

  /**
   * @throws IllegalArgumentException if it is not {@code grpc://HOST:PORT}, {@code grpc+tcp://...}
   *     or {@code grpc+tls://...}
   */
  static NodeAddress parse(String url) {
    URI uri;
    try {
      uri = new URI(url.trim());
    } catch (URISyntaxException error) {
      throw wrong(url);
    }
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    boolean tls = scheme.equals("grpc+tls");
    boolean plain = scheme.equals("grpc") || scheme.equals("grpc+tcp");
    boolean path = uri.getRawPath() != null && !uri.getRawPath().matches("/?");
    boolean more = path || uri.getRawQuery() != null || uri.getRawFragment() != null;
    boolean place = uri.getHost() != null && uri.getPort() > 0 && uri.getPort() <= 65535;
    if (!(tls || plain) || more || !place || uri.getRawUserInfo() != null) {
      throw wrong(url);
    }
    return new NodeAddress(uri.getHost().toLowerCase(Locale.ROOT), uri.getPort(), tls);
  }

  /** Whoever writes a token into a URL does not find it in a log. */
  private static IllegalArgumentException wrong(String url) {
    String shown = url.replaceAll("//[^/]*@", "//***@").replaceAll("[?#].*", "?***");
    return new IllegalArgumentException(
        "`" + shown + "` is no URL of a node: write grpc://HOST:PORT or grpc+tls://HOST:PORT");
  }

  /** Name or address; of IPv6 without the brackets. */
  String host() {
    return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
  }

  int port() {
    return port;
  }

  boolean tls() {
    return tls;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof NodeAddress && toString().equals(other.toString());
  }

  @Override
  public int hashCode() {
    return toString().hashCode();
  }

  /** As a URL. */
  @Override
  public String toString() {
    return (tls ? "grpc+tls://" : "grpc://") + host + ":" + port;
  }
}

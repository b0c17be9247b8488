package dev.flightcache.client;

import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Objects;

/** How nodes are reached. Immutable; {@code toString} holds no secret. */
public final class ClientOptions implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String[] urls;
  private final String token;
  private final byte[] caPem;
  private final byte[] certPem;
  private final byte[] keyPem;
  private final Duration connectTimeout;
  private final Duration firstByteTimeout;
  private final Duration idleTimeout;
  private final long memory;
  private final boolean local;

  private ClientOptions(Builder builder) {
    this.urls = builder.urls.toArray(new String[0]);
    this.token = builder.token;
    this.caPem = builder.caPem;
    this.certPem = builder.certPem;
    this.keyPem = builder.keyPem;
    this.connectTimeout = builder.connectTimeout;
    this.firstByteTimeout = builder.firstByteTimeout;
    this.idleTimeout = builder.idleTimeout;
    this.memory = builder.memory;
    this.local = builder.local;
  }

  /** Options for the nodes at {@code urls}: {@code grpc://HOST:PORT}, {@code grpc+tls://...}. */
  public static Builder builder(List<String> urls) {
    return new Builder(urls);
  }

  /** Nodes to plan at, in this order of preference. */
  public List<String> urls() {
    return List.of(urls);
  }

  String token() {
    return token;
  }

  /** Certificates to trust, PEM; null for those of the JDK. */
  byte[] caPem() {
    return caPem == null ? null : caPem.clone();
  }

  /** The client's own certificate, PEM, or null. */
  byte[] certPem() {
    return certPem == null ? null : certPem.clone();
  }

  byte[] keyPem() {
    return keyPem == null ? null : keyPem.clone();
  }

  Duration connectTimeout() {
    return connectTimeout;
  }

  /** How long a stream may take to its first batch. */
  Duration firstByteTimeout() {
    return firstByteTimeout;
  }

  /** How long a stream that is under way may stand still. */
  Duration idleTimeout() {
    return idleTimeout;
  }

  /** Bytes that all streams of a client may hold together. */
  long memory() {
    return memory;
  }

  /** Whether columns are mapped from files of nodes on this machine. */
  boolean local() {
    return local;
  }

  /** Equal options reach the same nodes as the same principal, so one client serves both. */
  @Override
  public boolean equals(Object other) {
    if (!(other instanceof ClientOptions)) {
      return false;
    }
    ClientOptions that = (ClientOptions) other;
    return urls().equals(that.urls())
        && Objects.equals(token, that.token)
        && java.util.Arrays.equals(caPem, that.caPem)
        && java.util.Arrays.equals(certPem, that.certPem)
        && java.util.Arrays.equals(keyPem, that.keyPem)
        && connectTimeout.equals(that.connectTimeout)
        && firstByteTimeout.equals(that.firstByteTimeout)
        && idleTimeout.equals(that.idleTimeout)
        && memory == that.memory
        && local == that.local;
  }

  @Override
  public int hashCode() {
    return Objects.hash(urls(), token, memory, local);
  }

  @Override
  public String toString() {
    return "ClientOptions" + urls();
  }

  /** Collects options. */
  public static final class Builder {
    private final List<String> urls;
    private String token;
    private byte[] caPem;
    private byte[] certPem;
    private byte[] keyPem;
    private Duration connectTimeout = Duration.ofSeconds(5);
    private Duration firstByteTimeout = Duration.ofSeconds(30);
    private Duration idleTimeout = Duration.ofSeconds(30);
    private long memory = 512L << 20;
    private boolean local;

    private Builder(List<String> urls) {
      this.urls = List.copyOf(urls);
    }

    /** Bearer token, or null for none. */
    public Builder token(String value) {
      this.token = value;
      return this;
    }

    /** Certificates to trust, PEM. */
    public Builder caPem(byte[] value) {
      this.caPem = value;
      return this;
    }

    /** The client's certificate and its key, PEM. */
    public Builder identityPem(byte[] cert, byte[] key) {
      this.certPem = cert;
      this.keyPem = key;
      return this;
    }

    public Builder connectTimeout(Duration value) {
      this.connectTimeout = value;
      return this;
    }

    public Builder firstByteTimeout(Duration value) {
      this.firstByteTimeout = value;
      return this;
    }

    public Builder idleTimeout(Duration value) {
      this.idleTimeout = value;
      return this;
    }

    /** Bytes that all streams of the client may hold together. */
    public Builder memory(long bytes) {
      this.memory = bytes;
      return this;
    }

    /** Whether to map columns from files of nodes on this machine. */
    public Builder local(boolean value) {
      this.local = value;
      return this;
    }

    public ClientOptions build() {
      if (urls.isEmpty()) {
        throw new IllegalArgumentException("no URL of a node: set spark.flightcache.url");
      }
      return new ClientOptions(this);
    }
  }
}

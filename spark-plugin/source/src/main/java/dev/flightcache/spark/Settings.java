package dev.flightcache.spark;

import dev.flightcache.client.ClientOptions;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The settings {@code spark.flightcache.*}, or the options of one read by the same names without
 * the prefix. The one place that reads them.
 */
public final class Settings implements Serializable {
  private static final long serialVersionUID = 1L;

  /** What every key of the session's configuration begins with. */
  public static final String PREFIX = "spark.flightcache.";

  private static final String TOKEN_VARIABLE = "FLIGHTCACHE_TOKEN";
  private static final long DEFAULT_MEMORY_BYTES = 512L << 20;
  private static final Pattern SIZE = Pattern.compile("([0-9]{1,9})\\s*([kmgt]?)(?:i?b)?");

  private final ClientOptions client;
  private final boolean enabled;
  private final boolean fallback;
  private final boolean locality;
  private final Duration planTimeout;

  private Settings(Function<String, String> lookup) {
    Function<String, Optional<String>> get =
        key -> Optional.ofNullable(lookup.apply(key)).map(String::trim).filter(v -> !v.isEmpty());
    List<String> urls = urls(get.apply("url").orElse(""));
    this.enabled = !urls.isEmpty() && flag("enabled", get.apply("enabled").orElse("true"));
    this.fallback = fallback(get.apply("fallback").orElse("direct"));
    this.locality = flag("locality", get.apply("locality").orElse("false"));
    this.planTimeout = duration("planTimeout", get.apply("planTimeout").orElse("10s"));
    this.client = urls.isEmpty() ? null : client(urls, get);
  }

  /**
   * Reads settings.
   *
   * @param lookup the value of a key, given without {@link #PREFIX}; null if it is not set
   * @throws IllegalArgumentException naming the key and what is wrong with its value
   */
  public static Settings of(Function<String, String> lookup) {
    return new Settings(lookup);
  }

  /** Whether there are nodes to ask and nobody switched the cache off. */
  public boolean enabled() {
    return enabled;
  }

  /** The causes for which Spark's own reader takes over from a scan that it could have made. */
  public Set<Cause> direct() {
    return fallback ? EnumSet.allOf(Cause.class) : EnumSet.noneOf(Cause.class);
  }

  /** Whether tasks should run where their splits are. */
  public boolean locality() {
    return locality;
  }

  /** How long a node that is alive may take to plan a scan. */
  public Duration planTimeout() {
    return planTimeout;
  }

  /**
   * How nodes are reached.
   *
   * @throws IllegalArgumentException if no URL is set
   */
  public ClientOptions client() {
    if (client == null) {
      throw new IllegalArgumentException(
          "no node is named: set " + PREFIX + "url, or the option `url`, to grpc://HOST:PORT");
    }
    return client;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof Settings)) {
      return false;
    }
    Settings that = (Settings) other;
    return enabled == that.enabled
        && fallback == that.fallback
        && locality == that.locality
        && planTimeout.equals(that.planTimeout)
        && Objects.equals(client, that.client);
  }

  @Override
  public int hashCode() {
    return Objects.hash(client, enabled, fallback);
  }

  @Override
  public String toString() {
    return "Settings[" + client + "]";
  }

  private static List<String> urls(String text) {
    List<String> urls = new ArrayList<>();
    for (String url : text.split(",")) {
      if (!url.trim().isEmpty()) {
        urls.add(url.trim());
      }
    }
    return urls;
  }

  private static ClientOptions client(List<String> urls, Function<String, Optional<String>> get) {
    String token = get.apply("token").orElseGet(() -> System.getenv(TOKEN_VARIABLE));
    ClientOptions.Builder builder =
        ClientOptions.builder(urls)
            .token(token)
            .memory(get.apply("memory").map(v -> bytes("memory", v)).orElse(DEFAULT_MEMORY_BYTES))
            .local(flag("local", get.apply("local").orElse("false")))
            .firstByteTimeout(duration("timeout", get.apply("timeout").orElse("30s")))
            .idleTimeout(duration("timeout", get.apply("timeout").orElse("30s")));
    get.apply("tls.ca").ifPresent(path -> builder.caPem(file("tls.ca", path)));
    Optional<String> cert = get.apply("tls.cert");
    Optional<String> key = get.apply("tls.key");
    if (cert.isPresent() != key.isPresent()) {
      throw bad(cert.isPresent() ? "tls.key" : "tls.cert", "", "a certificate and its key go together");
    }
    if (cert.isPresent()) {
      builder.identityPem(file("tls.cert", cert.get()), file("tls.key", key.get()));
    }
    return builder.build();
  }

  private static boolean flag(String key, String value) {
    switch (value.toLowerCase(Locale.ROOT)) {
      case "true":
        return true;
      case "false":
        return false;
      default:
        throw bad(key, value, "true or false is expected");
    }
  }

  private static boolean fallback(String value) {
    switch (value.toLowerCase(Locale.ROOT)) {
      case "direct":
        return true;
      case "fail":
        return false;
      default:
        throw bad("fallback", value, "`direct` or `fail` is expected");
    }
  }

  private static Duration duration(String key, String value) {
    String text = value.toLowerCase(Locale.ROOT);
    long unit = text.endsWith("ms") ? 1 : text.endsWith("s") ? 1000 : text.endsWith("m") ? 60_000 : 0;
    String digits = text.replaceFirst("(ms|s|m)$", "");
    if (unit == 0 || !digits.matches("[0-9]{1,9}")) {
      throw bad(key, value, "a duration such as 200ms, 10s or 5m is expected");
    }
    return Duration.ofMillis(Math.max(1, Long.parseLong(digits) * unit));
  }

  private static long bytes(String key, String value) {
    Matcher size = SIZE.matcher(value.toLowerCase(Locale.ROOT));
    if (!size.matches()) {
      throw bad(key, value, "a size such as 512MiB or 2g is expected");
    }
    int unit = size.group(2).isEmpty() ? 0 : 1 + "kmgt".indexOf(size.group(2));
    return Long.parseLong(size.group(1)) << (10 * unit);
  }

  private static byte[] file(String key, String path) {
    try {
      return Files.readAllBytes(Path.of(path));
    } catch (IOException | RuntimeException error) {
      throw bad(key, path, "it cannot be read (" + error.getClass().getSimpleName() + ")");
    }
  }

  private static IllegalArgumentException bad(String key, String value, String why) {
    return new IllegalArgumentException(PREFIX + key + " = `" + value + "`: " + why);
  }
}

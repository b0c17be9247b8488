package dev.flightcache.spark;

import dev.flightcache.client.Split;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which hosts tasks may prefer. */
public final class Hosts {
  private static final Logger LOG = LoggerFactory.getLogger(Hosts.class);

  private Hosts() {}

  /** The host of the node on which a split belongs; empty if its plan does not tell. */
  public static Optional<String> of(Split split) {
    if (split.locations().isEmpty()) {
      return Optional.empty();
    }
    String url = split.locations().get(0);
    try {
      return Optional.ofNullable(new URI(url).getHost());
    } catch (URISyntaxException error) {
      // A preference, no more: the client says what is wrong with the address when it reads.
      LOG.debug("no host in the location {}", url);
      return Optional.empty();
    }
  }
}

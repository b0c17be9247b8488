package dev.flightcache.spark.source;

import dev.flightcache.client.FlightcacheException;
import dev.flightcache.spark.Settings;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;

/** Which datasets a catalog shows. */
public final class DatasetNames {
  private DatasetNames() {}

  /**
   * Names of the datasets that the caller may read at the nodes that {@code options} name.
   *
   * @throws UncheckedIOException if no node tells them
   */
  public static List<String> list(Map<String, String> options, NodeClients clients) {
    Settings settings = SourceOptions.settings(options);
    try {
      return clients.of(settings.client()).datasets(settings.planTimeout());
    } catch (FlightcacheException error) {
      throw new UncheckedIOException(Failures.message("the list of datasets", error), error);
    }
  }
}

package dev.flightcache.spark.source;

import dev.flightcache.client.ScanCommand;
import dev.flightcache.spark.Settings;
import java.util.Map;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The options of a read or of a catalog: {@code dataset} or {@code path}, {@code snapshot}, and the
 * settings, for which the session's configuration is the default. The one place that reads them.
 */
final class SourceOptions {
  private static final String SNAPSHOT = "snapshot";

  private SourceOptions() {}

  /**
   * What a read names.
   *
   * @throws IllegalArgumentException if it names nothing, or more than one thing
   */
  static Dataset dataset(Map<String, String> options, NodeClients clients) {
    CaseInsensitiveStringMap map = new CaseInsensitiveStringMap(options);
    if (map.containsKey("paths")) {
      throw new IllegalArgumentException("flightcache reads one dataset at a time: give one path");
    }
    String dataset = map.get("dataset");
    String path = map.get("path");
    if ((dataset == null) == (path == null)) {
      throw new IllegalArgumentException(
          "name the dataset: .load(\"NAME\"), or the option `dataset`, but not both");
    }
    return dataset(dataset == null ? path : dataset, map, clients);
  }

  /** A dataset by its name, or by the URL of a folder or file inside one. */
  static Dataset dataset(String name, Map<String, String> options, NodeClients clients) {
    ScanCommand command = name.contains("://") ? ScanCommand.url(name) : ScanCommand.dataset(name);
    String snapshot = snapshot(options);
    return new Dataset(name, command, snapshot, settings(options), clients);
  }

  /** Id of the snapshot that a read pins; null if it reads the newest. */
  static String snapshot(Map<String, String> options) {
    return new CaseInsensitiveStringMap(options).get(SNAPSHOT);
  }

  static Settings settings(Map<String, String> options) {
    CaseInsensitiveStringMap map = new CaseInsensitiveStringMap(options);
    SQLConf session = SQLConf.get();
    return Settings.of(
        key -> {
          String value = map.get(key);
          String inSession = Settings.PREFIX + key;
          return value != null || !session.contains(inSession)
              ? value
              : session.getConfString(inSession);
        });
  }
}

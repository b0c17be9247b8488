package dev.flightcache.spark.parquet;

import java.net.URI;
import org.apache.hadoop.fs.Path;

/** Hadoop's paths as a node and its plans write them. */
final class Urls {
  private Urls() {}

  /** As a URL: Hadoop writes local files with one slash, which is none. */
  static String of(Path path) {
    URI uri = path.toUri();
    if (uri.getScheme() == null || (uri.getScheme().equals("file") && uri.getAuthority() == null)) {
      return "file://" + uri.getRawPath();
    }
    return uri.toString();
  }

  /** A key for an object of the store that {@code path} is in; not encoded. */
  static String of(Path path, String inContainer) {
    URI uri = path.toUri();
    return uri.getScheme() + "://" + uri.getAuthority() + '/' + inContainer;
  }

  /** The path inside its container, as the objects of a plan have it. */
  static String inContainer(Path path) {
    String text = path.toUri().getPath();
    return text.startsWith("/") ? text.substring(1) : text;
  }
}

package dev.flightcache.spark.parquet;

import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Clients;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.Warnings;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.execution.datasources.FileIndex;

/** Which columns the cache has below the paths of a scan; asked on the driver, kept for seconds. */
final class Coverage {
  private static final long KEPT_NANOS = TimeUnit.SECONDS.toNanos(5);
  private static final long SLOW_NANOS = TimeUnit.MINUTES.toNanos(1);
  private static final int KEPT = 256;
  private static final Map<Key, Answer> ANSWERS =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Answer> eldest) {
          return size() > KEPT;
        }
      };

  private final List<Field> fields;

  private Coverage(List<Field> fields) {
    this.fields = List.copyOf(fields);
  }

  /** The columns of all paths together. */
  List<Field> fields() {
    return fields;
  }

  /** What covers the paths of {@code index}; null if nothing does, or no node says so in time. */
  static Coverage of(Settings settings, FileIndex index) {
    Map<String, Field> fields = new LinkedHashMap<>();
    boolean covered = false;
    for (Path root : Seqs.list(index.rootPaths())) {
      Answer answer = ask(settings, Urls.of(root));
      if (answer.fields == null) {
        continue;
      }
      covered = true;
      for (Field field : answer.fields) {
        Field other = fields.putIfAbsent(field.name(), field);
        if (other != null && !other.toString().equals(field.toString())) {
          return null;
        }
      }
    }
    return covered ? new Coverage(new ArrayList<>(fields.values())) : null;
  }

  private static Answer ask(Settings settings, String url) {
    Key key = new Key(settings, url);
    long now = System.nanoTime();
    synchronized (ANSWERS) {
      Answer kept = ANSWERS.get(key);
      if (kept != null && now - kept.at < kept.keptNanos) {
        return kept;
      }
    }
    Answer answer = fields(settings, url);
    if (answer.keptNanos > 0) {
      synchronized (ANSWERS) {
        ANSWERS.put(key, answer);
      }
    }
    return answer;
  }

  /** What a node says; that none is there is not kept, for nodes that fail are left alone anyway. */
  private static Answer fields(Settings settings, String url) {
    Client client;
    try {
      client = Clients.alive(settings.client());
    } catch (FlightcacheException error) {
      return refused(error, 0);
    }
    try {
      return new Answer(client.schema(ScanCommand.url(url), settings.planTimeout()), KEPT_NANOS);
    } catch (FlightcacheException error) {
      if (error.kind() == ErrorKind.CANCELLED) {
        return refused(error, 0);
      }
      // A node that is there and does not get on with it costs each plan that long.
      return refused(error, error.elsewhere() ? SLOW_NANOS : KEPT_NANOS);
    }
  }

  private static Answer refused(FlightcacheException error, long keptNanos) {
    boolean uncovered = error.kind() == ErrorKind.NOT_FOUND;
    if (!uncovered) {
      Warnings.direct(Cause.of(error.kind()), error.getMessage());
    }
    Metrics.fallback(uncovered ? Cause.UNCOVERED : Cause.of(error.kind()));
    return new Answer(null, keptNanos);
  }

  private static final class Key {
    private final Settings settings;
    private final String url;

    Key(Settings settings, String url) {
      this.settings = settings;
      this.url = url;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Key
          && url.equals(((Key) other).url)
          && settings.equals(((Key) other).settings);
    }

    @Override
    public int hashCode() {
      return url.hashCode();
    }
  }

  private static final class Answer {
    private final long at = System.nanoTime();
    private final List<Field> fields;
    private final long keptNanos;

    Answer(List<Field> fields, long keptNanos) {
      this.fields = fields;
      this.keptNanos = keptNanos;
    }
  }
}

package dev.flightcache.spark.source;

import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.spark.Planning;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.vector.VectorTypes;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** A dataset at some nodes as the driver asks for it. Two are equal that give the same rows. */
final class Dataset {
  private final String name;
  private final ScanCommand target;
  private final String snapshot;
  private final Settings settings;
  private final NodeClients clients;

  private List<Field> fields;

  /**
   * A dataset.
   *
   * @param target names it, and nothing else
   * @param snapshot the snapshot to read; null for the newest
   */
  Dataset(
      String name, ScanCommand target, String snapshot, Settings settings, NodeClients clients) {
    this.name = name;
    this.target = target;
    this.snapshot = snapshot;
    this.settings = settings;
    this.clients = clients;
  }

  String name() {
    return name;
  }

  Settings settings() {
    return settings;
  }

  NodeClients clients() {
    return clients;
  }

  /** The same at another snapshot. */
  Dataset at(String id) {
    return id == null ? this : new Dataset(name, target, id, settings, clients);
  }

  /** Its columns, asked for once. */
  synchronized List<Field> fields() {
    if (fields == null) {
      try {
        fields = client().schema(command(snapshot), settings.planTimeout());
      } catch (FlightcacheException error) {
        throw failed(error);
      }
    }
    return fields;
  }

  /**
   * Its columns as Spark's own reader would infer them.
   *
   * @param inferLocal {@code spark.sql.parquet.inferTimestampNTZ.enabled}
   * @throws IllegalArgumentException naming the columns that Spark has no type for
   */
  StructType schema(boolean inferLocal) {
    List<StructField> columns = new ArrayList<>();
    List<String> refused = new ArrayList<>();
    for (Field field : fields()) {
      DataType type = VectorTypes.inferred(field, inferLocal).orElse(null);
      if (type == null) {
        refused.add(field.toString());
      } else {
        columns.add(DataTypes.createStructField(field.name(), type, true));
      }
    }
    if (!refused.isEmpty()) {
      throw new IllegalArgumentException(
          "Spark's Parquet reader has no type for these columns of " + name + ": "
              + String.join(", ", refused)
              + "; name the others with .schema(...), or read the files themselves");
    }
    return DataTypes.createStructType(columns);
  }

  /**
   * Plans a scan.
   *
   * @param missing columns that are null because the dataset has none of that name
   * @param prefilter SQL, or null; a hint, without which it is planned if the server refuses it
   * @param limit rows, or null
   * @param at the snapshot of an earlier plan, or null
   */
  ScanPlan plan(
      List<String> columns, List<String> missing, String prefilter, Integer limit, String at) {
    ScanCommand command = command(at == null ? snapshot : at).withColumns(columns);
    command = limit == null ? command : command.withLimit(limit);
    try {
      ScanPlan plan = Planning.plan(client(), command, prefilter, settings.planTimeout());
      Optional<String> came =
          Planning.cameSince(client(), target, plan, missing, settings.planTimeout());
      if (came.isPresent()) {
        String text = "column " + came.get() + " came with new files";
        throw new FlightcacheException(ErrorKind.STALE, text);
      }
      return plan;
    } catch (FlightcacheException error) {
      throw failed(error);
    }
  }

  /**
   * Plans a scan of {@code columns} that tells what footers know of them; empty if the server cannot
   * tell.
   */
  Optional<ScanPlan> statistics(List<String> columns) {
    ScanCommand command = command(snapshot).withColumns(columns);
    command = columns.isEmpty() ? command : command.withStatistics(columns);
    try {
      return Optional.of(client().plan(command, settings.planTimeout()));
    } catch (FlightcacheException error) {
      if (error.kind() == ErrorKind.INVALID) {
        return Optional.empty();
      }
      throw failed(error);
    }
  }

  private ScanCommand command(String id) {
    return id == null ? target : target.withSnapshot(id);
  }

  private Client client() {
    return clients.of(settings.client());
  }

  private UncheckedIOException failed(FlightcacheException error) {
    return new UncheckedIOException(Failures.message(name, error), error);
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof Dataset)) {
      return false;
    }
    Dataset that = (Dataset) other;
    return name.equals(that.name)
        && Objects.equals(snapshot, that.snapshot)
        && settings.equals(that.settings);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, snapshot, settings);
  }

  @Override
  public String toString() {
    return name + (snapshot == null ? "" : "@" + snapshot);
  }
}

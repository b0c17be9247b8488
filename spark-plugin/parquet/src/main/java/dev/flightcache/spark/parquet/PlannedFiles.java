package dev.flightcache.spark.parquet;

import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Clients;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.Warnings;
import dev.flightcache.spark.range.FileIdentity;
import dev.flightcache.spark.range.FileSplits;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.execution.datasources.FileStatusWithMetadata;

/** What the cache plans for the files that Spark listed: the listing is the truth. */
final class PlannedFiles {
  /** Folders that are asked for one by one; above that, what they have in common is. */
  private static final int MAX_FOLDERS = 8;

  private final Map<String, StoredObject> objects = new HashMap<>();
  private final Map<String, List<Split>> splits = new HashMap<>();
  private final boolean pruned;

  private PlannedFiles(boolean pruned) {
    this.pruned = pruned;
  }

  static PlannedFiles plan(
      Settings settings,
      Columns columns,
      Optional<String> prune,
      List<FileStatusWithMetadata> files) {
    PlannedFiles planned = new PlannedFiles(prune.isPresent());
    Client client = Clients.of(settings.client());
    for (Path folder : folders(files)) {
      ScanCommand command = ScanCommand.url(Urls.of(folder)).withColumns(columns.names());
      try {
        ScanPlan plan = plan(client, command, prune, settings.planTimeout());
        if (lacks(client, columns, Urls.of(folder), plan.snapshot(), settings.planTimeout())) {
          planned.add(plan);
        }
      } catch (FlightcacheException error) {
        Metrics.fallback(Cause.of(error.kind()));
        Warnings.direct(Cause.of(error.kind()), folder + ": " + error.getMessage());
      }
    }
    return planned;
  }

  /** A condition that the node does not take is only a hint, which can be left out. */
  private static ScanPlan plan(
      Client client, ScanCommand command, Optional<String> prune, Duration timeout)
      throws FlightcacheException {
    if (prune.isPresent()) {
      try {
        return client.plan(command.withPrune(prune.get()), timeout);
      } catch (FlightcacheException error) {
        if (error.kind() != ErrorKind.INVALID) {
          throw error;
        }
        Warnings.direct(Cause.INVALID, "a scan is planned without its filter: " + error.getMessage());
      }
    }
    return client.plan(command, timeout);
  }

  /**
   * Whether the cache does lack, in the snapshot that was planned, the columns that are taken for
   * null: files may have come since its columns were asked for.
   */
  private static boolean lacks(
      Client client, Columns columns, String url, String snapshot, Duration timeout)
      throws FlightcacheException {
    if (columns.missing().isEmpty()) {
      return true;
    }
    ScanCommand all = ScanCommand.url(url).withSnapshot(snapshot);
    for (Field field : client.schema(all, timeout)) {
      if (columns.missing().stream().anyMatch(field.name()::equalsIgnoreCase)) {
        Metrics.fallback(Cause.COLUMNS);
        return false;
      }
    }
    return true;
  }

  private void add(ScanPlan plan) {
    for (Split split : plan.splits()) {
      for (StoredObject object : split.objects()) {
        objects.put(object.path(), object);
        splits.computeIfAbsent(object.path(), path -> new ArrayList<>()).add(split);
      }
    }
    for (StoredObject object : plan.pruned()) {
      objects.put(object.path(), object);
    }
  }

  /**
   * The splits of a file as they travel; none of them where no row of it can match. Null if the
   * cache does not have this version of the file.
   */
  byte[] splits(FileStatus file) {
    String path = Urls.inContainer(file.getPath());
    StoredObject object = objects.get(path);
    if (object == null) {
      return null;
    }
    if (!FileIdentity.same(object, file)) {
      Metrics.fallback(Cause.CHANGED);
      return null;
    }
    try {
      return new FileSplits(object, splits.getOrDefault(path, List.of()), pruned).encode();
    } catch (IOException error) {
      Warnings.direct(Cause.INTERNAL, path + ": " + error);
      return null;
    }
  }

  /** The folders that hold the files; one that holds them all if they are many. */
  private static Set<Path> folders(List<FileStatusWithMetadata> files) {
    Set<Path> folders = new LinkedHashSet<>();
    for (FileStatusWithMetadata file : files) {
      folders.add(file.getPath().getParent());
    }
    if (folders.size() <= MAX_FOLDERS) {
      // What lies in another of them comes with it.
      Set<Path> all = Set.copyOf(folders);
      folders.removeIf(
          folder -> all.stream().anyMatch(one -> !one.equals(folder) && isUnder(folder, one)));
      return folders;
    }
    Map<String, Path> common = new HashMap<>();
    for (Path folder : folders) {
      String store = folder.toUri().getScheme() + "://" + folder.toUri().getAuthority();
      common.merge(store, folder, PlannedFiles::above);
    }
    return new LinkedHashSet<>(common.values());
  }

  private static Path above(Path one, Path other) {
    Path path = one;
    while (path.getParent() != null && !isUnder(other, path)) {
      path = path.getParent();
    }
    return path;
  }

  private static boolean isUnder(Path path, Path folder) {
    for (Path each = path; each != null; each = each.getParent()) {
      if (each.equals(folder)) {
        return true;
      }
    }
    return false;
  }
}

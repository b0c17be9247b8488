package dev.flightcache.spark.parquet;

import dev.flightcache.client.Client;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Clients;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.Planning;
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
  /** Folders that are asked for one by one; above that, the paths of the scan that hold them. */
  private static final int MAX_FOLDERS = 32;

  /** By URL, for two containers may hold the same path. */
  private final Map<String, StoredObject> objects = new HashMap<>();

  private final Map<String, List<Split>> splits = new HashMap<>();
  private final boolean pruned;
  private final boolean locality;

  private PlannedFiles(boolean pruned, boolean locality) {
    this.pruned = pruned;
    this.locality = locality;
  }

  /**
   * Plans {@code files}.
   *
   * @param roots the paths of the scan
   */
  static PlannedFiles plan(
      Settings settings,
      Columns columns,
      Optional<String> prefilter,
      List<Path> roots,
      List<FileStatusWithMetadata> files) {
    PlannedFiles planned = new PlannedFiles(prefilter.isPresent(), settings.locality());
    Client client = Clients.of(settings.client());
    for (Path folder : folders(roots, files)) {
      ScanCommand target = ScanCommand.url(Urls.of(folder));
      ScanCommand command = target.withColumns(columns.names());
      Duration timeout = settings.planTimeout();
      try {
        ScanPlan plan = Planning.plan(client, command, prefilter.orElse(null), timeout);
        if (columns.areOf(plan)
            && Planning.cameSince(client, target, plan, columns.missing(), timeout).isEmpty()) {
          planned.add(folder, plan);
        } else {
          Metrics.fallback(Cause.COLUMNS);
        }
      } catch (FlightcacheException error) {
        Metrics.fallback(Cause.of(error.kind()));
        Warnings.direct(Cause.of(error.kind()), folder + ": " + error.getMessage());
        if (error.elsewhere()) {
          // No node answers for the next folder either, and each takes its time.
          break;
        }
      }
    }
    return planned;
  }

  private void add(Path folder, ScanPlan plan) {
    for (Split split : plan.splits()) {
      for (StoredObject object : split.objects()) {
        String url = Urls.of(folder, object.path());
        objects.put(url, object);
        splits.computeIfAbsent(url, key -> new ArrayList<>()).add(split);
      }
    }
    for (StoredObject object : plan.pruned()) {
      objects.put(Urls.of(folder, object.path()), object);
    }
  }

  /**
   * The splits of a file as they travel; none of them where no row of it can match. Null if the
   * cache does not have this version of the file.
   */
  byte[] splits(FileStatus file) {
    String url = Urls.of(file.getPath(), Urls.inContainer(file.getPath()));
    StoredObject object = objects.get(url);
    if (object == null) {
      return null;
    }
    if (!FileIdentity.same(object, file)) {
      Metrics.fallback(Cause.CHANGED);
      return null;
    }
    try {
      return new FileSplits(object, splits.getOrDefault(url, List.of()), pruned).encode();
    } catch (IOException error) {
      Warnings.direct(Cause.INTERNAL, url + ": " + error);
      return null;
    }
  }

  /** The file as Spark should see it: near its splits, if tasks are to prefer that. */
  FileStatus located(FileStatus file) {
    String url = Urls.of(file.getPath(), Urls.inContainer(file.getPath()));
    List<Split> own = splits.getOrDefault(url, List.of());
    return locality && !own.isEmpty() ? LocatedFiles.of(file, own) : file;
  }

  /** The folders that hold the files, but for those inside of another. */
  private static Set<Path> folders(List<Path> roots, List<FileStatusWithMetadata> files) {
    Set<Path> folders = new LinkedHashSet<>();
    for (FileStatusWithMetadata file : files) {
      folders.add(file.getPath().getParent());
    }
    if (folders.size() > MAX_FOLDERS) {
      Set<Path> holding = new LinkedHashSet<>(roots);
      holding.removeIf(root -> folders.stream().noneMatch(folder -> isUnder(folder, root)));
      folders.clear();
      folders.addAll(holding);
    }
    Set<Path> all = Set.copyOf(folders);
    folders.removeIf(
        folder -> all.stream().anyMatch(one -> !one.equals(folder) && isUnder(folder, one)));
    return folders;
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

package dev.flightcache.spark.parquet;

import dev.flightcache.client.Split;
import dev.flightcache.spark.Hosts;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.LocatedFileStatus;

/** Files whose blocks lie, as Spark is told, where the nodes are that hold their splits. */
final class LocatedFiles {
  private LocatedFiles() {}

  /**
   * The same file with a block for each of its splits.
   *
   * @param splits in file order
   */
  static FileStatus of(FileStatus file, List<Split> splits) {
    List<BlockLocation> blocks = new ArrayList<>();
    for (int i = 0; i < splits.size(); i++) {
      String host = Hosts.of(splits.get(i)).orElse(null);
      if (host != null) {
        long start = i == 0 ? 0 : midpoint(splits.get(i));
        long end = i + 1 < splits.size() ? midpoint(splits.get(i + 1)) : file.getLen();
        String[] hosts = {host};
        blocks.add(new BlockLocation(hosts, hosts, start, Math.max(0, end - start)));
      }
    }
    return new LocatedFileStatus(
        file.getLen(),
        file.isDirectory(),
        file.getReplication(),
        file.getBlockSize(),
        file.getModificationTime(),
        file.getAccessTime(),
        // Some file systems start a program to find these out.
        null,
        null,
        null,
        null,
        file.getPath(),
        false,
        false,
        false,
        blocks.toArray(new BlockLocation[0]));
  }

  /** Of the first row group: ranges of the file own what has its midpoint in them. */
  private static long midpoint(Split split) {
    return split.objects().stream()
        .flatMap(object -> object.rowGroups().stream())
        .mapToLong(group -> group.midpoint())
        .findFirst()
        .orElse(0);
  }
}

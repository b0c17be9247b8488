package dev.flightcache.spark.range;

import dev.flightcache.client.RowGroup;
import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import java.util.ArrayList;
import java.util.List;

/**
 * The row groups that a byte range of a file owns, by parquet-mr's rule: those whose midpoint lies
 * in it. They follow each other in the file, so each split contributes one run of them.
 */
final class FileRange {
  /** The run of row groups of one split that a range owns. */
  static final class Run {
    final Split split;
    final List<RowGroup> rowGroups;

    Run(Split split, List<RowGroup> rowGroups) {
      this.split = split;
      this.rowGroups = List.copyOf(rowGroups);
    }
  }

  private final long end;
  private final boolean pruned;
  private final List<Run> runs;
  private final List<RowGroup> rowGroups;

  private FileRange(long end, boolean pruned, List<Run> runs) {
    this.end = end;
    this.pruned = pruned;
    this.runs = List.copyOf(runs);
    List<RowGroup> all = new ArrayList<>();
    runs.forEach(run -> all.addAll(run.rowGroups));
    this.rowGroups = List.copyOf(all);
  }

  /**
   * The range of {@code length} bytes from {@code start}; null if the row groups of the file do not
   * follow each other, so that no range of bytes tells them apart.
   */
  static FileRange of(FileSplits file, long start, long length) {
    long end = start + length < start ? Long.MAX_VALUE : start + length;
    List<Run> runs = new ArrayList<>();
    long before = -1;
    for (Split split : file.splits()) {
      List<RowGroup> owned = new ArrayList<>();
      for (StoredObject object : split.objects()) {
        for (RowGroup group : object.rowGroups()) {
          if (group.midpoint() <= before) {
            return null;
          }
          before = group.midpoint();
          if (start <= before && before < end) {
            owned.add(group);
          }
        }
      }
      if (!owned.isEmpty()) {
        runs.add(new Run(split, owned));
      }
    }
    return new FileRange(end, file.pruned(), runs);
  }

  /** The first byte behind the range. */
  long end() {
    return end;
  }

  /** Whether rows that do not match may be missing. */
  boolean pruned() {
    return pruned;
  }

  List<Run> runs() {
    return runs;
  }

  /** All row groups that it owns, in file order. */
  List<RowGroup> rowGroups() {
    return rowGroups;
  }
}

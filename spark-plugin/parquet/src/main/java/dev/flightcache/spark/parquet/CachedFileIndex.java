package dev.flightcache.spark.parquet;

import dev.flightcache.client.Field;
import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Metrics;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.Warnings;
import dev.flightcache.spark.prune.FilterText;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.FileSourceMetadataAttribute$;
import org.apache.spark.sql.execution.datasources.DataSourceStrategy$;
import org.apache.spark.sql.execution.datasources.FileIndex;
import org.apache.spark.sql.execution.datasources.FileStatusWithMetadata;
import org.apache.spark.sql.execution.datasources.PartitionDirectory;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;
import scala.Option;
import @scala.seq@.Seq;

/** Lists the files of another index, and puts beside each what the cache planned for it. */
final class CachedFileIndex implements FileIndex {
  /** The key beside a file under which its splits travel to the task. */
  static final String SPLITS = "flightcache";

  private final FileIndex files;
  private final Settings settings;
  private volatile Columns columns;
  private volatile List<Field> fields = List.of();

  CachedFileIndex(FileIndex files, Settings settings) {
    this.files = files;
    this.settings = settings;
  }

  /** Has the cache asked for these columns, of those that it has. */
  void plan(Columns wanted, List<Field> known) {
    this.fields = List.copyOf(known);
    this.columns = wanted;
  }

  /** The columns that are asked for; null if none are. */
  Columns columns() {
    return columns;
  }

  @Override
  public Seq<PartitionDirectory> listFiles(
      Seq<Expression> partitionFilters, Seq<Expression> dataFilters) {
    Seq<PartitionDirectory> listed = files.listFiles(partitionFilters, dataFilters);
    if (columns == null) {
      return listed;
    }
    try {
      return planned(listed, dataFilters);
    } catch (RuntimeException | LinkageError error) {
      Metrics.fallback(Cause.INTERNAL);
      Warnings.direct(Cause.INTERNAL, "files are read without the cache: " + error);
      return listed;
    }
  }

  private Seq<PartitionDirectory> planned(
      Seq<PartitionDirectory> listed, Seq<Expression> dataFilters) {
    List<PartitionDirectory> directories = Seqs.list(listed);
    PlannedFiles planned =
        PlannedFiles.plan(
            settings, columns, prefilter(dataFilters), Seqs.list(rootPaths()), statuses(directories));
    List<PartitionDirectory> attached = new ArrayList<>(directories.size());
    for (PartitionDirectory directory : directories) {
      attached.add(attach(directory, planned));
    }
    return Seqs.seq(attached);
  }

  private static List<FileStatusWithMetadata> statuses(List<PartitionDirectory> directories) {
    List<FileStatusWithMetadata> statuses = new ArrayList<>();
    directories.forEach(each -> statuses.addAll(Seqs.list(each.files())));
    return statuses;
  }

  private static PartitionDirectory attach(PartitionDirectory directory, PlannedFiles planned) {
    List<FileStatusWithMetadata> files = new ArrayList<>();
    for (FileStatusWithMetadata file : Seqs.list(directory.files())) {
      byte[] splits = planned.splits(file.fileStatus());
      files.add(splits == null ? file : with(file, planned.located(file.fileStatus()), splits));
    }
    return new PartitionDirectory(directory.values(), Seqs.seq(files));
  }

  private static FileStatusWithMetadata with(
      FileStatusWithMetadata file, FileStatus located, byte[] splits) {
    return new FileStatusWithMetadata(located, Seqs.with(file.metadata(), SPLITS, splits));
  }

  /** What of the filters the node may leave rows out by. */
  private Optional<String> prefilter(Seq<Expression> dataFilters) {
    List<Filter> filters = new ArrayList<>();
    for (Expression filter : Seqs.list(dataFilters)) {
      if (ofTheFile(filter)) {
        continue;
      }
      Option<Filter> translated = DataSourceStrategy$.MODULE$.translateFilter(filter, false);
      if (translated.isDefined()) {
        filters.add(translated.get());
      }
    }
    return FilterText.prune(filters.toArray(new Filter[0]), columns.required(), fields);
  }

  /** Whether a filter is on {@code _metadata}, whose fields may have the names of columns. */
  private static boolean ofTheFile(Expression filter) {
    for (Attribute attribute : Seqs.list(filter.references().toSeq())) {
      boolean told =
          attribute instanceof AttributeReference
              && FileSourceMetadataAttribute$.MODULE$
                  .unapply((AttributeReference) attribute)
                  .isDefined();
      if (told) {
        return true;
      }
    }
    return false;
  }

  @Override
  public Seq<Path> rootPaths() {
    return files.rootPaths();
  }

  @Override
  public String[] inputFiles() {
    return files.inputFiles();
  }

  @Override
  public void refresh() {
    files.refresh();
  }

  @Override
  public long sizeInBytes() {
    return files.sizeInBytes();
  }

  @Override
  public StructType partitionSchema() {
    return files.partitionSchema();
  }

  @Override
  public Option<Object> metadataOpsTimeNs() {
    return files.metadataOpsTimeNs();
  }

  /** Which columns are planned does not count: scans compare theirs, and their filters, themselves. */
  @Override
  public boolean equals(Object other) {
    return other instanceof CachedFileIndex
        && files.equals(((CachedFileIndex) other).files)
        && settings.equals(((CachedFileIndex) other).settings);
  }

  @Override
  public int hashCode() {
    return files.hashCode();
  }

  @Override
  public String toString() {
    return files.toString();
  }
}

package dev.flightcache.spark.parquet;

import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Clients;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.Warnings;
import dev.flightcache.spark.range.Batches;
import dev.flightcache.spark.range.FileSplits;
import dev.flightcache.spark.range.PartitionedMapper;
import dev.flightcache.spark.range.RangeReads;
import java.io.IOException;
import java.io.Serializable;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import scala.Function1;
import scala.Option;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction1;

/** In a task: the batches of one byte range of a file, by the splits that came with it. */
final class CachedReadFunction extends AbstractFunction1<PartitionedFile, Iterator<InternalRow>>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  private final Settings settings;
  private final Columns columns;
  private final StructType partition;
  private final StageMetrics metrics;
  private final Function1<PartitionedFile, Iterator<InternalRow>> filtered;
  private final Function1<PartitionedFile, Iterator<InternalRow>> unfiltered;
  private final Broadcast<SerializableConfiguration> conf;

  CachedReadFunction(
      Settings settings,
      Columns columns,
      StructType partition,
      StageMetrics metrics,
      Function1<PartitionedFile, Iterator<InternalRow>> filtered,
      Function1<PartitionedFile, Iterator<InternalRow>> unfiltered,
      Broadcast<SerializableConfiguration> conf) {
    this.settings = settings;
    this.columns = columns;
    this.partition = partition;
    this.metrics = metrics;
    this.filtered = filtered;
    this.unfiltered = unfiltered;
    this.conf = conf;
  }

  @Override
  public Iterator<InternalRow> apply(PartitionedFile file) {
    try {
      return new BatchIterator(batches(file)).rows();
    } catch (IOException error) {
      throw BatchIterator.thrown(error);
    }
  }

  private Batches batches(PartitionedFile file) throws IOException {
    String name = file.filePath().toString();
    RangeReads reads = new RangeReads(Clients.of(settings.client()), settings.direct(), metrics);
    Option<Object> splits = file.otherConstantMetadataColumnValues().get(CachedFileIndex.SPLITS);
    if (splits.isEmpty()) {
      DirectFile direct = new DirectFile(file, null, filtered, unfiltered, conf);
      return reads.direct(Cause.UNCOVERED, direct, file.start(), file.length(), name);
    }
    FileSplits planned;
    try {
      planned = FileSplits.decode((byte[]) splits.get());
    } catch (IOException error) {
      Warnings.direct(Cause.INTERNAL, name + ": " + error.getMessage());
      DirectFile direct = new DirectFile(file, null, filtered, unfiltered, conf);
      return reads.direct(Cause.INTERNAL, direct, file.start(), file.length(), name);
    }
    return reads.read(
        planned,
        file.start(),
        file.length(),
        new PartitionedMapper(
            columns.required(), partition, file.partitionValues(), columns.caseSensitive()),
        new DirectFile(file, planned, filtered, unfiltered, conf),
        name);
  }
}

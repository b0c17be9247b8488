package dev.flightcache.spark.parquet;

import dev.flightcache.spark.range.Batches;
import dev.flightcache.spark.range.DirectReader;
import dev.flightcache.spark.range.FileSplits;
import java.io.Closeable;
import java.io.IOException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.SerializableConfiguration;
import scala.Function1;
import scala.collection.Iterator;

/** Spark's own reader over byte ranges of a file. */
final class DirectFile implements DirectReader {
  private final PartitionedFile file;
  private final FileSplits planned;
  private final Function1<PartitionedFile, Iterator<InternalRow>> filtered;
  private final Function1<PartitionedFile, Iterator<InternalRow>> unfiltered;
  private final Broadcast<SerializableConfiguration> conf;

  /** A reader of {@code file}, whose version is that of {@code planned}; null if it was not. */
  DirectFile(
      PartitionedFile file,
      FileSplits planned,
      Function1<PartitionedFile, Iterator<InternalRow>> filtered,
      Function1<PartitionedFile, Iterator<InternalRow>> unfiltered,
      Broadcast<SerializableConfiguration> conf) {
    this.file = file;
    this.planned = planned;
    this.filtered = filtered;
    this.unfiltered = unfiltered;
    this.conf = conf;
  }

  @Override
  public Batches open(long start, long length, boolean pushed) {
    PartitionedFile range =
        new PartitionedFile(
            file.partitionValues(),
            file.filePath(),
            start,
            length,
            file.locations(),
            file.modificationTime(),
            file.fileSize(),
            file.otherConstantMetadataColumnValues());
    return new Direct((pushed ? filtered : unfiltered).apply(range));
  }

  @Override
  public void verify() throws IOException {
    if (planned == null) {
      return;
    }
    Path path = file.filePath().toPath();
    FileStatus status = path.getFileSystem(conf.value().value()).getFileStatus(path);
    // Not by the time that was listed: some stores tell it more coarsely to who asks for one file.
    if (!planned.describes(status)) {
      throw new IOException(path + " was overwritten while it was read: run the query again");
    }
  }

  /** The batches of Spark's reader, which are typed as rows. */
  private static final class Direct implements Batches {
    private final Iterator<?> batches;

    Direct(Iterator<?> batches) {
      this.batches = batches;
    }

    @Override
    public ColumnarBatch next() {
      return batches.hasNext() ? (ColumnarBatch) batches.next() : null;
    }

    @Override
    public void close() throws IOException {
      if (batches instanceof Closeable) {
        ((Closeable) batches).close();
      }
    }
  }
}

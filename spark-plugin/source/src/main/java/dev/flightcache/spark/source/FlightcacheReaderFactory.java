package dev.flightcache.spark.source;

import dev.flightcache.client.ClientOptions;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** What executors get beside their partitions. Columnar only. */
final class FlightcacheReaderFactory implements PartitionReaderFactory {
  private static final long serialVersionUID = 1L;

  private final String dataset;
  private final ClientOptions options;
  private final NodeClients clients;
  private final FileMetadata metadata;
  private final boolean caseSensitive;

  FlightcacheReaderFactory(
      String dataset,
      ClientOptions options,
      NodeClients clients,
      FileMetadata metadata,
      boolean caseSensitive) {
    this.dataset = dataset;
    this.options = options;
    this.clients = clients;
    this.metadata = metadata;
    this.caseSensitive = caseSensitive;
  }

  @Override
  public PartitionReader<InternalRow> createReader(InputPartition partition) {
    throw new UnsupportedOperationException("flightcache reads columns, not rows");
  }

  @Override
  public PartitionReader<ColumnarBatch> createColumnarReader(InputPartition partition) {
    FlightcachePartition splits = (FlightcachePartition) partition;
    return new FlightcacheReader(
        dataset, clients.of(options), splits.splits(), metadata, caseSensitive);
  }

  @Override
  public boolean supportColumnarReads(InputPartition partition) {
    return true;
  }
}

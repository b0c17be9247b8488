package dev.flightcache.spark.source;

import dev.flightcache.client.ScanPlan;
import java.util.List;
import java.util.Objects;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructType;

/** A planned scan. Equal ones give the same rows, so that Spark runs one of them. */
final class FlightcacheBatch implements Batch {
  private final Dataset dataset;
  private final ScanPlan plan;
  private final StructType required;
  private final FileMetadata metadata;
  private final String prefilter;
  private final Integer limit;
  private final boolean caseSensitive;

  FlightcacheBatch(
      Dataset dataset,
      ScanPlan plan,
      StructType required,
      FileMetadata metadata,
      String prefilter,
      Integer limit,
      boolean caseSensitive) {
    this.dataset = dataset;
    this.plan = plan;
    this.required = required;
    this.metadata = metadata;
    this.prefilter = prefilter;
    this.limit = limit;
    this.caseSensitive = caseSensitive;
  }

  @Override
  public InputPartition[] planInputPartitions() {
    List<FlightcachePartition> partitions =
        Packing.pack(
            plan.splits(),
            SQLConf.get().filesMaxPartitionBytes(),
            SparkContext.getOrCreate().defaultParallelism(),
            dataset.settings().locality());
    return partitions.toArray(new InputPartition[0]);
  }

  @Override
  public PartitionReaderFactory createReaderFactory() {
    return new FlightcacheReaderFactory(
        dataset.name(), dataset.settings().client(), dataset.clients(), metadata, caseSensitive);
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof FlightcacheBatch)) {
      return false;
    }
    FlightcacheBatch that = (FlightcacheBatch) other;
    return dataset.equals(that.dataset)
        && plan.snapshot().equals(that.plan.snapshot())
        && required.equals(that.required)
        && Objects.equals(prefilter, that.prefilter)
        && Objects.equals(limit, that.limit)
        && caseSensitive == that.caseSensitive;
  }

  @Override
  public int hashCode() {
    return Objects.hash(dataset, plan.snapshot(), required, prefilter, limit);
  }
}

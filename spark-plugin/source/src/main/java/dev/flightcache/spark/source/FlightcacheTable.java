package dev.flightcache.spark.source;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.MetadataColumn;
import org.apache.spark.sql.connector.catalog.SupportsMetadataColumns;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** A dataset as a table that can be read. */
public final class FlightcacheTable implements SupportsRead, SupportsMetadataColumns {
  private final Dataset dataset;
  private final StructType schema;

  FlightcacheTable(Dataset dataset, StructType schema) {
    this.dataset = dataset;
    this.schema = schema;
  }

  /**
   * A table of a catalog.
   *
   * @param options those of the catalog
   * @param snapshot what {@code VERSION AS OF} says; null for the newest
   * @throws java.io.UncheckedIOException if no node tells its columns
   */
  public static FlightcacheTable of(
      String name, String snapshot, Map<String, String> options, NodeClients clients) {
    Dataset dataset = SourceOptions.dataset(name, options, clients).at(snapshot);
    return new FlightcacheTable(
        dataset, dataset.schema(SQLConf.get().parquetInferTimestampNTZEnabled()));
  }

  @Override
  public String name() {
    return dataset.name();
  }

  @Override
  @SuppressWarnings("deprecation")
  public StructType schema() {
    return schema;
  }

  @Override
  public Column[] columns() {
    return Arrays.stream(schema.fields())
        .map(field -> Column.create(field.name(), field.dataType(), field.nullable()))
        .toArray(Column[]::new);
  }

  @Override
  public MetadataColumn[] metadataColumns() {
    return new MetadataColumn[] {FileMetadata.column()};
  }

  @Override
  public Set<TableCapability> capabilities() {
    return EnumSet.of(TableCapability.BATCH_READ);
  }

  @Override
  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    return new FlightcacheScanBuilder(dataset.at(SourceOptions.snapshot(options)), schema);
  }
}

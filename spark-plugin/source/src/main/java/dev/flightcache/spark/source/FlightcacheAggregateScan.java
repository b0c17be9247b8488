package dev.flightcache.spark.source;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.types.StructType;

/** Aggregates of a whole dataset, which its footers tell: no task runs for them. */
final class FlightcacheAggregateScan implements LocalScan {
  private final String dataset;
  private final StructType schema;
  private final Object[] row;

  FlightcacheAggregateScan(String dataset, StructType schema, Object[] row) {
    this.dataset = dataset;
    this.schema = schema;
    this.row = row.clone();
  }

  @Override
  public InternalRow[] rows() {
    return new InternalRow[] {new GenericInternalRow(row.clone())};
  }

  @Override
  public StructType readSchema() {
    return schema;
  }

  @Override
  public String description() {
    return "flightcache " + dataset + " footers=" + String.join(", ", schema.fieldNames());
  }
}

package dev.flightcache.spark.source;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The answer to {@code COUNT(*)}, known from the plan: no task runs for it. */
final class FlightcacheCountScan implements LocalScan {
  private final String dataset;
  private final long rows;

  FlightcacheCountScan(String dataset, long rows) {
    this.dataset = dataset;
    this.rows = rows;
  }

  @Override
  public InternalRow[] rows() {
    return new InternalRow[] {new GenericInternalRow(new Object[] {rows})};
  }

  @Override
  public StructType readSchema() {
    return new StructType().add("count(*)", DataTypes.LongType, false);
  }

  @Override
  public String description() {
    return "flightcache " + dataset + " rows";
  }
}

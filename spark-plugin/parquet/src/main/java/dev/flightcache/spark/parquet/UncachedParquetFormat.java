package dev.flightcache.spark.parquet;

import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;

/** Spark's own format; shows in a plan why a scan that a dataset covers is not answered by it. */
final class UncachedParquetFormat extends ParquetFileFormat {
  private static final long serialVersionUID = 1L;

  private final String why;

  UncachedParquetFormat(String why) {
    this.why = why;
  }

  @Override
  public String toString() {
    return "Parquet (not by Flightcache: " + why + ")";
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof UncachedParquetFormat && why.equals(((UncachedParquetFormat) other).why);
  }

  @Override
  public int hashCode() {
    return why.hashCode();
  }
}

package dev.flightcache.spark.parquet;

import dev.flightcache.spark.Settings;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import scala.Function1;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.immutable.Map;
import scala.reflect.ClassTag$;
import @scala.seq@.Seq;

/** Spark's Parquet format with our read function in front of its own. */
final class CachedParquetFormat extends ParquetFileFormat {
  private static final long serialVersionUID = 1L;

  /** Of Spark: the option by which a scan says that it takes batches. */
  private static final String RETURNING_BATCH = "returning_batch";

  private final Settings settings;
  private final transient CachedFileIndex index;

  CachedParquetFormat(Settings settings, CachedFileIndex index) {
    this.settings = settings;
    this.index = index;
  }

  /** None: generated code would cast to the classes it is told, and one scan mixes Spark's and ours. */
  @Override
  public Option<Seq<String>> vectorTypes(
      StructType required, StructType partition, SQLConf conf) {
    return Option.empty();
  }

  @Override
  public Function1<PartitionedFile, Iterator<InternalRow>> buildReaderWithPartitionValues(
      SparkSession session,
      StructType data,
      StructType partition,
      StructType required,
      Seq<Filter> filters,
      Map<String, String> options,
      Configuration conf) {
    Function1<PartitionedFile, Iterator<InternalRow>> filtered =
        super.buildReaderWithPartitionValues(
            session, data, partition, required, filters, options, conf);
    Option<String> batches = options.get(RETURNING_BATCH);
    Columns columns = index.columns();
    boolean planned = columns != null && columns.required().equals(required);
    if (!planned || batches.isEmpty() || !batches.get().equals("true")) {
      return filtered;
    }
    Seq<Filter> none = Seqs.empty();
    Function1<PartitionedFile, Iterator<InternalRow>> unfiltered =
        super.buildReaderWithPartitionValues(
            session, data, partition, required, none, options, new Configuration(conf));
    return new CachedReadFunction(
        settings,
        columns,
        partition,
        new StageMetrics(session.sparkContext()),
        filtered,
        unfiltered,
        session
            .sparkContext()
            .broadcast(
                new SerializableConfiguration(conf),
                ClassTag$.MODULE$.apply(SerializableConfiguration.class)));
  }

  @Override
  public String toString() {
    return "Parquet+Flightcache";
  }

  /** Plans are reused where their scans are equal. */
  @Override
  public boolean equals(Object other) {
    return other instanceof CachedParquetFormat
        && settings.equals(((CachedParquetFormat) other).settings);
  }

  @Override
  public int hashCode() {
    return settings.hashCode();
  }
}

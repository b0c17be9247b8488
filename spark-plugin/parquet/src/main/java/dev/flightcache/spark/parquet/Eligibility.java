package dev.flightcache.spark.parquet;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.FileIndex;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.InMemoryFileIndex;
import org.apache.spark.sql.execution.datasources.CatalogFileIndex;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.internal.SQLConf;

/** Which scans may be swapped at all: plain Parquet, read by Spark as it comes. */
final class Eligibility {
  /** Engines that look at the class of the format: ours would switch them off, or be bypassed. */
  private static final List<String> ENGINES =
      List.of("comet", "gluten", "velox", "rapids", "photon", "blaze", "auron");

  /** Settings under which Spark reads other values than the file's plain ones, and their defaults. */
  private static final Map<String, String> PLAIN =
      Map.of(
          "spark.sql.parquet.enableVectorizedReader", "true",
          "spark.sql.parquet.binaryAsString", "false",
          "spark.sql.parquet.int96AsTimestamp", "true",
          "spark.sql.legacy.parquet.nanosAsLong", "false",
          "spark.sql.parquet.fieldId.read.enabled", "false",
          "spark.sql.files.ignoreCorruptFiles", "false");

  private static final List<String> ENCRYPTION =
      List.of("parquet.crypto.factory.class", "parquet.encryption.kms.client.class");

  private Eligibility() {}

  static boolean mayBeOurs(HadoopFsRelation relation, SQLConf conf, SparkSession session) {
    FileIndex index = relation.location();
    return relation.fileFormat().getClass() == ParquetFileFormat.class
        && (index.getClass() == InMemoryFileIndex.class || index.getClass() == CatalogFileIndex.class)
        && plain(relation, conf)
        && !encrypted(relation, session)
        && !otherEngine(session);
  }

  private static boolean plain(HadoopFsRelation relation, SQLConf conf) {
    for (Map.Entry<String, String> setting : PLAIN.entrySet()) {
      if (!conf.getConfString(setting.getKey(), setting.getValue()).equalsIgnoreCase(setting.getValue())) {
        return false;
      }
    }
    Map<String, String> options = Seqs.map(relation.options());
    return options.keySet().stream()
        .noneMatch(key -> key.equalsIgnoreCase("ignoreCorruptFiles"));
  }

  private static boolean encrypted(HadoopFsRelation relation, SparkSession session) {
    return ENCRYPTION.stream()
        .anyMatch(
            key ->
                relation.options().contains(key)
                    || session.sparkContext().hadoopConfiguration().get(key) != null);
  }

  private static boolean otherEngine(SparkSession session) {
    String plugins =
        session.sparkContext().conf().get("spark.plugins", "")
            + ','
            + session.sparkContext().conf().get("spark.sql.extensions", "");
    String named = plugins.toLowerCase(Locale.ROOT);
    return ENGINES.stream().anyMatch(named::contains);
  }
}

package dev.flightcache.spark.parquet;

import dev.flightcache.client.Field;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.spark.vector.VectorTypes;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** The columns that a scan needs, matched with those of the cache; or why they do not fit. */
final class Columns implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Of Spark: the number of a row in its file, which only its own reader makes. */
  private static final String ROW_INDEX = "_tmp_metadata_row_index";

  /** Of Spark: the value that a column has in files older than it. */
  private static final String OLD_DEFAULT = "EXISTS_DEFAULT";

  private final StructType required;
  private final ArrayList<String> names;
  private final ArrayList<String> missing;
  private final boolean partial;
  private final boolean caseSensitive;
  private final String refusal;

  private Columns(
      StructType required,
      List<String> names,
      List<String> missing,
      boolean partial,
      boolean caseSensitive,
      String refusal) {
    this.required = required;
    this.names = new ArrayList<>(names);
    this.missing = new ArrayList<>(missing);
    this.partial = partial;
    this.caseSensitive = caseSensitive;
    this.refusal = refusal;
  }

  /**
   * Matches {@code required} with {@code fields}.
   *
   * @param conf says how names are told apart, and whether INT96 is converted
   */
  static Columns of(StructType required, List<Field> fields, SQLConf conf) {
    boolean caseSensitive = conf.caseSensitiveAnalysis();
    List<String> names = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    boolean partial = false;
    for (StructField column : required.fields()) {
      List<Field> found = new ArrayList<>();
      for (Field field : fields) {
        boolean same = field.name().equalsIgnoreCase(column.name());
        if (caseSensitive ? field.name().equals(column.name()) : same) {
          found.add(field);
        }
      }
      Optional<String> refusal = refusal(column, found, conf);
      if (refusal.isPresent()) {
        String why = "column `" + column.name() + "`: " + refusal.get();
        return new Columns(required, List.of(), List.of(), false, caseSensitive, why);
      }
      for (Field field : found) {
        names.add(field.name());
        partial |= VectorTypes.isPartOf(column.dataType(), field);
      }
      if (found.isEmpty()) {
        missing.add(column.name());
      }
    }
    Set<String> distinct = new HashSet<>(names);
    String twice = distinct.size() < names.size() ? "a column is read twice" : null;
    return new Columns(required, names, missing, partial, caseSensitive, twice);
  }

  private static Optional<String> refusal(
      StructField column, List<Field> found, SQLConf conf) {
    if (column.name().equals(ROW_INDEX)) {
      return Optional.of("row numbers are made by Spark's reader");
    }
    if (column.metadata().contains(OLD_DEFAULT)) {
      return Optional.of("it has a default in older files");
    }
    if (found.size() > 1) {
      return Optional.of("several of its names differ by case only");
    }
    if (found.isEmpty()) {
      return Optional.empty();
    }
    // Then Spark converts the times of files that parquet-mr has not written.
    if (conf.isParquetINT96TimestampConversion() && VectorTypes.holdsInt96(found.get(0))) {
      return Optional.of("INT96 is converted to the zone of the session");
    }
    return VectorTypes.refusal(found.get(0), column.dataType(), conf.caseSensitiveAnalysis());
  }

  /** What Spark needs. */
  StructType required() {
    return required;
  }

  /** Names to ask the cache for; columns that it does not have are null in every file. */
  List<String> names() {
    return names;
  }

  /** Names that Spark wants and the cache has not. */
  List<String> missing() {
    return missing;
  }

  /**
   * Whether {@code plan} gives what Spark would read: not a folder's value for a column that Spark
   * takes from the file, and no part of a struct where a file may lack all of it, which makes the
   * struct null for Spark.
   */
  boolean areOf(ScanPlan plan) {
    boolean ofFolders =
        Arrays.stream(required.fieldNames())
            .anyMatch(name -> plan.partitionColumns().stream().anyMatch(name::equalsIgnoreCase));
    return !ofFolders && (!partial || plan.schemas() == 1);
  }

  /** Whether names that differ by case are different ones. */
  boolean caseSensitive() {
    return caseSensitive;
  }

  /** Why the columns do not fit; null if they do. */
  String refusal() {
    return refusal;
  }
}

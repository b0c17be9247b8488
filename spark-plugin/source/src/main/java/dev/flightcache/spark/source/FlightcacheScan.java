package dev.flightcache.spark.source;

import dev.flightcache.client.Field;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.client.Split;
import dev.flightcache.spark.prune.PredicateText;
import dev.flightcache.spark.vector.VectorTypes;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.connector.expressions.Expressions;
import org.apache.spark.sql.connector.expressions.NamedReference;
import org.apache.spark.sql.connector.expressions.filter.Predicate;
import org.apache.spark.sql.connector.metric.CustomMetric;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.Statistics;
import org.apache.spark.sql.connector.read.SupportsReportStatistics;
import org.apache.spark.sql.connector.read.SupportsRuntimeV2Filtering;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A scan of a dataset: planned once, when first something about its rows is asked, and once more if
 * a join tells at run time which rows it needs, then at the same snapshot.
 */
final class FlightcacheScan implements SupportsReportStatistics, SupportsRuntimeV2Filtering {
  private static final Logger LOG = LoggerFactory.getLogger(FlightcacheScan.class);
  private static final int SHOWN_CHARACTERS = 200;

  private final Dataset dataset;
  private final StructType schema;
  private final StructType required;
  private final FileMetadata metadata;
  private final List<String> columns;
  private final List<String> missing;
  private final List<Predicate> predicates;
  private final Integer limit;
  private final boolean caseSensitive;

  private String prefilter;
  private ScanPlan plan;

  FlightcacheScan(
      Dataset dataset,
      StructType schema,
      StructType required,
      List<Predicate> predicates,
      Integer limit) {
    this.dataset = dataset;
    this.schema = schema;
    this.required = required;
    this.metadata = new FileMetadata(required, schema);
    this.predicates = predicates;
    this.limit = limit;
    this.caseSensitive = SQLConf.get().caseSensitiveAnalysis();
    this.columns = columns(dataset, metadata.data(), caseSensitive);
    this.missing = new ArrayList<>(List.of(metadata.data().fieldNames()));
    missing.removeIf(
        name -> VectorTypes.find(dataset.fields(), name, caseSensitive).isPresent());
    this.prefilter = PredicateText.prune(predicates, schema, dataset.fields()).orElse(null);
  }

  /** What to ask for: a column that the dataset lacks is null, as with files that lack it. */
  private static List<String> columns(Dataset dataset, StructType required, boolean exact) {
    List<String> names = new ArrayList<>();
    for (StructField wanted : required.fields()) {
      Optional<Field> field = VectorTypes.find(dataset.fields(), wanted.name(), exact);
      field
          .flatMap(found -> VectorTypes.refusal(found, wanted.dataType(), exact))
          .ifPresent(
              why -> {
                String column = "column " + wanted.name() + " of " + dataset;
                throw new IllegalArgumentException(column + " cannot be read as asked: " + why);
              });
      field.map(Field::name).ifPresent(names::add);
    }
    return names;
  }

  private synchronized ScanPlan plan() {
    if (plan == null) {
      plan = dataset.plan(columns, missing, prefilter, limit, null);
    }
    return plan;
  }

  @Override
  public StructType readSchema() {
    return required;
  }

  @Override
  public synchronized String description() {
    String text = prefilter == null ? "" : " prefilter=" + prefilter;
    String shown =
        text.length() > SHOWN_CHARACTERS ? text.substring(0, SHOWN_CHARACTERS) + "..." : text;
    return "flightcache " + dataset + shown + (limit == null ? "" : " limit=" + limit);
  }

  @Override
  public ColumnarSupportMode columnarSupportMode() {
    return ColumnarSupportMode.SUPPORTED;
  }

  @Override
  public synchronized Batch toBatch() {
    return new FlightcacheBatch(dataset, plan(), required, metadata, prefilter, limit, caseSensitive);
  }

  /** Stored bytes, not decoded ones, so that joins are chosen as over the files. */
  @Override
  public Statistics estimateStatistics() {
    long bytes = 0;
    for (Split split : plan().splits()) {
      bytes += Packing.bytes(split);
    }
    double share = (double) required.defaultSize() / Math.max(schema.defaultSize(), 1);
    return new ScanStatistics((long) Math.ceil(bytes * Math.min(share, 1)), plan().rows());
  }

  @Override
  public NamedReference[] filterAttributes() {
    return limit != null
        ? new NamedReference[0]
        : Arrays.stream(metadata.data().fieldNames())
            .map(FlightcacheScan::reference)
            .toArray(NamedReference[]::new);
  }

  /** Quoted, for a name may hold a dot. */
  private static NamedReference reference(String name) {
    return Expressions.column('`' + name.replace("`", "``") + '`');
  }

  /** Plans again with what a join needs; where that fails, the plan before does as well. */
  @Override
  public synchronized void filter(Predicate[] needed) {
    List<Predicate> all = new ArrayList<>(predicates);
    all.addAll(List.of(needed));
    String narrower = PredicateText.prune(all, schema, dataset.fields()).orElse(null);
    if (narrower == null || narrower.equals(prefilter)) {
      return;
    }
    try {
      plan = dataset.plan(columns, missing, narrower, limit, plan().snapshot());
      prefilter = narrower;
    } catch (UncheckedIOException error) {
      LOG.warn("{} is not narrowed for a join: {}", dataset, error.getMessage());
    }
  }

  @Override
  public CustomMetric[] supportedCustomMetrics() {
    return new CustomMetric[] {new RowsMetric(), new BytesMetric(), new WaitMetric()};
  }
}

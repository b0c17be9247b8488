package dev.flightcache.spark.source;

import dev.flightcache.spark.prune.PredicateText;
import java.util.List;
import org.apache.spark.sql.connector.expressions.aggregate.Aggregation;
import org.apache.spark.sql.connector.expressions.filter.Predicate;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownAggregates;
import org.apache.spark.sql.connector.read.SupportsPushDownLimit;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.connector.read.SupportsPushDownV2Filters;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructType;

/** Collects what a query needs of a dataset. */
final class FlightcacheScanBuilder
    implements ScanBuilder,
        SupportsPushDownRequiredColumns,
        SupportsPushDownV2Filters,
        SupportsPushDownLimit,
        SupportsPushDownAggregates {
  private final Dataset dataset;
  private final StructType schema;

  private StructType required;
  private List<Predicate> predicates = List.of();
  private Integer limit;
  private FlightcacheAggregateScan answer;

  FlightcacheScanBuilder(Dataset dataset, StructType schema) {
    this.dataset = dataset;
    this.schema = schema;
    this.required = schema;
  }

  @Override
  public void pruneColumns(StructType requiredSchema) {
    this.required = requiredSchema;
  }

  /** All of them: Spark filters every row again by its own rules. */
  @Override
  public Predicate[] pushPredicates(Predicate[] pushed) {
    this.predicates = List.of(pushed);
    return pushed.clone();
  }

  /** Those of which something is told to the server. */
  @Override
  public Predicate[] pushedPredicates() {
    return predicates.stream()
        .filter(
            predicate ->
                PredicateText.prune(List.of(predicate), schema, dataset.fields()).isPresent())
        .toArray(Predicate[]::new);
  }

  /** Not beside predicates: rows that Spark drops would count. */
  @Override
  public boolean pushLimit(int rows) {
    if (!predicates.isEmpty()) {
      return false;
    }
    this.limit = rows;
    return true;
  }

  /** Only of a whole dataset, whose footers tell. */
  @Override
  public boolean supportCompletePushDown(Aggregation aggregation) {
    return predicates.isEmpty() && limit == null && aggregates().areTold(aggregation);
  }

  @Override
  public boolean pushAggregation(Aggregation aggregation) {
    if (!supportCompletePushDown(aggregation)) {
      return false;
    }
    this.answer = aggregates().answer(aggregation).orElse(null);
    return answer != null;
  }

  private Aggregates aggregates() {
    return new Aggregates(dataset, schema, SQLConf.get().caseSensitiveAnalysis());
  }

  @Override
  public Scan build() {
    return answer != null
        ? answer
        : new FlightcacheScan(dataset, schema, required, predicates, limit);
  }
}

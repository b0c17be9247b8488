package dev.flightcache.spark.source;

import dev.flightcache.client.ScanPlan;
import dev.flightcache.spark.prune.PredicateText;
import java.util.List;
import org.apache.spark.sql.connector.expressions.aggregate.Aggregation;
import org.apache.spark.sql.connector.expressions.aggregate.CountStar;
import org.apache.spark.sql.connector.expressions.filter.Predicate;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownAggregates;
import org.apache.spark.sql.connector.read.SupportsPushDownLimit;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.connector.read.SupportsPushDownV2Filters;
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
  private Long count;

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

  /** Only {@code COUNT(*)} of a whole dataset, which its footers tell. */
  @Override
  public boolean supportCompletePushDown(Aggregation aggregation) {
    return aggregation.groupByExpressions().length == 0
        && aggregation.aggregateExpressions().length == 1
        && aggregation.aggregateExpressions()[0] instanceof CountStar
        && predicates.isEmpty()
        && limit == null;
  }

  @Override
  public boolean pushAggregation(Aggregation aggregation) {
    if (!supportCompletePushDown(aggregation)) {
      return false;
    }
    ScanPlan plan = dataset.plan(List.of(), List.of(), null, null, null);
    if (plan.rows() < 0) {
      return false;
    }
    this.count = plan.rows();
    return true;
  }

  @Override
  public Scan build() {
    return count != null
        ? new FlightcacheCountScan(dataset.toString(), count)
        : new FlightcacheScan(dataset, schema, required, predicates, limit);
  }
}

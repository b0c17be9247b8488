package dev.flightcache.spark.source;

import dev.flightcache.client.ColumnStatistics;
import dev.flightcache.client.Field;
import dev.flightcache.client.ScanPlan;
import dev.flightcache.spark.vector.VectorTypes;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.spark.sql.connector.expressions.Expression;
import org.apache.spark.sql.connector.expressions.NamedReference;
import org.apache.spark.sql.connector.expressions.aggregate.AggregateFunc;
import org.apache.spark.sql.connector.expressions.aggregate.Aggregation;
import org.apache.spark.sql.connector.expressions.aggregate.Count;
import org.apache.spark.sql.connector.expressions.aggregate.CountStar;
import org.apache.spark.sql.connector.expressions.aggregate.Max;
import org.apache.spark.sql.connector.expressions.aggregate.Min;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** {@code COUNT}, {@code MIN} and {@code MAX} of whole columns, where footers tell them exactly. */
final class Aggregates {
  private final Dataset dataset;
  private final StructType schema;
  private final boolean caseSensitive;

  Aggregates(Dataset dataset, StructType schema, boolean caseSensitive) {
    this.dataset = dataset;
    this.schema = schema;
    this.caseSensitive = caseSensitive;
  }

  /** Whether footers may tell all of {@code asked}. */
  boolean areTold(Aggregation asked) {
    AggregateFunc[] functions = asked.aggregateExpressions();
    boolean all = functions.length > 0 && asked.groupByExpressions().length == 0;
    for (AggregateFunc function : functions) {
      boolean distinct = function instanceof Count && ((Count) function).isDistinct();
      all &= function instanceof CountStar || (!distinct && field(column(function)) != null);
    }
    return all;
  }

  /** The answer to {@code asked}, of which {@link #areTold} is true; empty if footers leave it open. */
  Optional<FlightcacheAggregateScan> answer(Aggregation asked) {
    Set<String> columns = new LinkedHashSet<>();
    for (AggregateFunc function : asked.aggregateExpressions()) {
      if (!(function instanceof CountStar)) {
        columns.add(field(column(function)).name());
      }
    }
    ScanPlan plan = dataset.statistics(new ArrayList<>(columns)).orElse(null);
    if (plan == null || plan.rows() < 0) {
      return Optional.empty();
    }
    StructType types = new StructType();
    List<Object> row = new ArrayList<>();
    for (AggregateFunc function : asked.aggregateExpressions()) {
      Optional<Told> told = told(function, plan);
      if (told.isEmpty()) {
        return Optional.empty();
      }
      types = types.add(function.describe(), told.get().type, true);
      row.add(told.get().value);
    }
    return Optional.of(new FlightcacheAggregateScan(dataset.toString(), types, row.toArray()));
  }

  private Optional<Told> told(AggregateFunc function, ScanPlan plan) {
    if (function instanceof CountStar) {
      return Optional.of(new Told(DataTypes.LongType, plan.rows()));
    }
    String name = column(function);
    Field field = field(name);
    ColumnStatistics known =
        plan.statistics().stream()
            .filter(one -> one.column().equals(field.name()))
            .findFirst()
            .orElse(null);
    // What is told is in the unit of the column as it is in that snapshot.
    boolean same = plan.fields().stream().anyMatch(one -> one.toString().equals(field.toString()));
    if (known == null || !same) {
      return Optional.empty();
    }
    long values = known.nulls().isPresent() ? plan.rows() - known.nulls().getAsLong() : -1;
    if (function instanceof Count) {
      return values < 0
          ? Optional.empty()
          : Optional.of(new Told(DataTypes.LongType, values));
    }
    DataType type = schema.apply(name).dataType();
    if (values == 0) {
      return Optional.of(new Told(type, null));
    }
    Optional<String> bound = function instanceof Min ? known.min() : known.max();
    return bound.flatMap(text -> Bound.value(text, field.type(), type)).map(v -> new Told(type, v));
  }

  /** The column of the schema that a function is of; null if it is of anything else. */
  private static String column(AggregateFunc function) {
    Expression of = null;
    if (function instanceof Count) {
      of = ((Count) function).column();
    } else if (function instanceof Min) {
      of = ((Min) function).column();
    } else if (function instanceof Max) {
      of = ((Max) function).column();
    }
    boolean plain = of instanceof NamedReference && ((NamedReference) of).fieldNames().length == 1;
    return plain ? ((NamedReference) of).fieldNames()[0] : null;
  }

  /** The dataset's column of that name, if Spark reads it as its schema says; else null. */
  private Field field(String name) {
    if (name == null || !schema.getFieldIndex(name).isDefined()) {
      return null;
    }
    Field field = VectorTypes.find(dataset.fields(), name, caseSensitive).orElse(null);
    boolean fits =
        field != null
            && VectorTypes.refusal(field, schema.apply(name).dataType(), caseSensitive).isEmpty();
    return fits ? field : null;
  }

  /** A value of a type, which may be null. */
  private static final class Told {
    private final DataType type;
    private final Object value;

    Told(DataType type, Object value) {
      this.type = type;
      this.value = value;
    }
  }
}

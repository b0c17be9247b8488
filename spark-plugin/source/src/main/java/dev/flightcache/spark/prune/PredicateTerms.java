package dev.flightcache.spark.prune;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.connector.expressions.Expression;
import org.apache.spark.sql.connector.expressions.Literal;
import org.apache.spark.sql.connector.expressions.NamedReference;
import org.apache.spark.sql.connector.expressions.filter.Predicate;

/** Reads the predicates of DataSource V2. */
final class PredicateTerms {
  private static final Map<String, String> FLIPPED =
      Map.of("=", "=", "<>", "<>", "<=>", "<=>", "<", ">", "<=", ">=", ">", "<", ">=", "<=");

  private PredicateTerms() {}

  static Term of(Expression expression) {
    if (!(expression instanceof Predicate)) {
      return Term.OTHER;
    }
    Predicate predicate = (Predicate) expression;
    Expression[] children = predicate.children();
    switch (predicate.name()) {
      case "AND":
        return Term.and(of(children[0]), of(children[1]));
      case "OR":
        return Term.or(of(children[0]), of(children[1]));
      case "NOT":
        return Term.not(of(children[0]));
      case "ALWAYS_TRUE":
        return Term.TRUE;
      case "ALWAYS_FALSE":
        return Term.FALSE;
      default:
        return leaf(predicate.name(), children);
    }
  }

  private static Term leaf(String name, Expression[] children) {
    if (FLIPPED.containsKey(name) && children.length == 2) {
      return children[0] instanceof Literal
          ? compare(FLIPPED.get(name), children[1], children[0])
          : compare(name, children[0], children[1]);
    }
    String column = children.length == 0 ? null : column(children[0]);
    if (column == null) {
      return Term.OTHER;
    }
    switch (name) {
      case "IS_NULL":
        return Term.test(Term.Kind.IS_NULL, column);
      case "IS_NOT_NULL":
        return Term.test(Term.Kind.IS_NOT_NULL, column);
      case "STARTS_WITH":
        boolean known = children.length == 2 && children[1] instanceof Literal;
        return known ? Term.prefix(column, ((Literal<?>) children[1]).value()) : Term.OTHER;
      case "IN":
        return in(column, children);
      default:
        return Term.OTHER;
    }
  }

  private static Term compare(String operator, Expression left, Expression right) {
    String column = column(left);
    return column == null || !(right instanceof Literal)
        ? Term.OTHER
        : Term.compare(column, operator, ((Literal<?>) right).value());
  }

  private static Term in(String column, Expression[] children) {
    List<Object> values = new ArrayList<>(children.length);
    boolean nulls = false;
    for (int i = 1; i < children.length; i++) {
      if (!(children[i] instanceof Literal)) {
        return Term.OTHER;
      }
      Object value = ((Literal<?>) children[i]).value();
      if (value == null) {
        nulls = true;
      } else {
        values.add(value);
      }
    }
    return FilterTerms.withNulls(Term.in(column, values), nulls);
  }

  private static String column(Expression expression) {
    if (!(expression instanceof NamedReference)) {
      return null;
    }
    String[] names = ((NamedReference) expression).fieldNames();
    return names.length == 1 ? names[0] : null;
  }
}

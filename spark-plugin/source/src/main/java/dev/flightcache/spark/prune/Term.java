package dev.flightcache.spark.prune;

import java.util.List;

/** A condition, whichever of Spark's interfaces it came from. Immutable. */
final class Term {
  enum Kind {
    AND,
    OR,
    NOT,
    /** A column, an operator and a value. */
    COMPARE,
    /** A column and the values that it may have. */
    IN,
    IS_NULL,
    IS_NOT_NULL,
    /** A column and what its strings begin with. */
    PREFIX,
    TRUE,
    FALSE,
    /** Anything else: of no use to the server. */
    OTHER
  }

  static final Term TRUE = new Term(Kind.TRUE, null, null, List.of(), List.of());
  static final Term FALSE = new Term(Kind.FALSE, null, null, List.of(), List.of());
  static final Term OTHER = new Term(Kind.OTHER, null, null, List.of(), List.of());

  final Kind kind;

  /** Operator of a comparison: {@code =}, {@code <>}, {@code <=>} and the orders. */
  final String operator;

  /** Name of a column that is not inside another; null in AND, OR and NOT. */
  final String column;

  /** Values as Spark gave them, without nulls. */
  final List<Object> values;

  final List<Term> children;

  private Term(
      Kind kind, String operator, String column, List<Object> values, List<Term> children) {
    this.kind = kind;
    this.operator = operator;
    this.column = column;
    this.values = values;
    this.children = children;
  }

  static Term and(Term left, Term right) {
    return new Term(Kind.AND, null, null, List.of(), List.of(left, right));
  }

  static Term or(Term left, Term right) {
    return new Term(Kind.OR, null, null, List.of(), List.of(left, right));
  }

  static Term not(Term child) {
    return new Term(Kind.NOT, null, null, List.of(), List.of(child));
  }

  static Term compare(String column, String operator, Object value) {
    if (value == null) {
      return operator.equals("<=>") ? test(Kind.IS_NULL, column) : OTHER;
    }
    return new Term(Kind.COMPARE, operator, column, List.of(value), List.of());
  }

  /** One of {@code values}, none of which is null. */
  static Term in(String column, List<Object> values) {
    return new Term(Kind.IN, null, column, List.copyOf(values), List.of());
  }

  static Term prefix(String column, Object value) {
    return value == null ? OTHER : new Term(Kind.PREFIX, null, column, List.of(value), List.of());
  }

  /** Whether a column is null, or is not. */
  static Term test(Kind kind, String column) {
    return new Term(kind, null, column, List.of(), List.of());
  }
}

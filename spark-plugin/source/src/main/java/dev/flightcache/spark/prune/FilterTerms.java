package dev.flightcache.spark.prune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.apache.spark.sql.sources.AlwaysFalse;
import org.apache.spark.sql.sources.AlwaysTrue;
import org.apache.spark.sql.sources.And;
import org.apache.spark.sql.sources.EqualNullSafe;
import org.apache.spark.sql.sources.EqualTo;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.sources.GreaterThan;
import org.apache.spark.sql.sources.GreaterThanOrEqual;
import org.apache.spark.sql.sources.In;
import org.apache.spark.sql.sources.IsNotNull;
import org.apache.spark.sql.sources.IsNull;
import org.apache.spark.sql.sources.LessThan;
import org.apache.spark.sql.sources.LessThanOrEqual;
import org.apache.spark.sql.sources.Not;
import org.apache.spark.sql.sources.Or;
import org.apache.spark.sql.sources.StringStartsWith;

/** Reads the filters of file sources. */
final class FilterTerms {
  private FilterTerms() {}

  static Term of(Filter filter) {
    if (filter instanceof And) {
      And and = (And) filter;
      return Term.and(of(and.left()), of(and.right()));
    }
    if (filter instanceof Or) {
      Or or = (Or) filter;
      return Term.or(of(or.left()), of(or.right()));
    }
    if (filter instanceof Not) {
      return Term.not(of(((Not) filter).child()));
    }
    if (filter instanceof AlwaysTrue) {
      return Term.TRUE;
    }
    return filter instanceof AlwaysFalse ? Term.FALSE : leaf(filter);
  }

  private static Term leaf(Filter filter) {
    if (filter instanceof EqualTo) {
      EqualTo equal = (EqualTo) filter;
      return compare(equal.attribute(), "=", equal.value());
    }
    if (filter instanceof EqualNullSafe) {
      EqualNullSafe equal = (EqualNullSafe) filter;
      return compare(equal.attribute(), "<=>", equal.value());
    }
    if (filter instanceof LessThan) {
      LessThan less = (LessThan) filter;
      return compare(less.attribute(), "<", less.value());
    }
    if (filter instanceof LessThanOrEqual) {
      LessThanOrEqual less = (LessThanOrEqual) filter;
      return compare(less.attribute(), "<=", less.value());
    }
    if (filter instanceof GreaterThan) {
      GreaterThan greater = (GreaterThan) filter;
      return compare(greater.attribute(), ">", greater.value());
    }
    if (filter instanceof GreaterThanOrEqual) {
      GreaterThanOrEqual greater = (GreaterThanOrEqual) filter;
      return compare(greater.attribute(), ">=", greater.value());
    }
    return other(filter);
  }

  private static Term other(Filter filter) {
    if (filter instanceof In) {
      In in = (In) filter;
      List<Object> values = new ArrayList<>(Arrays.asList(in.values()));
      boolean nulls = values.removeIf(Objects::isNull);
      Term list = Term.in(in.attribute(), values);
      return nested(in.attribute()) ? Term.OTHER : withNulls(list, nulls);
    }
    if (filter instanceof IsNull) {
      return test(Term.Kind.IS_NULL, ((IsNull) filter).attribute());
    }
    if (filter instanceof IsNotNull) {
      return test(Term.Kind.IS_NOT_NULL, ((IsNotNull) filter).attribute());
    }
    if (filter instanceof StringStartsWith) {
      StringStartsWith prefix = (StringStartsWith) filter;
      boolean nested = nested(prefix.attribute());
      return nested ? Term.OTHER : Term.prefix(prefix.attribute(), prefix.value());
    }
    return Term.OTHER;
  }

  /** A list with a null in it is true for its other values alone, but never false. */
  static Term withNulls(Term in, boolean nulls) {
    return nulls ? Term.and(in, Term.OTHER) : in;
  }

  private static Term compare(String column, String operator, Object value) {
    return nested(column) ? Term.OTHER : Term.compare(column, operator, value);
  }

  private static Term test(Term.Kind kind, String column) {
    return nested(column) ? Term.OTHER : Term.test(kind, column);
  }

  /** Spark writes a path with dots, and quotes a name that holds one. */
  private static boolean nested(String attribute) {
    return attribute.indexOf('.') >= 0 || attribute.indexOf('`') >= 0;
  }
}

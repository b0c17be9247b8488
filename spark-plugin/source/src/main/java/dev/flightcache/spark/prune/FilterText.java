package dev.flightcache.spark.prune;

import dev.flightcache.client.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;

/** What the filters of a file source let a server leave out. */
public final class FilterText {
  private FilterText() {}

  /**
   * SQL that every row satisfies for which all of {@code filters} are true; empty if there is
   * nothing to say. Instants are told a day apart, for the zone of the column is not known.
   *
   * @param schema the columns by the names that they have on the server
   */
  public static Optional<String> prune(Filter[] filters, StructType schema) {
    return prune(filters, schema, null);
  }

  /**
   * The same, with the columns as the server has them: names are taken from there, and instants
   * told exactly.
   */
  public static Optional<String> prune(Filter[] filters, StructType schema, List<Field> fields) {
    List<Term> terms = new ArrayList<>();
    for (Filter filter : filters) {
      terms.add(FilterTerms.of(filter));
    }
    return new PredicateText(schema, fields).all(terms);
  }
}

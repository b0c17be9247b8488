package dev.flightcache.spark.prune;

import dev.flightcache.client.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.connector.expressions.filter.Predicate;
import org.apache.spark.sql.types.StructType;

/**
 * Conditions as the server's SQL, as far as they can be said there.
 *
 * <p>Of what is joined by AND a part may be left out, of what stands below NOT nothing: there only
 * what both sides read alike for every row is said, nulls included ({@code exact}).
 */
public final class PredicateText {
  private static final int MAX_TEXT_BYTES = 64 << 10;
  /** The server takes 1,000 operators, keywords and parentheses. */
  private static final int MAX_OPERATORS = 900;

  private static final int MAX_LIST = 100;
  private static final int MAX_DEPTH = 50;
  private static final long MILLI_MICROS = 1000;

  private final StructType schema;
  private final List<Field> fields;

  PredicateText(StructType schema, List<Field> fields) {
    this.schema = schema;
    this.fields = fields;
  }

  /**
   * SQL that every row satisfies for which all of {@code predicates} are true; empty if there is
   * nothing to say.
   *
   * @param schema the columns as Spark knows them
   * @param fields the columns as the server has them
   */
  public static Optional<String> prune(
      List<Predicate> predicates, StructType schema, List<Field> fields) {
    List<Term> terms = new ArrayList<>();
    predicates.forEach(predicate -> terms.add(PredicateTerms.of(predicate)));
    return new PredicateText(schema, fields).all(terms);
  }

  Optional<String> all(List<Term> terms) {
    List<String> parts = new ArrayList<>();
    int bytes = 0;
    int operators = 0;
    for (Term term : flattened(terms)) {
      String part = render(term, false, 0);
      if (part == null || part.equals("true")) {
        continue;
      }
      int size = part.getBytes(StandardCharsets.UTF_8).length + 8;
      int weight = operators(part) + 3;
      if (bytes + size <= MAX_TEXT_BYTES && operators + weight <= MAX_OPERATORS) {
        parts.add(part);
        bytes += size;
        operators += weight;
      }
    }
    return parts.isEmpty() ? Optional.empty() : Optional.of(String.join(" AND ", parts));
  }

  /** What is joined by AND at the top, without recursion: chains of it may be long. */
  private static List<Term> flattened(List<Term> terms) {
    List<Term> flat = new ArrayList<>();
    List<Term> left = new ArrayList<>(terms);
    Collections.reverse(left);
    while (!left.isEmpty()) {
      Term term = left.remove(left.size() - 1);
      if (term.kind == Term.Kind.AND) {
        left.add(term.children.get(1));
        left.add(term.children.get(0));
      } else {
        flat.add(term);
      }
    }
    return flat;
  }

  /** What may nest in a text: each operator, keyword and parenthesis follows one of these. */
  private static int operators(String text) {
    int count = 1;
    char quote = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (quote != 0) {
        quote = c == quote ? 0 : quote;
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == ' ' || c == '(' || c == ',' || c == '-') {
        count++;
      }
    }
    return count;
  }

  private String render(Term term, boolean exact, int depth) {
    if (depth > MAX_DEPTH) {
      return null;
    }
    switch (term.kind) {
      case AND:
        return both(term, exact, depth);
      case OR:
        String left = render(term.children.get(0), exact, depth + 1);
        String right = render(term.children.get(1), exact, depth + 1);
        return left == null || right == null ? null : "(" + left + " OR " + right + ")";
      case NOT:
        String inner = render(term.children.get(0), true, depth + 1);
        return inner == null ? null : "NOT (" + inner + ")";
      case TRUE:
        return "true";
      case FALSE:
        return "false";
      case OTHER:
        return null;
      default:
        return PrunedColumn.find(term.column, schema, fields)
            .map(column -> leaf(term, column, exact))
            .orElse(null);
    }
  }

  private String both(Term term, boolean exact, int depth) {
    String left = render(term.children.get(0), exact, depth + 1);
    String right = render(term.children.get(1), exact, depth + 1);
    if (left != null && right != null) {
      return "(" + left + " AND " + right + ")";
    }
    return exact ? null : left == null ? right : left;
  }

  private static String leaf(Term term, PrunedColumn column, boolean exact) {
    switch (term.kind) {
      case IS_NULL:
        return column.quoted() + " IS NULL";
      case IS_NOT_NULL:
        return column.quoted() + " IS NOT NULL";
      case COMPARE:
        return compare(term, column, exact);
      case IN:
        return in(term, column, exact);
      default:
        return prefix(term, column, exact);
    }
  }

  private static String compare(Term term, PrunedColumn column, boolean exact) {
    Comparable<?> value = Literals.value(column, term.values.get(0));
    if (value == null) {
      return null;
    }
    boolean equality =
        term.operator.equals("=") || term.operator.equals("<>") || term.operator.equals("<=>");
    if (column.form == PrunedColumn.Form.BOOLEAN && !equality) {
      return null;
    }
    Comparable<?> low = low(column, value);
    Comparable<?> high = high(column, value);
    if (low.equals(high)) {
      String operator = term.operator;
      if (operator.equals("<=>")) {
        operator = exact ? "IS NOT DISTINCT FROM" : "=";
      }
      return say(column, operator, value);
    }
    return exact ? null : blurred(column, term.operator, low, high);
  }

  /** A comparison with a value of which is only known between which bounds the server sees it. */
  private static String blurred(
      PrunedColumn column, String operator, Comparable<?> low, Comparable<?> high) {
    switch (operator) {
      case "<":
      case "<=":
        return say(column, "<=", high);
      case ">":
      case ">=":
        return say(column, ">=", low);
      case "<>":
        return null;
      default:
        return between(column, low, high);
    }
  }

  private static String between(PrunedColumn column, Comparable<?> low, Comparable<?> high) {
    String from = say(column, ">=", low);
    String to = say(column, "<=", high);
    return from == null || to == null ? null : "(" + from + " AND " + to + ")";
  }

  /** The server cuts a literal to the unit of the column, which may be the millisecond. */
  private static Comparable<?> low(PrunedColumn column, Comparable<?> value) {
    if (column.form != PrunedColumn.Form.TIMESTAMP) {
      return value;
    }
    long micros = (Long) value;
    long least = Math.max(micros, Long.MIN_VALUE + column.slackMicros + MILLI_MICROS);
    return Math.floorDiv(least - column.slackMicros, MILLI_MICROS) * MILLI_MICROS;
  }

  private static Comparable<?> high(PrunedColumn column, Comparable<?> value) {
    if (column.form != PrunedColumn.Form.TIMESTAMP) {
      return value;
    }
    long micros = (Long) value;
    long most = Math.min(micros, Long.MAX_VALUE - column.slackMicros - MILLI_MICROS);
    return -Math.floorDiv(-(most + column.slackMicros), MILLI_MICROS) * MILLI_MICROS;
  }

  private static String say(PrunedColumn column, String operator, Comparable<?> value) {
    String literal = Literals.sql(column, value);
    return literal == null ? null : column.quoted() + " " + operator + " " + literal;
  }

  private static String in(Term term, PrunedColumn column, boolean exact) {
    List<String> literals = new ArrayList<>();
    Comparable<?> least = null;
    Comparable<?> most = null;
    boolean blurred = term.values.size() > MAX_LIST;
    for (Object raw : term.values) {
      Comparable<?> value = Literals.value(column, raw);
      if (value == null) {
        return null;
      }
      Comparable<?> low = low(column, value);
      Comparable<?> high = high(column, value);
      least = least == null || Literals.compare(low, least) < 0 ? low : least;
      most = most == null || Literals.compare(high, most) > 0 ? high : most;
      blurred |= !low.equals(high);
      String literal = blurred ? null : Literals.sql(column, value);
      if (literal != null) {
        literals.add(literal);
      }
    }
    if (least == null || (exact && blurred)) {
      return null;
    }
    if (blurred) {
      return between(column, least, most);
    }
    return literals.size() < term.values.size()
        ? null
        : column.quoted() + " IN (" + String.join(",", literals) + ")";
  }

  private static String prefix(Term term, PrunedColumn column, boolean exact) {
    Comparable<?> value = Literals.value(column, term.values.get(0));
    if (column.form != PrunedColumn.Form.STRING || value == null) {
      return null;
    }
    String text = (String) value;
    boolean plain = Arrays.stream(new String[] {"%", "_", "\\"}).noneMatch(text::contains);
    if (plain) {
      return column.quoted() + " LIKE " + Literals.quoted(text + "%");
    }
    return exact ? null : say(column, ">=", text);
  }
}

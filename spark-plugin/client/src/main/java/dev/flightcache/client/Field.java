package dev.flightcache.client;

import java.util.List;
import java.util.Objects;

/** Name and type of a column, as in Arrow. Immutable. */
public final class Field {
  private final String name;
  private final boolean nullable;
  private final ColumnType type;
  private final List<Field> children;
  private final boolean dictionary;

  public Field(
      String name, boolean nullable, ColumnType type, List<Field> children, boolean dictionary) {
    this.name = Objects.requireNonNull(name);
    this.nullable = nullable;
    this.type = Objects.requireNonNull(type);
    this.children = List.copyOf(children);
    this.dictionary = dictionary;
  }

  public String name() {
    return name;
  }

  public boolean nullable() {
    return nullable;
  }

  /** Its type; of a dictionary-encoded column, that of its values. */
  public ColumnType type() {
    return type;
  }

  /** The item of a list, the fields of a struct, the one entries struct of a map. */
  public List<Field> children() {
    return children;
  }

  /** Whether it comes as indices into a dictionary. */
  public boolean dictionary() {
    return dictionary;
  }

  @Override
  public String toString() {
    String nested = children.isEmpty() ? "" : children.toString();
    return name + ": " + type + nested + (nullable ? "" : " not null");
  }
}

package dev.flightcache.spark.vector;

import dev.flightcache.client.Column;
import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** How a column that arrives as one type is read as another, nested ones included. Immutable. */
final class Shape {
  final DataType type;
  final Layout layout;

  /** What is expected to arrive; null where the column is missing. */
  final Field field;

  /** The item of a list, the key and the value of a map, what Spark wants of a struct. */
  final Shape[] children;

  /** Of a struct, where each child lies among those that arrive; -1 if it does not. */
  final int[] sources;

  private Shape(DataType type, Layout layout, Field field, Shape[] children, int[] sources) {
    this.type = type;
    this.layout = layout;
    this.field = field;
    this.children = children;
    this.sources = sources;
  }

  /** A column of nulls. */
  static Shape missing(DataType type) {
    Shape[] children = {};
    if (type instanceof ArrayType) {
      children = new Shape[] {missing(((ArrayType) type).elementType())};
    } else if (type instanceof MapType) {
      MapType map = (MapType) type;
      children = new Shape[] {missing(map.keyType()), missing(map.valueType())};
    } else if (type instanceof StructType) {
      StructField[] wanted = ((StructType) type).fields();
      children = new Shape[wanted.length];
      for (int i = 0; i < wanted.length; i++) {
        children[i] = missing(wanted[i].dataType());
      }
    }
    return new Shape(type, Layout.MISSING, null, children, new int[0]);
  }

  /**
   * How {@code field} is read as {@code type}.
   *
   * @param caseSensitive whether Spark tells names apart by case
   */
  static Shape of(Field field, DataType type, boolean caseSensitive) throws Refused {
    Shape shape = unchecked(field, type, caseSensitive);
    if (field.dictionary() && shape.layout.isNested()) {
      throw new Refused("a dictionary of nested values");
    }
    return shape;
  }

  private static Shape unchecked(Field field, DataType type, boolean caseSensitive)
      throws Refused {
    switch (field.type().kind()) {
      case LIST:
        return list(field, type, Layout.LIST, caseSensitive);
      case LARGE_LIST:
        return list(field, type, Layout.LARGE_LIST, caseSensitive);
      case FIXED_SIZE_LIST:
        return list(field, type, Layout.FIXED_LIST, caseSensitive);
      case STRUCT:
        return struct(field, type, caseSensitive);
      case MAP:
        return map(field, type, caseSensitive);
      default:
        Layout layout = Leaves.layout(field.type(), type);
        if (layout == null) {
          throw mismatch(field, type);
        }
        return new Shape(type, layout, field, new Shape[0], new int[0]);
    }
  }

  private static Shape list(Field field, DataType type, Layout layout, boolean caseSensitive)
      throws Refused {
    if (!(type instanceof ArrayType) || field.children().size() != 1) {
      throw mismatch(field, type);
    }
    DataType item = ((ArrayType) type).elementType();
    Shape child = inside("item", field.children().get(0), item, caseSensitive);
    return new Shape(type, layout, field, new Shape[] {child}, new int[] {0});
  }

  private static Shape map(Field field, DataType type, boolean caseSensitive) throws Refused {
    if (!(type instanceof MapType) || field.children().size() != 1) {
      throw mismatch(field, type);
    }
    Field entries = field.children().get(0);
    if (entries.type().kind() != Kind.STRUCT || entries.children().size() != 2) {
      throw mismatch(field, type);
    }
    MapType map = (MapType) type;
    Shape key = inside("key", entries.children().get(0), map.keyType(), caseSensitive);
    Shape value = inside("value", entries.children().get(1), map.valueType(), caseSensitive);
    return new Shape(type, Layout.MAP, field, new Shape[] {key, value}, new int[] {0, 1});
  }

  private static Shape struct(Field field, DataType type, boolean caseSensitive) throws Refused {
    if (!(type instanceof StructType)) {
      throw mismatch(field, type);
    }
    StructField[] wanted = ((StructType) type).fields();
    Shape[] children = new Shape[wanted.length];
    int[] sources = new int[wanted.length];
    boolean found = false;
    for (int i = 0; i < wanted.length; i++) {
      String name = wanted[i].name();
      sources[i] = find(field.children(), name, caseSensitive);
      if (sources[i] < 0) {
        children[i] = missing(wanted[i].dataType());
      } else {
        Field child = field.children().get(sources[i]);
        children[i] = inside(name, child, wanted[i].dataType(), caseSensitive);
        found = true;
      }
    }
    if (!found) {
      // Versions of Spark differ in whether such a struct is null.
      throw new Refused("a struct of which no wanted field is there");
    }
    return new Shape(type, Layout.STRUCT, field, children, sources);
  }

  /**
   * Where the field called {@code name} lies, or -1: Spark's rule, by which a name that two fields
   * could mean is an error.
   */
  static int find(List<Field> fields, String name, boolean caseSensitive) throws Refused {
    int found = -1;
    String wanted = fold(name, caseSensitive);
    for (int i = 0; i < fields.size(); i++) {
      if (!fold(fields.get(i).name(), caseSensitive).equals(wanted)) {
        continue;
      }
      if (found >= 0) {
        throw new Refused(name + " is the name of two fields");
      }
      found = i;
    }
    return found;
  }

  private static String fold(String name, boolean caseSensitive) {
    return caseSensitive ? name : name.toLowerCase(Locale.ROOT);
  }

  private static Shape inside(String name, Field field, DataType type, boolean caseSensitive)
      throws Refused {
    try {
      return of(field, type, caseSensitive);
    } catch (Refused refused) {
      throw refused.inside(name);
    }
  }

  /**
   * Checks that a column is what was planned; its children are checked where they are loaded.
   *
   * @throws FlightcacheException if it is something else
   */
  static void same(Field planned, Column column) throws FlightcacheException {
    Field field = column.field();
    boolean same =
        planned.type().equals(field.type())
            && planned.children().size() == field.children().size()
            && column.children() == field.children().size();
    for (int i = 0; same && i < planned.children().size(); i++) {
      same = planned.children().get(i).name().equals(field.children().get(i).name());
    }
    if (!same) {
      throw Bounds.malformed(column, "it is " + field + ", planned was " + planned);
    }
  }

  private static Refused mismatch(Field field, DataType type) {
    return new Refused(field.type() + " is not read as " + type.simpleString());
  }
}

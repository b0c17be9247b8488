package dev.flightcache.client;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import java.util.HashMap;
import java.util.Map;
import org.apache.arrow.flatbuf.Type;

/**
 * Which timestamps of a schema are INT96 in the files, as the node says beside the schema: nothing
 * else tells them from INT64 nanoseconds, which Spark does not read. One of these stands for one
 * place in the schema.
 */
final class Int96Columns {
  /** In the metadata of a schema: a list of paths, each a list of names. */
  static final String KEY = "flightcache.int96";

  /** Where there are none. */
  static final Int96Columns NONE = empty();

  private static final String ITEM = "item";
  private static final String[] SIDES = {"key", "value"};

  private final Map<String, Int96Columns> inside;
  /** Whether this is the struct that holds the two sides of a map, in whose path it has no name. */
  private final boolean entries;

  private boolean here;

  private Int96Columns(Map<String, Int96Columns> inside, boolean entries) {
    this.inside = inside;
    this.entries = entries;
  }

  private static Int96Columns empty() {
    return new Int96Columns(new HashMap<>(), false);
  }

  /**
   * Reads what stands under {@link #KEY}.
   *
   * @throws RuntimeException if it is out of shape
   */
  static Int96Columns parse(String json) {
    Int96Columns root = empty();
    for (JsonElement path : JsonParser.parseString(json).getAsJsonArray()) {
      JsonArray names = path.getAsJsonArray();
      Int96Columns at = root;
      for (JsonElement name : names) {
        at = at.inside.computeIfAbsent(name.getAsString(), key -> empty());
      }
      at.here = true;
    }
    return root;
  }

  /** Whether what is here is INT96. */
  boolean here() {
    return here;
  }

  /** The column of that name. */
  Int96Columns column(String name) {
    return inside.getOrDefault(name, NONE);
  }

  /**
   * What is inside of what is here.
   *
   * @param type the type of what is here, as {@link Type} has it
   * @param index of the child
   * @param name of the child
   */
  Int96Columns child(byte type, int index, String name) {
    switch (type) {
      case Type.List:
      case Type.LargeList:
      case Type.FixedSizeList:
        return column(ITEM);
      case Type.Map:
        return new Int96Columns(inside, true);
      default:
        return column(entries && index < SIDES.length ? SIDES[index] : name);
    }
  }
}

package dev.flightcache.client;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.List;

/**
 * The JSON of commands and metadata, over Gson, which gRPC brings along. What a node sends is not
 * trusted: anything out of shape is an {@code INTERNAL} error that says what it was read from.
 */
final class Json {
  private final JsonObject object;
  private final String what;

  private Json(JsonObject object, String what) {
    this.object = object;
    this.what = what;
  }

  /** Reads an object; {@code what} names it in errors. */
  static Json parse(String text, String what) throws FlightcacheException {
    try {
      JsonElement element = JsonParser.parseString(text);
      if (element.isJsonObject()) {
        return new Json(element.getAsJsonObject(), what);
      }
    } catch (JsonParseException error) {
      throw new FlightcacheException(ErrorKind.INTERNAL, what + " is no JSON", error);
    }
    throw new FlightcacheException(ErrorKind.INTERNAL, what + " is no JSON object");
  }

  String text(String name) throws FlightcacheException {
    JsonElement value = object.get(name);
    if (value instanceof JsonPrimitive && value.getAsJsonPrimitive().isString()) {
      return value.getAsString();
    }
    throw wrong(name, "a string");
  }

  /** Whether there is such a member, and not null. */
  boolean has(String name) {
    JsonElement value = object.get(name);
    return value != null && !value.isJsonNull();
  }

  /** A whole number. */
  long number(String name) throws FlightcacheException {
    JsonElement value = object.get(name);
    if (value instanceof JsonPrimitive && value.getAsJsonPrimitive().isNumber()) {
      try {
        return value.getAsBigDecimal().longValueExact();
      } catch (ArithmeticException | NumberFormatException error) {
        throw wrong(name, "a whole number");
      }
    }
    throw wrong(name, "a whole number");
  }

  /** A whole number that is not negative. */
  long count(String name) throws FlightcacheException {
    long number = number(name);
    if (number < 0) {
      throw wrong(name, "a count");
    }
    return number;
  }

  /** A count that fits an {@code int}. */
  int ordinal(String name) throws FlightcacheException {
    long number = count(name);
    if (number > Integer.MAX_VALUE) {
      throw wrong(name, "below 2^31");
    }
    return (int) number;
  }

  List<Json> objects(String name) throws FlightcacheException {
    JsonElement value = object.get(name);
    if (!(value instanceof JsonArray)) {
      throw wrong(name, "a list of objects");
    }
    List<Json> items = new ArrayList<>();
    for (JsonElement item : value.getAsJsonArray()) {
      if (!item.isJsonObject()) {
        throw wrong(name, "a list of objects");
      }
      items.add(new Json(item.getAsJsonObject(), what));
    }
    return items;
  }

  List<String> texts(String name) throws FlightcacheException {
    JsonElement value = object.get(name);
    if (!(value instanceof JsonArray)) {
      throw wrong(name, "a list of texts");
    }
    List<String> items = new ArrayList<>();
    for (JsonElement item : value.getAsJsonArray()) {
      if (!(item instanceof JsonPrimitive) || !item.getAsJsonPrimitive().isString()) {
        throw wrong(name, "a list of texts");
      }
      items.add(item.getAsString());
    }
    return items;
  }

  private FlightcacheException wrong(String name, String expected) {
    return new FlightcacheException(
        ErrorKind.INTERNAL, what + ": `" + name + "` is not " + expected);
  }

  /** Collects the members of an object; those whose value is null are left out. */
  static final class Writer {
    private final JsonObject object = new JsonObject();

    Writer member(String name, String value) {
      if (value != null) {
        object.addProperty(name, value);
      }
      return this;
    }

    Writer member(String name, Long value) {
      if (value != null) {
        object.addProperty(name, value);
      }
      return this;
    }

    Writer member(String name, List<String> values) {
      if (values != null) {
        JsonArray array = new JsonArray();
        values.forEach(array::add);
        object.add(name, array);
      }
      return this;
    }

    /** The text. */
    String end() {
      return object.toString();
    }
  }
}

package dev.flightcache.client;

import dev.flightcache.client.ColumnType.Kind;
import dev.flightcache.client.ColumnType.TimeUnit;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flatbuf.Date;
import org.apache.arrow.flatbuf.DateUnit;
import org.apache.arrow.flatbuf.Decimal;
import org.apache.arrow.flatbuf.DictionaryEncoding;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.FixedSizeBinary;
import org.apache.arrow.flatbuf.FixedSizeList;
import org.apache.arrow.flatbuf.FloatingPoint;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.Precision;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Time;
import org.apache.arrow.flatbuf.Timestamp;
import org.apache.arrow.flatbuf.Type;

/** Reads Arrow's schema message. Not to be kept: it counts what it reads of one schema. */
final class SchemaReader {
  private static final int CONTINUATION = 0xffff_ffff;
  private static final int MAX_FIELDS = 100_000;
  private static final int MAX_DEPTH = 64;

  private int fields;

  private SchemaReader() {}

  /** The fields of a schema with the prefix that it has in a file: of a plan, not of a stream. */
  static List<Field> encapsulated(ByteBuffer bytes) throws FlightcacheException {
    ByteBuffer message = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
    if (message.remaining() >= 8 && message.getInt(0) == CONTINUATION) {
      message.position(8);
    } else if (message.remaining() >= 4) {
      message.position(4);
    }
    List<Field> read = new ArrayList<>();
    for (Layout layout : message(message.slice())) {
      read.add(layout.field());
    }
    return read;
  }

  /** The columns of the schema message {@code bytes}. */
  static Layout[] message(ByteBuffer bytes) throws FlightcacheException {
    try {
      var message = org.apache.arrow.flatbuf.Message.getRootAsMessage(bytes);
      if (message.headerType() != MessageHeader.Schema) {
        throw new FlightcacheException(ErrorKind.INTERNAL, "the node sent no schema first");
      }
      Schema schema = (Schema) message.header(new Schema());
      if (schema.endianness() != Endianness.Little) {
        throw new FlightcacheException(ErrorKind.INTERNAL, "the schema is not little endian");
      }
      SchemaReader reader = new SchemaReader();
      Int96Columns int96 = int96(schema);
      Layout[] columns = new Layout[reader.counted(schema.fieldsLength())];
      for (int i = 0; i < columns.length; i++) {
        columns[i] = reader.layout(schema.fields(i), 0, int96.column(name(schema.fields(i))));
      }
      return columns;
    } catch (RuntimeException error) {
      // Flatbuffers checks nothing: bytes out of shape lead it out of bounds.
      throw new FlightcacheException(ErrorKind.INTERNAL, "the schema cannot be read", error);
    }
  }

  private static Int96Columns int96(Schema schema) {
    for (int i = 0; i < schema.customMetadataLength(); i++) {
      if (Int96Columns.KEY.equals(schema.customMetadata(i).key())) {
        return Int96Columns.parse(schema.customMetadata(i).value());
      }
    }
    return Int96Columns.NONE;
  }

  private static String name(org.apache.arrow.flatbuf.Field source) {
    return source.name() == null ? "" : source.name();
  }

  private int counted(int more) {
    fields += more;
    if (more < 0 || fields < 0 || fields > MAX_FIELDS) {
      throw new IllegalArgumentException("more than " + MAX_FIELDS + " fields");
    }
    return more;
  }

  private Layout layout(
      org.apache.arrow.flatbuf.Field source, int depth, Int96Columns int96) {
    if (depth > MAX_DEPTH) {
      throw new IllegalArgumentException("fields nested deeper than " + MAX_DEPTH);
    }
    Layout[] children = new Layout[counted(source.childrenLength())];
    List<Field> childFields = new ArrayList<>();
    for (int i = 0; i < children.length; i++) {
      var child = source.children(i);
      Int96Columns inside = int96.child(source.typeType(), i, name(child));
      children[i] = layout(child, depth + 1, inside);
      childFields.add(children[i].field());
    }
    ColumnType type = type(source);
    if (int96.here() && type.kind() == Kind.TIMESTAMP) {
      type = ColumnType.int96(type.unit(), type.zone());
    }
    nested(type, children);
    DictionaryEncoding encoding = source.dictionary();
    Field field = new Field(name(source), source.nullable(), type, childFields, encoding != null);
    Layout plain = Layout.plain(field, children);
    if (encoding == null) {
      return plain;
    }
    Int index = encoding.indexType();
    int bits = index == null ? 32 : index.bitWidth();
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) {
      throw new IllegalArgumentException("indices of " + bits + " bits");
    }
    boolean unsigned = index != null && !index.isSigned();
    return Layout.dictionary(field, plain, encoding.id(), bits, unsigned);
  }

  /** Readers look for children by the type alone. */
  private static void nested(ColumnType type, Layout[] children) {
    boolean right;
    switch (type.kind()) {
      case LIST:
      case LARGE_LIST:
      case FIXED_SIZE_LIST:
        right = children.length == 1;
        break;
      case MAP:
        right = children.length == 1 && isEntries(children[0]);
        break;
      case STRUCT:
      case OTHER:
        right = true;
        break;
      default:
        right = children.length == 0;
    }
    if (!right) {
      throw new IllegalArgumentException(type + " of " + children.length + " children");
    }
  }

  private static boolean isEntries(Layout entries) {
    boolean plain = entries.kind() == Kind.STRUCT && entries.values() == null;
    return plain && entries.children().length == 2;
  }

  private static ColumnType type(org.apache.arrow.flatbuf.Field source) {
    switch (source.typeType()) {
      case Type.Null:
        return ColumnType.of(Kind.NULL);
      case Type.Bool:
        return ColumnType.of(Kind.BOOL);
      case Type.Int:
        return integer((Int) source.type(new Int()));
      case Type.FloatingPoint:
        return floating((FloatingPoint) source.type(new FloatingPoint()));
      case Type.Decimal:
        return decimal((Decimal) source.type(new Decimal()));
      case Type.Date:
        boolean days = ((Date) source.type(new Date())).unit() == DateUnit.DAY;
        return ColumnType.of(days ? Kind.DATE32 : Kind.DATE64);
      case Type.Time:
        Time time = (Time) source.type(new Time());
        Kind kind = time.bitWidth() == 32 ? Kind.TIME32 : Kind.TIME64;
        return ColumnType.time(kind, unit(time.unit()), null);
      case Type.Timestamp:
        Timestamp stamp = (Timestamp) source.type(new Timestamp());
        return ColumnType.time(Kind.TIMESTAMP, unit(stamp.unit()), stamp.timezone());
      case Type.Utf8:
        return ColumnType.of(Kind.UTF8);
      case Type.LargeUtf8:
        return ColumnType.of(Kind.LARGE_UTF8);
      case Type.Binary:
        return ColumnType.of(Kind.BINARY);
      case Type.LargeBinary:
        return ColumnType.of(Kind.LARGE_BINARY);
      case Type.FixedSizeBinary:
        int bytes = ((FixedSizeBinary) source.type(new FixedSizeBinary())).byteWidth();
        return ColumnType.fixed(Kind.FIXED_SIZE_BINARY, size(bytes));
      case Type.List:
        return ColumnType.of(Kind.LIST);
      case Type.LargeList:
        return ColumnType.of(Kind.LARGE_LIST);
      case Type.FixedSizeList:
        int items = ((FixedSizeList) source.type(new FixedSizeList())).listSize();
        return ColumnType.fixed(Kind.FIXED_SIZE_LIST, size(items));
      case Type.Struct_:
        return ColumnType.of(Kind.STRUCT);
      case Type.Map:
        return ColumnType.of(Kind.MAP);
      default:
        return ColumnType.of(Kind.OTHER);
    }
  }

  private static ColumnType integer(Int type) {
    boolean signed = type.isSigned();
    switch (type.bitWidth()) {
      case 8:
        return ColumnType.of(signed ? Kind.INT8 : Kind.UINT8);
      case 16:
        return ColumnType.of(signed ? Kind.INT16 : Kind.UINT16);
      case 32:
        return ColumnType.of(signed ? Kind.INT32 : Kind.UINT32);
      case 64:
        return ColumnType.of(signed ? Kind.INT64 : Kind.UINT64);
      default:
        return ColumnType.of(Kind.OTHER);
    }
  }

  private static ColumnType floating(FloatingPoint type) {
    switch (type.precision()) {
      case Precision.HALF:
        return ColumnType.of(Kind.FLOAT16);
      case Precision.SINGLE:
        return ColumnType.of(Kind.FLOAT32);
      default:
        return ColumnType.of(Kind.FLOAT64);
    }
  }

  private static ColumnType decimal(Decimal type) {
    int precision = type.precision();
    switch (type.bitWidth()) {
      case 32:
        return ColumnType.decimal(Kind.DECIMAL32, precision, type.scale());
      case 64:
        return ColumnType.decimal(Kind.DECIMAL64, precision, type.scale());
      case 128:
        return ColumnType.decimal(Kind.DECIMAL128, precision, type.scale());
      case 256:
        return ColumnType.decimal(Kind.DECIMAL256, precision, type.scale());
      default:
        return ColumnType.of(Kind.OTHER);
    }
  }

  private static TimeUnit unit(short unit) {
    switch (unit) {
      case org.apache.arrow.flatbuf.TimeUnit.SECOND:
        return TimeUnit.SECOND;
      case org.apache.arrow.flatbuf.TimeUnit.MILLISECOND:
        return TimeUnit.MILLISECOND;
      case org.apache.arrow.flatbuf.TimeUnit.MICROSECOND:
        return TimeUnit.MICROSECOND;
      case org.apache.arrow.flatbuf.TimeUnit.NANOSECOND:
        return TimeUnit.NANOSECOND;
      default:
        throw new IllegalArgumentException("unit " + unit);
    }
  }

  /** A width that no product of it and a message's rows takes past a {@code long}. */
  private static int size(int size) {
    if (size < 0 || size > 1 << 26) {
      throw new IllegalArgumentException("a fixed size of " + size);
    }
    return size;
  }
}

package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.*;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.LargeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.MapVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryEncoder;
import org.apache.arrow.vector.dictionary.DictionaryProvider.MapDictionaryProvider;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Every type as Arrow's own vectors write it, read back from addresses. */
@Timeout(60)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class ColumnTest {
  private static final int ROWS = 70;

  /** Writes a value and says what is to be read. */
  private interface Writer<V> {
    Object write(V vector, int row);
  }

  private final Map<String, List<Object>> expected = new LinkedHashMap<>();
  private final List<FieldVector> vectors = new ArrayList<>();

  /** Every fifth value is null, where {@code nullable}. */
  @SuppressWarnings("unchecked")
  private <V extends FieldVector> void add(V vector, boolean nullable, Writer<V> writer) {
    List<Object> values = new ArrayList<>();
    vector.setInitialCapacity(ROWS);
    vector.allocateNew();
    for (int row = 0; row < ROWS; row++) {
      if (nullable && row % 5 == 3) {
        vector.setNull(row);
        values.add(null);
      } else {
        values.add(writer.write(vector, row));
      }
    }
    vector.setValueCount(ROWS);
    vectors.add(vector);
    expected.put(vector.getName(), values);
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static <V extends FieldVector> V vector(
      String name, ArrowType type, Class<V> kind, BufferAllocator allocator) {
    return kind.cast(FieldType.nullable(type).createNewSingleVector(name, allocator, null));
  }

  private void numbers(BufferAllocator allocator) {
    add(
        new TinyIntVector("i8", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i - 35);
          return i - 35L;
        });
    add(
        new SmallIntVector("i16", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, -i);
          return (long) -i;
        });
    add(
        new IntVector("i32", allocator),
        false,
        (v, i) -> {
          v.setSafe(i, ~i);
          return (long) ~i;
        });
    add(
        new BigIntVector("i64", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, -1L << i);
          return -1L << i;
        });
    add(
        new UInt1Vector("u8", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, 255 - i);
          return 255L - i;
        });
    add(
        new UInt2Vector("u16", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, 65535 - i);
          return 65535L - i;
        });
    add(
        new UInt4Vector("u32", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, -1 - i);
          return 4294967295L - i;
        });
    add(
        new UInt8Vector("u64", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, -1L - i);
          return -1L - i;
        });
    add(
        new Float2Vector("f16", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, (short) -i);
          return (long) -i;
        });
    add(
        new Float4Vector("f32", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i / 3f);
          return i / 3f;
        });
    add(
        new Float8Vector("f64", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, 1 / (i - 9.0));
          return 1 / (i - 9.0);
        });
    add(
        new BitVector("bool", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i % 3 == 0 ? 1 : 0);
          return i % 3 == 0;
        });
    add(
        new BitVector("all", allocator),
        false,
        (v, i) -> {
          v.setSafe(i, i % 2);
          return i % 2 == 1;
        });
    add(
        new DecimalVector("d128", allocator, 38, 4),
        true,
        (v, i) -> decimal(v, i, "-98765432109876543210987654321"));
    add(
        new DecimalVector("d18", allocator, 18, 2),
        true,
        (v, i) -> decimal(v, i, "-1234567890123"));
    add(
        new Decimal256Vector("d256", allocator, 76, 10),
        true,
        (v, i) -> {
          BigDecimal value = new BigDecimal(BigInteger.valueOf(i - 30).shiftLeft(200), 10);
          v.setSafe(i, value);
          return value;
        });
  }

  private static Object decimal(DecimalVector vector, int row, String digits) {
    BigDecimal value =
        new BigDecimal(
            new BigInteger(digits).multiply(BigInteger.valueOf(row - 20)), vector.getScale());
    vector.setSafe(row, value);
    return value;
  }

  private void times(BufferAllocator allocator) {
    add(
        new DateDayVector("date32", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i * 500 - 9000);
          return i * 500L - 9000;
        });
    add(
        new DateMilliVector("date64", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i * 86400000L);
          return i * 86400000L;
        });
    add(
        new TimeSecVector("time_s", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i);
          return (long) i;
        });
    add(
        new TimeMilliVector("time_ms", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i);
          return (long) i;
        });
    add(
        new TimeMicroVector("time_us", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i);
          return (long) i;
        });
    add(
        new TimeNanoVector("time_ns", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, i);
          return (long) i;
        });
    for (TimeUnit unit : TimeUnit.values()) {
      for (String zone : new String[] {null, "Europe/Berlin"}) {
        var type = new ArrowType.Timestamp(unit, zone);
        var stamps = vector("ts_" + unit + zone, type, TimeStampVector.class, allocator);
        add(
            stamps,
            true,
            (v, i) -> {
              v.setSafe(i, -7L * i);
              return -7L * i;
            });
      }
    }
  }

  private void strings(BufferAllocator allocator) {
    add(
        new VarCharVector("utf8", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, utf8("ü".repeat(i % 4)));
          return "ü".repeat(i % 4);
        });
    add(
        new LargeVarCharVector("large_utf8", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, utf8("x" + i));
          return "x" + i;
        });
    add(
        new VarBinaryVector("binary", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, new byte[] {(byte) i});
          return List.of((byte) i);
        });
    add(
        new LargeVarBinaryVector("large_binary", allocator),
        true,
        (v, i) -> {
          v.setSafe(i, new byte[] {1, (byte) -i});
          return List.of((byte) 1, (byte) -i);
        });
    add(
        new FixedSizeBinaryVector("fixed", allocator, 3),
        true,
        (v, i) -> {
          v.setSafe(i, new byte[] {(byte) i, 0, 9});
          return List.of((byte) i, (byte) 0, (byte) 9);
        });
    add(new NullVector("nothing", ROWS), false, (v, i) -> null);
  }

  private void nested(BufferAllocator allocator) {
    ListVector list = ListVector.empty("list", allocator);
    IntVector items =
        list.<IntVector>addOrGetVector(FieldType.nullable(new ArrowType.Int(32, true))).getVector();
    add(
        list,
        true,
        (v, i) -> {
          int at = v.startNewValue(i);
          List<Object> values = new ArrayList<>();
          for (int item = 0; item < i % 4; item++) {
            items.setSafe(at + item, i * 10 + item);
            values.add(i * 10L + item);
          }
          v.endValue(i, i % 4);
          return values;
        });
    LargeListVector large = LargeListVector.empty("large_list", allocator);
    VarCharVector texts =
        large.<VarCharVector>addOrGetVector(FieldType.nullable(new ArrowType.Utf8())).getVector();
    add(
        large,
        true,
        (v, i) -> {
          long at = v.startNewValue(i);
          texts.setSafe((int) at, utf8("t" + i));
          v.endValue(i, 1);
          return List.of("t" + i);
        });
    FixedSizeListVector pairs = FixedSizeListVector.empty("pairs", 2, allocator);
    BitVector bits =
        pairs.<BitVector>addOrGetVector(FieldType.nullable(new ArrowType.Bool())).getVector();
    add(
        pairs,
        true,
        (v, i) -> {
          v.startNewValue(i);
          bits.setSafe(2 * i, i % 2);
          bits.setSafe(2 * i + 1, 1);
          return List.of(i % 2 == 1, true);
        });
    StructVector struct = StructVector.empty("struct", allocator);
    var real = FieldType.nullable(new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE));
    Float8Vector x = struct.addOrGet("x", real, Float8Vector.class);
    VarCharVector y =
        struct.addOrGet("y", FieldType.nullable(new ArrowType.Utf8()), VarCharVector.class);
    add(
        struct,
        true,
        (v, i) -> {
          v.setIndexDefined(i);
          x.setSafe(i, i / 2.0);
          y.setSafe(i, utf8("y" + i));
          return List.of(i / 2.0, "y" + i);
        });
    MapVector map = MapVector.empty("map", allocator, false);
    var writer = map.getWriter();
    add(
        map,
        true,
        (v, i) -> {
          writer.setPosition(i);
          writer.startMap();
          writer.startEntry();
          writer.key().integer().writeInt(i);
          writer.value().bigInt().writeBigInt(-i);
          writer.endEntry();
          writer.endMap();
          return List.of(List.of((long) i, (long) -i));
        });
  }

  private void compare(Batch batch, int from) {
    assertEquals(ROWS - from, batch.rows());
    int at = 0;
    for (Map.Entry<String, List<Object>> column : expected.entrySet()) {
      List<Object> wanted = column.getValue().subList(from, ROWS);
      Column read = batch.column(at++);
      assertEquals(column.getKey(), read.field().name());
      assertEquals(wanted, Values.all(read), column.getKey() + " from " + from);
      long nulls = wanted.stream().filter(value -> value == null).count();
      assertEquals(nulls, read.nullCount(), column.getKey());
      assertEquals(nulls == 0 || column.getKey().equals("nothing"), read.validityAddress() == 0);
    }
  }

  @Test
  void everyTypeIsReadWholeAndFromAnyRowOn() throws Exception {
    try (TestNode node = new TestNode();
        Client client = Client.open(ClientOptions.builder(List.of(node.url())).build())) {
      node.serves(
          stream -> {
            vectors.clear();
            expected.clear();
            numbers(node.allocator());
            times(node.allocator());
            strings(node.allocator());
            nested(node.allocator());
            var root = new VectorSchemaRoot(List.copyOf(vectors));
            stream.vectors(root, new MapDictionaryProvider(), TestNode.position(0, 0, ROWS)).end();
          });
      for (int skip : new int[] {0, 1, 7, 8, 9, 64, 69}) {
        try (BatchStream stream = client.read(TestNode.split(node.url()), skip)) {
          assertTrue(stream.next());
          compare(stream.batch(), skip);
        }
      }
      Values.assertFreed(client);
    }
  }

  @Test
  void dictionariesOfEveryIndexAreRead() throws Exception {
    ArrowType[] indexTypes = {
      new ArrowType.Int(8, true),
      new ArrowType.Int(8, false),
      new ArrowType.Int(16, true),
      new ArrowType.Int(32, true),
      new ArrowType.Int(64, true)
    };
    try (TestNode node = new TestNode();
        Client client = Client.open(ClientOptions.builder(List.of(node.url())).build())) {
      for (ArrowType indexType : indexTypes) {
        expected.clear();
        node.serves(stream -> dictionary(stream, node.allocator(), (ArrowType.Int) indexType));
        try (BatchStream stream = client.read(TestNode.split(node.url()), 3)) {
          assertTrue(stream.next());
          Column column = stream.batch().column(0);
          assertEquals(((ArrowType.Int) indexType).getBitWidth(), column.indexBits());
          assertTrue(column.field().dictionary());
          assertEquals(ColumnType.Kind.UTF8, column.field().type().kind());
          assertEquals(expected.get("colour").subList(3, ROWS), Values.all(column));
        }
      }
      Values.assertFreed(client);
    }
  }

  private void dictionary(TestNode.Stream stream, BufferAllocator allocator, ArrowType.Int index) {
    VarCharVector values = new VarCharVector("values", allocator);
    String[] colours = {"red", "", "grün"};
    for (int i = 0; i < colours.length; i++) {
      values.setSafe(i, utf8(colours[i]));
    }
    values.setValueCount(colours.length);
    Dictionary dictionary = new Dictionary(values, new DictionaryEncoding(7, false, index));
    MapDictionaryProvider provider = new MapDictionaryProvider(dictionary);
    VarCharVector plain = new VarCharVector("colour", allocator);
    add(
        plain,
        true,
        (v, i) -> {
          v.setSafe(i, utf8(colours[i % 3]));
          return colours[i % 3];
        });
    vectors.clear();
    FieldVector encoded = (FieldVector) DictionaryEncoder.encode(plain, dictionary);
    plain.close();
    stream
        .vectors(new VectorSchemaRoot(List.of(encoded)), provider, TestNode.position(0, 0, ROWS))
        .end();
    values.close();
  }

  @Test
  void rowsWithoutColumnsAndColumnsWithoutRows() throws Exception {
    try (TestNode node = new TestNode();
        Client client = Client.open(ClientOptions.builder(List.of(node.url())).build())) {
      node.serves(
          stream -> {
            VectorSchemaRoot root = new VectorSchemaRoot(List.of(), List.of(), 12);
            stream.vectors(root, new MapDictionaryProvider(), TestNode.position(0, 0, 12)).end();
          });
      try (BatchStream stream = client.read(TestNode.split(node.url()), 5)) {
        assertTrue(stream.next());
        assertEquals(7, stream.batch().rows());
        assertEquals(0, stream.batch().columns());
        assertEquals(false, stream.next());
      }
      node.serves(stream -> stream.rows(0, 1, 1).batch(1, 1, TestNode.position(0, 1, 0)).end());
      try (BatchStream stream = client.read(TestNode.split(node.url()), 1)) {
        assertEquals(false, stream.next());
      }
    }
  }
}

package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.DecimalVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.NullVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.VectorUnloader;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.MapVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.ipc.message.ArrowDictionaryBatch;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.ipc.message.IpcOption;
import org.apache.arrow.vector.ipc.message.MessageSerializer;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Messages one by one: dictionaries that change, and bytes that no node should send. */
class MessageTest {
  private static final int MUTATIONS = 30_000;
  private static final int ROWS = 20;
  private static final byte[] NONE = {};

  private final BufferAllocator allocator = new RootAllocator();
  private final Memory memory = new Memory(1 << 20);

  @AfterEach
  void nothingIsLeft() {
    assertEquals(0, memory.used());
    allocator.close();
  }

  /** Header and body of a message. */
  private static final class Raw {
    private final byte[] header;
    private final byte[] body;

    Raw(ByteBuffer header, byte[] body) {
      this.header = new byte[header.remaining()];
      header.duplicate().get(this.header);
      this.body = body;
    }

    Message message(Memory memory) throws FlightcacheException {
      Block block = memory.take(body.length);
      block.buffer().writeBytes(body);
      return new Message(header.clone(), NONE, block);
    }
  }

  private static byte[] body(ArrowRecordBatch batch) {
    byte[] body = new byte[Math.toIntExact(batch.computeBodyLength())];
    for (int i = 0; i < batch.getBuffers().size(); i++) {
      var place = batch.getBuffersLayout().get(i);
      batch.getBuffers().get(i).getBytes(0, body, (int) place.getOffset(), (int) place.getSize());
    }
    return body;
  }

  private Raw schema(org.apache.arrow.vector.types.pojo.Field... fields) {
    var schema = new Schema(List.of(fields));
    return new Raw(MessageSerializer.serializeMetadata(schema, IpcOption.DEFAULT), NONE);
  }

  private Raw batch(VectorSchemaRoot root) {
    try (ArrowRecordBatch batch = new VectorUnloader(root).getRecordBatch()) {
      return new Raw(MessageSerializer.serializeMetadata(batch, IpcOption.DEFAULT), body(batch));
    }
  }

  private Raw dictionary(long id, boolean delta, String... values) {
    try (VarCharVector vector = new VarCharVector("values", allocator)) {
      for (int i = 0; i < values.length; i++) {
        vector.setSafe(i, values[i].getBytes(StandardCharsets.UTF_8));
      }
      vector.setValueCount(values.length);
      var root = new VectorSchemaRoot(List.of((FieldVector) vector));
      ArrowRecordBatch batch = new VectorUnloader(root).getRecordBatch();
      try (ArrowDictionaryBatch whole = new ArrowDictionaryBatch(id, batch, delta)) {
        return new Raw(MessageSerializer.serializeMetadata(whole, IpcOption.DEFAULT), body(batch));
      }
    }
  }

  /** The schema of a dictionary column as it goes over the wire, with the values' type. */
  private Raw dictionarySchema() {
    var encoding = new DictionaryEncoding(1, false, new ArrowType.Int(32, true));
    var type = new FieldType(true, new ArrowType.Utf8(), encoding);
    return schema(new org.apache.arrow.vector.types.pojo.Field("colour", type, List.of()));
  }

  private Raw indices(int... indices) {
    try (IntVector vector = new IntVector("colour", allocator)) {
      for (int i = 0; i < indices.length; i++) {
        vector.setSafe(i, indices[i]);
      }
      vector.setValueCount(indices.length);
      return batch(new VectorSchemaRoot(List.of((FieldVector) vector)));
    }
  }

  private List<Object> values(BatchReader reader, Raw raw) throws FlightcacheException {
    MemoryBatch batch = reader.read(raw.message(memory));
    List<Object> values = Values.all(batch.column(0));
    batch.free();
    return values;
  }

  @Test
  void aDictionaryIsUsedUntilAnotherTakesItsPlace() throws Exception {
    BatchReader reader = new BatchReader();
    assertNull(reader.read(dictionarySchema().message(memory)));
    assertThrows(FlightcacheException.class, () -> values(reader, indices(0)));
    assertNull(reader.read(dictionary(1, false, "red", "green").message(memory)));
    assertEquals(List.of("green", "red"), values(reader, indices(1, 0)));
    assertEquals(List.of("red"), values(reader, indices(0)));
    assertThrows(FlightcacheException.class, () -> values(reader, indices(2)));
    assertNull(reader.read(dictionary(1, false, "blue").message(memory)));
    assertEquals(List.of("blue"), values(reader, indices(0)));
    assertThrows(FlightcacheException.class, () -> values(reader, indices(-1)));
    assertThrows(
        FlightcacheException.class, () -> reader.read(dictionary(1, true, "pink").message(memory)));
    assertThrows(
        FlightcacheException.class,
        () -> reader.read(dictionary(2, false, "pink").message(memory)));
    reader.close();
  }

  /** Columns of every shape: bits, offsets, items, fields, entries, and the nothing of a null. */
  private List<FieldVector> vectors() {
    BigIntVector id = new BigIntVector("id", allocator);
    VarCharVector name = new VarCharVector("name", allocator);
    BitVector even = new BitVector("even", allocator);
    FixedSizeBinaryVector key = new FixedSizeBinaryVector("key", allocator, 3);
    DecimalVector price = new DecimalVector("price", allocator, 20, 2);
    var number = FieldType.nullable(new ArrowType.Int(32, true));
    ListVector list = ListVector.empty("list", allocator);
    IntVector items = list.<IntVector>addOrGetVector(number).getVector();
    FixedSizeListVector pairs = FixedSizeListVector.empty("pairs", 2, allocator);
    IntVector halves = pairs.<IntVector>addOrGetVector(number).getVector();
    StructVector struct = StructVector.empty("struct", allocator);
    IntVector x = struct.addOrGet("x", number, IntVector.class);
    MapVector map = MapVector.empty("map", allocator, false);
    var entries = map.getWriter();
    for (int i = 0; i < ROWS; i++) {
      id.setSafe(i, i);
      even.setSafe(i, i % 2);
      key.setSafe(i, new byte[3]);
      price.setSafe(i, i);
      if (i % 3 == 0) {
        name.setNull(i);
      } else {
        name.setSafe(i, new byte[i]);
      }
      items.setSafe(list.startNewValue(i), i);
      list.endValue(i, 1);
      pairs.startNewValue(i);
      halves.setSafe(2 * i, i);
      halves.setSafe(2 * i + 1, i);
      struct.setIndexDefined(i);
      x.setSafe(i, i);
      entries.setPosition(i);
      entries.startMap();
      entries.startEntry();
      entries.key().integer().writeInt(i);
      entries.value().integer().writeInt(i);
      entries.endEntry();
      entries.endMap();
    }
    NullVector nothing = new NullVector("nothing", ROWS);
    return List.of(id, name, even, key, price, list, pairs, struct, map, nothing);
  }

  private List<Raw> stream() {
    List<FieldVector> vectors = vectors();
    vectors.forEach(vector -> vector.setValueCount(ROWS));
    try (VectorSchemaRoot root = new VectorSchemaRoot(vectors)) {
      root.setRowCount(ROWS);
      var fields = root.getSchema().getFields();
      return List.of(
          schema(fields.toArray(new org.apache.arrow.vector.types.pojo.Field[0])), batch(root));
    }
  }

  /** Whatever is accepted can be read: an address that is wrong would end the process. */
  @Test
  void turnedBytesAreRefusedOrHarmless() throws Exception {
    Random random = new Random(1);
    List<List<Raw>> streams =
        List.of(
            stream(),
            List.of(dictionarySchema(), dictionary(1, false, "red", "green"), indices(1, 0, 1)));
    int refused = 0;
    for (int i = 0; i < MUTATIONS; i++) {
      BatchReader reader = new BatchReader();
      try {
        for (Raw raw : streams.get(i % streams.size())) {
          MemoryBatch batch = reader.read(turned(raw, random).message(memory));
          if (batch != null) {
            for (int column = 0; column < batch.columns(); column++) {
              assertEquals(batch.rows(), batch.column(column).length());
              readSome(batch.column(column));
            }
            if (batch.rows() > 5) {
              batch = batch.from(5, memory);
              for (int column = 0; column < batch.columns(); column++) {
                readSome(batch.column(column));
              }
            }
            batch.free();
          }
        }
      } catch (FlightcacheException error) {
        assertEquals(ErrorKind.INTERNAL, error.kind());
        refused++;
      }
      reader.close();
    }
    assertTrue(refused > MUTATIONS / 20 && refused < MUTATIONS, "refused " + refused);
  }

  private static void readSome(Column column) {
    for (int i = 0; i < Math.min(column.length(), 100); i++) {
      Values.at(column, i);
    }
  }

  private static Raw turned(Raw raw, Random random) {
    byte[] header = raw.header.clone();
    byte[] body = raw.body.clone();
    for (int turns = random.nextInt(3); turns > 0; turns--) {
      byte[] bytes = body.length > 0 && random.nextInt(4) == 0 ? body : header;
      bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
    }
    int kept = random.nextInt(20) == 0 ? random.nextInt(body.length + 1) : body.length;
    return new Raw(ByteBuffer.wrap(header), java.util.Arrays.copyOf(body, kept));
  }

  @Test
  void theWireFormIsReadWhateverElseIsInIt() {
    MessageMarshaller marshaller = new MessageMarshaller(memory);
    ByteArrayOutputStream wire = new ByteArrayOutputStream();
    wire.writeBytes(new byte[] {0x0a, 2, 8, 1}); // flight_descriptor
    wire.writeBytes(new byte[] {0x12, 3, 'h', 'e', 'y'});
    wire.writeBytes(new byte[] {0x1a, 1, 'm'});
    wire.writeBytes(new byte[] {0x28, (byte) 0xff, 1, 0x35, 1, 2, 3, 4}); // unknown fields
    wire.writeBytes(new byte[] {(byte) 0xc2, 0x3e, 4, 1, 2, 3, 4});
    Message message = marshaller.parse(new ByteArrayInputStream(wire.toByteArray()));
    assertEquals("hey", new String(message.header(), StandardCharsets.UTF_8));
    assertEquals("m", new String(message.metadata(), StandardCharsets.UTF_8));
    assertEquals(4, message.body().bytes());
    assertEquals(3, message.body().view(0, 4).get(2));
    message.free();
    List<Integer> failed = new ArrayList<>();
    for (int cut = 1; cut < wire.size(); cut++) {
      byte[] part = java.util.Arrays.copyOf(wire.toByteArray(), cut);
      try {
        marshaller.parse(new ByteArrayInputStream(part)).free();
      } catch (java.io.UncheckedIOException error) {
        failed.add(cut);
      }
    }
    assertEquals(wire.size() - 1 - 5, failed.size(), "all but the ends of fields: " + failed);
  }
}

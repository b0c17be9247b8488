package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.arrow.flight.impl.Flight.FlightEndpoint;
import org.apache.arrow.flight.impl.Flight.FlightInfo;
import org.apache.arrow.vector.ipc.WriteChannel;
import org.apache.arrow.vector.ipc.message.MessageSerializer;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.Test;

/** What is said on the wire is what the server's own tests hold it to. */
class GoldenTest {
  private static final Path DATA = Path.of("../../protocol/testdata");
  private static final ArrowType NANOS = new ArrowType.Timestamp(TimeUnit.NANOSECOND, null);

  @Test
  void commandsAreWrittenAsTheServerReadsThem() throws IOException {
    List<ScanCommand> commands =
        List.of(
            ScanCommand.dataset("lineitem"),
            ScanCommand.url("abfss://c@account.dfs.core.windows.net/a%20b/"),
            ScanCommand.dataset("naïve \"x\" \\ \u0001\t").withColumns(List.of()),
            ScanCommand.dataset("lineitem")
                .withColumns(List.of("l_orderkey", "l \"quoted\""))
                .withFilter("l_shipdate >= DATE '1995-01-01'")
                .withLimit(1000)
                .withSnapshot("0123"),
            ScanCommand.dataset("lineitem")
                .withColumns(List.of("l_tax"))
                .withPrefilter("\"l_tax\" < 0.05"),
            ScanCommand.dataset("lineitem")
                .withColumns(List.of())
                .withStatistics(List.of("l_orderkey", "l \"quoted\"")));
    Object[] written = commands.stream().map(ScanCommand::json).toArray();
    // Spark leaves it to the node where filtering pays, and tasks read whole splits.
    Object[] lines =
        Files.readAllLines(DATA.resolve("commands.jsonl")).stream()
            .filter(line -> !line.contains("row_groups") && !line.contains("prune"))
            .toArray();
    assertArrayEquals(lines, written);
  }

  @Test
  void plansAreReadAsTheServerWritesThem() throws IOException {
    FlightInfo info =
        FlightInfo.newBuilder()
            .setSchema(noColumns())
            .setTotalRecords(8)
            .setAppMetadata(line("plan.json", 0))
            .addEndpoint(FlightEndpoint.newBuilder().setAppMetadata(line("split.json", 0)))
            .build();
    ScanPlan plan = Plans.read(info, NodeAddress.parse("grpc://127.0.0.1:1"), false);
    assertEquals("0123", plan.snapshot());
    assertEquals(231_672_087, plan.bytes());
    assertEquals("lineitem/b.parquet", plan.pruned().get(0).path());
    assertEquals(-1, plan.pruned().get(0).modifiedMs());
    assertEquals(3, plan.schemas());
    assertEquals(List.of("year"), plan.partitionColumns());
    StoredObject file = plan.splits().get(0).objects().get(0);
    assertEquals("lineitem/ä b.parquet", file.path());
    assertEquals(9_007_199_254_740_993L, file.size());
    assertEquals("\"0x8D\"", file.etag());
    assertEquals(1_700_000_000_123L, file.modifiedMs());
    RowGroup group = file.rowGroups().get(1);
    assertEquals(
        List.of(2L, 12L, 3L, 1L << 62),
        List.of((long) group.ordinal(), group.firstRow(), group.rows(), group.midpoint()));
  }

  @Test
  void statisticsAreReadAsTheServerWritesThem() throws IOException {
    FlightInfo info =
        FlightInfo.newBuilder().setSchema(noColumns()).setAppMetadata(line("plan.json", 1)).build();
    ScanPlan plan = Plans.read(info, NodeAddress.parse("grpc://127.0.0.1:1"), false);
    List<String> told = new ArrayList<>();
    for (ColumnStatistics one : plan.statistics()) {
      told.add(one.column() + ' ' + one.nulls().orElse(-1) + ' ' + one.min() + ' ' + one.max());
    }
    assertEquals(
        List.of(
            "l_tax 0 Optional[" + BigInteger.TWO.pow(127).negate() + "] Optional[8]",
            "ä 9007199254740993 Optional.empty Optional.empty",
            "s -1 Optional[] Optional[z\"\u0000é]",
            "f -1 Optional.empty Optional.empty"),
        told);
  }

  @Test
  void batchesSayWhereTheyAre() throws IOException {
    BatchPosition place = BatchPosition.parse(Files.readAllBytes(DATA.resolve("batch.json")));
    assertEquals(2, place.rowGroup());
    assertEquals(4_294_967_308L, place.firstRow());
    assertEquals(65_536, place.rows());
  }

  /** Every path of the vector names a timestamp of this schema, and some timestamps are not named. */
  @Test
  void int96ColumnsAreFoundWhereTheServerSaysThatTheyAre() throws IOException {
    Field at = nanos("at");
    Field pair = new Field("p", nullable(ArrowType.Struct.INSTANCE), List.of(at, nanos("other")));
    Field list = new Field("list", nullable(ArrowType.List.INSTANCE), List.of(nanos("element")));
    Field inner = new Field("w", nullable(ArrowType.List.INSTANCE), List.of(pair));
    FieldType required = FieldType.notNullable(ArrowType.Struct.INSTANCE);
    Field key = new Field("k", FieldType.notNullable(NANOS), List.of());
    Field entries = new Field("kv", required, List.of(key, inner));
    Field map = new Field("map", nullable(new ArrowType.Map(false)), List.of(entries));
    Field struct =
        new Field("a \"quoted\".name", nullable(ArrowType.Struct.INSTANCE), List.of(at));
    List<Field> columns = List.of(nanos("ts"), nanos("at"), struct, list, map);
    String told = Files.readString(DATA.resolve("int96.json"));
    Schema schema = new Schema(columns, Map.of("other", "x", "flightcache.int96", told));
    List<String> shown = new ArrayList<>();
    for (dev.flightcache.client.Field field :
        SchemaReader.encapsulated(encoded(schema).asReadOnlyByteBuffer())) {
      shown.add(field.toString().replace("timestamp(nanosecond)", "T"));
    }
    String t96 = "timestamp(nanosecond, int96)";
    assertEquals(
        List.of(
            "ts: " + t96,
            "at: T",
            "a \"quoted\".name: struct[at: " + t96 + "]",
            "list: list[element: " + t96 + "]",
            "map: map[kv: struct[k: " + t96 + " not null, w: list[p: struct[at: " + t96
                + ", other: T]]] not null]"),
        shown);
  }

  @Test
  void whatIsNoListOfPathsIsAnErrorOfTheNode() throws IOException {
    for (String wrong : List.of("", "{}", "[1]", "[[{}]]", "[[\"a\"]", "[".repeat(100_000))) {
      Schema schema = new Schema(List.of(nanos("ts")), Map.of("flightcache.int96", wrong));
      ByteBuffer bytes = encoded(schema).asReadOnlyByteBuffer();
      FlightcacheException error =
          assertThrows(FlightcacheException.class, () -> SchemaReader.encapsulated(bytes));
      assertEquals(ErrorKind.INTERNAL, error.kind(), wrong);
    }
  }

  private static Field nanos(String name) {
    return new Field(name, nullable(NANOS), List.of());
  }

  private static FieldType nullable(ArrowType type) {
    return FieldType.nullable(type);
  }

  @Test
  void filesAreNamedAsTheServerNamesThem() throws IOException {
    List<String> lines = Files.readAllLines(DATA.resolve("map.jsonl"));
    MapReply reply = MapReply.parse(lines.get(0));
    MapReply.Group group = reply.groups().get(0);
    assertEquals(
        List.of(3L, 180_000L, 60_000L),
        List.of((long) group.rowGroup(), group.firstRow(), group.rows()));
    MapReply.File file = group.files().get(0);
    assertEquals(
        "/var/lib/flightcache/v1/0f/0fd2c5d6a1b04c4e9f7b5a3c2d1e0f00", file.path());
    assertEquals(480_512, file.bytes());
    assertEquals("00112233445566778899aabbccddeeff", file.checksum());
    assertEquals(List.of(), reply.groups().get(1).files());
    assertEquals(List.of(), MapReply.parse(lines.get(1)).groups());
    assertEquals(true, MapReply.parse(lines.get(2)).streamed());
  }

  private static ByteString noColumns() throws IOException {
    return encoded(new Schema(List.of()));
  }

  private static ByteString encoded(Schema schema) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    MessageSerializer.serialize(new WriteChannel(Channels.newChannel(bytes)), schema);
    return ByteString.copyFrom(bytes.toByteArray());
  }

  private static ByteString line(String file, int number) throws IOException {
    return ByteString.copyFromUtf8(Files.readAllLines(DATA.resolve(file)).get(number));
  }
}

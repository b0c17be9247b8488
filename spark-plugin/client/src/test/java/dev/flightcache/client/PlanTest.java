package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Plans, from nodes that are there and not, and answers that are in shape and not. */
@Timeout(60)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class PlanTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  private static final String SPLIT =
      "{\"objects\": [{\"path\": \"a/b.parquet\", \"size\": 77, \"etag\": \"\\\"e\\\"\","
          + " \"row_groups\": [{\"ordinal\": 2, \"first_row\": 30, \"rows\": 10, \"midpoint\":"
          + " 40}]%s}]}";

  private final ScanCommand command = ScanCommand.dataset("lineitem");
  private TestNode node;

  @BeforeEach
  void start() throws Exception {
    node = new TestNode();
    node.plans(
        info("{\"snapshot\": \"s1\", \"bytes\": 99, \"objects\": 1}", String.format(SPLIT, "")));
  }

  @AfterEach
  void stop() throws Exception {
    node.close();
  }

  private static Client client(String... urls) {
    return Client.open(ClientOptions.builder(List.of(urls)).token("hush").build());
  }

  private static FlightInfo info(String scan, String split, Location... locations) {
    Schema schema = new Schema(List.of(Field.notNullable("id", new ArrowType.Int(64, true))));
    var ticket = new Ticket("t".getBytes(StandardCharsets.UTF_8));
    FlightEndpoint endpoint =
        FlightEndpoint.builder(ticket, locations)
            .setAppMetadata(split.getBytes(StandardCharsets.UTF_8))
            .setExpirationTime(Instant.ofEpochMilli(1234567))
            .build();
    return FlightInfo.builder(schema, FlightDescriptor.path("lineitem"), List.of(endpoint))
        .setAppMetadata(scan.getBytes(StandardCharsets.UTF_8))
        .setRecords(10)
        .build();
  }

  @Test
  void aPlanSaysWhatThereIsAndTravels() throws Exception {
    try (Client client = client(node.url())) {
      ScanPlan plan = client.plan(command, SOON);
      client.ping(SOON);
      assertEquals("s1", plan.snapshot());
      assertEquals(99, plan.bytes());
      assertEquals(10, plan.rows());
      assertEquals("[id: int64 not null]", plan.fields().toString());
      assertEquals(plan.fields().toString(), client.schema(command, SOON).toString());
      assertEquals(List.of("lineitem"), client.datasets(SOON));
      Split split = copy(plan.splits().get(0));
      assertEquals(List.of(node.url()), split.locations(), "the node that planned");
      assertEquals(1234567, split.expiresMs());
      StoredObject object = split.objects().get(0);
      assertEquals("a/b.parquet", object.path());
      assertEquals("\"e\"", object.etag());
      assertEquals(-1, object.modifiedMs());
      RowGroup group = object.rowGroups().get(0);
      assertEquals(
          "2 30 10 40",
          group.ordinal() + " " + group.firstRow() + " " + group.rows() + " " + group.midpoint());
      assertEquals(List.of(), plan.pruned());
      assertFalse(split.filtered());
      assertTrue(client.plan(command.withFilter("id > 1"), SOON).splits().get(0).filtered());
      assertEquals("Bearer hush", node.authorization("GET_FLIGHT_INFO"));
    }
  }

  private static Split copy(Split split) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    new ObjectOutputStream(bytes).writeObject(split);
    return (Split)
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray())).readObject();
  }

  @Test
  void timesAndLocationsComeFromTheNode() throws Exception {
    String split = String.format(SPLIT, ", \"modified_ms\": -5, \"new\": {}");
    String scan = "{\"snapshot\": \"s1\", " + split.replace("{\"objects\"", "\"pruned\"");
    Location[] locations = {
      Location.forGrpcInsecure("h", 1), new Location("arrow-flight-reuse-connection://?")
    };
    node.plans(info(scan, split, locations));
    try (Client client = client(node.url())) {
      ScanPlan plan = client.plan(command, SOON);
      assertEquals(-1, plan.bytes());
      assertEquals("a/b.parquet", plan.pruned().get(0).path());
      assertEquals(-5, plan.splits().get(0).objects().get(0).modifiedMs());
      assertEquals(2, plan.splits().get(0).locations().size());
      assertEquals(node.url(), plan.splits().get(0).locations().get(1));
    }
  }

  @Test
  void answersOutOfShapeAreInternalErrors() throws Exception {
    String scan = "{\"snapshot\": \"s1\"}";
    String good = String.format(SPLIT, "");
    String[][] wrong = {
      {"", good},
      {"[]", good},
      {"{\"snapshot\": 1}", good},
      {scan, "{"},
      {scan, "{}"},
      {scan, good.replace("77", "-1")},
      {scan, good.replace("77", "1e300")},
      {scan, good.replace("2", "3000000000")},
      {scan, good.replace("\"size\"", "\"sighs\"")},
      {scan, good.replace("[{\"ordinal\"", "[7, {\"ordinal\"")},
    };
    try (Client client = client(node.url())) {
      for (String[] pair : wrong) {
        node.plans(info(pair[0], pair[1]));
        FlightcacheException error =
            assertThrows(FlightcacheException.class, () -> client.plan(command, SOON));
        assertEquals(ErrorKind.INTERNAL, error.kind(), pair[0] + pair[1]);
        assertTrue(error.getMessage().contains("metadata"), error.getMessage());
      }
    }
  }

  @Test
  void theNextNodeIsAskedWhereOneIsGoneOrHangs() throws Exception {
    try (ServerSocket deaf = new ServerSocket(0)) {
      String hangs = "grpc://127.0.0.1:" + deaf.getLocalPort();
      String gone;
      try (ServerSocket closed = new ServerSocket(0)) {
        gone = "grpc://127.0.0.1:" + closed.getLocalPort();
      }
      try (Client client = client(gone, hangs, node.url())) {
        assertEquals("s1", client.plan(command, Duration.ofSeconds(3)).snapshot());
        client.ping(Duration.ofSeconds(3));
      }
      try (Client client = client(hangs)) {
        FlightcacheException error =
            assertThrows(
                FlightcacheException.class, () -> client.plan(command, Duration.ofMillis(200)));
        assertEquals(ErrorKind.TIMEOUT, error.kind());
        assertTrue(error.getMessage().contains(hangs), error.getMessage());
      }
    }
    node.plans(null);
    try (Client client = client(node.url(), "grpc://127.0.0.1:1")) {
      FlightcacheException error =
          assertThrows(FlightcacheException.class, () -> client.plan(command, SOON));
      assertEquals(ErrorKind.NOT_FOUND, error.kind());
      assertTrue(error.getMessage().contains("dataset `nothing`"), error.getMessage());
    }
  }

  @Test
  void commandsAreJson() {
    assertEquals(
        "{\"dataset\":\"a\\\"b\\n\",\"columns\":[\"x\",\"ü<\"],\"filter\":\"x > 1\",\"limit\":5}",
        ScanCommand.dataset("a\"b\n")
            .withColumns(List.of("x", "ü<"))
            .withFilter("x > 1")
            .withLimit(5)
            .json());
    assertEquals(
        "{\"url\":\"u\",\"columns\":[]}", ScanCommand.url("u").withColumns(List.of()).json());
  }
}

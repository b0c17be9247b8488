package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Against the node itself, and over connections that break. */
@Timeout(120)
class RealNodeTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int ROWS = 300_000;

  /** Two files; rows in order of `id`, `name` null for every seventh, `kind` as a dictionary. */
  private static final String TABLE =
      "import sys, pyarrow as pa, pyarrow.parquet as pq\n"
          + "n = int(sys.argv[2])\n"
          + "ids = list(range(n))\n"
          + "t = pa.table({'id': pa.array(ids, pa.int64()),\n"
          + "  'name': pa.array([None if i % 7 == 0 else 'row %d' % i for i in ids]),\n"
          + "  'kind': pa.array(['even' if i % 2 == 0 else 'odd' for i in ids])"
          + ".dictionary_encode(),\n"
          + "  'price': pa.array([i * 7 - 1000 for i in ids], pa.int64())"
          + ".cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)),\n"
          + "  'pair': pa.array([[i, i + 1] for i in ids])})\n"
          + "half = n // 2\n"
          + "pq.write_table(t.slice(0, half), sys.argv[1] + '/a.parquet', row_group_size=40000)\n"
          + "pq.write_table(t.slice(half), sys.argv[1] + '/b.parquet', row_group_size=40000)\n";

  @TempDir static Path folder;
  private static RealNode node;
  private static String url;
  private static String missing;

  @BeforeAll
  static void serve() throws Exception {
    missing = RealNode.missing();
    if (missing != null) {
      System.err.println("SKIPPED " + RealNodeTest.class.getSimpleName() + ": " + missing);
      return;
    }
    node = RealNode.start(folder, TABLE, "" + ROWS);
    url = node.url();
  }

  @BeforeEach
  void mustServe() {
    assumeTrue(missing == null, missing);
  }

  @AfterAll
  static void stop() throws Exception {
    if (node != null) {
      node.stop();
    }
  }

  private static Client client() {
    return Client.open(ClientOptions.builder(List.of(url)).build());
  }

  /** Checks every row, and gives the ids. */
  private static List<Long> read(Client client, Split split, long skip) throws Exception {
    List<Long> ids = new ArrayList<>();
    try (BatchStream stream = client.read(split, skip)) {
      while (stream.next()) {
        Batch batch = stream.batch();
        for (int i = 0; i < batch.rows(); i++) {
          long id = (Long) Values.at(batch.column(0), i);
          ids.add(id);
          assertEquals(id % 7 == 0 ? null : "row " + id, Values.at(batch.column(1), i));
          assertEquals(id % 2 == 0 ? "even" : "odd", Values.at(batch.column(2), i));
          assertEquals((id * 7 - 1000) + ".00", Values.at(batch.column(3), i).toString());
          assertEquals(List.of(id, id + 1), Values.at(batch.column(4), i));
        }
      }
    }
    return ids;
  }

  private static void assertIds(List<Long> ids, long from, long to) {
    assertEquals(to - from, ids.size());
    for (int i = 0; i < ids.size(); i++) {
      assertEquals(from + i, ids.get(i));
    }
  }

  @Test
  void readsATableAsItWasWritten() throws Exception {
    try (Client client = client()) {
      client.ping(SOON);
      assertEquals(List.of("table"), client.datasets(SOON));
      ScanPlan plan = client.plan(ScanCommand.dataset("table"), SOON);
      assertEquals(ROWS, plan.rows());
      List<Long> ids = new ArrayList<>();
      for (Split split : plan.splits()) {
        long before = ids.size();
        ids.addAll(read(client, split, 0));
        List<RowGroup> groups = split.objects().get(0).rowGroups();
        assertEquals(groups.stream().mapToLong(RowGroup::rows).sum(), ids.size() - before);
        assertEquals(before % (ROWS / 2), groups.get(0).firstRow());
        assertTrue(split.objects().get(0).modifiedMs() > 0);
        assertTrue(split.expiresMs() > System.currentTimeMillis());
      }
      assertIds(ids, 0, ROWS);
      Values.assertFreed(client);
    }
  }

  @Test
  void goesOnBehindTheLastRowWhereAConnectionBreaks() throws Exception {
    try (Client client = client()) {
      Split whole = client.plan(ScanCommand.dataset("table"), SOON).splits().get(0);
      List<Long> all = read(client, whole, 0);
      for (boolean silent : new boolean[] {false, true}) {
        try (Wire wire = new Wire(url, 3_000_000, silent);
            Client other =
                Client.open(
                    ClientOptions.builder(List.of(url))
                        .idleTimeout(Duration.ofSeconds(1))
                        .build())) {
          Split split =
              new Split(
                  whole.ticket(),
                  List.of(wire.url(), url),
                  whole.expiresMs(),
                  false,
                  whole.objects());
          assertEquals(all.subList(11, all.size()), read(other, split, 11));
          assertTrue(wire.broke());
          Values.assertFreed(other);
        }
      }
    }
  }

  @Test
  void ticketsAreRenewedAndErrorsHaveTheirKinds() throws Exception {
    try (Client client = client()) {
      ScanCommand filtered = ScanCommand.dataset("table").withFilter("id < 10 OR id > 299990");
      List<Long> ids = new ArrayList<>();
      for (Split split : client.plan(filtered, SOON).splits()) {
        Split old =
            new Split(
                split.ticket(), List.of(url), System.currentTimeMillis(), true, split.objects());
        ids.addAll(read(client, old, 0));
      }
      assertEquals(19, ids.size());
      assertKind(ErrorKind.NOT_FOUND, client, ScanCommand.dataset("chair"));
      assertKind(ErrorKind.INVALID, client, ScanCommand.dataset("table").withFilter("id <"));
      Split forged = new Split(new byte[] {1, 2}, List.of(url), Long.MAX_VALUE, false, List.of());
      var error = assertThrows(FlightcacheException.class, () -> client.read(forged, 0));
      assertEquals(ErrorKind.INVALID, error.kind());
    }
  }

  private static void assertKind(ErrorKind kind, Client client, ScanCommand command) {
    var error = assertThrows(FlightcacheException.class, () -> client.plan(command, SOON));
    assertEquals(kind, error.kind(), error.getMessage());
  }
}

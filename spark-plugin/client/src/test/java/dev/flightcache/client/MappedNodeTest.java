package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.grpc.netty.NettyChannelBuilder;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.arrow.flight.impl.Flight.Action;
import org.apache.arrow.flight.impl.FlightServiceGrpc;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files of the node itself, against what it streams. */
@Timeout(180)
class MappedNodeTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final long PATIENCE_NANOS = 60_000_000_000L;

  /**
   * Two row groups, the first of two pieces; nulls in every eleventh row of most columns, and one
   * column of nothing but nulls.
   */
  private static final String TABLE =
      String.join(
          "\n",
          "import sys, decimal, datetime as dt, pyarrow as pa, pyarrow.parquet as pq",
          "n = int(sys.argv[2])",
          "def some(f): return [None if i % 11 == 3 else f(i) for i in range(n)]",
          "ints = some(lambda i: i % 101)",
          "D = decimal.Decimal",
          "c = {'id': pa.array(range(n), pa.int64()), 'null': pa.nulls(n, pa.string())}",
          "for t in ('int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',",
          "          'float32', 'float64', 'date32'):",
          "  c[t] = pa.array(ints, pa.int64() if t == 'date32' else getattr(pa, t)())",
          "c['date32'] = c['date32'].cast(pa.int32()).cast(pa.date32())",
          "c['bool'] = pa.array(some(lambda i: i % 3 == 0))",
          "for p, s in ((7, 2), (18, 4), (38, 10), (60, 3)):",
          "  kind = pa.decimal128 if p < 39 else pa.decimal256",
          "  c['decimal%d' % p] = pa.array(some(lambda i: D(i % 9999 * (-1) ** i)), kind(p, s))",
          "for unit in ('ms', 'us', 'ns'):",
          "  c['time_' + unit] = pa.array(ints, pa.int64()).cast(pa.timestamp(unit, 'UTC'))",
          "c['clock'] = pa.array(ints, pa.int64()).cast(pa.time64('us'))",
          "c['text'] = pa.array(some(lambda i: 'word %d' % (i % 5000)))",
          "c['large'] = pa.array(some(lambda i: 'x' * (i % 9)), pa.large_string())",
          "c['blob'] = pa.array(some(lambda i: b'b%d' % i))",
          "c['fixed'] = pa.array(some(lambda i: b'%04d' % (i % 999)), pa.binary(4))",
          "c['kind'] = pa.array(some(lambda i: 'kind %d' % (i % 3))).dictionary_encode()",
          "c['list'] = pa.array(some(lambda i: list(range(i % 4))))",
          "c['struct'] = pa.array(some(lambda i: {'a': i, 'b': 's%d' % i}))",
          "c['map'] = pa.array(some(lambda i: [('k%d' % (i % 3), i)]),",
          "                    pa.map_(pa.string(), pa.int64()))",
          "c['deep'] = pa.array(some(lambda i: [{'a': [i, None], 'b': None}] * (i % 3)))",
          "pq.write_table(pa.table(c), sys.argv[1] + '/a.parquet', row_group_size=70000)");

  private static final int ROWS = 70_500;

  /** Columns whose values are held at a time. */
  private static final int AT_ONCE = 12;

  @TempDir Path folder;
  private RealNode node;
  private Client streaming;
  private Client mapping;
  private Split split;

  @BeforeEach
  void serve() throws Exception {
    String missing = RealNode.missing();
    if (missing != null) {
      System.err.println("SKIPPED " + MappedNodeTest.class.getSimpleName() + ": " + missing);
    }
    assumeTrue(missing == null, missing);
    node = RealNode.start(folder, TABLE, "" + ROWS);
    streaming = Client.open(ClientOptions.builder(List.of(node.url())).build());
    mapping = Client.open(ClientOptions.builder(List.of(node.url())).local(true).build());
    List<Split> splits = mapping.plan(ScanCommand.dataset("table"), SOON).splits();
    assertEquals(1, splits.size());
    split = splits.get(0);
  }

  @AfterEach
  void stop() throws Exception {
    if (node != null) {
      Values.assertFreed(mapping);
      mapping.close();
      streaming.close();
      node.stop();
    }
  }

  /** Reads until all of the split is on disk, which it is a moment after it was read. */
  private BatchStream mapped(long skip) throws Exception {
    long end = System.nanoTime() + PATIENCE_NANOS;
    while (System.nanoTime() < end) {
      BatchStream stream = mapping.read(split, skip);
      assertTrue(stream.next());
      if (stream.batch().mapped()) {
        return stream;
      }
      stream.close();
    }
    throw new AssertionError("the split is never mapped");
  }

  /** The values of some columns from the current batch on. */
  private static List<List<Object>> rest(BatchStream stream, int... columns) throws Exception {
    List<List<Object>> values = new ArrayList<>();
    for (int column : columns) {
      values.add(new ArrayList<>(Values.all(stream.batch().column(column))));
    }
    while (stream.next()) {
      for (int i = 0; i < columns.length; i++) {
        values.get(i).addAll(Values.all(stream.batch().column(columns[i])));
      }
    }
    return values;
  }

  @Test
  void filesHoldWhatStreamsGiveInColumnsOfEveryType() throws Exception {
    mapped(0).close();
    int columns;
    try (BatchStream one = streaming.read(split, 0);
        BatchStream other = mapped(0)) {
      assertTrue(one.next());
      columns = one.batch().columns();
      assertEquals(columns, other.batch().columns());
      for (int i = 0; i < columns; i++) {
        String expected = one.batch().column(i).field().toString();
        assertEquals(expected, other.batch().column(i).field().toString());
      }
    }
    for (int first = 0; first < columns; first += AT_ONCE) {
      int[] some = IntStream.range(first, Math.min(first + AT_ONCE, columns)).toArray();
      try (BatchStream one = streaming.read(split, 0);
          BatchStream other = mapped(0)) {
        assertTrue(one.next());
        List<List<Object>> expected = rest(one, some);
        assertEquals(ROWS, expected.get(0).size());
        List<List<Object>> found = rest(other, some);
        for (int i = 0; i < some.length; i++) {
          assertEquals(expected.get(i), found.get(i), "column " + some[i]);
        }
        assertEquals(0, other.bytes());
      }
    }
  }

  @Test
  void batchesTellWhereTheyAreAndSkipExactly() throws Exception {
    // Inside of a piece, not at a whole byte of a bitmap, and in the second row group.
    for (long skip : new long[] {0, 65_537, 70_003, 70_499}) {
      long next = skip;
      try (BatchStream stream = mapped(skip)) {
        do {
          Batch batch = stream.batch();
          assertEquals(next, batch.firstRow());
          assertEquals(next < 70_000 ? 0 : 1, batch.rowGroup());
          assertEquals(batch.rows(), batch.coveredRows());
          List<Object> ids = Values.all(batch.column(0));
          assertEquals(next, ids.get(0));
          next += batch.rows();
          assertEquals(next - 1, ids.get(ids.size() - 1));
        } while (stream.next());
        assertEquals(0, stream.bytes());
      }
      assertEquals(ROWS, next);
    }
  }

  @Test
  void neitherEvictionNorTheEndOfTheNodeTakesAwayWhatIsMapped() throws Exception {
    try (BatchStream stream = mapped(0);
        BatchStream other = mapped(0)) {
      assertFalse(files().isEmpty());
      act("flightcache.evict", "{\"dataset\":\"table\"}");
      assertEquals(List.of(), files());
      List<Object> ids = rest(stream, 0).get(0);
      node.kill();
      assertEquals(ids, rest(other, 0).get(0));
      assertEquals(ROWS, ids.size());
      assertEquals(0, other.bytes());
    }
  }

  /** As where the node's folder is not here: the rows come all the same. */
  @Test
  void aFolderThatIsElsewhereIsStreamed() throws Exception {
    mapped(0).close();
    Path chunks = node.cache().resolve("v2");
    Files.move(chunks, folder.resolve("elsewhere"));
    try (Client stranger =
            Client.open(ClientOptions.builder(List.of(node.url())).local(true).build());
        BatchStream stream = stranger.read(split, 0)) {
      assertTrue(stream.next());
      assertFalse(stream.batch().mapped());
      assertEquals(ROWS, rest(stream, 0).get(0).size());
      assertEquals(0, stream.mappedBytes());
      assertEquals(1, stranger.unmappedSplits());
    }
  }

  private List<Path> files() throws Exception {
    try (var all = Files.walk(node.cache().resolve("v2"))) {
      return all.filter(Files::isRegularFile)
          .filter(path -> path.getFileName().toString().length() == 32)
          .filter(path -> !isFooter(path))
          .collect(Collectors.toList());
    }
  }

  /** A footer is a chunk too, and of another kind. */
  private static boolean isFooter(Path path) {
    try {
      return Files.readAllBytes(path)[26] != 1;
    } catch (java.io.IOException error) {
      return true;
    }
  }

  private void act(String action, String body) {
    URI at = URI.create(node.url());
    var channel = NettyChannelBuilder.forAddress(at.getHost(), at.getPort()).usePlaintext().build();
    try {
      var request =
          Action.newBuilder()
              .setType(action)
              .setBody(com.google.protobuf.ByteString.copyFromUtf8(body))
              .build();
      FlightServiceGrpc.newBlockingStub(channel).doAction(request).forEachRemaining(x -> {});
    } finally {
      channel.shutdownNow();
    }
  }
}

package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files that a node tells of: which are read, and what becomes of a read where they are not. */
@Timeout(120)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class LocalFilesTest {
  private static final List<Long> ALL =
      LongStream.range(0, LocalFiles.ROWS).boxed().collect(Collectors.toList());

  @TempDir Path folder;
  private TestNode node;
  private Client client;
  private LocalFiles files;
  private List<byte[]> columns;

  @BeforeEach
  void start() throws Exception {
    node = new TestNode();
    client = client(true);
    files = new LocalFiles(folder);
    columns = LocalFiles.columns(node.allocator());
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    Values.assertFreed(client);
    client.close();
    node.close();
  }

  private Client client(boolean local) {
    return Client.open(ClientOptions.builder(List.of(node.url())).local(local).build());
  }

  /** The ids, each with the rest of its row, and how many of them were mapped. */
  private List<Long> read(Client reader, long skip, long mapped) throws Exception {
    List<Long> ids = new ArrayList<>();
    long inFiles = 0;
    try (BatchStream stream = reader.read(TestNode.split(node.url()), skip)) {
      while (stream.next()) {
        inFiles += stream.batch().mapped() ? stream.batch().rows() : 0;
        take(stream.batch(), ids);
      }
      assertEquals(mapped, inFiles);
      assertEquals(mapped > 0, stream.mappedBytes() > 0);
      assertEquals(mapped < ids.size(), stream.bytes() > 0);
    }
    return ids;
  }

  private static void take(Batch batch, List<Long> ids) {
    assertEquals(batch.rows(), batch.coveredRows());
    for (int i = 0; i < batch.rows(); i++) {
      long id = (Long) Values.at(batch.column(0), i);
      assertEquals(batch.firstRow() + i, id);
      assertEquals(id % 7 == 0 ? null : "row " + id, Values.at(batch.column(1), i));
      assertEquals(id % 2 == 0, Values.at(batch.column(2), i));
      ids.add(id);
    }
  }

  @Test
  void readsFilesAndNoStream() throws Exception {
    node.maps(files.told(columns));
    assertEquals(ALL, read(client, 0, 1000));
    assertEquals(ALL.subList(333, 1000), read(client, 333, 667));
    assertEquals(0, node.reads());
    assertEquals(0, client.unmappedSplits());
    assertEquals("", node.authorization("DO_ACTION"));
  }

  @Test
  void asksNobodyUnlessTold() throws Exception {
    node.maps(files.told(columns));
    try (Client other = client(false)) {
      assertEquals(ALL, read(other, 0, 0));
      Values.assertFreed(other);
    }
    assertEquals(0, node.mapsAsked());
  }

  @Test
  void whatIsNotInFilesIsStreamedAndAskedForAgain() throws Exception {
    node.maps("{\"streamed\":\"it is not on disk\"}");
    assertEquals(ALL, read(client, 0, 0));
    assertEquals(ALL, read(client, 0, 0));
    assertEquals(2, node.mapsAsked());
    assertEquals(2, client.unmappedSplits());
    node.maps(files.told(columns));
    assertEquals(ALL, read(client, 0, 1000));
  }

  /** A node elsewhere names files that are not here: it is not asked for each split. */
  @Test
  void aNodeWhoseFilesAreNotHereIsLeftAlone() throws Exception {
    byte[] column = columns.get(0);
    byte[] other = column.clone();
    other[0]++;
    Path wrong = Files.write(folder.resolve("wrong"), other);
    Path here = Files.write(folder.resolve("here"), column);
    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    String sum = LocalFiles.checksum(column);
    List<String> strange =
        List.of(
            LocalFiles.file(folder.resolve("missing"), column.length, sum),
            LocalFiles.file(folder, Files.size(folder), sum),
            LocalFiles.file(pipe, 0, sum),
            LocalFiles.file(here, column.length + 1, sum),
            LocalFiles.file(here, column.length, "00" + sum.substring(2)),
            LocalFiles.file(wrong, column.length, sum),
            "{\"path\":\"a\\u0000b\",\"bytes\":1000,\"checksum\":\"\"}");
    for (String file : strange) {
      try (Client reader = client(true)) {
        int asked = node.mapsAsked();
        node.maps(LocalFiles.answer(List.of(file, file, file)));
        assertEquals(ALL, read(reader, 0, 0), file);
        node.maps(files.told(columns));
        assertEquals(ALL, read(reader, 0, 0), file);
        assertEquals(asked + 1, node.mapsAsked(), file);
        assertEquals(2, reader.unmappedSplits(), file);
        Values.assertFreed(reader);
      }
    }
  }

  /** Its lease may be over: that says nothing of where the node is. */
  @Test
  void aFileThatVanishedIsNoSignOfDistance() throws Exception {
    node.maps(files.told(columns));
    assertEquals(ALL, read(client, 0, 1000));
    Path gone = folder.resolve("gone");
    node.maps(LocalFiles.answer(List.of(LocalFiles.file(gone, 1000, ""))));
    assertEquals(ALL, read(client, 0, 0));
    node.maps(files.told(columns));
    assertEquals(ALL, read(client, 0, 1000));
  }

  @Test
  void strangeAnswersLeadToTheStream() throws Exception {
    String whole = files.told(columns);
    for (String answer :
        new String[] {
          null,
          "",
          "{}",
          "[]",
          "{\"row_groups\":[{}]}",
          "{\"row_groups\":[{\"row_group\":0,\"first_row\":0,\"rows\":1000,\"columns\":[]}]}",
          whole.replace("\"rows\":1000", "\"rows\":9223372036854775807").replace("w\":0", "w\":9"),
        }) {
      try (Client reader = client(true)) {
        node.maps(answer);
        assertEquals(ALL, read(reader, 0, 0), answer);
        Values.assertFreed(reader);
      }
    }
  }

  /** Rows that were given stay given; the stream of the same node goes on behind them. */
  @Test
  void theStreamGoesOnWhereFilesEnd() throws Exception {
    List<byte[]> cut = new ArrayList<>(columns);
    byte[] broken = columns.get(1).clone();
    // The last piece's message, found from the end: its marker is no marker any more.
    int at = broken.length - 8;
    while (broken[at - 1] != -1 || broken[at - 2] != -1 || broken[at - 4] != -1) {
      at--;
    }
    broken[at - 1] = 0;
    cut.set(1, broken);
    node.maps(files.told(cut));
    assertEquals(ALL, read(client, 0, 900));
    assertEquals(1, node.reads());
    assertEquals(1, node.mapsAsked());
  }

  @Test
  void rowsAreThoseThatWereTold() throws Exception {
    String whole = files.told(columns);
    for (String rows : new String[] {"0", "299", "999", "1001"}) {
      try (Client reader = client(true)) {
        node.maps(whole.replace("\"rows\":1000", "\"rows\":" + rows));
        List<Long> ids = new ArrayList<>();
        try (BatchStream stream = reader.read(TestNode.split(node.url()), 0)) {
          while (stream.next()) {
            take(stream.batch(), ids);
          }
        }
        assertEquals(ALL, ids, rows);
      }
    }
  }

  /** Whatever stands in a file, a reader gets values or an error; a crash would end the tests. */
  @Test
  void noBytesOfAFileDoHarm() throws Exception {
    Random random = new Random(7);
    Node local = new Node(NodeAddress.parse(node.url()), options(), null);
    int refused = 0;
    for (int turn = 0; turn < 1500; turn++) {
      byte[] bytes = columns.get(turn % 3).clone();
      // Most of a file are values, which may be anything.
      int reach = turn % 2 == 0 ? Math.min(bytes.length, 1000) : bytes.length;
      for (int flips = random.nextInt(3); flips >= 0; flips--) {
        bytes[random.nextInt(reach)] = (byte) random.nextInt();
      }
      MapReply reply = MapReply.parse(files.told(List.of(bytes)));
      try {
        drain(MappedAttempt.open(local, reply));
      } catch (FlightcacheException error) {
        refused++;
      }
    }
    assertTrue(refused > 250, refused + " refused");
  }

  private ClientOptions options() {
    return ClientOptions.builder(List.of(node.url())).build();
  }

  private static void drain(MappedAttempt attempt) throws FlightcacheException {
    for (MemoryBatch batch = attempt.next(); batch != null; batch = attempt.next()) {
      for (int column = 0; column < batch.columns(); column++) {
        Values.all(batch.column(column));
      }
    }
    attempt.close();
  }

  /** A batch outlives its stream and its file's name: its map goes when nobody looks any more. */
  @Test
  void mapsLiveAsLongAsTheyAreLookedAt() throws Exception {
    node.maps(files.told(columns));
    Batch last;
    try (BatchStream stream = client.read(TestNode.split(node.url()), 0)) {
      assertTrue(stream.next());
      last = stream.batch();
    }
    try (var left = Files.list(folder)) {
      for (Path path : left.collect(Collectors.toList())) {
        Files.delete(path);
      }
    }
    System.gc();
    List<Long> ids = new ArrayList<>();
    take(last, ids);
    assertEquals(ALL.subList(0, 300), ids);
    assertTrue(Maps.live() >= 3);
    last = null;
    long end = System.nanoTime() + 60_000_000_000L;
    while (Maps.live() > 0 && System.nanoTime() < end) {
      System.gc();
      Thread.onSpinWait();
    }
    assertEquals(0, Maps.live());
  }

  @Test
  void aCancelledReadEnds() throws Exception {
    node.maps(files.told(columns));
    try (BatchStream stream = client.read(TestNode.split(node.url()), 0)) {
      assertTrue(stream.next());
      stream.cancel();
      var error = assertThrows(FlightcacheException.class, stream::next);
      assertEquals(ErrorKind.CANCELLED, error.kind());
    }
    assertEquals(0, node.reads());
  }

  @Test
  void aNodeThatIsApartIsAskedAgainInTheEnd() throws IOException {
    AtomicLong now = new AtomicLong(-5);
    Locality locality = new Locality(now::get);
    locality.here();
    locality.missed();
    assertTrue(locality.mayAsk());
    locality.apart();
    now.addAndGet(Locality.APART_NANOS - 1);
    assertFalse(locality.mayAsk());
    now.incrementAndGet();
    assertTrue(locality.mayAsk());
    locality.missed();
    assertFalse(locality.mayAsk());
  }
}

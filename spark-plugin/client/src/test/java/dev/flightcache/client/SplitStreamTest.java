package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a reader gets while nodes fail in every way that they know. */
@Timeout(60)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class SplitStreamTest {
  private static final List<Long> ALL = ids(0, 1000);

  private TestNode one;
  private TestNode two;
  private Client client;

  @BeforeEach
  void start() throws Exception {
    one = new TestNode();
    two = new TestNode();
    client = client(Duration.ofSeconds(30), 64 << 20);
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    Values.assertFreed(client);
    client.close();
    one.close();
    two.close();
  }

  private Client client(Duration patience, long memory) {
    return Client.open(
        ClientOptions.builder(List.of(one.url()))
            .token("hush")
            .firstByteTimeout(patience)
            .idleTimeout(patience)
            .memory(memory)
            .build());
  }

  private static List<Long> ids(long from, long to) {
    return LongStream.range(from, to).boxed().collect(Collectors.toList());
  }

  /** Reads a split to its end, and checks each row's other columns by its id. */
  private static List<Long> read(Client client, Split split, long skip) throws Exception {
    List<Long> ids = new ArrayList<>();
    try (BatchStream stream = client.read(split, skip)) {
      while (stream.next()) {
        take(stream.batch(), ids);
      }
      assertFalse(stream.next());
    }
    return ids;
  }

  private static void take(Batch batch, List<Long> ids) {
    List<Object> numbers = Values.all(batch.column(0));
    for (int i = 0; i < batch.rows(); i++) {
      long id = (Long) numbers.get(i);
      ids.add(id);
      assertEquals(id % 7 == 0 ? null : "row " + id, Values.at(batch.column(1), i));
      assertEquals(id % 2 == 0, Values.at(batch.column(2), i));
    }
    long nulls = Values.all(batch.column(1)).stream().filter(value -> value == null).count();
    assertEquals(nulls, batch.column(1).nullCount());
  }

  private FlightcacheException fails(Split split) {
    FlightcacheException error =
        assertThrows(FlightcacheException.class, () -> read(client, split, 0));
    assertFalse(error.toString().contains("hush") || error.toString().contains("secret"));
    return error;
  }

  private Split both() {
    return TestNode.split(one.url(), two.url());
  }

  @Test
  void batchesTellWhatTheyCover() throws Exception {
    one.serves(stream -> stream.rows(0, 1000, 64).end());
    try (BatchStream stream = client.read(TestNode.split(one.url()), 0)) {
      assertTrue(stream.next() && stream.next());
      assertEquals(64, stream.batch().firstRow());
      assertEquals(64, stream.batch().coveredRows());
      assertEquals(0, stream.batch().rowGroup());
      assertTrue(stream.bytes() > 0 && client.allocatedBytes() > 0);
    }
    assertEquals("Bearer hush", one.authorization("DO_GET"));
  }

  @Test
  void goesOnElsewhereInsideOfABatch() throws Exception {
    for (int size : new int[] {1, 7, 64, 97, 999}) {
      one.serves(stream -> stream.rows(0, 500, 100).fails(Status.UNAVAILABLE));
      two.serves(stream -> stream.rows(0, 1000, size).end());
      assertEquals(ALL, read(client, both(), 0), "batches of " + size);
    }
  }

  @Test
  void goesOnAtTheSameNodeOnce() throws Exception {
    one.serves(
        stream -> {
          if (one.reads() == 1) {
            stream.rows(0, 300, 30).fails(Status.INTERNAL);
          } else {
            stream.rows(0, 1000, 77).end();
          }
        });
    assertEquals(ALL, read(client, TestNode.split(one.url()), 0));
    one.serves(stream -> stream.rows(0, 300, 30).fails(Status.INTERNAL));
    assertEquals(ErrorKind.INTERNAL, fails(TestNode.split(one.url())).kind());
    assertEquals(4, one.reads());
  }

  @Test
  void skipsRowsWhereverTheyEnd() throws Exception {
    one.serves(stream -> stream.rows(0, 330, 33).fails(Status.UNAVAILABLE));
    two.serves(stream -> stream.rows(0, 1000, 100).end());
    for (int skip : new int[] {1, 33, 34, 329, 330, 331, 500, 999, 1000}) {
      assertEquals(ids(skip, 1000), read(client, both(), skip), "without " + skip);
      read(client, TestNode.split(two.url()), 0);
    }
  }

  @Test
  void filteredRowsGoOnAtBatchesAndNotInside() throws Exception {
    Split split = TestNode.split(true, Long.MAX_VALUE, one.url(), two.url());
    one.serves(stream -> stream.filtered().rows(0, 400, 50).fails(Status.UNAVAILABLE));
    two.serves(stream -> stream.filtered().rows(0, 1000, 100).end());
    List<Long> even = ALL.stream().filter(id -> id % 2 == 0).collect(Collectors.toList());
    assertEquals(even, read(client, split, 0));
    two.serves(stream -> stream.filtered().rows(0, 1000, 300).end());
    assertEquals(ErrorKind.UNAVAILABLE, fails(split).kind());
    FlightcacheException error =
        assertThrows(FlightcacheException.class, () -> client.read(split, 1));
    assertEquals(ErrorKind.INVALID, error.kind());
  }

  @Test
  void withoutPositionsItStopsInsteadOfGuessing() {
    one.serves(stream -> stream.batch(0, 10, null).fails(Status.UNAVAILABLE));
    assertEquals(ErrorKind.UNAVAILABLE, fails(both()).kind());
    assertEquals(0, two.reads());
  }

  @Test
  void hangingNodesAreLeft() throws Exception {
    client = client(Duration.ofMillis(300), 64 << 20);
    two.serves(stream -> stream.rows(0, 1000, 90).end());
    one.serves(TestNode.Stream::hangs);
    assertEquals(ALL, read(client, both(), 0));
    one.serves(stream -> stream.rows(0, 200, 40).hangs());
    assertEquals(ALL, read(client, both(), 0));
    assertEquals(ErrorKind.TIMEOUT, fails(TestNode.split(one.url())).kind());
  }

  @Test
  void exhaustedNodesAreAskedAgainAfterAPause() throws Exception {
    one.serves(
        stream -> {
          if (one.reads() == 1) {
            stream.fails(Status.RESOURCE_EXHAUSTED.withDescription("all streams are taken"));
          } else {
            stream.rows(0, 1000, 90).end();
          }
        });
    assertEquals(ALL, read(client, TestNode.split(one.url()), 0));
    one.serves(stream -> stream.fails(Status.RESOURCE_EXHAUSTED));
    assertEquals(ALL, read(client, both(), 0));
    assertEquals(ErrorKind.EXHAUSTED, fails(TestNode.split(one.url())).kind());
  }

  @Test
  void errorsThatNoOtherNodeMendsEndTheRead() {
    Status[] statuses = {
      Status.NOT_FOUND,
      Status.UNAUTHENTICATED,
      Status.PERMISSION_DENIED,
      Status.INVALID_ARGUMENT,
      Status.ABORTED,
      Status.DATA_LOSS
    };
    ErrorKind[] kinds = {
      ErrorKind.NOT_FOUND,
      ErrorKind.UNAUTHENTICATED,
      ErrorKind.DENIED,
      ErrorKind.INVALID,
      ErrorKind.STALE,
      ErrorKind.DATA
    };
    for (int i = 0; i < statuses.length; i++) {
      Status status = statuses[i].withDescription("because of `x`");
      one.serves(stream -> stream.fails(status));
      FlightcacheException error = fails(both());
      assertEquals(kinds[i], error.kind());
      assertTrue(error.getMessage().contains("because of `x`"), error.getMessage());
    }
    assertEquals(0, two.reads());
  }

  @Test
  void wrongPositionsAreNotBelieved() throws Exception {
    two.serves(stream -> stream.rows(0, 1000, 90).end());
    String[] wrong = {
      TestNode.position(0, 5, 10),
      TestNode.position(0, 10, 9),
      "{}",
      "[",
      "{\"row_group\":-1}",
      "{\"row_group\":0,\"first_row\":1e30,\"rows\":1}",
      "\u0000"
    };
    for (String metadata : wrong) {
      one.serves(stream -> stream.rows(0, 10, 10).batch(10, 20, metadata).rows(20, 1000, 70).end());
      assertEquals(ALL, read(client, both(), 0), metadata);
    }
    assertEquals(ErrorKind.INTERNAL, fails(TestNode.split(one.url())).kind());
  }

  @Test
  void messagesThatAreTooLargeAreNoReasonToBackOff() {
    int rows = Node.MESSAGE_BYTES / 8;
    one.serves(stream -> stream.batch(0, rows, TestNode.position(0, 0, rows)).end());
    assertEquals(ErrorKind.INTERNAL, fails(TestNode.split(one.url())).kind());
  }

  @Test
  void memoryHasAHardLimit() throws Exception {
    try (Client small = client(Duration.ofSeconds(30), 100_000)) {
      one.serves(stream -> stream.rows(0, 1000, 10).end());
      assertEquals(ALL, read(small, TestNode.split(one.url()), 0));
      one.serves(stream -> stream.rows(0, 50_000, 50_000).end());
      FlightcacheException error =
          assertThrows(FlightcacheException.class, () -> read(small, TestNode.split(one.url()), 0));
      assertEquals(ErrorKind.EXHAUSTED, error.kind());
      Values.assertFreed(small);
    }
  }

  @Test
  void aSlowReaderHoldsAFewMessagesAlone() throws Exception {
    CountDownLatch sent = new CountDownLatch(1);
    one.serves(
        stream -> {
          stream.rows(0, 100_000, 1000);
          sent.countDown();
          stream.end();
        });
    try (BatchStream stream = client.read(TestNode.split(one.url()), 0)) {
      assertTrue(stream.next());
      sent.await();
      assertTrue(client.allocatedBytes() < 6 * 40_000, "holds " + client.allocatedBytes());
    }
  }

  @Test
  void manyStreamsReadLessAheadInsteadOfFailing() throws Exception {
    one.serves(stream -> stream.rows(0, 20_000, 1000).end());
    List<BatchStream> streams = new ArrayList<>();
    try (Client tight = client(Duration.ofSeconds(30), 1 << 20)) {
      for (int i = 0; i < 16; i++) {
        streams.add(tight.read(TestNode.split(one.url()), 0));
      }
      for (int batch = 0; batch < 20; batch++) {
        for (BatchStream stream : streams) {
          assertTrue(stream.next());
          assertEquals(batch * 1000L, Values.at(stream.batch().column(0), 0));
        }
      }
      for (BatchStream stream : streams) {
        assertFalse(stream.next());
        stream.close();
      }
      Values.assertFreed(tight);
    }
  }

  @Test
  void deadNodesAreLeftAloneAfterSomeFailures() throws Exception {
    String dead;
    try (TestNode gone = new TestNode()) {
      dead = gone.url();
    }
    for (int i = 0; i < Breaker.FAILURES; i++) {
      FlightcacheException error = fails(TestNode.split(dead));
      assertEquals(ErrorKind.UNAVAILABLE, error.kind());
      assertFalse(error.getMessage().contains("left alone"), error.getMessage());
    }
    FlightcacheException error = fails(TestNode.split(dead));
    assertEquals(ErrorKind.UNAVAILABLE, error.kind());
    assertTrue(error.getMessage().contains("left alone"), error.getMessage());
    assertEquals(ALL, read(client, TestNode.split(dead, one.url()), 0));
  }

  @Test
  void cancelWakesWhoeverReads() throws Exception {
    one.serves(stream -> stream.rows(0, 100, 100).hangs());
    try (BatchStream stream = client.read(TestNode.split(one.url()), 0)) {
      assertTrue(stream.next());
      CompletableFuture<ErrorKind> reading = CompletableFuture.supplyAsync(() -> kindOf(stream));
      stream.cancel();
      assertEquals(ErrorKind.CANCELLED, reading.get(20, TimeUnit.SECONDS));
      assertEquals(ErrorKind.CANCELLED, kindOf(stream));
    }
  }

  @Test
  void closeFromAnotherThreadWaitsForTheReaderAndFreesAll() throws Exception {
    one.serves(stream -> stream.rows(0, 100, 100).hangs());
    BatchStream stream = client.read(TestNode.split(one.url()), 0);
    assertTrue(stream.next());
    CompletableFuture<ErrorKind> reading = CompletableFuture.supplyAsync(() -> kindOf(stream));
    stream.close();
    stream.close();
    assertEquals(ErrorKind.CANCELLED, reading.get(20, TimeUnit.SECONDS));
    Values.assertFreed(client);
  }

  @Test
  void streamsClosedAtAnyMomentLeaveNothing() throws Exception {
    one.serves(stream -> stream.rows(0, 1000, 20).fails(Status.UNAVAILABLE));
    two.serves(stream -> stream.rows(0, 2000, 30).end());
    Random random = new Random(1);
    for (int round = 0; round < 150; round++) {
      BatchStream stream = client.read(both(), random.nextInt(100));
      int batches = random.nextInt(60);
      CompletableFuture<Void> reading =
          CompletableFuture.runAsync(
              () -> {
                try {
                  for (int i = 0; i < batches && stream.next(); i++) {
                    stream.bytes();
                  }
                } catch (FlightcacheException error) {
                  assertEquals(ErrorKind.CANCELLED, error.kind());
                }
              });
      if (random.nextBoolean()) {
        stream.cancel();
      }
      stream.close();
      reading.get(20, TimeUnit.SECONDS);
    }
  }

  @Test
  void anInterruptEndsAReadAndStaysSet() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    one.serves(
        stream -> {
          asked.countDown();
          stream.hangs();
        });
    CompletableFuture<Boolean> interrupted = new CompletableFuture<>();
    CompletableFuture<ErrorKind> kind = new CompletableFuture<>();
    Thread reader =
        new Thread(
            () -> {
              kind.complete(fails(both()).kind());
              interrupted.complete(Thread.currentThread().isInterrupted());
            });
    reader.start();
    asked.await();
    reader.interrupt();
    assertEquals(ErrorKind.CANCELLED, kind.get(20, TimeUnit.SECONDS));
    assertTrue(interrupted.get(20, TimeUnit.SECONDS));
    assertEquals(0, two.reads());
  }

  @Test
  void closingTheClientEndsItsStreams() throws Exception {
    one.serves(stream -> stream.rows(0, 100, 100).hangs());
    try (BatchStream stream = client.read(TestNode.split(one.url()), 0)) {
      assertTrue(stream.next());
      CompletableFuture<ErrorKind> reading = CompletableFuture.supplyAsync(() -> kindOf(stream));
      client.close();
      assertEquals(ErrorKind.CANCELLED, reading.get(20, TimeUnit.SECONDS));
    }
  }

  private static ErrorKind kindOf(BatchStream stream) {
    return assertThrows(
            FlightcacheException.class,
            () -> {
              while (stream.next()) {
                stream.batch();
              }
            })
        .kind();
  }

  @Test
  void ticketsAboutToExpireAreRenewed() throws Exception {
    long now = System.currentTimeMillis();
    assertEquals(ALL, read(client, TestNode.split(false, now + 5_000, one.url()), 0));
    assertEquals(1, one.renewals());
    assertEquals(ALL, read(client, TestNode.split(false, now + 3_600_000, one.url()), 0));
    assertEquals(1, one.renewals());
    assertEquals("Bearer hush", one.authorization("DO_ACTION"));
  }

  @Test
  void locationsThatCannotBeUsedAreLeftOut() throws Exception {
    Split split = TestNode.split("http://x:1", "grpc://127.0.0.1", one.url());
    assertEquals(ALL, read(client, split, 0));
    FlightcacheException error = fails(TestNode.split("grpc://u:hush@127.0.0.1:1"));
    assertEquals(ErrorKind.INTERNAL, error.kind());
    assertEquals(ALL, read(client, TestNode.split(), 0), "no location is the planning node");
  }
}

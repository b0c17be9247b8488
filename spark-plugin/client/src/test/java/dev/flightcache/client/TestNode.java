package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.ActionType;
import org.apache.arrow.flight.CallHeaders;
import org.apache.arrow.flight.CallInfo;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightServer;
import org.apache.arrow.flight.FlightServerMiddleware;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.NoOpFlightProducer;
import org.apache.arrow.flight.RenewFlightEndpointRequest;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.SchemaResult;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.dictionary.DictionaryProvider;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * A node over Arrow's own Flight server, which does with a stream whatever a test tells it. Its
 * file has a row for each number from 0 on: {@code id}, {@code name} (null for every seventh) and
 * {@code even}.
 */
@SuppressWarnings("try") // close() may be interrupted, as tests may be.
final class TestNode implements AutoCloseable {
  private final BufferAllocator allocator = new RootAllocator();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final CountDownLatch closing = new CountDownLatch(1);
  private final AtomicInteger reads = new AtomicInteger();
  private final AtomicInteger renewals = new AtomicInteger();
  private final Map<String, String> headers = new ConcurrentHashMap<>();
  private final FlightServer server;
  private final boolean tls;
  private volatile Serving serving = stream -> stream.rows(0, 1000, 100).end();
  private volatile FlightInfo info;
  private final AtomicInteger maps = new AtomicInteger();
  private volatile String mapping;

  /** What the node does with a {@code DoGet}. */
  interface Serving {
    void serve(Stream stream) throws Exception;
  }

  TestNode() throws Exception {
    tls = false;
    Location location = Location.forGrpcInsecure("127.0.0.1", 0);
    server = builder(location).build().start();
  }

  /** With TLS, and whoever comes must show the same certificate. */
  TestNode(byte[] certPem, byte[] keyPem) throws Exception {
    tls = true;
    Location location = Location.forGrpcTls("127.0.0.1", 0);
    server =
        builder(location)
            .useTls(new ByteArrayInputStream(certPem), new ByteArrayInputStream(keyPem))
            .useMTlsClientVerification(new ByteArrayInputStream(certPem))
            .build()
            .start();
  }

  private FlightServer.Builder builder(Location location) {
    return FlightServer.builder(allocator, location, new Producer())
        .executor(threads)
        .middleware(
            FlightServerMiddleware.Key.of("headers"),
            (call, incoming, context) -> new Headers(call, incoming));
  }

  String url() {
    return (tls ? "grpc+tls" : "grpc") + "://127.0.0.1:" + server.getPort();
  }

  TestNode serves(Serving next) {
    serving = next;
    return this;
  }

  /** What it answers to a plan. */
  TestNode plans(FlightInfo answer) {
    info = answer;
    return this;
  }

  /** What it answers to where columns lie; null for a node that does not know the question. */
  TestNode maps(String answer) {
    mapping = answer;
    return this;
  }

  /** How often it was asked where columns lie. */
  int mapsAsked() {
    return maps.get();
  }

  /** Streams that were asked for. */
  int reads() {
    return reads.get();
  }

  int renewals() {
    return renewals.get();
  }

  /** The authorization header of the last call of a kind. */
  String authorization(String call) {
    return headers.get(call);
  }

  BufferAllocator allocator() {
    return allocator;
  }

  /** A split of one object with a row group of 1000 rows, at {@code urls}. */
  static Split split(String... urls) {
    return split(false, Long.MAX_VALUE, urls);
  }

  static Split split(boolean filtered, long expiresMs, String... urls) {
    StoredObject object =
        new StoredObject("a.parquet", 9, "\"1\"", -1, List.of(new RowGroup(0, 0, 1000, 4)));
    byte[] ticket = "secret-ticket".getBytes(StandardCharsets.UTF_8);
    return new Split(ticket, List.of(urls), expiresMs, filtered, List.of(object));
  }

  @Override
  public void close() throws Exception {
    closing.countDown();
    server.close();
    threads.shutdown();
    assertTrue(threads.awaitTermination(20, TimeUnit.SECONDS));
    allocator.close();
  }

  /** One {@code DoGet} that is answered. */
  final class Stream {
    private final org.apache.arrow.flight.FlightProducer.ServerStreamListener listener;
    private VectorSchemaRoot root;
    private boolean filtered;

    Stream(org.apache.arrow.flight.FlightProducer.ServerStreamListener listener) {
      this.listener = listener;
    }

    /** Drops odd rows from here on, which batches go on to cover. */
    Stream filtered() {
      filtered = true;
      return this;
    }

    /** Rows {@code from} to {@code to} in batches that cover {@code size} each. */
    Stream rows(int from, int to, int size) {
      for (int first = from; first < to; first += size) {
        int end = Math.min(first + size, to);
        batch(first, end, position(0, first, end - first));
      }
      return this;
    }

    /** One batch with whatever metadata. */
    Stream batch(int first, int end, String metadata) {
      if (root == null) {
        BigIntVector id = new BigIntVector("id", allocator);
        VarCharVector name = new VarCharVector("name", allocator);
        BitVector even = new BitVector("even", allocator);
        root = new VectorSchemaRoot(List.of((FieldVector) id, name, even));
        listener.start(root);
      }
      fill(root, first, end, filtered);
      put(metadata);
      return this;
    }

    /** Vectors of the test's own. */
    Stream vectors(VectorSchemaRoot own, DictionaryProvider dictionaries, String metadata) {
      if (root == null) {
        root = own;
        listener.start(own, dictionaries);
      }
      put(metadata);
      return this;
    }

    private void put(String metadata) {
      if (metadata == null) {
        listener.putNext();
        return;
      }
      byte[] bytes = metadata.getBytes(StandardCharsets.UTF_8);
      ArrowBuf buffer = allocator.buffer(Math.max(bytes.length, 1));
      buffer.writeBytes(bytes);
      listener.putNext(buffer);
    }

    void end() {
      close();
      listener.completed();
    }

    void fails(Status status) {
      fails(status, new Metadata());
    }

    void fails(Status status, Metadata trailers) {
      close();
      listener.error(status.asRuntimeException(trailers));
    }

    /** Says nothing more until the node is closed. */
    void hangs() throws InterruptedException {
      closing.await();
      fails(Status.CANCELLED);
    }

    private void close() {
      if (root != null) {
        root.close();
        root = null;
      }
    }
  }

  static String position(int group, long first, long rows) {
    return "{\"row_group\":" + group + ",\"first_row\":" + first + ",\"rows\":" + rows + "}";
  }

  private static void fill(VectorSchemaRoot root, int first, int end, boolean filtered) {
    root.clear();
    BigIntVector id = (BigIntVector) root.getVector("id");
    VarCharVector name = (VarCharVector) root.getVector("name");
    BitVector even = (BitVector) root.getVector("even");
    int at = 0;
    for (int row = first; row < end; row++) {
      if (filtered && row % 2 == 1) {
        continue;
      }
      id.setSafe(at, row);
      even.setSafe(at, row % 2 == 0 ? 1 : 0);
      if (row % 7 == 0) {
        name.setNull(at);
      } else {
        name.setSafe(at, ("row " + row).getBytes(StandardCharsets.UTF_8));
      }
      at++;
    }
    name.setValueCount(at);
    root.setRowCount(at);
  }

  private final class Producer extends NoOpFlightProducer {
    @Override
    public void getStream(CallContext context, Ticket ticket, ServerStreamListener listener) {
      reads.incrementAndGet();
      Stream stream = new Stream(listener);
      try {
        serving.serve(stream);
      } catch (Exception error) {
        stream.fails(Status.INTERNAL.withDescription(error.toString()).withCause(error));
      }
    }

    @Override
    public FlightInfo getFlightInfo(CallContext context, FlightDescriptor descriptor) {
      return answer();
    }

    @Override
    public SchemaResult getSchema(CallContext context, FlightDescriptor descriptor) {
      return new SchemaResult(answer().getSchemaOptional().orElse(new Schema(List.of())));
    }

    @Override
    public void listFlights(
        CallContext context, Criteria criteria, StreamListener<FlightInfo> listener) {
      listener.onNext(answer());
      listener.onCompleted();
    }

    private FlightInfo answer() {
      if (info == null) {
        throw CallStatus.NOT_FOUND.withDescription("dataset `nothing`").toRuntimeException();
      }
      return info;
    }

    @Override
    public void listActions(CallContext context, StreamListener<ActionType> listener) {
      listener.onCompleted();
    }

    @Override
    public void doAction(CallContext context, Action action, StreamListener<Result> listener) {
      if (action.getType().equals("flightcache.map")) {
        maps.incrementAndGet();
        if (mapping == null) {
          listener.onError(CallStatus.INVALID_ARGUMENT.toRuntimeException());
        } else {
          listener.onNext(new Result(mapping.getBytes(StandardCharsets.UTF_8)));
          listener.onCompleted();
        }
        return;
      }
      renewals.incrementAndGet();
      try {
        var request =
            RenewFlightEndpointRequest.deserialize(java.nio.ByteBuffer.wrap(action.getBody()));
        String old =
            new String(request.getFlightEndpoint().getTicket().getBytes(), StandardCharsets.UTF_8);
        var ticket = new Ticket((old + " renewed").getBytes(StandardCharsets.UTF_8));
        var later = java.time.Instant.now().plusSeconds(3600);
        FlightEndpoint endpoint = FlightEndpoint.builder(ticket).setExpirationTime(later).build();
        listener.onNext(new Result(endpoint.serialize().array()));
        listener.onCompleted();
      } catch (Exception error) {
        listener.onError(error);
      }
    }
  }

  private final class Headers implements FlightServerMiddleware {
    Headers(CallInfo call, CallHeaders incoming) {
      String token = incoming.get("authorization");
      headers.put(call.method().name(), token == null ? "" : token);
    }

    @Override
    public void onBeforeSendingHeaders(CallHeaders outgoing) {}

    @Override
    public void onCallCompleted(CallStatus status) {}

    @Override
    public void onCallErrored(Throwable error) {}
  }
}

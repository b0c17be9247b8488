package dev.flightcache.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.StatusRuntimeException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.impl.Flight.Action;
import org.apache.arrow.flight.impl.Flight.ActionType;
import org.apache.arrow.flight.impl.Flight.Criteria;
import org.apache.arrow.flight.impl.Flight.Empty;
import org.apache.arrow.flight.impl.Flight.FlightDescriptor;
import org.apache.arrow.flight.impl.Flight.FlightEndpoint;
import org.apache.arrow.flight.impl.Flight.FlightInfo;
import org.apache.arrow.flight.impl.Flight.RenewFlightEndpointRequest;
import org.apache.arrow.flight.impl.Flight.Result;
import org.apache.arrow.flight.impl.Flight.Ticket;
import org.apache.arrow.flight.impl.FlightServiceGrpc;
import org.apache.arrow.flight.impl.FlightServiceGrpc.FlightServiceBlockingStub;

/** The client over Arrow Flight. */
final class FlightClients implements Client {
  /** A ticket that ends sooner is renewed before it is used. */
  private static final long RENEW_MS = 30_000;

  /** How long a node may take for that: it looks nothing up. */
  private static final long RENEWAL_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final ClientOptions options;
  private final Nodes nodes;
  private final Memory memory;
  private final TicketCall.Method method;
  private final Set<SplitStream> streams = ConcurrentHashMap.newKeySet();

  FlightClients(ClientOptions options) {
    this.options = options;
    this.nodes = new Nodes(options);
    this.memory = new Memory(options.memory());
    this.method = new TicketCall.Method(memory);
  }

  /** A call that is answered at once. */
  private interface Question<T> {
    T ask(FlightServiceBlockingStub stub, NodeAddress node) throws FlightcacheException;
  }

  @Override
  public void ping(Duration deadline) throws FlightcacheException {
    anywhere(
        (stub, node) -> {
          // Of all calls the one that looks at nothing but the credentials.
          Iterator<ActionType> actions = stub.listActions(Empty.getDefaultInstance());
          actions.forEachRemaining(action -> {});
          return true;
        },
        deadline);
  }

  @Override
  public ScanPlan plan(ScanCommand command, Duration deadline) throws FlightcacheException {
    FlightDescriptor descriptor = descriptor(command);
    return anywhere(
        (stub, node) -> Plans.read(stub.getFlightInfo(descriptor), node, command.filters()),
        deadline);
  }

  @Override
  public List<Field> schema(ScanCommand command, Duration deadline) throws FlightcacheException {
    FlightDescriptor descriptor = descriptor(command);
    return anywhere(
        (stub, node) -> {
          ByteString schema = stub.getSchema(descriptor).getSchema();
          return SchemaReader.encapsulated(schema.asReadOnlyByteBuffer());
        },
        deadline);
  }

  @Override
  public List<String> datasets(Duration deadline) throws FlightcacheException {
    return anywhere(
        (stub, node) -> {
          List<String> names = new ArrayList<>();
          Iterator<FlightInfo> flights = stub.listFlights(Criteria.getDefaultInstance());
          while (flights.hasNext()) {
            names.addAll(flights.next().getFlightDescriptor().getPathList());
          }
          return List.copyOf(names);
        },
        deadline);
  }

  private static FlightDescriptor descriptor(ScanCommand command) {
    return FlightDescriptor.newBuilder()
        .setType(FlightDescriptor.DescriptorType.CMD)
        .setCmd(ByteString.copyFrom(command.json(), StandardCharsets.UTF_8))
        .build();
  }

  /** Asks the nodes in turn; one that hangs leaves the others their share of the time. */
  private <T> T anywhere(Question<T> question, Duration deadline) throws FlightcacheException {
    long end = System.nanoTime() + deadline.toNanos();
    FlightcacheException failure = null;
    int left = nodes.planners().size();
    for (NodeAddress address : nodes.planners()) {
      long share = Math.max(0, end - System.nanoTime()) / left--;
      try {
        Node node = entered(address);
        return ask(node, question, share);
      } catch (FlightcacheException error) {
        if (error.kind() != ErrorKind.UNAVAILABLE && error.kind() != ErrorKind.TIMEOUT) {
          throw error;
        }
        failure = error;
      }
    }
    throw failure == null
        ? new FlightcacheException(ErrorKind.UNAVAILABLE, "no node to ask")
        : failure;
  }

  /** The node, if its breaker lets the caller through. */
  private Node entered(NodeAddress address) throws FlightcacheException {
    Node node = nodes.at(address);
    if (!node.breaker().enter()) {
      String text = address + " failed several times and is left alone for some seconds";
      throw new FlightcacheException(ErrorKind.UNAVAILABLE, text);
    }
    return node;
  }

  private <T> T ask(Node node, Question<T> question, long nanos) throws FlightcacheException {
    FlightcacheException failure = null;
    Node.Connection connection = null;
    try {
      connection = node.take();
      var stub = FlightServiceGrpc.newBlockingStub(connection.channel());
      return question.ask(stub.withDeadlineAfter(nanos, TimeUnit.NANOSECONDS), node.address());
    } catch (StatusRuntimeException error) {
      failure = Failures.of(error, node.address());
      throw failure;
    } catch (FlightcacheException error) {
      failure = error;
      throw error;
    } finally {
      if (connection != null) {
        node.giveBack(connection);
      }
      if (failure == null) {
        node.breaker().answered();
      } else {
        node.breaker().ended(failure);
      }
    }
  }

  @Override
  public BatchStream read(Split split, long skipRows) throws FlightcacheException {
    if (skipRows > 0 && split.filtered() || skipRows < 0) {
      throw new FlightcacheException(
          ErrorKind.INVALID, "rows of a filtered split cannot be skipped");
    }
    Reading reading = new Reading(split);
    SplitStream[] self = new SplitStream[1];
    self[0] =
        new SplitStream(
            reading,
            memory,
            locations(split),
            new Position(skipRows, split.objects().size() == 1),
            () -> streams.remove(self[0]));
    SplitStream stream = self[0];
    streams.add(stream);
    boolean open = false;
    try {
      stream.open();
      open = true;
    } finally {
      if (!open) {
        stream.close();
      }
    }
    return stream;
  }

  /** Where to read it, in order; a location that cannot be used is left out. */
  private Deque<NodeAddress> locations(Split split) throws FlightcacheException {
    Set<NodeAddress> usable = new LinkedHashSet<>();
    IllegalArgumentException refused = null;
    for (String location : split.locations()) {
      try {
        NodeAddress address = NodeAddress.parse(location);
        if (!nodes.mayAsk(address)) {
          throw new IllegalArgumentException(address + " has no TLS, which the planning node has");
        }
        usable.add(address);
      } catch (IllegalArgumentException error) {
        refused = error;
      }
    }
    if (split.locations().isEmpty()) {
      usable.addAll(nodes.planners());
    }
    if (usable.isEmpty()) {
      String why = refused == null ? "" : ": " + refused.getMessage();
      throw new FlightcacheException(
          ErrorKind.INTERNAL, "no location of the split is usable" + why);
    }
    return new ArrayDeque<>(usable);
  }

  /** Opens a split at one node after the other, with a ticket that is good. */
  private final class Reading implements SplitStream.Opener {
    private Split split;

    Reading(Split split) {
      this.split = split;
    }

    @Override
    public Attempt open(NodeAddress address) throws FlightcacheException {
      if (split.expiresMs() - System.currentTimeMillis() < RENEW_MS) {
        renew(entered(address));
      }
      Node node = entered(address);
      boolean started = false;
      try {
        Ticket ticket = Ticket.newBuilder().setTicket(ByteString.copyFrom(split.ticket())).build();
        boolean oneObject = split.objects().size() == 1;
        Attempt attempt = Attempt.start(node, method, ticket, options, oneObject);
        started = true;
        return attempt;
      } finally {
        if (!started) {
          node.breaker().left();
        }
      }
    }

    /** Where it fails, the ticket may still last; if not, the node says what is to be done. */
    private void renew(Node node) throws FlightcacheException {
      try {
        FlightEndpoint endpoint = ask(node, (stub, address) -> renewed(stub), RENEWAL_NANOS);
        byte[] ticket = endpoint.getTicket().getTicket().toByteArray();
        split = split.renewed(ticket, Plans.expiresMs(endpoint));
      } catch (FlightcacheException error) {
        boolean gone = split.expiresMs() <= System.currentTimeMillis();
        if (gone || error.kind() == ErrorKind.CANCELLED) {
          throw error;
        }
      }
    }

    private FlightEndpoint renewed(FlightServiceBlockingStub stub) throws FlightcacheException {
      Ticket ticket = Ticket.newBuilder().setTicket(ByteString.copyFrom(split.ticket())).build();
      FlightEndpoint endpoint = FlightEndpoint.newBuilder().setTicket(ticket).build();
      ByteString request =
          RenewFlightEndpointRequest.newBuilder().setEndpoint(endpoint).build().toByteString();
      Iterator<Result> results =
          stub.doAction(
              Action.newBuilder().setType("RenewFlightEndpoint").setBody(request).build());
      try {
        FlightEndpoint renewed = FlightEndpoint.parseFrom(results.next().getBody());
        while (results.hasNext()) {
          results.next();
        }
        return renewed;
      } catch (InvalidProtocolBufferException | java.util.NoSuchElementException error) {
        throw new FlightcacheException(
            ErrorKind.INTERNAL, "the node's answer to a renewal cannot be read", error);
      }
    }
  }

  @Override
  public long allocatedBytes() {
    return memory.used();
  }

  @Override
  public void close() {
    streams.forEach(SplitStream::cancel);
    nodes.close();
  }
}

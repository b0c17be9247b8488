package dev.flightcache.client;

import com.google.protobuf.ByteString;
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
import java.util.concurrent.atomic.LongAdder;
import org.apache.arrow.flight.impl.Flight.ActionType;
import org.apache.arrow.flight.impl.Flight.Criteria;
import org.apache.arrow.flight.impl.Flight.Empty;
import org.apache.arrow.flight.impl.Flight.FlightDescriptor;
import org.apache.arrow.flight.impl.Flight.FlightInfo;

/** The client over Arrow Flight. */
final class FlightClients implements Client {
  private final ClientOptions options;
  private final Nodes nodes;
  private final Calls calls;
  private final Memory memory;
  private final TicketCall.Method method;
  private volatile long usedNanos = System.nanoTime();
  private final LongAdder unmapped = new LongAdder();
  private final Set<SplitStream> streams = ConcurrentHashMap.newKeySet();

  FlightClients(ClientOptions options) {
    this.options = options;
    this.nodes = new Nodes(options);
    this.calls = new Calls(nodes);
    this.memory = new Memory(options.memory());
    this.method = new TicketCall.Method(memory);
  }

  @Override
  public void ping(Duration deadline) throws FlightcacheException {
    usedNanos = System.nanoTime();
    calls.anywhere(
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
    usedNanos = System.nanoTime();
    FlightDescriptor descriptor = descriptor(command);
    return calls.anywhere(
        (stub, node) -> Plans.read(stub.getFlightInfo(descriptor), node, command.filters()),
        deadline);
  }

  @Override
  public List<Field> schema(ScanCommand command, Duration deadline) throws FlightcacheException {
    usedNanos = System.nanoTime();
    FlightDescriptor descriptor = descriptor(command);
    return calls.anywhere(
        (stub, node) -> {
          ByteString schema = stub.getSchema(descriptor).getSchema();
          return SchemaReader.encapsulated(schema.asReadOnlyByteBuffer());
        },
        deadline);
  }

  @Override
  public List<String> datasets(Duration deadline) throws FlightcacheException {
    usedNanos = System.nanoTime();
    return calls.anywhere(
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

  @Override
  public BatchStream read(Split split, long skipRows) throws FlightcacheException {
    if (skipRows > 0 && split.filtered() || skipRows < 0) {
      throw new FlightcacheException(
          ErrorKind.INVALID, "rows of a filtered split cannot be skipped");
    }
    Mapping mapping = options.local() ? new Mapping(calls, unmapped) : null;
    Reading reading = new Reading(calls, method, options, mapping, split);
    SplitStream[] self = new SplitStream[1];
    self[0] =
        new SplitStream(
            reading,
            memory,
            locations(split),
            new Position(skipRows, split.objects().size() == 1),
            () -> ended(self[0]));
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

  private void ended(SplitStream stream) {
    // In this order, for who finds no stream looks at the time.
    usedNanos = System.nanoTime();
    streams.remove(stream);
  }

  @Override
  public long idleNanos() {
    return streams.isEmpty() ? System.nanoTime() - usedNanos : 0;
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

  @Override
  public long allocatedBytes() {
    return memory.used();
  }

  @Override
  public long unmappedSplits() {
    return unmapped.sum();
  }

  @Override
  public void close() {
    streams.forEach(SplitStream::cancel);
    nodes.close();
  }
}

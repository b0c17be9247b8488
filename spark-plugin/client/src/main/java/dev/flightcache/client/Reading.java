package dev.flightcache.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.impl.Flight.Action;
import org.apache.arrow.flight.impl.Flight.FlightEndpoint;
import org.apache.arrow.flight.impl.Flight.RenewFlightEndpointRequest;
import org.apache.arrow.flight.impl.Flight.Result;
import org.apache.arrow.flight.impl.Flight.Ticket;
import org.apache.arrow.flight.impl.FlightServiceGrpc.FlightServiceBlockingStub;

/** Opens a split at one node after the other, with a ticket that is good. */
final class Reading implements SplitStream.Opener {
  /** A ticket that ends sooner is renewed before it is used. */
  private static final long RENEW_MS = 30_000;

  /** How long a node may take for that: it looks nothing up. */
  private static final long RENEWAL_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final Calls calls;
  private final TicketCall.Method method;
  private final ClientOptions options;
  private final Mapping mapping;
  private Split split;

  /**
   * @param mapping null if all is to be streamed
   */
  Reading(
      Calls calls, TicketCall.Method method, ClientOptions options, Mapping mapping, Split split) {
    this.calls = calls;
    this.method = method;
    this.options = options;
    this.mapping = mapping;
    this.split = split;
  }

  @Override
  public Attempt open(NodeAddress address) throws FlightcacheException {
    if (split.expiresMs() - System.currentTimeMillis() < RENEW_MS) {
      renew(calls.entered(address));
    }
    Attempt mapped = mapping == null ? null : mapping.open(address, split);
    if (mapped != null) {
      return mapped;
    }
    Node node = calls.entered(address);
    boolean started = false;
    try {
      Ticket ticket = Ticket.newBuilder().setTicket(ByteString.copyFrom(split.ticket())).build();
      boolean oneObject = split.objects().size() == 1;
      Attempt attempt = StreamedAttempt.start(node, method, ticket, options, oneObject);
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
      FlightEndpoint endpoint = calls.ask(node, (stub, address) -> renewed(stub), RENEWAL_NANOS);
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
        stub.doAction(Action.newBuilder().setType("RenewFlightEndpoint").setBody(request).build());
    try {
      FlightEndpoint renewed = FlightEndpoint.parseFrom(results.next().getBody());
      while (results.hasNext()) {
        results.next();
      }
      return renewed;
    } catch (InvalidProtocolBufferException | NoSuchElementException error) {
      throw new FlightcacheException(
          ErrorKind.INTERNAL, "the node's answer to a renewal cannot be read", error);
    }
  }
}

package dev.flightcache.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.impl.Flight.Ticket;
import org.apache.arrow.flight.impl.FlightServiceGrpc;

/**
 * One {@code DoGet} and the messages of it that are ahead of their reader.
 *
 * <p>Stands in for flight-core's {@code FlightStream}, whose {@code next()} cannot time out or be
 * interrupted, which counts messages ahead and not their bytes, takes a delta of a dictionary for
 * the whole of it, and leaks where an allocation fails.
 */
final class TicketCall {
  /** Messages that are asked for or wait at most. */
  private static final int AHEAD = 4;

  /** Bytes that are asked for or wait at most, as far as the largest message so far tells. */
  private static final long AHEAD_BYTES = 32L << 20;

  private final ClientCall<Ticket, Message> call;
  private final NodeAddress node;
  private final Memory memory;

  /** Messages, then an {@link End}. */
  private final LinkedBlockingQueue<Object> arrived = new LinkedBlockingQueue<>();

  private int asked;
  private int waiting;
  private long waitingBytes;
  private long largest;
  private long promised;
  private boolean closed;

  /** Why no more messages come. */
  private static final class End {
    private final Status status;
    private final Metadata trailers;

    End(Status status, Metadata trailers) {
      this.status = status;
      this.trailers = trailers;
    }
  }

  /** {@code DoGet}, and the memory that its messages are read into. */
  static final class Method {
    private final Memory memory;
    private final MethodDescriptor<Ticket, Message> descriptor;

    Method(Memory memory) {
      this.memory = memory;
      this.descriptor =
          MethodDescriptor.<Ticket, Message>newBuilder()
              .setType(MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(FlightServiceGrpc.getDoGetMethod().getFullMethodName())
              .setRequestMarshaller(ProtoUtils.marshaller(Ticket.getDefaultInstance()))
              .setResponseMarshaller(new MessageMarshaller(memory))
              .build();
    }
  }

  private TicketCall(ClientCall<Ticket, Message> call, NodeAddress node, Memory memory) {
    this.call = call;
    this.node = node;
    this.memory = memory;
  }

  static TicketCall start(Channel channel, Method method, Ticket ticket, NodeAddress node) {
    var call = channel.newCall(method.descriptor, CallOptions.DEFAULT);
    TicketCall started = new TicketCall(call, node, method.memory);
    started.call.start(started.new Arrivals(), new Metadata());
    started.ask();
    started.call.sendMessage(ticket);
    started.call.halfClose();
    return started;
  }

  /**
   * The next message, which is the caller's to free; null at the end.
   *
   * @throws FlightcacheException with the error that ended the call, {@code TIMEOUT}, or {@code
   *     CANCELLED}
   */
  Message next(long timeoutNanos) throws FlightcacheException, InterruptedException {
    Object next = arrived.poll(timeoutNanos, TimeUnit.NANOSECONDS);
    if (next == null) {
      String waited = TimeUnit.NANOSECONDS.toMillis(timeoutNanos) + " ms";
      throw new FlightcacheException(ErrorKind.TIMEOUT, node + " sent nothing for " + waited);
    }
    if (next instanceof Message) {
      taken((Message) next);
      return (Message) next;
    }
    arrived.add(next);
    End end = (End) next;
    if (isClosed()) {
      throw new FlightcacheException(ErrorKind.CANCELLED, "the stream was cancelled");
    }
    if (end.status.isOk()) {
      return null;
    }
    throw Failures.of(end.status, end.trailers, node);
  }

  /** Ends it and frees what waits; from any thread, idempotent. A reader that waits gets an end. */
  void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    over();
    call.cancel("the reader is done", null);
    for (Object left = arrived.poll(); left != null; left = arrived.poll()) {
      if (left instanceof Message) {
        ((Message) left).free();
      }
    }
    arrived.add(new End(Status.CANCELLED, null));
  }

  private synchronized boolean isClosed() {
    return closed;
  }

  private void taken(Message message) {
    synchronized (this) {
      waiting--;
      waitingBytes -= message.bytes();
    }
    ask();
  }

  /** Asks for as many messages as may be ahead. */
  private void ask() {
    int more = 0;
    synchronized (this) {
      while (!closed && mayAsk()) {
        asked++;
        more++;
        promised += largest;
        memory.expect(largest);
      }
    }
    if (more > 0) {
      call.request(more);
    }
  }

  /** One message may always be on its way; the schema, and so a batch behind it, at the start. */
  private boolean mayAsk() {
    int ahead = asked + waiting;
    if (ahead == 0) {
      return true;
    }
    if (largest == 0) {
      return ahead < 2;
    }
    boolean room = waitingBytes + (asked + 1) * largest <= AHEAD_BYTES && !memory.scarce();
    return ahead < AHEAD && room;
  }

  /** One message that was asked for is here. */
  private void came() {
    long share = asked == 0 ? 0 : promised / asked;
    asked--;
    promised -= share;
    memory.expect(-share);
  }

  /** No message comes any more. */
  private synchronized void over() {
    memory.expect(-promised);
    promised = 0;
  }

  /** Runs on gRPC's threads. */
  private final class Arrivals extends ClientCall.Listener<Message> {
    @Override
    public void onMessage(Message message) {
      synchronized (TicketCall.this) {
        came();
        if (closed) {
          message.free();
          return;
        }
        waiting++;
        waitingBytes += message.bytes();
        largest = Math.max(largest, message.bytes());
        arrived.add(message);
      }
      ask();
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      over();
      arrived.add(new End(status, trailers));
    }
  }
}

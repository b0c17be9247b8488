package dev.flightcache.client;

import org.apache.arrow.flight.impl.Flight.Ticket;

/** The stream of a ticket from one node, until it ends or fails. */
final class StreamedAttempt implements Attempt {
  private final Node node;
  private final Node.Connection connection;
  private final TicketCall call;
  private final ClientOptions options;
  private final BatchReader reader = new BatchReader();
  private boolean answered;

  /** Whether the breaker knows how it went. */
  private boolean told;

  private boolean closed;
  private final boolean oneObject;
  private long end;
  private long bytes;
  private long waitNanos;

  private StreamedAttempt(
      Node node, Node.Connection connection, TicketCall call, ClientOptions options, boolean one) {
    this.node = node;
    this.connection = connection;
    this.call = call;
    this.options = options;
    this.oneObject = one;
  }

  /** Calls {@code node}, whose breaker let the caller through. */
  static StreamedAttempt start(
      Node node, TicketCall.Method method, Ticket ticket, ClientOptions options, boolean oneObject)
      throws FlightcacheException {
    Node.Connection connection = node.take();
    TicketCall call = TicketCall.start(connection.channel(), method, ticket, node.address());
    return new StreamedAttempt(node, connection, call, options, oneObject);
  }

  @Override
  public Node node() {
    return node;
  }

  @Override
  public boolean mapped() {
    return false;
  }

  @Override
  public boolean answered() {
    return answered;
  }

  @Override
  public MemoryBatch next() throws FlightcacheException, InterruptedException {
    try {
      return receive();
    } catch (FlightcacheException error) {
      told = true;
      node.breaker().ended(error);
      throw error;
    }
  }

  private MemoryBatch receive() throws FlightcacheException, InterruptedException {
    long limit = (answered ? options.idleTimeout() : options.firstByteTimeout()).toNanos();
    long started = System.nanoTime();
    while (true) {
      long before = System.nanoTime();
      Message message = call.next(Math.max(0, limit - (before - started)));
      waitNanos += System.nanoTime() - before;
      if (message == null) {
        arrived();
        return null;
      }
      bytes += message.bytes();
      MemoryBatch batch = reader.read(message);
      if (batch != null) {
        arrived();
        return inOrder(batch);
      }
    }
  }

  private void arrived() {
    if (!answered) {
      answered = true;
      told = true;
      node.breaker().answered();
    }
  }

  /** Rows come in the order of the file, or nobody could go on behind one of them. */
  private MemoryBatch inOrder(MemoryBatch batch) throws FlightcacheException {
    BatchPosition place = batch.position();
    if (place != null && oneObject) {
      if (place.firstRow() < end) {
        batch.free();
        String where = node.address() + " sent row " + place.firstRow() + " behind row " + end;
        throw new FlightcacheException(ErrorKind.INTERNAL, where);
      }
      end = place.end();
    }
    return batch;
  }

  @Override
  public String columns() {
    return reader.fields() == null ? null : reader.fields().toString();
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public long waitNanos() {
    return waitNanos;
  }

  @Override
  public void cancel() {
    call.close();
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (!told) {
        node.breaker().left();
      }
      call.close();
      reader.close();
      node.giveBack(connection);
    }
  }
}

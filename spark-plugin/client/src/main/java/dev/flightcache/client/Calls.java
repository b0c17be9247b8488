package dev.flightcache.client;

import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.impl.FlightServiceGrpc;
import org.apache.arrow.flight.impl.FlightServiceGrpc.FlightServiceBlockingStub;

/** Calls that are answered at once, at a node whose breaker lets them through. */
final class Calls {
  private final Nodes nodes;

  Calls(Nodes nodes) {
    this.nodes = nodes;
  }

  /** A call that is answered at once. */
  interface Question<T> {
    T ask(FlightServiceBlockingStub stub, NodeAddress node) throws FlightcacheException;
  }

  /** Asks the nodes in turn; one that hangs leaves the others their share of the time. */
  <T> T anywhere(Question<T> question, Duration deadline) throws FlightcacheException {
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

  Node at(NodeAddress address) throws FlightcacheException {
    return nodes.at(address);
  }

  /** The node, if its breaker lets the caller through. */
  Node entered(NodeAddress address) throws FlightcacheException {
    Node node = nodes.at(address);
    if (!node.breaker().enter()) {
      String text = address + " failed several times and is left alone for some seconds";
      throw new FlightcacheException(ErrorKind.UNAVAILABLE, text);
    }
    return node;
  }

  /** Asks {@code node}, which {@link #entered} gave. */
  <T> T ask(Node node, Question<T> question, long nanos) throws FlightcacheException {
    return ask(node, question, nanos, true);
  }

  /** The same, of what may stay unanswered: that it takes too long says nothing of the node. */
  <T> T askIdly(Node node, Question<T> question, long nanos) throws FlightcacheException {
    return ask(node, question, nanos, false);
  }

  private <T> T ask(Node node, Question<T> question, long nanos, boolean timed)
      throws FlightcacheException {
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
      } else if (!timed && failure.kind() == ErrorKind.TIMEOUT) {
        node.breaker().left();
      } else {
        node.breaker().ended(failure);
      }
    }
  }
}

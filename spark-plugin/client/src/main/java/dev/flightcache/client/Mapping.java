package dev.flightcache.client;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.Base64;
import java.util.HashSet;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.apache.arrow.flight.impl.Flight.Action;
import org.apache.arrow.flight.impl.Flight.Result;
import org.apache.arrow.flight.impl.FlightServiceGrpc.FlightServiceBlockingStub;

/**
 * Finds the columns of a split in files of a node on this machine. Wherever that fails the split is
 * streamed; no error of it is more than a count.
 */
final class Mapping {
  /** How long a node may take to look at files that it has to read from its disk first. */
  private static final long ASK_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final Calls calls;
  private final LongAdder unmapped;
  private final Set<NodeAddress> tried = new HashSet<>();

  /**
   * @param unmapped counts splits that are streamed
   */
  Mapping(Calls calls, LongAdder unmapped) {
    this.calls = calls;
    this.unmapped = unmapped;
  }

  /**
   * The files of a split; null if it is to be streamed. A node is asked once: what went wrong in
   * the middle of its files would go wrong again.
   *
   * @throws FlightcacheException {@code CANCELLED}, or if the node is left alone for a while
   */
  Attempt open(NodeAddress address, Split split) throws FlightcacheException {
    if (!tried.add(address)) {
      return null;
    }
    Attempt attempt = attempt(address, split);
    if (attempt == null) {
      unmapped.increment();
    }
    return attempt;
  }

  private Attempt attempt(NodeAddress address, Split split) throws FlightcacheException {
    Locality locality = calls.at(address).locality();
    if (split.objects().size() != 1 || !locality.mayAsk()) {
      return null;
    }
    Node node = calls.entered(address);
    try {
      MapReply reply = calls.askIdly(node, (stub, at) -> asked(stub, split), ASK_NANOS);
      return reply.streamed() ? null : found(node, reply);
    } catch (FlightcacheException error) {
      if (error.kind() == ErrorKind.CANCELLED) {
        throw error;
      }
      if (error.kind() == ErrorKind.INVALID || error.kind() == ErrorKind.TIMEOUT) {
        // It is older than the question, or its disk too slow to look at files first.
        locality.apart();
      }
      // Whether it is the ticket or the node, the stream will say.
      return null;
    }
  }

  private static Attempt found(Node node, MapReply reply) {
    try {
      Attempt attempt = MappedAttempt.open(node, reply);
      node.locality().here();
      return attempt;
    } catch (NoSuchFileException error) {
      node.locality().missed();
    } catch (FlightcacheException error) {
      if (error.kind() != ErrorKind.EXHAUSTED) {
        node.locality().apart();
      }
    } catch (IOException | RuntimeException error) {
      node.locality().apart();
    }
    return null;
  }

  private static MapReply asked(FlightServiceBlockingStub stub, Split split)
      throws FlightcacheException {
    Json.Writer body = new Json.Writer();
    body.member("ticket", Base64.getEncoder().encodeToString(split.ticket()));
    Action action =
        Action.newBuilder()
            .setType("flightcache.map")
            .setBody(ByteString.copyFromUtf8(body.end()))
            .build();
    Iterator<Result> results = stub.doAction(action);
    try {
      String text = results.next().getBody().toStringUtf8();
      while (results.hasNext()) {
        results.next();
      }
      return MapReply.parse(text);
    } catch (NoSuchElementException error) {
      throw new FlightcacheException(ErrorKind.INTERNAL, "the node does not answer", error);
    }
  }
}

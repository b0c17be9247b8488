package dev.flightcache.client;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;

/** What gRPC reports, as our errors: the one place that maps its codes to kinds. */
final class Failures {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private static final String RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";

  /** How gRPC itself begins to say that a message is longer than we take. */
  private static final String TOO_LONG = "gRPC message exceeds maximum size";

  /** Longer than any node asks for. */
  private static final long MAX_HINT_MS = 60_000;

  private Failures() {}

  static FlightcacheException of(StatusRuntimeException error, NodeAddress node) {
    return of(error.getStatus(), error.getTrailers(), node);
  }

  /** The error that ended a call to {@code node}. */
  static FlightcacheException of(Status status, Metadata trailers, NodeAddress node) {
    for (Throwable ours = status.getCause(); ours != null; ours = ours.getCause()) {
      if (ours instanceof FlightcacheException) {
        return (FlightcacheException) ours;
      }
    }
    String told = status.getDescription() == null ? "" : ": " + status.getDescription();
    Throwable cause = status.getCause();
    // "io exception" alone tells nobody that the connection was refused.
    String why = cause == null || cause.getMessage() == null ? "" : ": " + cause.getMessage();
    String message = node + ": " + status.getCode() + told + why;
    ErrorKind kind = kind(status);
    long hint = kind == ErrorKind.EXHAUSTED ? retryAfterMs(trailers) : -1;
    return new FlightcacheException(kind, message, cause, hint);
  }

  private static ErrorKind kind(Status status) {
    String told = status.getDescription();
    switch (status.getCode()) {
      case INVALID_ARGUMENT:
        return ErrorKind.INVALID;
      case NOT_FOUND:
        return ErrorKind.NOT_FOUND;
      case PERMISSION_DENIED:
        return ErrorKind.DENIED;
      case UNAUTHENTICATED:
        return ErrorKind.UNAUTHENTICATED;
      case ABORTED:
        return ErrorKind.STALE;
      case RESOURCE_EXHAUSTED:
        boolean ours = told != null && told.startsWith(TOO_LONG);
        return ours ? ErrorKind.INTERNAL : ErrorKind.EXHAUSTED;
      case DEADLINE_EXCEEDED:
        return ErrorKind.TIMEOUT;
      case CANCELLED:
        // Who cancels a call of ours throws before gRPC answers; otherwise the node ended it,
        // unless it was this thread's interrupt.
        if (Thread.currentThread().isInterrupted()) {
          return ErrorKind.CANCELLED;
        }
        return status.getCause() == null ? ErrorKind.UNAVAILABLE : ErrorKind.INTERNAL;
      case UNAVAILABLE:
        return ErrorKind.UNAVAILABLE;
      case DATA_LOSS:
        return ErrorKind.DATA;
      default:
        return ErrorKind.INTERNAL;
    }
  }

  /** When to come back, from the {@code google.rpc.RetryInfo} of an answer; -1 if it has none. */
  private static long retryAfterMs(Metadata trailers) {
    byte[] details = trailers == null ? null : trailers.get(DETAILS);
    if (details == null) {
      return -1;
    }
    try {
      // Status { 3: repeated Any { 1: type, 2: RetryInfo { 1: Duration { 1: s, 2: ns } } } }
      var status = UnknownFieldSet.parseFrom(details);
      for (var detail : status.getField(3).getLengthDelimitedList()) {
        var any = UnknownFieldSet.parseFrom(detail);
        var types = any.getField(1).getLengthDelimitedList();
        if (types.isEmpty() || !types.get(0).toStringUtf8().equals(RETRY_INFO)) {
          continue;
        }
        for (var info : any.getField(2).getLengthDelimitedList()) {
          for (var delay : UnknownFieldSet.parseFrom(info).getField(1).getLengthDelimitedList()) {
            return millis(UnknownFieldSet.parseFrom(delay));
          }
        }
      }
    } catch (InvalidProtocolBufferException error) {
      return -1;
    }
    return -1;
  }

  private static long millis(UnknownFieldSet duration) {
    long ms = 0;
    for (long seconds : duration.getField(1).getVarintList()) {
      ms = Math.max(0, Math.min(seconds, MAX_HINT_MS / 1000)) * 1000;
    }
    for (long nanos : duration.getField(2).getVarintList()) {
      ms += Math.max(0, Math.min(nanos, 999_999_999)) / 1_000_000;
    }
    return ms;
  }
}

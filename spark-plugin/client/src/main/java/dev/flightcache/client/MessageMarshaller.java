package dev.flightcache.client;

import io.grpc.HasByteBuffer;
import io.grpc.MethodDescriptor;
import io.netty.buffer.ByteBuf;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;

/**
 * Reads {@code FlightData} from gRPC's buffers, with one copy of the body into memory whose amount
 * is bounded. Generated code would make a Java array of it first.
 *
 * <p>An error that it throws ends the call and is the cause of the call's status.
 */
final class MessageMarshaller implements MethodDescriptor.Marshaller<Message> {
  private static final int HEADER = 2;
  private static final int METADATA = 3;
  private static final int BODY = 1000;

  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED32 = 5;

  private static final byte[] NONE = {};

  private final Memory memory;

  MessageMarshaller(Memory memory) {
    this.memory = memory;
  }

  @Override
  public InputStream stream(Message value) {
    throw new UnsupportedOperationException("messages are only received");
  }

  @Override
  public Message parse(InputStream stream) {
    Fields fields = new Fields();
    try {
      while (stream.available() > 0) {
        fields.read(stream);
      }
      Message message = new Message(fields.header, fields.metadata, fields.body);
      fields.body = null;
      return message;
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    } finally {
      fields.free();
    }
  }

  /** What was read of a message so far; a field that comes twice counts as it came last. */
  private final class Fields {
    private byte[] header = NONE;
    private byte[] metadata = NONE;
    private Block body;

    void read(InputStream stream) throws IOException {
      long tag = varint(stream);
      switch ((int) (tag & 7)) {
        case VARINT:
          varint(stream);
          break;
        case FIXED64:
          bytes(stream, 8);
          break;
        case FIXED32:
          bytes(stream, 4);
          break;
        case BYTES:
          field(stream, tag >>> 3, length(stream));
          break;
        default:
          throw broken("a field of unknown kind");
      }
    }

    private void field(InputStream stream, long number, int length) throws IOException {
      if (number == HEADER) {
        header = bytes(stream, length);
      } else if (number == METADATA) {
        metadata = bytes(stream, length);
      } else if (number == BODY) {
        free();
        body = memory.take(length);
        fill(stream, body.buffer(), length);
      } else {
        skip(stream, length);
      }
    }

    void free() {
      if (body != null) {
        body.free();
        body = null;
      }
    }
  }

  private static void fill(InputStream stream, ByteBuf into, int length) throws IOException {
    boolean buffers = ((Object) stream) instanceof HasByteBuffer;
    if (!buffers || !((HasByteBuffer) stream).byteBufferSupported()) {
      into.writeBytes(new java.io.ByteArrayInputStream(bytes(stream, length)), length);
      return;
    }
    int left = length;
    while (left > 0) {
      ByteBuffer run = ((HasByteBuffer) stream).getByteBuffer();
      if (run == null || !run.hasRemaining()) {
        throw new EOFException("message ends inside its body");
      }
      int taken = Math.min(left, run.remaining());
      run.limit(run.position() + taken);
      into.writeBytes(run);
      skip(stream, taken);
      left -= taken;
    }
  }

  private static void skip(InputStream stream, int length) throws IOException {
    long left = length;
    while (left > 0) {
      long skipped = stream.skip(left);
      if (skipped <= 0) {
        throw new EOFException("message ends inside a field");
      }
      left -= skipped;
    }
  }

  private static byte[] bytes(InputStream stream, int length) throws IOException {
    byte[] bytes = stream.readNBytes(length);
    if (bytes.length < length) {
      throw new EOFException("message ends inside a field");
    }
    return bytes;
  }

  /** A length of what follows, which gRPC has whole. */
  private static int length(InputStream stream) throws IOException {
    long length = varint(stream);
    if (length < 0 || length > stream.available()) {
      throw broken("a field longer than itself");
    }
    return (int) length;
  }

  private static long varint(InputStream stream) throws IOException {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      int next = stream.read();
      if (next < 0) {
        throw new EOFException("message ends inside a number");
      }
      value |= (long) (next & 0x7f) << shift;
      if (next < 0x80) {
        return value;
      }
    }
    throw broken("a number that does not end");
  }

  private static FlightcacheException broken(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "a message of the node has " + what);
  }
}

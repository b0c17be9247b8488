package dev.flightcache.client;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * One column of a row group in a file of the node's disk tier, mapped: a header that tells the file
 * from any other, then a stream of Arrow's messages.
 *
 * <pre>
 *  0        8               24  26 27 28    32       40           64
 *  | magic  | checksum      |ver|kd| 0| key | payload| zeros      | key |zeros| payload |
 *  |        |               |   |  |  | len | len    |            |     | to64|         |
 * </pre>
 *
 * <p>The node looked at the checksum; what the file holds is looked at like what comes by the wire.
 */
final class ChunkFile {
  private static final byte[] MAGIC = "FLTCACHE".getBytes(StandardCharsets.US_ASCII);
  private static final int CHECKSUM = 8;
  private static final int CHECKSUM_BYTES = 16;
  private static final int VERSION_AND_KIND = 24;

  /** Version 2 of the encoding, a column, nothing. */
  private static final int COLUMN = 0x0001_0002;

  private static final int KEY_BYTES = 28;
  private static final int PAYLOAD_BYTES = 32;
  private static final int HEADER_BYTES = 64;
  private static final int ALIGNMENT = 64;
  private static final int CONTINUATION = -1;
  private static final byte[] NONE = {};

  private final ByteBuf file;
  private int at;

  private ChunkFile(ByteBuf file, int payload) {
    this.file = file;
    this.at = payload;
  }

  /**
   * Opens the file that a node told of.
   *
   * @throws IOException if it cannot be opened here, or is another one
   */
  static ChunkFile open(MapReply.File told) throws IOException {
    Path path = Path.of(told.path());
    // To open a pipe may take for ever.
    if (!Files.isRegularFile(path)) {
      // Tells why, if that is why.
      path.getFileSystem().provider().checkAccess(path);
      throw another("is no file");
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long bytes = channel.size();
      if (bytes != told.bytes() || bytes < HEADER_BYTES || bytes > Integer.MAX_VALUE) {
        throw another("has another length");
      }
      ByteBuf file = Maps.map(channel, (int) bytes);
      return new ChunkFile(file, payload(file, told));
    }
  }

  private static int payload(ByteBuf file, MapReply.File told) throws FlightcacheException {
    byte[] magic = new byte[MAGIC.length];
    file.getBytes(0, magic);
    String checksum = ByteBufUtil.hexDump(file, CHECKSUM, CHECKSUM_BYTES);
    if (!java.util.Arrays.equals(magic, MAGIC) || !checksum.equals(told.checksum())) {
      throw another("holds something else");
    }
    long key = file.getUnsignedIntLE(KEY_BYTES);
    long start = HEADER_BYTES + (key + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    boolean column = file.getIntLE(VERSION_AND_KIND) == COLUMN;
    long length = file.getLongLE(PAYLOAD_BYTES);
    if (!column || start > file.capacity() || length != file.capacity() - start) {
      throw another("is no column that this client can read");
    }
    return (int) start;
  }

  /**
   * The next message, whose body is a part of the file; null at the end.
   *
   * @throws FlightcacheException {@code INTERNAL} if the file is not as Arrow wants it
   */
  Message next() throws FlightcacheException {
    int left = file.capacity() - at;
    if (left == 0) {
      return null;
    }
    if (left < 8 || file.getIntLE(at) != CONTINUATION) {
      throw broken(null);
    }
    int length = file.getIntLE(at + 4);
    if (length == 0) {
      return null;
    }
    if (length < 0 || length > left - 8) {
      throw broken(null);
    }
    byte[] header = new byte[length];
    file.getBytes(at + 8, header);
    long body = bodyBytes(header);
    if (body < 0 || body > left - 8 - length) {
      throw broken(null);
    }
    int start = at + 8 + length;
    at = start + (int) body;
    Block block = body == 0 ? null : Block.mapped(file.slice(start, (int) body));
    return new Message(header, NONE, block);
  }

  private static long bodyBytes(byte[] header) throws FlightcacheException {
    try {
      var message = org.apache.arrow.flatbuf.Message.getRootAsMessage(ByteBuffer.wrap(header));
      return message.bodyLength();
    } catch (RuntimeException error) {
      // Flatbuffers checks nothing: bytes out of shape lead it out of bounds.
      throw broken(error);
    }
  }

  private static FlightcacheException another(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "what the node calls a cache file " + what);
  }

  private static FlightcacheException broken(Throwable cause) {
    return new FlightcacheException(
        ErrorKind.INTERNAL, "a cache file of the node cannot be read", cause);
  }
}

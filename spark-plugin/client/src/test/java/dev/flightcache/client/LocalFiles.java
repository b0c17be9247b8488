package dev.flightcache.client;

import io.netty.buffer.ByteBufUtil;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;

/** Cache files as a node would write them, with the rows of {@link TestNode}. */
final class LocalFiles {
  static final int ROWS = 1000;
  private static final int PIECE = 300;

  private final Path folder;
  private int written;

  LocalFiles(Path folder) {
    this.folder = folder;
  }

  /** The columns of all rows, in pieces. */
  static List<byte[]> columns(BufferAllocator allocator) throws IOException {
    List<byte[]> columns = new ArrayList<>();
    columns.add(column(new BigIntVector("id", allocator)));
    columns.add(column(new VarCharVector("name", allocator)));
    columns.add(column(new BitVector("even", allocator)));
    return columns;
  }

  private static byte[] column(FieldVector vector) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (VectorSchemaRoot root = new VectorSchemaRoot(List.of(vector));
        ArrowStreamWriter writer =
            new ArrowStreamWriter(root, null, Channels.newChannel(bytes))) {
      writer.start();
      for (int first = 0; first < ROWS; first += PIECE) {
        root.clear();
        int end = Math.min(first + PIECE, ROWS);
        for (int row = first; row < end; row++) {
          set(vector, row - first, row);
        }
        root.setRowCount(end - first);
        writer.writeBatch();
      }
      writer.end();
    }
    return framed(bytes.toByteArray());
  }

  private static void set(FieldVector vector, int at, int row) {
    if (vector instanceof BigIntVector) {
      ((BigIntVector) vector).setSafe(at, row);
    } else if (vector instanceof BitVector) {
      ((BitVector) vector).setSafe(at, row % 2 == 0 ? 1 : 0);
    } else if (row % 7 == 0) {
      ((VarCharVector) vector).setNull(at);
    } else {
      byte[] text = ("row " + row).getBytes(StandardCharsets.UTF_8);
      ((VarCharVector) vector).setSafe(at, text);
    }
  }

  private static byte[] framed(byte[] payload) {
    byte[] key = "a key".getBytes(StandardCharsets.UTF_8);
    ByteBuffer file = ByteBuffer.allocate(128 + payload.length).order(ByteOrder.LITTLE_ENDIAN);
    file.put("FLTCACHE".getBytes(StandardCharsets.UTF_8));
    file.putLong(0x0123456789abcdefL).putLong(-2);
    file.putShort((short) 2).put((byte) 1).put((byte) 0);
    file.putInt(key.length).putLong(payload.length);
    file.position(64);
    file.put(key).position(128);
    file.put(payload);
    return file.array();
  }

  /** Writes files and gives an answer that tells of them as they are. */
  String told(List<byte[]> columns) throws IOException {
    List<String> files = new ArrayList<>();
    for (byte[] column : columns) {
      Path path = Files.write(folder.resolve("file" + written++), column);
      files.add(file(path, column.length, checksum(column)));
    }
    return answer(files);
  }

  static String answer(List<String> files) {
    return "{\"row_groups\":[{\"row_group\":0,\"first_row\":0,\"rows\":"
        + ROWS
        + ",\"columns\":"
        + files
        + "}]}";
  }

  static String file(Path path, long bytes, String checksum) {
    String name = "{\"path\":\"" + path + "\",\"bytes\":" + bytes;
    return name + ",\"checksum\":\"" + checksum + "\"}";
  }

  static String checksum(byte[] file) {
    byte[] padded = Arrays.copyOf(file, Math.max(file.length, 24));
    return ByteBufUtil.hexDump(padded, 8, 16);
  }
}

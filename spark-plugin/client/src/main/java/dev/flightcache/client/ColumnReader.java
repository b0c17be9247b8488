package dev.flightcache.client;

import dev.flightcache.client.ColumnType.Kind;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.function.LongFunction;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.RecordBatch;

/**
 * Cuts a message's body into columns, in the order in which Arrow lays them out.
 *
 * <p>Who reads a column goes by raw addresses, where a wrong length or offset ends the process. So
 * every buffer is compared with what its column needs, and offsets and indices are looked at.
 */
final class ColumnReader {
  private static final MemoryColumn[] NONE = {};

  private final RecordBatch batch;
  private final Block body;
  private final LongFunction<MemoryColumn> dictionaries;
  private int node;
  private int buffer;

  /**
   * @param body null if the message has none
   * @param dictionaries values by id, null where there are none yet
   */
  ColumnReader(RecordBatch batch, Block body, LongFunction<MemoryColumn> dictionaries)
      throws FlightcacheException {
    if (batch.compression() != null) {
      throw wrong("compressed buffers");
    }
    this.batch = batch;
    this.body = body;
    this.dictionaries = dictionaries;
  }

  /** A number of rows that fits an {@code int}. */
  static int rows(long length) throws FlightcacheException {
    if (length < 0 || length > Integer.MAX_VALUE) {
      throw wrong("a batch of " + length + " rows");
    }
    return (int) length;
  }

  /** The next column. */
  MemoryColumn column(Layout layout) throws FlightcacheException {
    if (node >= batch.nodesLength()) {
      throw wrong("a batch of too few columns");
    }
    FieldNode counts = batch.nodes(node++);
    int length = rows(counts.length());
    int nulls = rows(counts.nullCount());
    if (nulls > length) {
      throw wrong(layout, "more nulls than values");
    }
    if (layout.kind() == Kind.NULL && layout.values() == null) {
      return new MemoryColumn(layout, length, length, null, null, null, null, NONE);
    }
    Region validity = region();
    if (nulls == 0) {
      validity = null;
    } else {
      need(layout, validity, bytes(length, 1));
    }
    if (layout.values() != null) {
      return indices(layout, length, nulls, validity);
    }
    Region offsets = layout.offsetBits() == 0 ? null : region();
    boolean lists = layout.offsetBits() > 0 && layout.children().length > 0;
    boolean strings = layout.offsetBits() > 0 && !lists;
    Region data = layout.valueBits() > 0 || strings ? region() : null;
    if (layout.valueBits() > 0) {
      need(layout, data, bytes(length, layout.valueBits()));
    }
    MemoryColumn[] children = children(layout, length);
    if (layout.offsetBits() > 0) {
      long behind = lists ? children[0].length() : data.bytes();
      offsets = offsets(layout, offsets, length, behind);
    }
    return new MemoryColumn(layout, length, nulls, validity, offsets, data, null, children);
  }

  private MemoryColumn[] children(Layout layout, int length) throws FlightcacheException {
    Layout[] layouts = layout.children();
    if (layouts.length == 0) {
      return NONE;
    }
    MemoryColumn[] children = new MemoryColumn[layouts.length];
    long needed = 0;
    if (layout.kind() == Kind.STRUCT) {
      needed = length;
    } else if (layout.kind() == Kind.FIXED_SIZE_LIST) {
      needed = (long) length * layout.field().type().size();
    }
    for (int i = 0; i < children.length; i++) {
      children[i] = column(layouts[i]);
      if (children[i].length() < needed) {
        throw wrong(layout, "too few items");
      }
    }
    return children;
  }

  private MemoryColumn indices(Layout layout, int length, int nulls, Region validity)
      throws FlightcacheException {
    Region data = region();
    need(layout, data, bytes(length, layout.indexBits()));
    MemoryColumn values = dictionaries.apply(layout.dictionaryId());
    if (values == null && nulls < length) {
      throw wrong(layout, "indices and no dictionary");
    }
    if (values == null) {
      values = new MemoryColumn(layout.values(), 0, 0, null, null, null, null, NONE);
    } else {
      Indices.check(layout, data, length, validity, values.length());
    }
    return new MemoryColumn(layout, length, nulls, validity, null, data, values, NONE);
  }

  /** The offsets, null where the column is empty and has none to read. */
  private static Region offsets(Layout layout, Region offsets, int length, long behind)
      throws FlightcacheException {
    if (length == 0) {
      return null;
    }
    need(layout, offsets, (length + 1L) * layout.offsetBits() / 8);
    ByteBuffer view = offsets.view();
    boolean grow =
        layout.offsetBits() == 32 ? grow32(view, length, behind) : grow64(view, length, behind);
    if (!grow) {
      throw wrong(layout, "offsets that lead out of its values");
    }
    return offsets;
  }

  private static boolean grow32(ByteBuffer bytes, int length, long behind) {
    IntBuffer offsets = bytes.asIntBuffer();
    int before = offsets.get(0);
    int falls = before;
    for (int i = 1; i <= length; i++) {
      int next = offsets.get(i);
      falls |= next - before;
      falls |= next;
      before = next;
    }
    return falls >= 0 && before <= behind;
  }

  private static boolean grow64(ByteBuffer bytes, int length, long behind) {
    LongBuffer offsets = bytes.asLongBuffer();
    long before = offsets.get(0);
    long falls = before;
    for (int i = 1; i <= length; i++) {
      long next = offsets.get(i);
      falls |= next - before;
      falls |= next;
      before = next;
    }
    return falls >= 0 && before <= behind;
  }

  private Region region() throws FlightcacheException {
    if (buffer >= batch.buffersLength()) {
      throw wrong("a batch of too few buffers");
    }
    Buffer place = batch.buffers(buffer++);
    long at = place.offset();
    long length = place.length();
    long room = body == null ? 0 : body.bytes();
    if (at < 0 || length < 0 || length > room || at > room - length) {
      throw wrong("a buffer that lies outside of its message");
    }
    return new Region(body, (int) at, (int) length);
  }

  private static long bytes(int values, int bits) {
    return ((long) values * bits + 7) / 8;
  }

  private static void need(Layout layout, Region region, long bytes) throws FlightcacheException {
    if (region.bytes() < bytes) {
      throw wrong(layout, "a buffer that is too short");
    }
  }

  private static FlightcacheException wrong(Layout layout, String what) {
    return wrong("for column `" + layout.field().name() + "` " + what);
  }

  private static FlightcacheException wrong(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "the node sent " + what);
  }
}

package dev.flightcache.client;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.arrow.flatbuf.DictionaryBatch;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.RecordBatch;

/**
 * Turns the messages of one stream into batches, without copying: a column is addresses in the
 * message's body. It keeps the dictionaries of the stream, each until another takes its place.
 */
final class BatchReader {
  private final Map<Long, Layout> dictionaryLayouts = new HashMap<>();
  private final Map<Long, Dictionary> dictionaries = new HashMap<>();
  private Layout[] columns;

  /** Values, and the memory that they are in. */
  private static final class Dictionary {
    private final MemoryColumn values;
    private final Message message;

    Dictionary(MemoryColumn values, Message message) {
      this.values = values;
      this.message = message;
    }
  }

  /**
   * Reads a message, which is the reader's from here on.
   *
   * @return null where it is no batch
   * @throws FlightcacheException {@code INTERNAL} if it is not as Arrow wants it
   */
  MemoryBatch read(Message message) throws FlightcacheException {
    boolean kept = false;
    try {
      MemoryBatch batch = dispatch(message);
      kept = true;
      return batch;
    } catch (IndexOutOfBoundsException | IllegalArgumentException | ArithmeticException error) {
      // Flatbuffers checks nothing: bytes out of shape lead it out of bounds.
      throw new FlightcacheException(ErrorKind.INTERNAL, "a message cannot be read", error);
    } finally {
      if (!kept) {
        message.free();
      }
    }
  }

  /** The columns; null before the first message. */
  List<Field> fields() {
    if (columns == null) {
      return null;
    }
    Field[] fields = new Field[columns.length];
    for (int i = 0; i < fields.length; i++) {
      fields[i] = columns[i].field();
    }
    return List.of(fields);
  }

  /** Frees the dictionaries. */
  void close() {
    dictionaries.values().forEach(dictionary -> dictionary.message.free());
    dictionaries.clear();
  }

  private MemoryBatch dispatch(Message message) throws FlightcacheException {
    if (message.header().length == 0) {
      message.free();
      return null;
    }
    ByteBuffer header = ByteBuffer.wrap(message.header());
    var parsed = org.apache.arrow.flatbuf.Message.getRootAsMessage(header);
    if (columns == null) {
      schema(SchemaReader.message(header));
      message.free();
      return null;
    }
    switch (parsed.headerType()) {
      case MessageHeader.DictionaryBatch:
        dictionary((DictionaryBatch) header(parsed.header(new DictionaryBatch())), message);
        return null;
      case MessageHeader.RecordBatch:
        return batch((RecordBatch) header(parsed.header(new RecordBatch())), message);
      default:
        throw wrong("a message that is no batch");
    }
  }

  private static Object header(Object header) throws FlightcacheException {
    if (header == null) {
      throw wrong("a message without a header");
    }
    return header;
  }

  private void schema(Layout[] layouts) throws FlightcacheException {
    for (Layout layout : layouts) {
      register(layout, false);
    }
    columns = layouts;
  }

  private void register(Layout layout, boolean inDictionary) throws FlightcacheException {
    if (layout.kind() == ColumnType.Kind.OTHER) {
      throw wrong("column `" + layout.field().name() + "` of a type that this client cannot read");
    }
    if (layout.values() != null) {
      if (inDictionary) {
        // Who replaced the inner one would free what the outer one points at.
        throw wrong("a dictionary inside a dictionary, which this client cannot read");
      }
      Layout other = dictionaryLayouts.put(layout.dictionaryId(), layout.values());
      boolean differs = other != null && !other.field().type().equals(layout.field().type());
      if (differs) {
        throw wrong("one dictionary for columns of several types");
      }
      register(layout.values(), true);
    }
    for (Layout child : layout.children()) {
      register(child, inDictionary);
    }
  }

  private void dictionary(DictionaryBatch source, Message message) throws FlightcacheException {
    Layout layout = dictionaryLayouts.get(source.id());
    if (layout == null) {
      throw wrong("a dictionary that no column has");
    }
    if (source.isDelta()) {
      throw wrong("a dictionary that goes on from the one before, which this client cannot read");
    }
    RecordBatch batch = (RecordBatch) header(source.data());
    ColumnReader reader = new ColumnReader(batch, message.body(), this::dictionaryValues);
    Dictionary read = new Dictionary(reader.column(layout), message);
    Dictionary before = dictionaries.put(source.id(), read);
    if (before != null) {
      before.message.free();
    }
  }

  private MemoryColumn dictionaryValues(long id) {
    Dictionary dictionary = dictionaries.get(id);
    return dictionary == null ? null : dictionary.values;
  }

  private MemoryBatch batch(RecordBatch batch, Message message) throws FlightcacheException {
    BatchPosition position = BatchPosition.parse(message.metadata());
    int rows = ColumnReader.rows(batch.length());
    ColumnReader reader = new ColumnReader(batch, message.body(), this::dictionaryValues);
    MemoryColumn[] read = new MemoryColumn[columns.length];
    for (int i = 0; i < read.length; i++) {
      read[i] = reader.column(columns[i]);
      if (read[i].length() != rows) {
        throw wrong("column `" + columns[i].field().name() + "` of another length than its batch");
      }
    }
    if (position != null && rows > position.rows()) {
      throw wrong("a batch of more rows than it says that it covers");
    }
    return new MemoryBatch(rows, read, position, List.of(Objects.requireNonNull(message)::free));
  }

  private static FlightcacheException wrong(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "the node sent " + what);
  }
}

package dev.flightcache.client;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * The rows of a split in files of the node, which were all opened at the start: from then on
 * neither eviction nor the end of the node takes them away.
 *
 * <p>A batch is what the columns of a row group hold side by side; the node cuts all of them at the
 * same rows.
 */
final class MappedAttempt implements Attempt {
  private final Node node;
  private final Deque<Group> groups;
  private volatile boolean cancelled;
  private String columns;
  private boolean answered;
  private long end;
  private long bytes;

  /** The columns of a row group, read in step. */
  private static final class Group {
    private final MapReply.Group told;
    private final ChunkFile[] files;
    private final BatchReader[] readers;
    private long given;
    private long bytes;

    Group(MapReply.Group told) throws IOException {
      this.told = told;
      this.files = new ChunkFile[told.files().size()];
      this.readers = new BatchReader[files.length];
      for (int i = 0; i < files.length; i++) {
        files[i] = ChunkFile.open(told.files().get(i));
        readers[i] = new BatchReader();
      }
    }

    /** What column {@code i} holds next; null at the end. */
    MemoryBatch piece(int i) throws FlightcacheException {
      while (true) {
        Message message = files[i].next();
        if (message == null) {
          return null;
        }
        bytes += message.bytes();
        MemoryBatch piece = readers[i].read(message);
        if (piece != null) {
          return piece;
        }
      }
    }

    /** Bytes read since it was last asked. */
    long taken() {
      long taken = bytes;
      bytes = 0;
      return taken;
    }

    List<Field> fields() {
      List<Field> fields = new ArrayList<>();
      for (BatchReader reader : readers) {
        fields.addAll(reader.fields());
      }
      return fields;
    }
  }

  private MappedAttempt(Node node, Deque<Group> groups) {
    this.node = node;
    this.groups = groups;
  }

  /**
   * Opens all files of a split.
   *
   * @throws IOException if one is not there as it was told
   */
  static MappedAttempt open(Node node, MapReply reply) throws IOException {
    Deque<Group> groups = new ArrayDeque<>();
    for (MapReply.Group told : reply.groups()) {
      if (told.files().isEmpty()) {
        throw wrong("a row group without columns");
      }
      groups.add(new Group(told));
    }
    return new MappedAttempt(node, groups);
  }

  @Override
  public Node node() {
    return node;
  }

  @Override
  public boolean mapped() {
    return true;
  }

  @Override
  public boolean answered() {
    return answered;
  }

  @Override
  public MemoryBatch next() throws FlightcacheException {
    if (cancelled) {
      throw new FlightcacheException(ErrorKind.CANCELLED, "the stream was cancelled");
    }
    try {
      return read();
    } catch (FlightcacheException error) {
      node.locality().apart();
      throw error;
    }
  }

  private MemoryBatch read() throws FlightcacheException {
    while (true) {
      Group group = groups.peek();
      MemoryBatch batch = group == null ? null : batch(group);
      answered = true;
      if (group == null || batch != null) {
        return batch;
      }
      groups.remove();
    }
  }

  /** The next batch of a row group; null at its end. */
  private MemoryBatch batch(Group group) throws FlightcacheException {
    MemoryColumn[] read = new MemoryColumn[group.files.length];
    int rows = -1;
    for (int i = 0; i < read.length; i++) {
      MemoryBatch piece = group.piece(i);
      int has = piece == null ? -1 : piece.rows();
      if (i > 0 && has != rows || piece != null && piece.columns() != 1) {
        throw wrong("columns that do not go together");
      }
      rows = has;
      read[i] = piece == null ? null : piece.column(0);
    }
    MapReply.Group told = group.told;
    long first = told.firstRow() + group.given;
    if (rows < 0 ? group.given != told.rows() : rows > told.rows() - group.given || first < end) {
      throw wrong("row group " + told.rowGroup() + " with other rows than it tells of");
    }
    if (rows < 0) {
      return null;
    }
    if (group.given == 0) {
      sameColumns(group.fields().toString());
    }
    group.given += rows;
    end = first + rows;
    bytes += group.taken();
    BatchPosition position = new BatchPosition(told.rowGroup(), first, rows);
    return MemoryBatch.mapped(rows, read, position);
  }

  private void sameColumns(String those) throws FlightcacheException {
    if (columns == null) {
      columns = those;
    } else if (!columns.equals(those)) {
      throw wrong("other columns in one row group than in the one before");
    }
  }

  @Override
  public String columns() {
    return columns;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public long waitNanos() {
    return 0;
  }

  @Override
  public void cancel() {
    cancelled = true;
  }

  /** Maps go when nothing refers to them: a reader may still look at the last batch. */
  @Override
  public void close() {
    groups.clear();
  }

  private static FlightcacheException wrong(String what) {
    return new FlightcacheException(ErrorKind.INTERNAL, "the node's cache files give " + what);
  }
}

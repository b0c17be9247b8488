package dev.flightcache.client;

import java.util.ArrayList;
import java.util.List;

/** A batch in the memory of its message. Whoever takes it frees it. */
final class MemoryBatch implements Batch {
  private final int rows;
  private final MemoryColumn[] columns;
  private final BatchPosition position;
  private final boolean mapped;
  private final List<Runnable> held;

  /**
   * @param position null if the node does not say
   * @param held what frees its memory
   */
  MemoryBatch(int rows, MemoryColumn[] columns, BatchPosition position, List<Runnable> held) {
    this(rows, columns, position, held, false);
  }

  /** A batch in files, which nobody frees. */
  static MemoryBatch mapped(int rows, MemoryColumn[] columns, BatchPosition position) {
    return new MemoryBatch(rows, columns, position, List.of(), true);
  }

  private MemoryBatch(
      int rows,
      MemoryColumn[] columns,
      BatchPosition position,
      List<Runnable> held,
      boolean mapped) {
    this.rows = rows;
    this.columns = columns;
    this.position = position;
    this.mapped = mapped;
    this.held = held;
  }

  /**
   * The same batch without its first rows, with the memory of this one.
   *
   * @throws FlightcacheException {@code EXHAUSTED} if there is no room for bitmaps that move; this
   *     one is then as it was
   */
  MemoryBatch from(int dropped, Memory memory) throws FlightcacheException {
    ShiftedBits bits = new ShiftedBits(memory);
    MemoryColumn[] sliced = new MemoryColumn[columns.length];
    boolean done = false;
    try {
      for (int i = 0; i < sliced.length; i++) {
        sliced[i] = columns[i].from(dropped, bits);
      }
      done = true;
    } finally {
      if (!done) {
        bits.blocks().forEach(Block::free);
      }
    }
    List<Runnable> both = new ArrayList<>(held);
    bits.blocks().forEach(block -> both.add(block::free));
    BatchPosition rest = position == null ? null : position.from(dropped);
    return new MemoryBatch(rows - dropped, sliced, rest, both, mapped);
  }

  /** Null if the node does not say. */
  BatchPosition position() {
    return position;
  }

  void free() {
    held.forEach(Runnable::run);
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public boolean mapped() {
    return mapped;
  }

  @Override
  public int columns() {
    return columns.length;
  }

  @Override
  public MemoryColumn column(int index) {
    return columns[index];
  }

  @Override
  public int rowGroup() {
    return position == null ? -1 : position.rowGroup();
  }

  @Override
  public long firstRow() {
    return position == null ? -1 : position.firstRow();
  }

  @Override
  public long coveredRows() {
    return position == null ? rows : position.rows();
  }
}

package dev.flightcache.client;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The batches of a split from whichever of its locations serves them.
 *
 * <pre>
 *  next location ──► breaker ──► ticket renewed ──► DoGet ──► batches, from the position on
 *       ▲                                                        │ fails, and may work elsewhere
 *       └───── what was given stays given ◄──────────────────────┘
 * </pre>
 *
 * <p>Each location is tried once; the one that fails in mid-stream, and one that is exhausted, once
 * more behind the others.
 */
final class SplitStream implements BatchStream {
  private static final long BACKOFF_MS = 250;
  private static final long MAX_BACKOFF_MS = 5_000;

  private final Opener opener;
  private final Memory memory;
  private final Runnable closing;
  private final Position position;
  private final Deque<NodeAddress> left;

  /** Held by whoever reads or frees. */
  private final ReentrantLock lock = new ReentrantLock();

  private final CountDownLatch cancelled = new CountDownLatch(1);
  private volatile Attempt attempt;
  private MemoryBatch current;
  private FlightcacheException failure;
  private boolean first = true;
  private boolean ended;
  private boolean backedOff;
  private boolean returned;
  private String columns;

  /** Whose columns are known to be those: a node tells them once. */
  private Attempt compared;

  private long bytes;
  private long mappedBytes;
  private long waitNanos;

  /** Opens the ticket at a node. */
  interface Opener {
    /**
     * @throws FlightcacheException also if the node is left alone for a while
     */
    Attempt open(NodeAddress node) throws FlightcacheException;
  }

  /**
   * @param locations at least one
   * @param closing runs once, at the end
   */
  SplitStream(
      Opener opener,
      Memory memory,
      Deque<NodeAddress> locations,
      Position position,
      Runnable closing) {
    this.opener = opener;
    this.memory = memory;
    this.left = new ArrayDeque<>(locations);
    this.position = position;
    this.closing = closing;
  }

  /** Waits for the first batch. */
  void open() throws FlightcacheException {
    lock.lock();
    try {
      advance();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public boolean next() throws FlightcacheException {
    lock.lock();
    try {
      if (isCancelled()) {
        throw wasCancelled(null);
      }
      if (failure != null) {
        throw failure;
      }
      if (first) {
        first = false;
        return current != null;
      }
      release();
      return !ended && advance();
    } finally {
      lock.unlock();
    }
  }

  private boolean advance() throws FlightcacheException {
    while (true) {
      NodeAddress node = attempt == null ? left.poll() : attempt.node().address();
      try {
        if (attempt == null) {
          position.restart();
          attempt = opener.open(node);
        }
        if (isCancelled()) {
          throw wasCancelled(null);
        }
        MemoryBatch batch = attempt.next();
        sameColumns();
        if (batch == null) {
          ended = true;
          leave();
          return false;
        }
        if (give(batch)) {
          return true;
        }
      } catch (InterruptedException error) {
        Thread.currentThread().interrupt();
        leave();
        failure = wasCancelled(error);
        throw failure;
      } catch (FlightcacheException error) {
        recover(node, error);
      }
    }
  }

  /** Whether rows of {@code batch} are left to give. */
  private boolean give(MemoryBatch batch) throws FlightcacheException {
    boolean kept = false;
    try {
      int drop = position.drop(batch);
      if (drop < batch.rows()) {
        current = drop == 0 ? batch : batch.from(drop, memory);
        kept = true;
        position.gave(current);
      }
    } finally {
      if (!kept) {
        batch.free();
      }
    }
    return kept;
  }

  /** Another node may be of another mind about the schema. */
  private void sameColumns() throws FlightcacheException {
    if (compared == attempt) {
      return;
    }
    String those = attempt.columns();
    compared = those == null ? null : attempt;
    if (columns == null) {
      columns = those;
    } else if (those != null && !those.equals(columns)) {
      throw new FlightcacheException(
          ErrorKind.INTERNAL,
          attempt.node().address() + " sends other columns than the one before");
    }
  }

  /** Makes room for the next location, or throws {@code error}. */
  private void recover(NodeAddress node, FlightcacheException error) throws FlightcacheException {
    boolean midstream = attempt != null && attempt.answered();
    boolean files = attempt != null && attempt.mapped();
    leave();
    failure = isCancelled() ? wasCancelled(error) : error;
    if (!failure.elsewhere() || !position.resumable()) {
      throw failure;
    }
    if (files) {
      // Its stream may still do: files are tried once a node.
      left.addFirst(node);
    } else if (failure.kind() == ErrorKind.EXHAUSTED && !backedOff) {
      backedOff = true;
      left.add(node);
      pause();
    } else if (midstream && !returned) {
      returned = true;
      left.add(node);
    }
    if (left.isEmpty()) {
      throw failure;
    }
    failure = null;
  }

  /** Waits as long as an exhausted node asks for, within reason. */
  private void pause() throws FlightcacheException {
    long asked = failure.retryAfterMs();
    long jitter = ThreadLocalRandom.current().nextLong(BACKOFF_MS);
    long wait = asked < 0 ? BACKOFF_MS + jitter : Math.min(asked, MAX_BACKOFF_MS);
    try {
      if (!cancelled.await(wait, TimeUnit.MILLISECONDS)) {
        return;
      }
      failure = wasCancelled(failure);
    } catch (InterruptedException interrupt) {
      Thread.currentThread().interrupt();
      failure = wasCancelled(interrupt);
    }
    throw failure;
  }

  private void leave() {
    Attempt open = attempt;
    if (open != null) {
      bytes += open.mapped() ? 0 : open.bytes();
      mappedBytes += open.mapped() ? open.bytes() : 0;
      waitNanos += open.waitNanos();
      open.close();
      attempt = null;
    }
  }

  private void release() {
    if (current != null) {
      current.free();
      current = null;
    }
  }

  private boolean isCancelled() {
    return cancelled.getCount() == 0;
  }

  private static FlightcacheException wasCancelled(Throwable cause) {
    return new FlightcacheException(ErrorKind.CANCELLED, "the stream was cancelled", cause);
  }

  @Override
  public Batch batch() {
    if (current == null) {
      throw new IllegalStateException(
          "no batch: next() comes first, and says whether there is one");
    }
    return current;
  }

  @Override
  public long bytes() {
    Attempt open = attempt;
    return bytes + (open == null || open.mapped() ? 0 : open.bytes());
  }

  @Override
  public long mappedBytes() {
    Attempt open = attempt;
    return mappedBytes + (open == null || !open.mapped() ? 0 : open.bytes());
  }

  @Override
  public long waitNanos() {
    Attempt open = attempt;
    return waitNanos + (open == null ? 0 : open.waitNanos());
  }

  @Override
  public void cancel() {
    cancelled.countDown();
    Attempt open = attempt;
    if (open != null) {
      open.cancel();
    }
  }

  @Override
  public void close() {
    // Wakes whoever reads, and then waits for him.
    cancel();
    lock.lock();
    try {
      leave();
      release();
      ended = true;
      closing.run();
    } finally {
      lock.unlock();
    }
  }
}

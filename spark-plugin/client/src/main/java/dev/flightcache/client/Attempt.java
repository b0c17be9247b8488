package dev.flightcache.client;

/** One way to read a ticket at one node, until it ends or fails: its stream, or files of the node. */
interface Attempt {
  Node node();

  /** Whether its rows lie in files of the node, and not in what it sent. */
  boolean mapped();

  /** Whether it gave a batch, or ended without one. */
  boolean answered();

  /** The next batch, which is the caller's to free; null at the end. */
  MemoryBatch next() throws FlightcacheException, InterruptedException;

  /** The columns; null before they are known. */
  String columns();

  /** Bytes of the bodies of messages so far. */
  long bytes();

  /** Nanoseconds spent waiting for messages so far. */
  long waitNanos();

  /** Ends it, from any thread; whoever waits for a batch gets an error. */
  void cancel();

  /** Ends it and frees what it holds but for batches that it gave; idempotent. */
  void close();
}

package dev.flightcache.client;

/**
 * Which rows of a split were given, so that another node's stream of the same ticket goes on behind
 * them. It goes by the place in the file that batches tell; rows that the caller skips are counted.
 */
final class Position {
  private final long skipRows;
  private final boolean oneObject;
  private long toSkip;
  private long given;
  private long end;
  private boolean known = true;

  /**
   * @param skipRows rows at the start of the split that are left out
   * @param oneObject whether a place in a file is a place in the split
   */
  Position(long skipRows, boolean oneObject) {
    this.skipRows = skipRows;
    this.oneObject = oneObject;
    this.toSkip = skipRows;
  }

  /** A stream begins anew. */
  void restart() {
    toSkip = skipRows;
  }

  /** Whether another stream can go on here. */
  boolean resumable() {
    return given == 0 || known && oneObject;
  }

  /**
   * How many of a batch's first rows are not to be given; all of them if it is to be left out.
   *
   * @throws FlightcacheException {@code UNAVAILABLE} if a row where the stream is to go on cannot
   *     be found in it
   */
  int drop(MemoryBatch batch) throws FlightcacheException {
    BatchPosition place = batch.position();
    if (given > 0) {
      return place == null ? fail() : behind(batch, place);
    }
    int drop = (int) Math.min(toSkip, batch.rows());
    toSkip -= drop;
    return drop;
  }

  private int behind(MemoryBatch batch, BatchPosition place) throws FlightcacheException {
    if (!known || place.firstRow() >= end) {
      return 0;
    }
    if (place.end() <= end) {
      return batch.rows();
    }
    // With rows filtered or pruned out of it, its rows are not those that it covers.
    return batch.rows() == place.rows() ? (int) (end - place.firstRow()) : fail();
  }

  /** Nor can it at yet another node. */
  private int fail() throws FlightcacheException {
    known = false;
    throw new FlightcacheException(
        ErrorKind.UNAVAILABLE, "the stream cannot go on inside of a filtered batch");
  }

  /** A batch was given, after its dropped rows. */
  void gave(MemoryBatch batch) {
    given += batch.rows();
    if (batch.position() == null) {
      known = false;
    } else {
      end = batch.position().end();
    }
  }
}

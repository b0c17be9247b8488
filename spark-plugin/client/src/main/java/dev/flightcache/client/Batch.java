package dev.flightcache.client;

/** Some rows of a split, in file order. Valid until its stream's next {@code next()} or close. */
public interface Batch {
  /** Rows that it holds. */
  int rows();

  int columns();

  /** Whether its rows lie in files of a node on this machine, and were not sent. */
  boolean mapped();

  Column column(int index);

  /** Ordinal of the row group that it covers rows of; -1 if the server did not say. */
  int rowGroup();

  /** First row of the file that it covers. */
  long firstRow();

  /** Rows of the file that it covers; with a filter it may hold fewer. */
  long coveredRows();
}

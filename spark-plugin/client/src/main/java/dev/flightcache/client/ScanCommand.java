package dev.flightcache.client;

import java.util.List;
import java.util.Objects;

/** What is to be read: the JSON scan command of {@code GetFlightInfo}. Immutable. */
public final class ScanCommand {
  private final String dataset;
  private final String url;
  private final List<String> columns;
  private final String filter;
  private final String prefilter;
  private final Long limit;
  private final List<String> statistics;
  private final String snapshot;

  private ScanCommand(
      String dataset,
      String url,
      List<String> columns,
      String filter,
      String prefilter,
      Long limit,
      List<String> statistics,
      String snapshot) {
    this.dataset = dataset;
    this.url = url;
    this.columns = columns == null ? null : List.copyOf(columns);
    this.filter = filter;
    this.prefilter = prefilter;
    this.limit = limit;
    this.statistics = statistics == null ? null : List.copyOf(statistics);
    this.snapshot = snapshot;
  }

  /** The whole of a dataset. */
  public static ScanCommand dataset(String name) {
    Objects.requireNonNull(name);
    return new ScanCommand(name, null, null, null, null, null, null, null);
  }

  /** A folder or a file inside a dataset's prefix. */
  public static ScanCommand url(String url) {
    Objects.requireNonNull(url);
    return new ScanCommand(null, url, null, null, null, null, null, null);
  }

  /** Columns to return, in this order; none of them gives rows without columns. */
  public ScanCommand withColumns(List<String> names) {
    return new ScanCommand(dataset, url, names, filter, prefilter, limit, statistics, snapshot);
  }

  /** SQL expression; rows for which it is not true are never returned. */
  public ScanCommand withFilter(String expression) {
    return new ScanCommand(dataset, url, columns, expression, prefilter, limit, statistics, snapshot);
  }

  /** SQL expression; rows for which it is not true may be left out, if the server will. */
  public ScanCommand withPrefilter(String expression) {
    return new ScanCommand(dataset, url, columns, filter, expression, limit, statistics, snapshot);
  }

  /** Rows to return at most, over all splits. */
  public ScanCommand withLimit(long rows) {
    return new ScanCommand(dataset, url, columns, filter, prefilter, rows, statistics, snapshot);
  }

  /** Columns of which the plan tells nulls and bounds; not with what leaves rows out. */
  public ScanCommand withStatistics(List<String> names) {
    return new ScanCommand(dataset, url, columns, filter, prefilter, limit, names, snapshot);
  }

  /** Id of the snapshot to read. */
  public ScanCommand withSnapshot(String id) {
    return new ScanCommand(dataset, url, columns, filter, prefilter, limit, statistics, id);
  }

  /** Whether rows are filtered on the server, so that positions in the file do not follow rows. */
  boolean filters() {
    return filter != null || prefilter != null;
  }

  /** As it goes over the wire. */
  String json() {
    Json.Writer json = new Json.Writer();
    json.member("dataset", dataset).member("url", url).member("columns", columns);
    json.member("filter", filter).member("prefilter", prefilter).member("limit", limit);
    return json.member("statistics", statistics).member("snapshot", snapshot).end();
  }

  @Override
  public String toString() {
    return json();
  }
}

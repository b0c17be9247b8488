package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomTaskMetric;

/** A figure of a task for one of the metrics of a scan. */
final class TaskMetric implements CustomTaskMetric {
  static final long NANOS_PER_MILLI = 1_000_000;

  private final String name;
  private final long value;

  private TaskMetric(String name, long value) {
    this.name = name;
    this.value = value;
  }

  static CustomTaskMetric[] of(long rows, long bytes, long waitNanos) {
    return new CustomTaskMetric[] {
      new TaskMetric(RowsMetric.NAME, rows),
      new TaskMetric(BytesMetric.NAME, bytes),
      new TaskMetric(WaitMetric.NAME, waitNanos / NANOS_PER_MILLI)
    };
  }

  static long value(CustomTaskMetric[] metrics, String name) {
    for (CustomTaskMetric metric : metrics) {
      if (metric.name().equals(name)) {
        return metric.value();
      }
    }
    return 0;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long value() {
    return value;
  }
}

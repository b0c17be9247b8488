package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** How long tasks waited for the cache. Public, for Spark makes one by its name. */
public final class WaitMetric extends CustomSumMetric {
  static final String NAME = "flightcacheWaitMillis";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "milliseconds waited for the cache";
  }
}

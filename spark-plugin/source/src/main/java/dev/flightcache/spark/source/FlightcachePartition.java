package dev.flightcache.spark.source;

import dev.flightcache.client.Split;
import java.util.List;
import org.apache.spark.sql.connector.read.InputPartition;

/** What one task reads: splits, in order. Data alone. */
final class FlightcachePartition implements InputPartition {
  private static final long serialVersionUID = 1L;

  private final Split[] splits;
  private final String[] hosts;

  FlightcachePartition(List<Split> splits, List<String> hosts) {
    this.splits = splits.toArray(new Split[0]);
    this.hosts = hosts.toArray(new String[0]);
  }

  List<Split> splits() {
    return List.of(splits);
  }

  @Override
  public String[] preferredLocations() {
    return hosts.clone();
  }

  @Override
  public String toString() {
    return "FlightcachePartition" + List.of(splits);
  }
}

package dev.flightcache.spark.source;

import dev.flightcache.client.FakeNode;

/** The source with clients of nodes in this process. */
public final class FakeSource extends FlightcacheSource {
  public FakeSource() {
    super(FakeNode::client);
  }
}

package dev.flightcache.spark;

import dev.flightcache.client.FakeNode;

/** The catalog with clients of nodes in this process. */
public final class FakeCatalog extends FlightcacheCatalog {
  public FakeCatalog() {
    super(FakeNode::client);
  }
}

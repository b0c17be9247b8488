package dev.flightcache.spark.source;

import dev.flightcache.client.Client;
import dev.flightcache.client.ClientOptions;
import java.io.Serializable;

/** Where a process, the driver or an executor, has its clients from. */
public interface NodeClients extends Serializable {
  Client of(ClientOptions options);
}

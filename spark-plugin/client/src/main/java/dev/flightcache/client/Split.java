package dev.flightcache.client;

import java.io.Serializable;
import java.util.List;

/** One endpoint of a plan: a ticket, where to read it, and the rows of which files it gives. */
public final class Split implements Serializable {
  private static final long serialVersionUID = 1L;

  private final byte[] ticket;
  private final String[] locations;
  private final long expiresMs;
  private final boolean filtered;
  private final StoredObject[] objects;

  Split(
      byte[] ticket,
      List<String> locations,
      long expiresMs,
      boolean filtered,
      List<StoredObject> objects) {
    this.ticket = ticket.clone();
    this.locations = locations.toArray(new String[0]);
    this.expiresMs = expiresMs;
    this.filtered = filtered;
    this.objects = objects.toArray(new StoredObject[0]);
  }

  byte[] ticket() {
    return ticket.clone();
  }

  /** URLs of the nodes that serve it, the owner first; empty means the node that planned. */
  public List<String> locations() {
    return List.of(locations);
  }

  /**
   * When the ticket ends, in milliseconds since the Unix epoch; {@code Long.MAX_VALUE} if never.
   */
  public long expiresMs() {
    return expiresMs;
  }

  /** Whether the server drops rows, so that a batch holds fewer rows than it covers. */
  public boolean filtered() {
    return filtered;
  }

  /** The files it reads: one, but for a scan with both a filter and a limit. */
  public List<StoredObject> objects() {
    return List.of(objects);
  }

  /** The same split with a ticket that lives longer. */
  Split renewed(byte[] newTicket, long newExpiresMs) {
    return new Split(newTicket, locations(), newExpiresMs, filtered, objects());
  }

  /** Without the ticket, which is a secret of its principal. */
  @Override
  public String toString() {
    return "Split" + List.of(objects) + "@" + List.of(locations);
  }
}

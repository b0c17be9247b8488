package dev.flightcache.spark;

import dev.flightcache.client.Client;
import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.Field;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.client.ScanCommand;
import dev.flightcache.client.ScanPlan;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** How both faces plan a scan. */
public final class Planning {
  private Planning() {}

  /**
   * Plans {@code command}.
   *
   * @param prefilter SQL, or null: a hint, which is left out if the node does not take it
   */
  public static ScanPlan plan(Client client, ScanCommand command, String prefilter, Duration timeout)
      throws FlightcacheException {
    if (prefilter != null) {
      try {
        return client.plan(command.withPrefilter(prefilter), timeout);
      } catch (FlightcacheException error) {
        if (error.kind() != ErrorKind.INVALID) {
          throw error;
        }
        Warnings.direct(Cause.INVALID, "a scan is planned without its conditions: " + error.getMessage());
      }
    }
    return client.plan(command, timeout);
  }

  /**
   * A column that was taken for missing, and so for null, and that the snapshot of {@code plan} has
   * after all: files may have come since the columns were asked for.
   *
   * @param target names what was planned, and nothing else
   */
  public static Optional<String> cameSince(
      Client client, ScanCommand target, ScanPlan plan, List<String> missing, Duration timeout)
      throws FlightcacheException {
    if (missing.isEmpty()) {
      return Optional.empty();
    }
    for (Field field : client.schema(target.withSnapshot(plan.snapshot()), timeout)) {
      if (missing.stream().anyMatch(field.name()::equalsIgnoreCase)) {
        return Optional.of(field.name());
      }
    }
    return Optional.empty();
  }
}

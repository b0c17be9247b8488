package dev.flightcache.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.arrow.flight.impl.Flight.FlightEndpoint;
import org.apache.arrow.flight.impl.Flight.FlightInfo;
import org.apache.arrow.flight.impl.Flight.Location;

/** Reads a node's answer to {@code GetFlightInfo}, which is not trusted to be in shape. */
final class Plans {
  /** Flight's way to say "the node that you ask". */
  private static final String SAME_NODE = "arrow-flight-reuse-connection:";

  private Plans() {}

  /**
   * @param node where it was planned
   */
  static ScanPlan read(FlightInfo info, NodeAddress node, boolean filtered)
      throws FlightcacheException {
    Json scan = Json.parse(info.getAppMetadata().toStringUtf8(), "metadata of a plan");
    List<Field> fields = SchemaReader.encapsulated(info.getSchema().asReadOnlyByteBuffer());
    List<Split> splits = new ArrayList<>(info.getEndpointCount());
    for (FlightEndpoint endpoint : info.getEndpointList()) {
      splits.add(split(endpoint, node, filtered));
    }
    List<StoredObject> pruned = scan.has("pruned") ? objects(scan, "pruned") : List.of();
    long bytes = scan.has("bytes") ? scan.count("bytes") : -1;
    long rows = Math.max(info.getTotalRecords(), -1);
    return new ScanPlan(
        scan.text("snapshot"),
        bytes,
        rows,
        fields,
        splits,
        pruned,
        scan.has("schemas") ? scan.count("schemas") : 0,
        scan.has("partition_columns") ? scan.texts("partition_columns") : List.of(),
        statistics(scan));
  }

  private static Split split(FlightEndpoint endpoint, NodeAddress node, boolean filtered)
      throws FlightcacheException {
    List<String> locations = new ArrayList<>();
    for (Location location : endpoint.getLocationList()) {
      boolean same = location.getUri().toLowerCase(Locale.ROOT).startsWith(SAME_NODE);
      locations.add(same ? node.toString() : location.getUri());
    }
    if (locations.isEmpty()) {
      locations.add(node.toString());
    }
    ByteString metadata = endpoint.getAppMetadata();
    Json split = Json.parse(metadata.toString(StandardCharsets.UTF_8), "metadata of a split");
    List<StoredObject> objects = objects(split, "objects");
    byte[] ticket = endpoint.getTicket().getTicket().toByteArray();
    return new Split(ticket, locations, expiresMs(endpoint), filtered, objects);
  }

  private static List<StoredObject> objects(Json parent, String name) throws FlightcacheException {
    List<StoredObject> objects = new ArrayList<>();
    for (Json object : parent.objects(name)) {
      objects.add(object(object));
    }
    return objects;
  }

  private static List<ColumnStatistics> statistics(Json scan) throws FlightcacheException {
    List<ColumnStatistics> all = new ArrayList<>();
    for (Json one : scan.has("statistics") ? scan.objects("statistics") : List.<Json>of()) {
      all.add(
          new ColumnStatistics(
              one.text("column"),
              one.has("nulls") ? one.count("nulls") : -1,
              one.has("min") ? one.text("min") : null,
              one.has("max") ? one.text("max") : null));
    }
    return all;
  }

  private static StoredObject object(Json object) throws FlightcacheException {
    List<RowGroup> groups = new ArrayList<>();
    for (Json group : object.objects("row_groups")) {
      groups.add(
          new RowGroup(
              group.ordinal("ordinal"),
              group.count("first_row"),
              group.count("rows"),
              group.count("midpoint")));
    }
    long modifiedMs = object.has("modified_ms") ? object.number("modified_ms") : -1;
    return new StoredObject(
        object.text("path"), object.count("size"), object.text("etag"), modifiedMs, groups);
  }

  /** When its ticket ends; {@code Long.MAX_VALUE} if never. */
  static long expiresMs(FlightEndpoint endpoint) {
    if (!endpoint.hasExpirationTime()) {
      return Long.MAX_VALUE;
    }
    Timestamp time = endpoint.getExpirationTime();
    long seconds = Math.max(0, Math.min(time.getSeconds(), Long.MAX_VALUE / 2000));
    return seconds * 1000 + Math.max(0, time.getNanos()) / 1_000_000;
  }
}

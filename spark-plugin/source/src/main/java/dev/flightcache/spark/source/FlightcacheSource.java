package dev.flightcache.spark.source;

import dev.flightcache.spark.Clients;
import java.util.Map;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** What {@code spark.read.format("flightcache")} finds. */
public class FlightcacheSource implements TableProvider, DataSourceRegister {
  private final NodeClients clients;

  /** Spark's way to make one. */
  public FlightcacheSource() {
    this(Clients::of);
  }

  protected FlightcacheSource(NodeClients clients) {
    this.clients = clients;
  }

  @Override
  public String shortName() {
    return "flightcache";
  }

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    boolean inferLocal = SQLConf.get().parquetInferTimestampNTZEnabled();
    return SourceOptions.dataset(options, clients).schema(inferLocal);
  }

  @Override
  public Table getTable(
      StructType schema, Transform[] partitioning, Map<String, String> properties) {
    return new FlightcacheTable(SourceOptions.dataset(properties, clients), schema);
  }

  /** Columns may be chosen, and widened as Spark's reader widens them, with {@code .schema()}. */
  @Override
  public boolean supportsExternalMetadata() {
    return true;
  }
}

package dev.flightcache.spark;

import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FlightcacheException;
import dev.flightcache.spark.source.DatasetNames;
import dev.flightcache.spark.source.FlightcacheTable;
import dev.flightcache.spark.source.NodeClients;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * What {@code spark.sql.catalog.NAME} names: the datasets that the caller may read, as tables
 * outside any namespace. Read-only.
 */
public class FlightcacheCatalog implements TableCatalog, SupportsNamespaces {
  private static final String[][] NO_NAMESPACES = {};

  private final NodeClients clients;
  private String name;
  private Map<String, String> options = Map.of();

  /** Spark's way to make one. */
  public FlightcacheCatalog() {
    this(Clients::of);
  }

  protected FlightcacheCatalog(NodeClients clients) {
    this.clients = clients;
  }

  @Override
  public void initialize(String catalog, CaseInsensitiveStringMap catalogOptions) {
    this.name = catalog;
    this.options = Map.copyOf(catalogOptions.asCaseSensitiveMap());
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
    requireRoot(namespace);
    return DatasetNames.list(options, clients).stream()
        .map(dataset -> Identifier.of(new String[0], dataset))
        .toArray(Identifier[]::new);
  }

  @Override
  public Table loadTable(Identifier table) throws NoSuchTableException {
    return load(table, null);
  }

  /** A table at a snapshot: {@code VERSION AS OF 'ID'}. */
  @Override
  public Table loadTable(Identifier table, String version) throws NoSuchTableException {
    return load(table, version);
  }

  private Table load(Identifier table, String snapshot) throws NoSuchTableException {
    if (table.namespace().length > 0) {
      throw new NoSuchTableException(table);
    }
    try {
      return FlightcacheTable.of(table.name(), snapshot, options, clients);
    } catch (UncheckedIOException error) {
      boolean missing =
          error.getCause() instanceof FlightcacheException
              && ((FlightcacheException) error.getCause()).kind() == ErrorKind.NOT_FOUND;
      if (missing && snapshot == null) {
        throw new NoSuchTableException(table);
      }
      throw error;
    }
  }

  @Override
  public String[][] listNamespaces() {
    return NO_NAMESPACES.clone();
  }

  @Override
  public String[][] listNamespaces(String[] namespace) throws NoSuchNamespaceException {
    requireRoot(namespace);
    return NO_NAMESPACES.clone();
  }

  @Override
  public Map<String, String> loadNamespaceMetadata(String[] namespace)
      throws NoSuchNamespaceException {
    requireRoot(namespace);
    return Map.of();
  }

  private static void requireRoot(String[] namespace) throws NoSuchNamespaceException {
    if (namespace.length > 0) {
      throw new NoSuchNamespaceException(namespace);
    }
  }

  @Override
  @SuppressWarnings("deprecation")
  public Table createTable(
      Identifier table,
      StructType schema,
      Transform[] partitions,
      Map<String, String> properties) {
    throw readOnly();
  }

  @Override
  public Table alterTable(Identifier table, TableChange... changes) {
    throw readOnly();
  }

  @Override
  public boolean dropTable(Identifier table) {
    throw readOnly();
  }

  @Override
  public void renameTable(Identifier from, Identifier to) {
    throw readOnly();
  }

  @Override
  public void createNamespace(String[] namespace, Map<String, String> metadata) {
    throw readOnly();
  }

  @Override
  public void alterNamespace(String[] namespace, NamespaceChange... changes) {
    throw readOnly();
  }

  @Override
  public boolean dropNamespace(String[] namespace, boolean cascade) {
    throw readOnly();
  }

  private UnsupportedOperationException readOnly() {
    return new UnsupportedOperationException(
        "catalog " + name + " is read-only: its tables are the datasets of a Flightcache node,"
            + " which are changed in the object store");
  }
}

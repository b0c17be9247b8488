import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.Base64;

/**
 * Runs what its standard input says through the JDBC driver, a line a command with fields apart by
 * tabs, and writes one line of JSON for each: columns and rows, or the error.
 */
public final class Client {
  private final Connection connection;

  private Client(Connection connection) {
    this.connection = connection;
  }

  public static void main(String[] args) throws Exception {
    try (Connection connection = DriverManager.getConnection(args[0])) {
      Client client = new Client(connection);
      BufferedReader in =
          new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        System.out.println(client.answer(line.split("\t", -1)));
      }
    }
  }

  private String answer(String[] words) {
    try {
      return run(words);
    } catch (SQLException | RuntimeException error) {
      StringBuilder said = new StringBuilder();
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        said.append(cause.getMessage()).append(' ');
      }
      return "{\"error\": " + quoted(said.toString()) + "}";
    }
  }

  private String run(String[] words) throws SQLException {
    DatabaseMetaData about = connection.getMetaData();
    switch (words[0]) {
      case "query":
        try (Statement statement = connection.createStatement()) {
          return all(statement.executeQuery(words[1]));
        }
      case "update":
        try (Statement statement = connection.createStatement()) {
          return String.valueOf(statement.executeUpdate(words[1]));
        }
      case "prepared":
        return prepared(words);
      case "catalogs":
        return all(about.getCatalogs());
      case "schemas":
        return all(about.getSchemas());
      case "types":
        return all(about.getTableTypes());
      case "tables":
        return all(about.getTables(null, words[1], words[2], null));
      case "columns":
        return all(about.getColumns(null, words[1], words[2], words[3]));
      case "type info":
        return all(about.getTypeInfo());
      case "keys":
        return all(about.getPrimaryKeys(null, words[1], words[2]));
      case "imported":
        return all(about.getImportedKeys(null, words[1], words[2]));
      case "exported":
        return all(about.getExportedKeys(null, words[1], words[2]));
      case "about":
        return about(about);
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }

  /** The statement, then runs of it: a number and that many values, each TYPE:TEXT. */
  private String prepared(String[] words) throws SQLException {
    StringBuilder answers = new StringBuilder("[");
    try (PreparedStatement statement = connection.prepareStatement(words[1])) {
      int at = 2;
      while (at < words.length) {
        int values = Integer.parseInt(words[at++]);
        for (int index = 1; index <= values; index++) {
          set(statement, index, words[at++]);
        }
        answers.append(answers.length() > 1 ? ", " : "").append(all(statement.executeQuery()));
      }
    }
    return answers.append("]").toString();
  }

  private static void set(PreparedStatement statement, int index, String value)
      throws SQLException {
    String text = value.substring(value.indexOf(':') + 1);
    switch (value.substring(0, value.indexOf(':'))) {
      case "int":
        statement.setInt(index, Integer.parseInt(text));
        break;
      case "long":
        statement.setLong(index, Long.parseLong(text));
        break;
      case "double":
        statement.setDouble(index, Double.parseDouble(text));
        break;
      case "decimal":
        statement.setBigDecimal(index, new BigDecimal(text));
        break;
      case "date":
        statement.setDate(index, java.sql.Date.valueOf(text));
        break;
      default:
        statement.setString(index, text);
    }
  }

  private static String about(DatabaseMetaData about) throws SQLException {
    return "{\"product\": " + quoted(about.getDatabaseProductName())
        + ", \"version\": " + quoted(about.getDatabaseProductVersion())
        + ", \"read_only\": " + about.isReadOnly()
        + ", \"quote\": " + quoted(about.getIdentifierQuoteString())
        + ", \"transactions\": " + about.supportsTransactions()
        + ", \"group_by\": " + about.supportsGroupBy()
        + ", \"unions\": " + (about.supportsUnion() && about.supportsUnionAll())
        + ", \"outer_joins\": " + about.supportsFullOuterJoins()
        + ", \"statement_bytes\": " + about.getMaxStatementLength()
        + ", \"batches\": " + about.supportsBatchUpdates()
        + ", \"lower\": " + about.storesLowerCaseIdentifiers()
        + ", \"catalog\": " + quoted(about.getCatalogTerm())
        + ", \"numeric\": " + quoted(about.getNumericFunctions())
        + ", \"isolation\": " + about.getDefaultTransactionIsolation() + "}";
  }

  private static String all(ResultSet rows) throws SQLException {
    try (rows) {
      ResultSetMetaData columns = rows.getMetaData();
      StringBuilder written = new StringBuilder("{\"columns\": [");
      for (int at = 1; at <= columns.getColumnCount(); at++) {
        written.append(at > 1 ? ", " : "").append("[").append(quoted(columns.getColumnLabel(at)))
            .append(", ").append(columns.getColumnType(at)).append("]");
      }
      written.append("], \"rows\": [");
      for (boolean first = true; rows.next(); first = false) {
        written.append(first ? "[" : ", [");
        for (int at = 1; at <= columns.getColumnCount(); at++) {
          written.append(at > 1 ? ", " : "").append(value(rows, at));
        }
        written.append("]");
      }
      return written.append("]}").toString();
    }
  }

  private static String value(ResultSet rows, int at) throws SQLException {
    boolean zoned = rows.getMetaData().getColumnType(at) == Types.TIMESTAMP_WITH_TIMEZONE;
    Object value = zoned ? rows.getTimestamp(at) : rows.getObject(at);
    if (value == null || rows.wasNull()) {
      return "null";
    }
    if (value instanceof byte[]) {
      return quoted(Base64.getEncoder().encodeToString((byte[]) value));
    }
    boolean exact = value instanceof Integer || value instanceof Long || value instanceof Short
        || value instanceof Byte || value instanceof Boolean;
    return exact ? value.toString() : quoted(value.toString());
  }

  private static String quoted(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder written = new StringBuilder("\"");
    for (char one : text.toCharArray()) {
      if (one == '"' || one == '\\' || one < ' ') {
        written.append(String.format("\\u%04x", (int) one));
      } else {
        written.append(one);
      }
    }
    return written.append('"').toString();
  }
}

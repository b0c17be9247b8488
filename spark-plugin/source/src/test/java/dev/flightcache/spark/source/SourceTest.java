package dev.flightcache.spark.source;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.flightcache.client.ErrorKind;
import dev.flightcache.client.FakeNode;
import dev.flightcache.spark.FakeCatalog;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.List;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The explicit face in a real session, over a node that keeps what it was asked. */
class SourceTest {
  private static final String URL = "grpc://fake:1";
  private static SparkSession spark;

  private FakeNode node;

  @BeforeAll
  static void start() {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.datetime.java8API.enabled", "true")
            .config("spark.sql.catalog.fc", FakeCatalog.class.getName())
            .config("spark.sql.catalog.fc.url", URL)
            .config("spark.sql.catalog.fc.token", "sesame")
            .getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  @BeforeEach
  void serve() {
    node = FakeNode.at(URL);
  }

  @AfterEach
  void everyStreamIsClosed() {
    // Tasks of a job that failed end after it.
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (node.openStreams() > 0 && System.nanoTime() < deadline) {
      Thread.yield();
    }
    assertEquals(0, node.openStreams());
  }

  private static DataFrameReader reader() {
    return spark.read().format(FakeSource.class.getName()).option("url", URL);
  }

  private static Dataset<Row> table() {
    return reader().load("t");
  }

  private static SparkPlan plan(Dataset<Row> rows) {
    return rows.queryExecution().executedPlan();
  }

  /** The one command that was planned. */
  private String command() {
    List<String> commands = node.planned();
    assertEquals(1, commands.size(), commands.toString());
    return commands.get(0);
  }

  @Test
  void everyRowOfEveryTypeOnce() {
    Dataset<Row> rows = table();
    assertEquals(
        "struct<id:bigint,word:string,list:array<int>,st:struct<a:int,b:string>,"
            + "price:decimal(20,2),day:date>",
        rows.schema().simpleString());
    List<Row> all = rows.orderBy("id").collectAsList();
    assertEquals(FakeNode.ROWS, all.size());
    for (int i = 0; i < all.size(); i++) {
      Row row = all.get(i);
      assertEquals((long) i, row.getLong(0));
      assertEquals(i % 5 == 0 ? null : List.of("a", "b", "c").get(i % 3), row.getString(1));
      if (i % 4 == 0) {
        assertNull(row.get(2));
      } else {
        assertEquals(List.of(i), row.getList(2));
      }
      assertEquals(i, row.getStruct(3).getInt(0));
      assertEquals(i % 7 == 0 ? null : "b" + i, row.getStruct(3).getString(1));
      assertEquals(new BigDecimal(i).movePointLeft(2).setScale(2), row.getDecimal(4));
      assertEquals(LocalDate.ofEpochDay(i), row.getLocalDate(5));
    }
  }

  @Test
  void askingTwiceGivesTheSame() {
    Dataset<Row> rows = table().where("id >= 10");
    assertEquals(FakeNode.ROWS - 10, rows.collectAsList().size());
    assertEquals(FakeNode.ROWS - 10, rows.collectAsList().size());
    assertEquals(1, node.planned().size());
  }

  @Test
  void onlyColumnsThatAreNeededAreAskedFor() {
    List<Row> rows = table().selectExpr("st.b", "id").orderBy("id").limit(3).collectAsList();
    assertEquals("[[null,0], [b1,1], [b2,2]]", rows.toString());
    String command = command();
    assertTrue(command.contains("\"columns\":[\"id\",\"st\"]"), command);
    assertEquals(FakeNode.ROWS, table().selectExpr("1 as one").collectAsList().size());
    assertTrue(command().contains("\"columns\":[]"));
  }

  @Test
  void conditionsPruneAndSparkFiltersAgain() {
    node.keeping((prefilter, split) -> prefilter.isEmpty() || split > 0);
    Dataset<Row> rows = table().where("id > 210 AND length(word) = 1 AND id % 2 = 0");
    List<Row> found = rows.select("id").collectAsList();
    assertEquals(156, found.size());
    assertEquals(212L, found.stream().mapToLong(row -> row.getLong(0)).min().orElse(0));
    assertTrue(found.stream().allMatch(row -> row.getLong(0) % 10 != 0));
    String command = command();
    assertTrue(command.contains("\\\"id\\\" > 210"), command);
    assertTrue(plan(rows).toString().contains("Filter"), plan(rows).toString());
    assertEquals(2, node.reads());
  }

  @Test
  void aPrefilterThatTheServerRefusesIsLeftOut() {
    node.failingToFilter(ErrorKind.INVALID);
    assertEquals(10, table().where("id < 10").collectAsList().size());
    List<String> commands = node.planned();
    assertTrue(commands.get(0).contains("prefilter"));
    assertFalse(commands.get(1).contains("prefilter"));
  }

  @Test
  void limitsGoAlongWithoutConditionsOnly() {
    assertEquals(5, table().limit(5).collectAsList().size());
    assertTrue(command().contains("\"limit\":5"));
    assertEquals(1, node.reads());
    assertEquals(5, table().where("id > 300").limit(5).collectAsList().size());
    assertFalse(command().contains("limit"));
  }

  @Test
  void boundsAreToldByFooters() {
    node.telling("id", 3, "-5", "9000000000").telling("word", 7, "", "zé");
    node.telling("price", 0, "-1", "12345678901234567890").telling("day", 0, "-1", "19000");
    Dataset<Row> told =
        table()
            .selectExpr(
                "min(id)", "max(id)", "count(id)", "count(*)", "min(word)", "max(word)",
                "min(price)", "max(price)", "max(day)");
    assertEquals(
        "[-5,9000000000,597,600,,zé,-0.01,123456789012345678.90,2022-01-08]",
        told.first().toString());
    assertEquals(0, node.reads());
    String command = command();
    assertTrue(command.contains("\"statistics\":[\"id\",\"word\",\"price\",\"day\"]"), command);
    assertFalse(plan(told).toString().contains("Aggregate"), plan(told).toString());
  }

  @Test
  void whatFootersLeaveOpenIsRead() {
    // No bound, no count of nulls, what Spark may rebase, what its type has no room for.
    node.telling("id", -1, null, "599").telling("day", 0, "-200000", "599");
    node.telling("price", 0, "0", "1" + "0".repeat(20));
    for (String one : List.of("min(id)", "count(id)", "min(day)", "max(price)", "min(st.a)")) {
      int before = node.reads();
      Dataset<Row> rows = table().selectExpr(one);
      assertTrue(plan(rows).toString().contains("Aggregate"), one);
      rows.first();
      assertEquals(3, node.reads() - before, one);
    }
    assertEquals(599, table().selectExpr("max(id)").first().getLong(0));
    assertEquals(1, table().where("id = 1").selectExpr("max(id)").first().getLong(0));
    assertEquals(600, table().groupBy("id").agg(functions.max("id")).collectAsList().size());
    assertEquals(600, table().selectExpr("count(distinct id)").first().getLong(0));
  }

  @Test
  void ofNullsAloneThereIsNoBound() {
    node.telling("id", FakeNode.ROWS, null, null);
    Dataset<Row> rows = table().selectExpr("min(id)", "max(id)", "count(id)");
    assertEquals("[null,null,0]", rows.first().toString());
    assertEquals(0, node.reads());
  }

  @Test
  void countIsToldByThePlan() {
    assertEquals(FakeNode.ROWS, table().count());
    assertEquals(0, node.reads());
    assertEquals(599, table().where("id > 0").count());
    assertEquals(FakeNode.ROWS - 120, table().selectExpr("count(word)").first().getLong(0));
    Dataset<Row> grouped = table().groupBy("word").count();
    assertEquals(4, grouped.collectAsList().size());
  }

  @Test
  void aJoinNarrowsAtRunTime() {
    node.keeping((prefilter, split) -> !prefilter.contains("IN (") || split == 1);
    // Joins take a filter of the other side only if it is selective and broadcast.
    Dataset<Row> few = spark.range(0, 1000).where("id in (250, 251)").toDF("key");
    Dataset<Row> ours = table();
    Dataset<Row> joined =
        ours.join(functions.broadcast(few), ours.col("id").equalTo(few.col("key")));
    assertEquals(2, joined.collectAsList().size());
    List<String> commands = node.planned();
    String last = commands.get(commands.size() - 1);
    assertTrue(last.contains("\\\"id\\\" IN (250,251)"), last);
    assertTrue(last.contains("\"snapshot\":\"snapshot-1\""), last);
    assertEquals(1, node.reads());
  }

  @Test
  void sharedExchangesAreRunOnce() {
    spark.conf().set("spark.sql.autoBroadcastJoinThreshold", "-1");
    try {
      Dataset<Row> left = table().groupBy("word").sum("id");
      Dataset<Row> right = table().groupBy("word").sum("id").withColumnRenamed("word", "other");
      Dataset<Row> joined = left.join(right, left.col("word").equalTo(right.col("other")));
      assertEquals(3, joined.collectAsList().size());
      assertTrue(plan(joined).toString().contains("Reused"), plan(joined).toString());
    } finally {
      spark.conf().unset("spark.sql.autoBroadcastJoinThreshold");
    }
  }

  @Test
  void aSchemaOfTheUserChoosesColumns() {
    List<Row> rows =
        reader().schema("day date, gone array<string>, ID bigint").load("t")
            .orderBy("ID").limit(1).collectAsList();
    assertEquals("[[1970-01-01,null,0]]", rows.toString());
    Exception error =
        assertThrows(
            Exception.class, () -> reader().schema("id int").load("t").collectAsList());
    assertTrue(error.getMessage().contains("column id of t"), error.getMessage());
  }

  @Test
  void failuresSayWhatToDo() {
    Exception missing = assertThrows(Exception.class, () -> reader().load("gone"));
    assertTrue(missing.getMessage().contains("cannot read gone: no such dataset"));
    Exception unnamed = assertThrows(Exception.class, () -> reader().load());
    assertTrue(unnamed.getMessage().contains("name the dataset"), unnamed.getMessage());
    Exception two = assertThrows(Exception.class, () -> reader().load("a", "b"));
    assertTrue(two.getMessage().contains("one dataset at a time"), two.getMessage());
    node.failingToRead(ErrorKind.STALE);
    Exception stale = assertThrows(Exception.class, () -> table().collectAsList());
    assertTrue(stale.getMessage().contains("run the query again"), stale.getMessage());
  }

  @Test
  void theSessionNamesTheNode() {
    spark.conf().set("spark.flightcache.url", URL);
    try {
      assertEquals(
          FakeNode.ROWS,
          spark.read().format(FakeSource.class.getName()).option("dataset", "t").load().count());
    } finally {
      spark.conf().unset("spark.flightcache.url");
    }
  }

  @Test
  void snapshotsArePinned() {
    assertEquals(1, reader().option("snapshot", "old").load("t").limit(1).collectAsList().size());
    assertTrue(command().contains("\"snapshot\":\"old\""));
  }

  @Test
  void metricsTellRowsBytesAndWait() {
    Dataset<Row> rows = table().select("id");
    SparkPlan plan = plan(rows);
    assertEquals(FakeNode.ROWS, rows.collectAsList().size());
    SparkPlan scan = plan.collectLeaves().apply(0);
    assertEquals(FakeNode.ROWS, scan.metrics().apply(RowsMetric.NAME).value());
    assertEquals(10L * FakeNode.ROWS, scan.metrics().apply(BytesMetric.NAME).value());
    assertEquals(FakeNode.ROWS, scan.metrics().apply(WaitMetric.NAME).value());
    assertTrue(plan.toString().contains("flightcache t"), plan.toString());
  }

  @Test
  void rowsTellWhichFileTheyAreFrom() {
    Dataset<Row> rows =
        table()
            .selectExpr("id", "_metadata.file_path", "_metadata.file_size", "word", "_metadata")
            .where("id < 2 AND _metadata.file_name = 'a.parquet'")
            .orderBy("id");
    String file = "t/a.parquet,a.parquet,3145728,null";
    assertEquals(
        "[[0,t/a.parquet,3145728,null,[" + file + "]], [1,t/a.parquet,3145728,b,[" + file + "]]]",
        rows.collectAsList().toString());
    assertTrue(command().contains("\"columns\":[\"id\",\"word\"]"));
    assertEquals(0, table().where("_metadata.file_size = 1").count());
    assertEquals(
        "[[600]]",
        spark.sql("select sum(_metadata.file_size) / 3145728.0 as n, 1 from fc.t")
            .selectExpr("cast(n as int)").collectAsList().toString());
    assertFalse(List.of(table().columns()).contains("_metadata"), "it is hidden in *");
  }

  @Test
  void aColumnOfThatNameHidesTheMetadata() {
    Dataset<Row> rows = reader().schema("id bigint, _metadata string").load("t");
    assertEquals("[[0,null]]", rows.where("id = 0").select("id", "_metadata").collectAsList().toString());
  }

  @Test
  void statisticsFollowStoredBytesAndColumns() {
    java.math.BigInteger all =
        table().queryExecution().optimizedPlan().stats().sizeInBytes().bigInteger();
    java.math.BigInteger one =
        table().select("id").queryExecution().optimizedPlan().stats().sizeInBytes().bigInteger();
    // Of a file of 3 MiB, by how many of its row groups are known to be there: 3, 1.5 and 1 MiB.
    assertEquals(5.5 * (1 << 20), all.doubleValue(), 1);
    assertTrue(one.compareTo(all) < 0);
  }

  @Test
  void theCatalogShowsDatasetsAsTables() throws Exception {
    assertEquals("[[,t,false]]", spark.sql("show tables in fc").collectAsList().toString());
    assertEquals(
        "[[599]]", spark.sql("select max(id) from fc.t").collectAsList().toString());
    assertEquals(
        "[[599]]",
        spark.sql("select max(id) from fc.t version as of 'v1'").collectAsList().toString());
    List<String> commands = node.planned();
    assertTrue(commands.get(commands.size() - 1).contains("\"snapshot\":\"v1\""));
    assertThrows(AnalysisException.class, () -> spark.sql("select * from fc.gone"));
    assertThrows(AnalysisException.class, () -> spark.sql("select * from fc.some.t"));
    for (String change :
        List.of(
            "create table fc.x (a int)", "drop table fc.t", "alter table fc.t rename to fc.u",
            "create namespace fc.n")) {
      Exception error = assertThrows(Exception.class, () -> spark.sql(change), change);
      assertTrue(error.getMessage().contains("is read-only"), change + ": " + error.getMessage());
    }
    Exception write =
        assertThrows(Exception.class, () -> spark.sql("insert into fc.t select * from fc.t"));
    assertTrue(write.getMessage().toLowerCase(java.util.Locale.ROOT).contains("append"),
        write.getMessage());
  }

  @Test
  void theShortNameIsRegistered() {
    Exception error =
        assertThrows(Exception.class, () -> spark.read().format("flightcache").load("t"));
    assertTrue(error.getMessage().contains("no node is named"), error.getMessage());
  }

  @Test
  void noPlanShowsTheToken() {
    Dataset<Row> rows = spark.sql("select id from fc.t where word = 'a'");
    Dataset<Row> other = reader().option("token", "sesame").load("t").where("id > 5");
    for (Dataset<Row> each : List.of(rows, other)) {
      String text = each.queryExecution().toString();
      assertTrue(text.contains("flightcache t"), text);
      assertFalse(text.contains("sesame"), text);
    }
  }
}

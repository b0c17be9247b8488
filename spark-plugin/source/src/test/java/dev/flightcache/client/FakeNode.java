package dev.flightcache.client;

import dev.flightcache.spark.vector.Columns;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A client of a node that is not there: serves one dataset, {@code t}, of three splits of two
 * batches each, and keeps what it was asked. Real nodes are asked by the end-to-end tests; this one
 * can fail where a test wants it to.
 */
public final class FakeNode implements Client {
  /** Rows of a batch, of which there are two in each of three splits. */
  public static final int BATCH_ROWS = 100;

  public static final int ROWS = 6 * BATCH_ROWS;

  private static final ConcurrentHashMap<String, FakeNode> NODES = new ConcurrentHashMap<>();
  private static final Pattern COLUMNS = Pattern.compile("\"columns\":\\[([^\\]]*)\\]");
  private static final Pattern PREFILTER = Pattern.compile("\"prefilter\":\"((?:[^\"\\\\]|\\\\.)*)\"");
  private static final Pattern LIMIT = Pattern.compile("\"limit\":([0-9]+)");

  private final List<String> commands = new ArrayList<>();
  private final AtomicInteger open = new AtomicInteger();
  private final AtomicInteger reads = new AtomicInteger();
  private volatile BiPredicate<String, Integer> keeps = (prefilter, split) -> true;
  private volatile List<ColumnStatistics> statistics = List.of();
  private volatile FlightcacheException planError;
  private volatile FlightcacheException readError;

  /** Serves at {@code url}, in this process. */
  public static FakeNode at(String url) {
    FakeNode node = new FakeNode();
    NODES.put(url, node);
    return node;
  }

  /** The client of one that was made before. */
  public static Client client(ClientOptions options) {
    return NODES.get(options.urls().get(0));
  }

  /** Which splits a prefilter keeps. */
  public FakeNode keeping(BiPredicate<String, Integer> rule) {
    this.keeps = rule;
    return this;
  }

  /** What footers tell of a column, beside what they told of others. */
  public FakeNode telling(String column, long nulls, String min, String max) {
    List<ColumnStatistics> all = new ArrayList<>(statistics);
    all.add(new ColumnStatistics(column, nulls, min, max));
    this.statistics = List.copyOf(all);
    return this;
  }

  /** What planning with a prefilter fails with. */
  public FakeNode failingToFilter(ErrorKind kind) {
    this.planError = new FlightcacheException(kind, "no such plan");
    return this;
  }

  /** What every read fails with after its first batch. */
  public FakeNode failingToRead(ErrorKind kind) {
    this.readError = new FlightcacheException(kind, "the object changed");
    return this;
  }

  /** The commands that were planned, since this was last asked. */
  public synchronized List<String> planned() {
    List<String> copy = new ArrayList<>(commands);
    commands.clear();
    return copy;
  }

  public int openStreams() {
    return open.get();
  }

  public int reads() {
    return reads.get();
  }

  static List<Field> fields() {
    Field item = Columns.field("item", ColumnType.Kind.INT32);
    Field a = Columns.field("a", ColumnType.Kind.INT32);
    Field b = Columns.field("b", ColumnType.Kind.UTF8);
    return List.of(
        Columns.field("id", ColumnType.Kind.INT64),
        Columns.encoded(Columns.field("word", ColumnType.Kind.UTF8)),
        Columns.field("list", ColumnType.of(ColumnType.Kind.LIST), item),
        Columns.field("st", ColumnType.of(ColumnType.Kind.STRUCT), a, b),
        Columns.field("price", ColumnType.decimal(ColumnType.Kind.DECIMAL128, 20, 2)),
        Columns.field("day", ColumnType.Kind.DATE32));
  }

  @Override
  public List<Field> schema(ScanCommand command, Duration deadline) throws FlightcacheException {
    String text = command.json();
    if (!text.contains("\"dataset\":\"t\"")) {
      throw new FlightcacheException(ErrorKind.NOT_FOUND, "no such dataset");
    }
    return fields();
  }

  @Override
  public ScanPlan plan(ScanCommand command, Duration deadline) throws FlightcacheException {
    String text = command.json();
    synchronized (this) {
      commands.add(text);
    }
    schema(command, deadline);
    Matcher prefilter = PREFILTER.matcher(text);
    String prefilterText = prefilter.find() ? prefilter.group(1).replace("\\\"", "\"") : "";
    if (!prefilterText.isEmpty() && planError != null) {
      throw planError;
    }
    List<Field> fields = projected(text);
    Matcher limit = LIMIT.matcher(text);
    long most = limit.find() ? Long.parseLong(limit.group(1)) : Long.MAX_VALUE;
    List<Split> splits = new ArrayList<>();
    long rows = 0;
    for (int i = 0; i < 3 && rows < most; i++) {
      if (keeps.test(prefilterText, i)) {
        long groupRows = Math.min(2 * BATCH_ROWS, most - rows);
        splits.add(split(i, groupRows, fields));
        rows += groupRows;
      }
    }
    return new ScanPlan("snapshot-1", 3 << 20, rows, fields, splits, List.of(), 1, List.of(), statistics);
  }

  private static List<Field> projected(String command) {
    Matcher columns = COLUMNS.matcher(command);
    if (!columns.find()) {
      return fields();
    }
    List<Field> chosen = new ArrayList<>();
    for (String quoted : columns.group(1).isEmpty() ? new String[0] : columns.group(1).split(",")) {
      String name = quoted.replace("\"", "");
      fields().stream().filter(field -> field.name().equals(name)).forEach(chosen::add);
    }
    return chosen;
  }

  private static Split split(int index, long rows, List<Field> fields) {
    StringBuilder ticket = new StringBuilder(index + " " + rows);
    fields.forEach(field -> ticket.append(' ').append(field.name()));
    RowGroup group = new RowGroup(index, index * 2L * BATCH_ROWS, 2 * BATCH_ROWS, index << 20);
    StoredObject object = new StoredObject("t/a.parquet", 3 << 20, "e", -1, List.of(group));
    return new Split(
        ticket.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8),
        List.of("grpc://host-" + index + ":1"),
        Long.MAX_VALUE,
        false,
        List.of(object));
  }

  @Override
  public BatchStream read(Split split, long skipRows) {
    reads.incrementAndGet();
    open.incrementAndGet();
    String[] ticket =
        new String(split.ticket(), java.nio.charset.StandardCharsets.UTF_8).split(" ");
    List<String> names = Arrays.asList(ticket).subList(2, ticket.length);
    return new Stream(Integer.parseInt(ticket[0]), Integer.parseInt(ticket[1]), names);
  }

  @Override
  public List<String> datasets(Duration deadline) {
    return List.of("t");
  }

  @Override
  public void ping(Duration deadline) {}

  @Override
  public long idleNanos() {
    return 0;
  }

  @Override
  public long unmappedSplits() {
    return 0;
  }

  @Override
  public long allocatedBytes() {
    return 0;
  }

  @Override
  public void close() {}

  /** Builds a batch when it is asked for, and spoils the one before. */
  private final class Stream implements BatchStream {
    private final int split;
    private final List<String> names;
    private int left;
    private int given;
    private Columns columns = new Columns();
    private Batch batch;
    private boolean closed;

    Stream(int split, int rows, List<String> names) {
      this.split = split;
      this.left = rows;
      this.names = names;
    }

    @Override
    public boolean next() throws FlightcacheException {
      columns.close();
      columns = new Columns();
      if (readError != null && given > 0) {
        throw readError;
      }
      if (left == 0) {
        return false;
      }
      int rows = Math.min(left, BATCH_ROWS);
      batch = rows(columns, names, split * 2 * BATCH_ROWS + given, rows);
      given += rows;
      left -= rows;
      return true;
    }

    @Override
    public Batch batch() {
      return batch;
    }

    @Override
    public long bytes() {
      return given * 10L;
    }

    @Override
    public long mappedBytes() {
      return 0;
    }

    @Override
    public long waitNanos() {
      return given * 1_000_000L;
    }

    @Override
    public void cancel() {}

    @Override
    public void close() {
      if (!closed) {
        closed = true;
        columns.close();
        open.decrementAndGet();
      }
    }
  }

  private static Batch rows(Columns columns, List<String> names, int first, int rows) {
    List<Field> all = fields();
    Column[] made = new Column[names.size()];
    for (int i = 0; i < made.length; i++) {
      String name = names.get(i);
      Field field = all.stream().filter(f -> f.name().equals(name)).findFirst().orElseThrow();
      made[i] = column(columns, field, first, rows);
    }
    return Columns.batch(rows, made);
  }

  private static Column column(Columns columns, Field field, int first, int rows) {
    Long[] numbers = new Long[rows];
    Arrays.setAll(numbers, i -> (long) (first + i));
    switch (field.name()) {
      case "id":
        return columns.integers(field, 8, 0, numbers);
      case "word":
        Long[] indices = new Long[rows];
        Arrays.setAll(indices, i -> (first + i) % 5 == 0 ? null : (Long) ((first + i) % 3L));
        Field plain = Columns.field("word", ColumnType.Kind.UTF8);
        return columns.encoded(field, 8, false, columns.strings(plain, "a", "b", "c"), indices);
      case "list":
        long[] lengths = new long[rows];
        Arrays.setAll(lengths, i -> (first + i) % 4 == 0 ? -1 : 1);
        Long[] items =
            Arrays.stream(numbers).filter(n -> n % 4 != 0).toArray(Long[]::new);
        Columns.Raw item = columns.integers(field.children().get(0), 4, 0, items);
        return columns.lists(field, item, lengths);
      case "st":
        String[] texts = new String[rows];
        Arrays.setAll(texts, i -> (first + i) % 7 == 0 ? null : "b" + (first + i));
        Columns.Raw a = columns.integers(field.children().get(0), 4, 0, numbers);
        Columns.Raw b = columns.strings(field.children().get(1), texts);
        return columns.raw(field, numbers).children(a, b);
      case "price":
        return columns.integers(field, 16, 0, numbers);
      default:
        return columns.integers(field, 4, 0, numbers);
    }
  }
}

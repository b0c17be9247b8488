//! What a scan replacement can break: the same queries with DataFusion's own scan and with ours.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
        Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Int32Type, Int64Type},
};
use datafusion::{
    execution::SessionStateBuilder,
    object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path},
    parquet::{
        arrow::ArrowWriter,
        file::{metadata::SortingColumn, properties::WriterProperties},
    },
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use flightcache_planner::{EmbeddedCache, EmbeddedSettings};

use crate::harness::lines;

const PREFIX: &str = "test://embedded";

/// One store, read by DataFusion alone and through the cache.
struct Both {
    store: Arc<InMemory>,
    cache: EmbeddedCache,
    alone: SessionContext,
    cached: SessionContext,
}

impl Both {
    async fn new(config: SessionConfig) -> Self {
        let store = Arc::new(InMemory::new());
        let settings = EmbeddedSettings {
            memory_bytes: 64 << 20,
            disk: None,
            decode_parallelism: 2,
            remote: None,
        };
        let cache = EmbeddedCache::open(settings).await.unwrap();
        cache.register_store(PREFIX, Arc::clone(&store) as _);
        let builder =
            || SessionStateBuilder::new().with_default_features().with_config(config.clone());
        let contexts = [builder(), cache.rewrites(builder())].map(|builder| {
            let context = SessionContext::new_with_state(builder.build());
            let url = url::Url::parse(PREFIX).unwrap();
            context.runtime_env().register_object_store(&url, Arc::clone(&store) as _);
            context
        });
        let [alone, cached] = contexts;
        Self { store, cache, alone, cached }
    }

    async fn write(&self, path: &str, batch: &RecordBatch, properties: WriterProperties) {
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        self.store.put(&Path::parse(path).unwrap(), bytes.into()).await.unwrap();
    }

    async fn register(&self, table: &str, options: ParquetReadOptions<'_>) {
        for context in [&self.alone, &self.cached] {
            let url = format!("{PREFIX}/{table}/");
            context.register_parquet(table, url, options.clone()).await.unwrap();
        }
    }

    async fn check(&self, sql: &str) {
        let mut answers = Vec::new();
        for context in [&self.alone, &self.cached, &self.cached] {
            let rows = async { context.sql(sql).await?.collect().await };
            let rows = rows.await.map(|rows| lines(rows.into_iter()));
            answers.push(rows.map_err(|error| format!("{sql}: {error}")));
        }
        let mut answers = answers.into_iter();
        let alone = answers.next().unwrap().unwrap();
        for (cached, what) in answers.zip(["cold", "warm"]) {
            assert_eq!(cached.as_ref(), Ok(&alone), "{sql}, {what}");
        }
    }

    async fn explain(&self, sql: &str) -> String {
        let rows = self.cached.sql(&format!("EXPLAIN {sql}")).await.unwrap().collect().await;
        lines(rows.unwrap().into_iter()).join("\n")
    }
}

fn rows_of(rows: usize) -> WriterProperties {
    WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build()
}

/// Every kind of column that scans treat differently.
fn kinds(range: std::ops::Range<i64>) -> RecordBatch {
    let some = |i: &i64| i % 9 > 0;
    let id: Int64Array = range.clone().collect();
    let word: StringViewArray = range
        .clone()
        .map(|i| some(&i).then(|| format!("a word of some length {}", i % 5)))
        .collect();
    let kind: DictionaryArray<Int32Type> =
        range.clone().map(|i| some(&i).then_some(if i % 3 == 0 { "x" } else { "y" })).collect();
    let price: Decimal128Array =
        range.clone().map(|i| some(&i).then_some(i128::from(i) * 7)).collect();
    let price = price.with_precision_and_scale(15, 2).unwrap();
    let at: TimestampMicrosecondArray =
        range.clone().map(|i| some(&i).then_some(i * 3_600_000_000)).collect();
    let at = at.with_timezone("Europe/Zurich");
    let day: Date32Array = range.clone().map(|i| Some(i as i32)).collect();
    let raw: BinaryArray = range.clone().map(|i| some(&i).then(|| i.to_le_bytes())).collect();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(
        range.clone().map(|i| some(&i).then(|| (0..i % 4).map(Some).collect::<Vec<_>>())),
    );
    let left: Int32Array = range.clone().map(|i| some(&i).then_some(i as i32)).collect();
    let right: StringArray = range.clone().map(|i| some(&i).then(|| format!("r{i}"))).collect();
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("l", DataType::Int32, true)), Arc::new(left) as ArrayRef),
        (Arc::new(Field::new("r", DataType::Utf8, true)), Arc::new(right)),
    ]);
    let flag: BooleanArray = range.map(|i| some(&i).then_some(i % 2 == 0)).collect();
    let columns: [(&str, ArrayRef); 10] = [
        ("id", Arc::new(id)),
        ("word", Arc::new(word)),
        ("kind", Arc::new(kind)),
        ("price", Arc::new(price)),
        ("at", Arc::new(at)),
        ("day", Arc::new(day)),
        ("raw", Arc::new(raw)),
        ("list", Arc::new(list)),
        ("pair", Arc::new(pair)),
        ("flag", Arc::new(flag)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

async fn with_kinds(config: SessionConfig) -> Both {
    let both = Both::new(config.with_target_partitions(3)).await;
    both.write("kinds/a.parquet", &kinds(0..2_000), rows_of(300)).await;
    both.write("kinds/b.parquet", &kinds(2_000..2_500), rows_of(300)).await;
    both.register("kinds", ParquetReadOptions::default()).await;
    both
}

const QUERIES: [&str; 18] = [
    "SELECT * FROM kinds",
    "SELECT count(*) FROM kinds",
    "SELECT 1 FROM kinds",
    "SELECT count(*) FROM kinds WHERE id > 250",
    "SELECT kind, count(*), sum(price), min(at), max(word) FROM kinds GROUP BY kind",
    "SELECT id FROM kinds WHERE kind = 'x' AND price > 100.5",
    "SELECT id, at FROM kinds WHERE at > TIMESTAMP '1970-02-01 00:00:00+01:00'",
    "SELECT pair['l'], pair['r'] FROM kinds WHERE pair['l'] % 100 = 7",
    "SELECT id, unnest(list) FROM kinds WHERE id < 20",
    "SELECT word, raw FROM kinds WHERE word LIKE '%4' AND raw IS NOT NULL",
    "SELECT id FROM kinds WHERE word IS NULL OR flag",
    "SELECT id FROM kinds ORDER BY price DESC NULLS LAST LIMIT 5",
    "SELECT day FROM kinds ORDER BY day LIMIT 5 OFFSET 7",
    "SELECT count(*) FROM (SELECT id FROM kinds LIMIT 1234)",
    "SELECT a.id, b.word FROM kinds a JOIN kinds b ON a.id = b.id + 2 WHERE b.price < 3",
    "SELECT id FROM kinds a WHERE EXISTS (SELECT 1 FROM kinds b WHERE b.id = a.id * 2 AND b.flag)",
    "SELECT id + 1, word || kind FROM kinds WHERE id BETWEEN 290 AND 310",
    "SELECT approx_distinct(word) FROM kinds WHERE day > DATE '1975-01-01'",
];

#[tokio::test]
async fn every_kind_of_column_answers_the_same() {
    let both = with_kinds(SessionConfig::new()).await;
    for sql in QUERIES {
        both.check(sql).await;
    }
    assert!(both.explain("SELECT id FROM kinds").await.contains("cached parquet"));
    let hits = both.cache.memory().hits;
    assert!(hits > 0, "nothing was cached");
}

#[tokio::test]
async fn it_does_not_depend_on_how_datafusion_is_set_up() {
    for (option, value) in [
        ("datafusion.execution.parquet.pushdown_filters", "true"),
        ("datafusion.execution.parquet.schema_force_view_types", "false"),
        ("datafusion.execution.collect_statistics", "false"),
        ("datafusion.execution.batch_size", "17"),
        ("datafusion.optimizer.repartition_file_min_size", "1"),
        ("datafusion.optimizer.prefer_existing_sort", "true"),
        ("datafusion.execution.parquet.pruning", "false"),
    ] {
        let both = with_kinds(SessionConfig::new().set_str(option, value)).await;
        for sql in QUERIES {
            both.check(sql).await;
        }
    }
}

#[tokio::test]
async fn files_of_several_schemas_are_adapted() {
    let both = Both::new(SessionConfig::new().with_target_partitions(2)).await;
    let column = |name: &str, array: ArrayRef| (name.to_owned(), array, true);
    let numbers = |range: std::ops::Range<i64>| Arc::new(range.collect::<Int64Array>()) as ArrayRef;
    let old = [
        column("a", Arc::new((0..100).collect::<Int32Array>())),
        column("b", Arc::new((0..100).map(|i| Some(format!("{i}"))).collect::<StringArray>())),
    ];
    let new = [column("c", numbers(500..600)), column("a", numbers(100..200))];
    for (path, columns) in [("f/1.parquet", old.to_vec()), ("f/2.parquet", new.to_vec())] {
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        both.write(path, &batch, rows_of(30)).await;
    }
    let schema = arrow::datatypes::Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8View, true),
        Field::new("c", DataType::Int64, true),
        Field::new("d", DataType::Utf8View, true),
    ]);
    both.register("f", ParquetReadOptions::default().schema(&schema)).await;
    for sql in [
        "SELECT * FROM f",
        "SELECT a, c FROM f WHERE b IS NULL AND c > 550",
        "SELECT count(b), count(c), count(d), min(a), max(c) FROM f",
        "SELECT a FROM f WHERE a > 95 AND a < 105",
        "SELECT d FROM f WHERE d IS NULL LIMIT 3",
    ] {
        both.check(sql).await;
    }
}

#[tokio::test]
async fn folders_are_columns() {
    let both = Both::new(SessionConfig::new().with_target_partitions(2)).await;
    for (folder, from) in [("p=1/q=a", 0), ("p=2/q=b", 100), ("p=2/q=c", 200)] {
        let path = format!("t/{folder}/x.parquet");
        both.write(&path, &kinds(from..from + 100), rows_of(40)).await;
    }
    let columns = vec![("p".to_owned(), DataType::Int32), ("q".to_owned(), DataType::Utf8View)];
    both.register("t", ParquetReadOptions::default().table_partition_cols(columns)).await;
    for sql in [
        "SELECT p, q, count(*) FROM t GROUP BY p, q",
        "SELECT id, q FROM t WHERE p = 2 AND id % 10 = 3",
        "SELECT q FROM t WHERE q > 'a' LIMIT 3",
        "SELECT p + id, word FROM t WHERE q = 'b' OR id < 5",
        "SELECT DISTINCT p FROM t",
    ] {
        both.check(sql).await;
    }
}

#[tokio::test]
async fn the_order_of_files_is_kept() {
    let both = Both::new(SessionConfig::new().with_target_partitions(1)).await;
    let sorted = |rows| {
        let by_id = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows));
        properties.set_sorting_columns(Some(vec![by_id])).build()
    };
    both.write("s/1.parquet", &kinds(0..500), sorted(100)).await;
    both.write("s/2.parquet", &kinds(500..700), sorted(100)).await;
    both.register("s", ParquetReadOptions::default()).await;
    let sql = "SELECT id, kind FROM s WHERE flag ORDER BY id";
    both.check(sql).await;
    let plan = both.explain(sql).await;
    assert!(plan.contains("cached parquet") && !plan.contains("SortExec"), "{plan}");
}

#[tokio::test]
async fn a_file_that_changes_between_plan_and_read_is_stale_and_read_anew_by_the_next_plan() {
    let both = with_kinds(SessionConfig::new()).await;
    let frame = both.cached.sql("SELECT sum(id) FROM kinds WHERE id >= 0").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    both.write("kinds/a.parquet", &kinds(0..10), rows_of(300)).await;
    let task = both.cached.task_ctx();
    let read = datafusion::physical_plan::collect(plan, task).await;
    let error = read.unwrap_err().to_string();
    assert!(error.contains("kinds/a.parquet"), "{error}");
    for context in [&both.alone, &both.cached] {
        context.deregister_table("kinds").unwrap();
    }
    both.register("kinds", ParquetReadOptions::default()).await;
    both.check("SELECT sum(id) FROM kinds WHERE id >= 0").await;
}

#[tokio::test]
async fn what_is_not_ours_stays_and_says_why() {
    let both = with_kinds(SessionConfig::new()).await;
    let other: Arc<dyn ObjectStore> = Arc::clone(&both.store) as _;
    let url = url::Url::parse("test://other").unwrap();
    both.cached.runtime_env().register_object_store(&url, other);
    let options = ParquetReadOptions::default();
    both.cached.register_parquet("other", "test://other/kinds/", options).await.unwrap();
    let plan = both.explain("SELECT kinds.id FROM kinds JOIN other ON kinds.id = other.id").await;
    assert!(plan.contains("cached parquet"), "{plan}");
    assert!(plan.contains("not cached: test://other/ is not registered with the cache"), "{plan}");
    let analyzed = both.explain("ANALYZE SELECT sum(id) FROM kinds WHERE id > 2400").await;
    for figure in ["cache_hits=", "cache_misses=", "origin_bytes=", "row_groups_pruned="] {
        assert!(analyzed.contains(figure), "{figure} is missing: {analyzed}");
    }
}

//! SQL over a cached dataset answers what DataFusion answers over the files.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Int64Type},
};
use datafusion::parquet::file::metadata::SortingColumn;
use flightcache_cache::ErrorKind;
use futures::TryStreamExt;

use crate::harness::{Harness, answer, assert_rows};

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let numbers: Int64Array = rows.clone().map(|row| (row % 17 > 0).then_some(row % 50)).collect();
    let words: StringArray =
        rows.clone().map(|row| (row % 11 > 0).then(|| format!("word {}", row % 7))).collect();
    let floats: Float64Array =
        rows.clone().map(|row| if row % 13 == 0 { f64::NAN } else { row as f64 / 4.0 }).collect();
    let ids: Int64Array = rows.collect();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(ids) as ArrayRef, true),
        ("n", Arc::new(numbers), true),
        ("w", Arc::new(words), true),
        ("x", Arc::new(floats), true),
    ])
    .unwrap()
}

async fn harness() -> Harness {
    let harness = Harness::new();
    harness.write("year=2023/a.parquet", &batch(0..3_000), 500).await;
    harness.write("year=2024/b.parquet", &batch(3_000..4_000), 300).await;
    harness
}

#[tokio::test]
async fn queries_answer_what_datafusion_answers_over_the_files() {
    let harness = harness().await;
    for sql in [
        "SELECT * FROM data",
        "SELECT count(*) FROM data",
        "SELECT count(n), count(w), min(id), max(id), min(x), max(x), min(w) FROM data",
        "SELECT w, count(*), sum(n), avg(x) FROM data WHERE n > 10 GROUP BY w",
        "SELECT id FROM data WHERE id BETWEEN 990 AND 1010",
        "SELECT year, count(*) FROM data GROUP BY year",
        "SELECT id, w FROM data WHERE year = 2024 AND w LIKE '%3'",
        "SELECT id FROM data ORDER BY n DESC NULLS LAST, id LIMIT 7",
        "SELECT id, x FROM data WHERE x < 100 ORDER BY x DESC LIMIT 7",
        "SELECT a.id, b.w FROM data a JOIN data b ON a.id = b.n WHERE b.year = 2024",
        "SELECT id FROM data WHERE n IN (SELECT max(n) FROM data)",
        "SELECT id % 10 + 1 AS k, x * 2 FROM data WHERE x > 5 OR w IS NULL",
        "SELECT upper(w) || '!' AS loud, count(DISTINCT n) FROM data GROUP BY 1",
        "SELECT 1 FROM data WHERE false",
        "SELECT sum(n) OVER (PARTITION BY w ORDER BY id) FROM data WHERE id < 100",
        "SELECT * FROM data WHERE w = 'word 3' AND id > 3500",
        "SELECT id FROM data WHERE CAST(id AS VARCHAR) LIKE '39_7'",
    ] {
        let found = harness.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_rows(sql, &found, &harness.direct(sql).await);
    }
}

/// Parquet declares the order of a row group; DataFusion takes the first one's for the file's.
#[tokio::test]
async fn row_groups_that_are_sorted_do_not_make_a_sorted_file() {
    let number = |column_idx, descending| {
        Some(vec![SortingColumn { column_idx, descending, nulls_first: false }])
    };
    let ids = |ids: &[i64]| {
        let ids: Int64Array = ids.iter().copied().collect();
        RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef)]).unwrap()
    };
    for (name, rows, by, sorts) in [
        ("overlapping", [1, 5, 9, 2, 6, 7], number(0, false), true),
        ("touching", [1, 2, 3, 3, 4, 5], number(0, false), true),
        ("in order", [1, 2, 3, 4, 5, 6], number(0, false), false),
        ("not in that order", [6, 5, 4, 3, 2, 1], number(0, true), true),
        ("of no such column", [1, 2, 3, 4, 5, 6], number(7, false), true),
    ] {
        let harness = Harness::new();
        harness.write_sorted("a.parquet", &ids(&rows), 3, by).await;
        let sql = "SELECT id FROM data ORDER BY id";
        let query = harness.prepare(sql).await.unwrap().execute().await.unwrap();
        let batches: Vec<_> = query.batches.try_collect().await.unwrap();
        let column =
            |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        let found: Vec<i64> = batches.iter().flat_map(column).collect();
        let mut expected = rows.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
        let plan = harness.query(&format!("EXPLAIN {sql}")).await.unwrap().join("\n");
        assert_eq!(plan.contains("SortExec"), sorts, "{name}: {plan}");
    }
    let harness = Harness::new();
    harness.write_sorted("a.parquet", &ids(&[6, 5, 4, 3, 2, 1]), 3, number(0, true)).await;
    let plan = harness.query("EXPLAIN SELECT id FROM data ORDER BY id DESC").await.unwrap();
    assert!(!plan.join("\n").contains("SortExec"), "{plan:?}");
}

/// DataFusion over the files loses rows here: it prunes row groups by bounds that leave NaN out.
#[tokio::test]
async fn no_row_that_holds_nan_is_pruned_by_a_filter_that_a_sort_pushes_down() {
    let harness = harness().await;
    let found = harness.query("SELECT id FROM data ORDER BY x DESC, id LIMIT 4").await.unwrap();
    assert_eq!(found, ["| 0 |", "| 13 |", "| 26 |", "| 39 |"]);
}

#[tokio::test]
async fn counting_reads_no_column() {
    let harness = harness().await;
    let statement = harness.prepare("SELECT count(*), min(id) FROM data").await.unwrap();
    let before = harness.counters.snapshot().requests;
    assert_eq!(answer(statement.execute().await.unwrap()).await.unwrap(), ["| 4000 | 0 |"]);
    assert_eq!(harness.counters.snapshot().requests, before, "all of it is in the footers");
}

#[tokio::test]
async fn views_stay_inside() {
    let statement = harness().await.prepare("SELECT w, [w] AS l FROM data").await.unwrap();
    assert_eq!(statement.schema().field(0).data_type(), &DataType::Utf8);
    assert!(!statement.schema().field(1).data_type().to_string().contains("View"));
}

#[tokio::test]
async fn parameters_are_typed_and_bound() {
    let harness = harness().await;
    let sql = "SELECT id FROM data WHERE id < ? AND w = ? ORDER BY id";
    let statement = harness.prepare(sql).await.unwrap();
    let types: Vec<_> = statement.parameters().fields().iter().map(|f| f.data_type()).collect();
    assert_eq!(types, [&DataType::Int64, &DataType::Utf8]);
    let values = RecordBatch::try_from_iter([
        ("a", Arc::new(arrow::array::Int32Array::from(vec![30])) as ArrayRef),
        ("b", Arc::new(StringArray::from(vec!["word 3"]))),
    ])
    .unwrap();
    let found = answer(statement.bind(&values).unwrap().execute().await.unwrap()).await.unwrap();
    assert_eq!(found, ["| 10 |", "| 17 |", "| 24 |", "| 3 |"]);
    let unbound = harness.prepare(sql).await.unwrap().execute().await;
    assert_eq!(unbound.err().unwrap().kind(), ErrorKind::Invalid);
    let short = harness.prepare(sql).await.unwrap().bind(&values.project(&[0]).unwrap());
    assert_eq!(short.err().unwrap().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn what_amplifies_is_exhausted_and_what_does_not_is_not() {
    let harness = harness().await;
    for sql in [
        "SELECT repeat('a', 1000000000)",
        "SELECT repeat(w, 1000000) FROM data",
        "SELECT lpad(w, 2000000000) FROM data",
        "SELECT array_repeat(id, 1000000000) FROM data",
        "SELECT unnest(range(0, 1000000000))",
        "SELECT range(id, 100000000) FROM data",
        "SELECT replace(w, 'o', repeat('x', 1000000)) FROM data",
        "WITH a AS (SELECT repeat('x', 1000000) AS x), b AS (SELECT x||x||x||x AS x FROM a), \
         c AS (SELECT x||x||x||x AS x FROM b), d AS (SELECT x||x||x||x AS x FROM c) \
         SELECT x FROM d",
        "WITH a AS (SELECT repeat(w, 1000) AS x FROM data), b AS (SELECT [x,x,x,x] AS x FROM a), \
         c AS (SELECT [x,x,x,x] AS x FROM b), d AS (SELECT [x,x,x,x] AS x FROM c) \
         SELECT [x,x,x,x] FROM d",
    ] {
        let kind = harness.query(sql).await.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Exhausted), "{sql}");
    }
    for (sql, rows) in [
        ("SELECT repeat(w, 100) FROM data", 4_000),
        ("SELECT repeat('a', 100000), id FROM data", 4_000),
        ("SELECT unnest(range(0, 10000))", 10_000),
        ("SELECT range(id, id + 100) FROM data", 4_000),
        ("SELECT range(DATE '1992-09-01', DATE '1993-03-01', NULL)", 1),
        ("SELECT w || '-' || id, concat(w, '-', id) FROM data", 4_000),
        ("SELECT regexp_replace(w, '(.)o', '\\1\\1') FROM data", 4_000),
        (
            "SELECT * FROM generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2020-12-31', \
             INTERVAL '1' HOUR)",
            8_761,
        ),
    ] {
        let counted = harness.query(&format!("SELECT count(*) FROM ({sql})")).await.unwrap();
        assert_eq!(counted, [format!("| {rows} |")], "{sql}");
        let query = harness.prepare(sql).await.unwrap().execute().await.unwrap();
        let batches: Vec<_> = query.batches.try_collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{sql}");
    }
}

#[tokio::test]
async fn a_query_that_needs_more_than_its_memory_is_exhausted_and_leaves_nothing() {
    let harness = harness().await;
    let sql = harness.sql_within(200 << 10);
    let catalog = harness.catalog().await;
    for text in [
        "SELECT a.id, b.id FROM data a CROSS JOIN data b ORDER BY a.x, b.x",
        "SELECT array_agg(a.w) FROM data a CROSS JOIN data b",
    ] {
        let statement = sql.session(Arc::clone(&catalog), None).unwrap().prepare(text).await;
        let answered = answer(statement.unwrap().execute().await.unwrap()).await;
        let error = answered.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{text}: {error}");
        assert!(error.message().to_lowercase().contains("memory"), "{error}");
        assert_eq!(sql.memory_bytes(), 0, "{text}");
    }
}

#[tokio::test]
async fn row_by_row_statements_are_told_split_by_split() {
    let harness = harness().await;
    let table = harness.table().await.unwrap();
    let sql = "SELECT id * 2 AS d, w FROM data WHERE n > 20 AND year = 2023";
    let splits = harness.prepare(sql).await.unwrap().splits().await.unwrap().unwrap();
    assert_eq!(splits.len(), 1, "the other folder cannot match");
    let session = harness.sql().session(harness.catalog().await, Some(splits[0].ticket.clone()));
    let statement = session.unwrap().prepare(sql).await.unwrap();
    let found = answer(statement.execute().await.unwrap()).await.unwrap();
    assert_rows(sql, &found, &harness.direct(sql).await);
    assert_eq!(table.rows(), 4_000);
    for sql in [
        "SELECT count(*) FROM data",
        "SELECT id FROM data LIMIT 3",
        "SELECT id FROM data ORDER BY id",
        "SELECT DISTINCT w FROM data",
        "SELECT id FROM data WHERE n = (SELECT max(n) FROM data)",
        "SELECT random() FROM data",
        "SELECT id FROM data WHERE now() > to_timestamp(id)",
        "SELECT id FROM data UNION ALL SELECT n FROM data",
        "SELECT 1",
    ] {
        assert!(harness.prepare(sql).await.unwrap().splits().await.unwrap().is_none(), "{sql}");
    }
}

#[tokio::test]
async fn a_query_has_one_time() {
    let harness = harness().await;
    let sql = "SELECT count(DISTINCT now()), min(now() = current_timestamp), \
               min(current_date() = now()::date), min(current_time() = now()::time), \
               min(now() > TIMESTAMPTZ '2020-01-01 00:00:00Z') FROM data";
    let found = harness.query(sql).await.unwrap();
    assert_eq!(found, ["| 1 | true | true | true | true |"]);
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_what_is_near() {
    let harness = harness().await;
    for (sql, kind, told) in [
        ("SELECT * FROM dta", ErrorKind::NotFound, "`data`"),
        ("SELECT * FROM '/etc/passwd'", ErrorKind::NotFound, "/etc/passwd"),
        ("SELECT * FROM flightcache.public.x.y", ErrorKind::Invalid, ""),
        ("SELECT idd FROM data", ErrorKind::Invalid, "idd"),
        ("SELECT nosuch(id) FROM data", ErrorKind::Invalid, "nosuch"),
        ("SELECT * FROM information_schema.df_settings", ErrorKind::Denied, "configuration"),
    ] {
        let error = harness.prepare(sql).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.message().contains(told), "{sql}: {error}");
    }
    let tables = harness.query("SHOW TABLES").await.unwrap().join("\n");
    assert!(tables.contains("data") && !tables.contains("df_settings"), "{tables}");
    let described = harness.query("DESCRIBE data").await.unwrap().join("\n");
    assert!(described.contains("year"), "{described}");
}

/// DataFusion drops one of two projections in a row whose expressions are equal.
#[tokio::test]
async fn what_is_said_twice_is_done_twice() {
    let harness = harness().await;
    for (expr, expected) in [("id + 1", "| 5 |"), ("id * 3", "| 54 |"), ("-id", "| -2 |")] {
        let level = format!("(SELECT {expr} AS id FROM ").repeat(3);
        let sql = format!("SELECT id FROM {level}(SELECT id FROM data WHERE id = 2))))");
        assert_eq!(harness.query(&sql).await.unwrap(), [expected], "{expr}");
    }
    let text = "SELECT reverse(w) AS w FROM (SELECT reverse(w) AS w FROM (SELECT w FROM data))";
    let mut once = harness.query("SELECT w FROM data").await.unwrap();
    let mut twice = harness.query(text).await.unwrap();
    once.sort();
    twice.sort();
    assert_eq!(once, twice);
}

/// Also while it computes inside one poll, on the only thread there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_query_lets_others_run_and_ends_when_its_batches_are_dropped() {
    let harness = harness().await;
    let sql = harness.sql();
    let catalog = harness.catalog().await;
    let session = |catalog| sql.session(catalog, None).unwrap();
    let endless = "SELECT count(*) FROM data a, data b, data c WHERE a.id * b.id * c.id = -7";
    let statement = session(Arc::clone(&catalog)).prepare(endless).await.unwrap();
    let endless = statement.execute().await.unwrap();
    let running = tokio::spawn(endless.batches.try_collect::<Vec<_>>());
    for _ in 0..5 {
        let other = session(Arc::clone(&catalog)).prepare("SELECT count(w) FROM data").await;
        assert_eq!(answer(other.unwrap().execute().await.unwrap()).await.unwrap().len(), 1);
    }
    assert!(sql.memory_bytes() > 0);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while sql.memory_bytes() > 0 {
        assert!(std::time::Instant::now() < deadline, "the query goes on");
        tokio::task::yield_now().await;
    }
}

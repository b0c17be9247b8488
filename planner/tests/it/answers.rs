//! Answers equal those of DataFusion over the same files, whatever is pruned.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::Int64Type;
use flightcache_protocol::ScanCommand;

use crate::harness::{Harness, assert_rows};

fn batch(from: i64, rows: i64) -> RecordBatch {
    let id = Int64Array::from_iter_values(from..from + rows);
    let x: Float64Array = (from..from + rows)
        .map(|i| match i % 7 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(-0.0),
            _ => Some(i as f64 / 10.0),
        })
        .collect();
    let word: StringArray =
        (from..from + rows).map(|i| (i % 5 > 0).then(|| format!("w{i:04}"))).collect();
    let day = Date32Array::from_iter_values((from..from + rows).map(|i| i as i32 / 3));
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(id) as ArrayRef, false),
        ("x", Arc::new(x), true),
        ("Word", Arc::new(word), true),
        ("day", Arc::new(day), false),
    ])
    .unwrap()
}

async fn harness() -> Harness {
    let harness = Harness::new();
    harness.write("a.parquet", &batch(0, 500), 100).await;
    harness.write("b/2.parquet", &batch(500, 130), 50).await;
    harness
}

#[tokio::test]
async fn filters_return_what_datafusion_returns() {
    let harness = harness().await;
    for filter in [
        "id = 17",
        "id >= 90 AND id < 110",
        "id < 0",
        "id IN (3, 333, 629)",
        "x > 5.0",
        "x >= 62.0",
        "x < 0.5",
        "x = -0.0",
        "NOT (x < 62.0)",
        "x <> 3.0 AND id < 20",
        "x BETWEEN 10.0 AND 11.0",
        "x IS NULL",
        "x IS NOT NULL AND id > 600",
        "isnan(x) AND id < 50",
        "\"Word\" = 'w0042'",
        "\"Word\" LIKE 'w06%'",
        "\"Word\" IS NULL AND id > 590",
        "day = DATE '1970-03-01'",
        "day > DATE '1970-07-01'",
        "id + 1 = 100",
        "id = 1 OR x > 62.5",
        "true",
        "false",
        "NULL",
        "CAST(id AS VARCHAR) = '7'",
    ] {
        let command =
            ScanCommand { filter: Some(filter.to_owned()), ..ScanCommand::dataset("data") };
        let expected = harness.expected("*", filter).await;
        assert_rows(filter, &harness.rows(&command).await.unwrap(), &expected);

        let columns = ["day", "id"].map(str::to_owned).to_vec();
        let command = ScanCommand { columns: Some(columns), ..command };
        let expected = harness.expected("day, id", filter).await;
        assert_rows(filter, &harness.rows(&command).await.unwrap(), &expected);

        // As a prefilter it may leave others in, but none out, and none twice.
        let command = ScanCommand { filter: None, prefilter: command.filter, ..command };
        let mut found = harness.rows(&command).await.unwrap();
        let all = harness.expected("day, id", "true").await;
        assert!(found.iter().all(|row| all.contains(row)), "{filter}");
        found.retain(|row| expected.contains(row));
        assert_rows(filter, &found, &expected);
    }
}

#[tokio::test]
async fn a_prefilter_leaves_rows_out_where_that_pays() {
    let harness = harness().await;
    let rows = async |columns: &[&str], prefilter: &str| {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        let command = ScanCommand {
            columns: Some(columns),
            prefilter: Some(prefilter.to_owned()),
            ..ScanCommand::dataset("data")
        };
        let plan = harness.plan(&command).await.unwrap();
        let covered = plan.splits.iter().map(|split| split.rows).sum::<u64>();
        (harness.rows(&command).await.unwrap().len(), covered, plan.rows)
    };
    // Few rows pass: only they come, and nobody says beforehand how many.
    assert_eq!(rows(&["id"], "id % 10 = 0").await, (63, 630, None));
    // Most do: none is copied to spare the others.
    assert_eq!(rows(&["id"], "id % 10 <> 0").await, (630, 630, None));
    // Row groups are pruned by all of it, rows by what is read anyway.
    assert_eq!(rows(&["day"], "id = 17").await, (100, 100, Some(100)));
    assert_eq!(rows(&["day"], "id < 100 AND day = DATE '1970-01-02'").await, (3, 100, None));
    // What fails for a row leaves it in.
    assert_eq!(rows(&["id"], "100 / (id - 17) > 1000").await, (100, 630, None));
    // Beside an exact filter it prunes, and no more.
    let both = ScanCommand {
        filter: Some("id % 2 = 0".to_owned()),
        prefilter: Some("id = 17".to_owned()),
        ..ScanCommand::dataset("data")
    };
    let expected = harness.expected("*", "id < 100 AND id % 2 = 0").await;
    assert_rows("both", &harness.rows(&both).await.unwrap(), &expected);
}

#[tokio::test]
async fn a_prefilter_looks_again_where_rows_begin_to_fail() {
    let harness = Harness::new();
    let ids = Int64Array::from_iter_values(0..800_000);
    let ids = RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef)]).unwrap();
    harness.write("a.parquet", &ids, 800_000).await;
    let prefilter = Some("abs(id) < 100000".to_owned());
    let command = ScanCommand { prefilter, ..ScanCommand::dataset("data") };
    let read = harness.read(&command).await.unwrap();
    let rows: usize = read.iter().map(|(_, _, batch)| batch.num_rows()).sum();
    assert!((100_000..600_000).contains(&rows), "{rows} rows of 800,000");
    let mut given = 0;
    for (_, covered, batch) in read {
        assert!(covered.first_row >= given, "ranges do not overlap");
        given = covered.first_row + covered.rows;
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let range = covered.first_row as i64..given as i64;
        assert!(ids.iter().all(|id| range.contains(id)), "rows are of the range they came with");
    }
}

#[tokio::test]
async fn a_hint_prunes_row_groups_and_no_single_row() {
    let harness = harness().await;
    let hint = ScanCommand { prune: Some("id = 17".to_owned()), ..ScanCommand::dataset("data") };
    let rows = harness.rows(&hint).await.unwrap();
    assert_rows("hint", &rows, &harness.expected("*", "id < 100").await);
}

#[tokio::test]
async fn files_of_other_schemas_are_read_as_the_union() {
    let harness = Harness::new();
    harness.write("year=2023/m=01/a.parquet", &batch(0, 20), 10).await;
    let other = RecordBatch::try_from_iter([
        ("extra", Arc::new(StringArray::from_iter_values(["p", "q"])) as ArrayRef),
        ("id", Arc::new(Int32Array::from_iter_values([5, 1_000])) as ArrayRef),
    ])
    .unwrap();
    harness.write("year=2024/m=02/b.parquet", &other, 10).await;
    let columns = ["extra", "id", "year", "m"].map(str::to_owned).to_vec();
    let read = |filter: &str| ScanCommand {
        filter: Some(filter.to_owned()),
        columns: Some(columns.clone()),
        ..ScanCommand::dataset("data")
    };
    let found = harness.rows(&read("id = 5")).await.unwrap();
    assert_eq!(found, ["| p | 5 | 2024 | 2 |", "| | 5 | 2023 | 1 |"]);
    let found = harness.rows(&read("year = 2024 AND extra = 'q'")).await.unwrap();
    assert_eq!(found, ["| q | 1000 | 2024 | 2 |"]);
    assert!(harness.rows(&read("x > 0 AND year > 2023")).await.unwrap().is_empty());
    let only = harness.plan(&read("m = 2")).await.unwrap();
    assert_eq!(only.splits.len(), 1);
    assert_eq!(only.splits[0].object.path, "data/year=2024/m=02/b.parquet");
}

#[tokio::test]
async fn names_are_taken_as_written_then_in_lower_case() {
    let harness = harness().await;
    for filter in ["Word = 'w0042'", "\"Word\" = 'w0042'", "ID = 42"] {
        let command =
            ScanCommand { filter: Some(filter.to_owned()), ..ScanCommand::dataset("data") };
        assert_eq!(harness.rows(&command).await.unwrap().len(), 1, "{filter}");
    }
}

#[tokio::test]
async fn bad_predicates_and_columns_say_what_is_wrong() {
    let harness = harness().await;
    for (filter, named) in [
        ("id >", "at its end"),
        ("idd = 1", "`id`"),
        ("id + 1", "Int64"),
        ("id = ) 1", "Column: 6"),
        ("id = 'x", "Line: 1"),
        ("id IN (SELECT 1)", "subquery"),
        ("count(id) > 1", "aggregate"),
        ("random() > 0.5", "chance"),
        ("now() > TIMESTAMP '2020-01-01'", "time"),
        ("id = $1", "parameter"),
        ("no_such_function(id)", "no_such_function"),
        ("id; DROP TABLE data", "filter"),
        (&vec!["id = 1"; 3_000].join(" OR "), "IN"),
        (&format!("{}true", "NOT ".repeat(3_000)), "operators"),
        (&format!("{}id", "- ".repeat(3_000)), "operators"),
        ("repeat(\"Word\", 1000000000) = 'x'", "repeat"),
    ] {
        let command =
            ScanCommand { filter: Some(filter.to_owned()), ..ScanCommand::dataset("data") };
        let error = harness.plan(&command).await.unwrap_err();
        assert_eq!(error.kind(), flightcache_cache::ErrorKind::Invalid, "{filter}: {error}");
        assert!(error.message().contains(named), "{filter}: {error}");
    }
    let columns = Some(vec!["wrod".to_owned()]);
    let error =
        harness.plan(&ScanCommand { columns, ..ScanCommand::dataset("data") }).await.unwrap_err();
    assert!(error.message().contains("`wrod`") && error.message().contains("`Word`"), "{error}");
}

//! Splits, limits, and which rows batches cover.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use flightcache_protocol::ScanCommand;

use crate::harness::Harness;

fn numbers(from: i64, to: i64) -> RecordBatch {
    let n = Int64Array::from_iter_values(from..to);
    RecordBatch::try_from_iter([("n", Arc::new(n) as ArrayRef)]).unwrap()
}

async fn harness() -> Harness {
    let harness = Harness::new();
    harness.write("1.parquet", &numbers(0, 250), 100).await;
    harness.write("2.parquet", &numbers(250, 300), 100).await;
    harness.write("3.parquet", &numbers(300, 301), 100).await;
    harness
}

fn values(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test]
async fn covered_rows_tile_every_file() {
    let harness = harness().await;
    let mut next = 0;
    let mut file = String::new();
    let mut base = 0;
    for (path, covered, batch) in harness.read(&ScanCommand::dataset("data")).await.unwrap() {
        if path != file {
            (file, base, next) = (path, base + next, 0);
        }
        assert_eq!(covered.first_row, next);
        assert_eq!(covered.rows, batch.num_rows() as u64);
        assert_eq!(u64::from(covered.row_group), covered.first_row / 100);
        assert_eq!(values(&batch)[0], (base + next) as i64);
        next += covered.rows;
    }
    assert_eq!(base + next, 301);
}

#[tokio::test]
async fn a_limit_holds_over_all_endpoints() {
    let harness = harness().await;
    for limit in [0, 1, 99, 100, 101, 249, 250, 251, 300, 301, 302, u64::MAX] {
        let command = ScanCommand { limit: Some(limit), ..ScanCommand::dataset("data") };
        let plan = harness.plan(&command).await.unwrap();
        assert_eq!(plan.rows, Some(limit.min(301)), "limit {limit}");
        let rows = harness.rows(&command).await.unwrap();
        assert_eq!(rows.len() as u64, limit.min(301), "limit {limit}");

        let filtered = ScanCommand { filter: Some("n % 2 = 0".to_owned()), ..command };
        let rows = harness.rows(&filtered).await.unwrap();
        assert_eq!(rows.len() as u64, limit.min(151), "limit {limit} with a filter");
    }
}

#[tokio::test]
async fn what_cannot_match_is_not_planned_and_not_fetched() {
    let harness = Harness::new();
    // Files large enough that reading a footer does not read the rest as well.
    for file in 0..3 {
        let numbers = numbers(file * 100_000, (file + 1) * 100_000);
        harness.write(&format!("{file}.parquet"), &numbers, 20_000).await;
    }
    let command =
        ScanCommand { filter: Some("n = 130000".to_owned()), ..ScanCommand::dataset("data") };
    let plan = harness.plan(&command).await.unwrap();
    let objects: Vec<_> = plan.splits.iter().map(|split| &split.object).collect();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].path, "data/1.parquet");
    let ordinals: Vec<_> = objects[0].row_groups.iter().map(|group| group.ordinal).collect();
    assert_eq!(ordinals, [1]);
    let before = harness.counters.snapshot();
    assert_eq!(harness.rows(&command).await.unwrap(), ["| 130000 |"]);
    assert_eq!(harness.counters.snapshot().requests - before.requests, 1);
}

fn of_row_groups(row_groups: &[u32]) -> ScanCommand {
    let url = Some("test://store/data/1.parquet".to_owned());
    ScanCommand { url, row_groups: Some(row_groups.to_vec()), ..ScanCommand::default() }
}

#[tokio::test]
async fn named_row_groups_are_all_that_is_planned_fetched_and_read() {
    let harness = Harness::new();
    harness.write("1.parquet", &numbers(0, 100_000), 20_000).await;
    let mut bytes_of = Vec::new();
    for (named, read) in [(&[][..], &[][..]), (&[3], &[3]), (&[4, 0, 1], &[0, 1, 4])] {
        let command = of_row_groups(named);
        let plan = harness.plan(&command).await.unwrap();
        let planned = plan.splits.iter().flat_map(|split| &split.object.row_groups);
        assert_eq!(planned.map(|group| group.ordinal).collect::<Vec<_>>(), read);
        assert_eq!(plan.rows, Some(read.len() as u64 * 20_000));
        let before = harness.counters.snapshot().bytes;
        let batches = harness.read(&command).await.unwrap();
        let mut covered = Vec::new();
        for (_, of, batch) in &batches {
            assert_eq!(values(batch)[0] as u64, of.first_row);
            covered.extend(of.first_row..of.first_row + of.rows);
        }
        let rows = |group: &u32| u64::from(*group) * 20_000..u64::from(*group + 1) * 20_000;
        assert_eq!(covered, read.iter().flat_map(rows).collect::<Vec<_>>());
        bytes_of.push(harness.counters.snapshot().bytes - before);
    }
    let [none, one, three] = bytes_of[..] else { panic!("{bytes_of:?}") };
    assert!(none == 0 && one > 0 && three > 2 * one && three < 4 * one, "{bytes_of:?}");
    let limited = ScanCommand { limit: Some(5), ..of_row_groups(&[2, 4]) };
    let rows = ["40000", "40001", "40002", "40003", "40004"].map(|n| format!("| {n} |"));
    assert_eq!(harness.rows(&limited).await.unwrap(), rows);
    let filter = Some("n % 20000 = 7".to_owned());
    let filtered = ScanCommand { filter, ..of_row_groups(&[0, 2]) };
    assert_eq!(harness.rows(&filtered).await.unwrap(), ["| 40007 |", "| 7 |"]);
}

#[tokio::test]
async fn row_groups_that_do_not_exist_are_refused() {
    let harness = Harness::new();
    harness.write("1.parquet", &numbers(0, 250), 100).await;
    let error = harness.plan(&of_row_groups(&[0, 3])).await.unwrap_err();
    assert!(error.message().contains("data/1.parquet has 3 row groups, no 3"), "{error}");
    harness.write("2.parquet", &numbers(0, 250), 100).await;
    let error = harness.plan(&of_row_groups(&[0])).await.unwrap_err();
    assert!(error.message().contains("names 2"), "{error}");
}

#[tokio::test]
async fn no_columns_give_rows_and_fetch_nothing() {
    let harness = harness().await;
    harness.table().await.unwrap();
    let before = harness.counters.snapshot();
    let command = ScanCommand { columns: Some(Vec::new()), ..ScanCommand::dataset("data") };
    let rows: usize =
        harness.read(&command).await.unwrap().iter().map(|(_, _, batch)| batch.num_rows()).sum();
    assert_eq!(rows, 301);
    assert_eq!(harness.counters.snapshot().requests, before.requests);
}

#[tokio::test]
async fn batches_are_sized_by_their_bytes() {
    let harness = Harness::new();
    // Most rows are short, and the long ones lie together: an average would be far off.
    let words: StringArray =
        (0..3_000).map(|i| Some("x".repeat(if i < 1_000 { 20_000 } else { 1 }))).collect();
    let batch = RecordBatch::try_from_iter([("w", Arc::new(words) as ArrayRef)]).unwrap();
    harness.write("long.parquet", &batch, 10_000).await;
    let read = harness.read(&ScanCommand::dataset("data")).await.unwrap();
    let mut next = 0;
    for (_, covered, batch) in &read {
        assert_eq!(covered.first_row, next);
        next += covered.rows;
        let bytes: usize = batch.column(0).as_string::<i32>().iter().flatten().map(str::len).sum();
        assert!(bytes <= 3 << 20, "{bytes}");
    }
    assert_eq!(next, 3_000);
}

#[tokio::test]
async fn a_split_of_another_version_is_stale() {
    let harness = harness().await;
    let command = ScanCommand::dataset("data");
    let plan = harness.plan(&command).await.unwrap();
    harness.write("1.parquet", &numbers(0, 250), 100).await;
    let table = harness.table().await.unwrap();
    let error =
        harness.planner.read(&table, &command, Some(&plan.splits[0].ticket), None).err().unwrap();
    assert_eq!(error.kind(), flightcache_cache::ErrorKind::Stale, "{error}");
}

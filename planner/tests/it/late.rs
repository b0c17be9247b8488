//! Columns that only the output needs are not read for row groups of which no row passes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use flightcache_protocol::ScanCommand;

use crate::harness::Harness;

const GROUP_ROWS: i64 = 500;
const GROUPS: i64 = 24;

/// A number that tells nothing of those beside it.
fn scattered(n: i64) -> u64 {
    (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// Rows `from..to`: keys in no order, so that no statistics prune, and a kilobyte that no codec
/// makes smaller.
fn rows(from: i64, to: i64) -> RecordBatch {
    let keys: Int64Array = (from..to).map(|n| (scattered(n) >> 20) as i64).collect();
    let payload: Vec<Vec<u8>> = (from..to)
        .map(|n| (0..128).flat_map(|at| scattered(n * 128 + at).to_le_bytes()).collect())
        .collect();
    let payload = BinaryArray::from_iter_values(payload);
    let n: Int64Array = (from..to).collect();
    let columns: [(&str, ArrayRef); 3] =
        [("n", Arc::new(n)), ("key", Arc::new(keys)), ("payload", Arc::new(payload))];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// One file of all rows, or one for each row group.
async fn harness(files: i64) -> Harness {
    let harness = Harness::new();
    let of_file = GROUPS * GROUP_ROWS / files;
    for file in 0..files {
        let batch = rows(file * of_file, (file + 1) * of_file);
        harness.write(&format!("{file:02}.parquet"), &batch, GROUP_ROWS as usize).await;
    }
    // Footers are read before anything is counted.
    harness.table().await.unwrap();
    harness
}

fn one(row: i64) -> ScanCommand {
    let filter = Some(format!("key = {}", scattered(row) >> 20));
    let columns = Some(vec!["n".to_owned(), "payload".to_owned()]);
    ScanCommand { filter, columns, ..ScanCommand::dataset("data") }
}

/// What is read of the store for `command`: requests and bytes.
async fn cost(harness: &Harness, command: &ScanCommand) -> (usize, u64, u64) {
    let before = harness.counters.snapshot();
    let read = harness.read(command).await.unwrap();
    let after = harness.counters.snapshot();
    let rows = read.iter().map(|(_, _, batch)| batch.num_rows()).sum();
    (rows, after.requests - before.requests, after.bytes - before.bytes)
}

#[tokio::test]
async fn a_point_filter_reads_the_payload_of_few_row_groups() {
    for files in [1, GROUPS / 2] {
        let harness = harness(files).await;
        let whole = cost(&harness, &ScanCommand { filter: None, ..one(0) }).await;
        let payload = whole.2 / GROUPS as u64;
        for row in [3, GROUP_ROWS * GROUPS / 2, GROUP_ROWS * GROUPS - 1] {
            let (rows, _, bytes) = cost(&harness, &one(row)).await;
            assert_eq!(rows, 1);
            assert!(bytes < 12 * payload, "{files} files: {bytes} bytes, {payload} a row group");
        }
        let expected = harness.expected("n, payload", &one(7).filter.unwrap()).await;
        assert_eq!(harness.rows(&one(7)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_filter_that_keeps_most_fetches_what_no_filter_fetches() {
    for files in [1, GROUPS / 2] {
        let harness = harness(files).await;
        let columns = Some(["n", "key", "payload"].map(str::to_owned).to_vec());
        let all = ScanCommand { columns, ..ScanCommand::dataset("data") };
        let (all_rows, _, bytes) = cost(&harness, &all).await;
        let fetched = |from: usize| {
            let log = harness.chunks.log().into_iter().skip(from);
            log.map(|request| (request.object.path.clone(), request.parts)).collect::<Vec<_>>()
        };
        let expected = fetched(0);
        assert_eq!(expected.len() as i64, GROUPS);
        for filter in ["key % 10 > 0", "key % 200 = 0"] {
            let filtered = ScanCommand { filter: Some(filter.to_owned()), ..all.clone() };
            for _ in 0..2 {
                let before = fetched(0).len();
                let cost = cost(&harness, &filtered).await;
                assert!(cost.0 > 0 && cost.0 < all_rows);
                assert_eq!(fetched(before), expected, "{filter}, {files} files");
                assert_eq!(cost.2, bytes, "{filter}, {files} files");
            }
        }
    }
}

#[tokio::test]
async fn sql_spares_payloads_and_says_so() {
    let harness = harness(1).await;
    let key = scattered(4_321) >> 20;
    let whole = cost(&harness, &ScanCommand { filter: None, ..one(0) }).await;
    let before = harness.counters.snapshot();
    let sql = format!("SELECT n, payload FROM data WHERE key = {key}");
    assert_eq!(harness.query(&sql).await.unwrap(), harness.direct(&sql).await);
    let bytes = harness.counters.snapshot().bytes - before.bytes;
    assert!(bytes < whole.2 / 2, "{bytes} of {}", whole.2);
    let analyzed = harness.query(&format!("EXPLAIN ANALYZE {sql}")).await.unwrap().join("\n");
    let (_, spared) = analyzed.split_once("payloads_spared=").expect(&analyzed);
    let spared: String = spared.chars().take_while(char::is_ascii_digit).collect();
    assert!(spared.parse::<i64>().unwrap() >= GROUPS / 2, "{analyzed}");
    let all = harness.query("EXPLAIN ANALYZE SELECT n, payload FROM data WHERE key % 7 > 0").await;
    assert!(all.unwrap().join("\n").contains("payloads_spared=0"));
}

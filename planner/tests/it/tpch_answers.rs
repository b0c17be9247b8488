//! TPC-H: answers do not depend on what is cached, where, or whether at all.

use std::{fmt::Write as _, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    util::pretty::pretty_format_batches,
};
use datafusion::object_store::{ObjectStore, memory::InMemory};

use flightcache_planner::EmbeddedSettings;

use crate::tpch::{Cached, direct, generate, queries};

const SCALE: f64 = 0.01;
const ROW_GROUP_ROWS: usize = 8_000;
const PARTITIONS: usize = 2;

fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

/// The physical plans, as they were looked at and found good: what differs is to be looked at, and
/// taken over from the file that the failure names.
const PLANS: &str = include_str!("../tpch/plans.txt");

#[tokio::test]
async fn plans_are_as_they_were_found_good() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    generate(&*store, SCALE, ROW_GROUP_ROWS).await;
    let settings = EmbeddedSettings {
        memory_bytes: 1 << 30,
        disk: None,
        decode_parallelism: PARTITIONS,
        remote: None,
    };
    let cached = Cached::new(store, settings).await;
    let mut plans = String::new();
    for (name, sql) in queries() {
        let (_, rows) = cached.query(&format!("EXPLAIN {sql}")).await.unwrap();
        let column =
            |at: usize| rows.iter().flat_map(move |batch| batch.column(at).as_string::<i32>());
        let plan = column(0).zip(column(1)).find(|(kind, _)| *kind == Some("physical_plan"));
        let plan = plan.and_then(|(_, plan)| plan).unwrap();
        writeln!(plans, "-- {name}\n{}", redacted(plan)).unwrap();
    }
    if plans != PLANS {
        let found = concat!(env!("CARGO_TARGET_TMPDIR"), "/plans.txt");
        std::fs::write(found, &plans).unwrap();
        let differs = plans.lines().zip(PLANS.lines()).find(|(found, known)| found != known);
        panic!("plans differ from tests/tpch/plans.txt, first {differs:?}; they are in {found}");
    }
}

/// A plan without where its files lie and are cut, which depends on how they were written.
fn redacted(plan: &str) -> String {
    let mut redacted = String::new();
    for line in plan.lines() {
        let (before, rest) = line.split_once("file_groups={").unwrap_or((line, ""));
        redacted.push_str(before);
        if let Some((groups, after)) = rest.split_once("]]}") {
            let number = groups.split_once(':').map_or(groups, |(number, _)| number);
            write!(redacted, "file_groups={{{number}}}{after}").unwrap();
        }
        redacted.push('\n');
    }
    redacted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_queries_answer_the_same_however_they_are_cached() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    generate(&*store, SCALE, ROW_GROUP_ROWS).await;
    let folder = tempfile::tempdir().unwrap();
    let open = |memory_bytes, disk| {
        let settings =
            EmbeddedSettings { memory_bytes, disk, decode_parallelism: PARTITIONS, remote: None };
        Cached::new(Arc::clone(&store), settings)
    };
    let roomy = open(1 << 30, None).await;
    let disk_alone = open(0, Some((folder.path().to_owned(), 1 << 30))).await;
    let direct = direct(Arc::clone(&store), PARTITIONS).await;

    let mut expected = Vec::new();
    for (name, sql) in queries() {
        let rows = direct.sql(&sql).await.unwrap().collect().await.unwrap();
        let rows: Vec<_> = rows.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        expected.push((name, sql, text(&rows)));
    }
    let check = async |what: &str, cached: &Cached| {
        for (name, sql, rows) in &expected {
            let found = cached.query(sql).await;
            let (_, found) = found.unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
            assert_eq!(&text(&found), rows, "{name}, {what}");
        }
    };
    check("cold", &roomy).await;
    let requests = |cached: &Cached| cached.cache.origin().snapshot().requests;
    let (cold, read) = (roomy.cache.memory(), requests(&roomy));
    check("warm", &roomy).await;
    assert_eq!((roomy.cache.memory().misses, requests(&roomy)), (cold.misses, read));

    let tight = open(cold.bytes / 10, None).await;
    check("a tenth of it in memory", &tight).await;
    assert!(tight.cache.memory().evictions > 0);

    check("filling the disk", &disk_alone).await;
    disk_alone.cache.flush().await;
    let read = requests(&disk_alone);
    check("on disk alone", &disk_alone).await;
    assert_eq!((requests(&disk_alone), disk_alone.cache.memory().hits), (read, 0));
    assert_eq!((roomy.sql.memory_bytes(), tight.sql.memory_bytes()), (0, 0));
}

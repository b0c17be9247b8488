//! TPC-H: answers do not depend on what is cached, where, or whether at all.

use std::sync::Arc;

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use datafusion::object_store::{ObjectStore, memory::InMemory};

use crate::tpch::{Cached, direct, generate, queries};

const SCALE: f64 = 0.01;
const ROW_GROUP_ROWS: usize = 8_000;
const PARTITIONS: usize = 2;

fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_queries_answer_the_same_however_they_are_cached() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    generate(&*store, SCALE, ROW_GROUP_ROWS).await;
    let folder = tempfile::tempdir().unwrap();
    let open = |memory, disk| Cached::new(Arc::clone(&store), memory, disk, PARTITIONS);
    let roomy = open(1 << 30, None).await;
    let disk_alone = open(0, Some((folder.path(), 1 << 30))).await;
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
    let (cold, requests) = (roomy.memory.snapshot(), roomy.origin.snapshot().requests);
    check("warm", &roomy).await;
    let warm = roomy.memory.snapshot();
    assert_eq!((warm.misses, roomy.origin.snapshot().requests), (cold.misses, requests));

    let tight = open(cold.bytes / 10, None).await;
    check("a tenth of it in memory", &tight).await;
    assert!(tight.memory.snapshot().evictions > 0);

    check("filling the disk", &disk_alone).await;
    disk_alone.disk.as_ref().unwrap().flush().await;
    let requests = disk_alone.origin.snapshot().requests;
    check("on disk alone", &disk_alone).await;
    assert_eq!(disk_alone.origin.snapshot().requests, requests);
    assert_eq!(disk_alone.memory.snapshot().hits, 0);
    assert_eq!((roomy.sql.memory_bytes(), tight.sql.memory_bytes()), (0, 0));
}

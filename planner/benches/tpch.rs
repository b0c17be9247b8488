//! TPC-H warm and cold, against DataFusion on in-memory tables and on the same Parquet files.
//!
//! `cargo bench --bench tpch -- [--scale 1] [--runs 3] [--queries q1,q6] [--latency-ms 30]`
//!
//! All sides run in this process, on the same threads, one after the other for each query.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on fails, and tells its figures"
)]

#[path = "../tests/tpch/mod.rs"]
mod tpch;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use datafusion::{
    datasource::MemTable,
    object_store::{ObjectStore, local::LocalFileSystem},
    prelude::SessionContext,
};
use flightcache_planner::STACK_BYTES;
use futures::StreamExt;

use tpch::{Cached, TABLES, direct, generate, queries};

struct Options {
    scale: f64,
    runs: usize,
    queries: Option<Vec<String>>,
}

impl Options {
    fn read() -> Self {
        let words: Vec<String> =
            std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let mut given: HashMap<&str, &str> = HashMap::new();
        for pair in words.chunks(2) {
            if let [name, value] = pair {
                given.insert(name, value);
            }
        }
        Self {
            scale: given.get("--scale").map_or(1.0, |scale| scale.parse().unwrap()),
            runs: given.get("--runs").map_or(3, |runs| runs.parse().unwrap()),
            queries: given
                .get("--queries")
                .map(|names| names.split(',').map(str::to_owned).collect()),
        }
    }
}

fn main() {
    let threads = std::thread::available_parallelism().unwrap().get();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::spawn(measure(Options::read(), threads)).await.unwrap();
    });
}

/// Wall and CPU seconds of some work.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: f64,
    cpu: f64,
}

async fn cost(work: impl Future<Output = usize>) -> Cost {
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    std::hint::black_box(work.await);
    Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu }
}

/// CPU seconds of this process, user and system.
fn cpu_seconds() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
}

async fn rows(context: &SessionContext, sql: &str) -> usize {
    let mut stream = context.sql(sql).await.unwrap().execute_stream().await.unwrap();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    rows
}

async fn cached_rows(cached: &Cached, sql: &str) -> usize {
    cached.query(sql).await.unwrap().1.iter().map(|batch| batch.num_rows()).sum()
}

/// The tables as DataFusion reads them, in memory, one batch list a partition.
async fn in_memory(files: &SessionContext, partitions: usize) -> SessionContext {
    let context = SessionContext::new_with_config(
        datafusion::prelude::SessionConfig::new().with_target_partitions(partitions),
    );
    for name in TABLES {
        let table = files.table(name).await.unwrap();
        let schema = Arc::clone(table.schema().inner());
        let batches = table.collect().await.unwrap();
        let size = batches.len().div_ceil(partitions).max(1);
        let parts = batches.chunks(size).map(<[_]>::to_vec).collect();
        let table = MemTable::try_new(schema, parts).unwrap();
        context.register_table(name, Arc::new(table)).unwrap();
    }
    context
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|left, right| left.wall.total_cmp(&right.wall));
    let mut cpu: Vec<f64> = costs.iter().map(|cost| cost.cpu).collect();
    cpu.sort_by(f64::total_cmp);
    Cost { wall: costs[costs.len() / 2].wall, cpu: cpu[cpu.len() / 2] }
}

async fn measure(options: Options, partitions: usize) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    generate(&*store, options.scale, 1 << 20).await;
    let files = direct(Arc::clone(&store), partitions).await;
    let memory = in_memory(&files, partitions).await;
    let cached = Cached::new(store, 16 << 30, None, partitions).await;

    println!(
        "| query | cached s | in memory s | ratio | Parquet s | ratio | CPU s: cached | in memory | Parquet |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut sums = [Cost::default(); 3];
    for (name, sql) in queries() {
        if options.queries.as_ref().is_some_and(|wanted| !wanted.contains(&name)) {
            continue;
        }
        cached_rows(&cached, &sql).await;
        let mut costs = [const { Vec::new() }; 3];
        for _ in 0..options.runs {
            costs[0].push(cost(cached_rows(&cached, &sql)).await);
            costs[1].push(cost(rows(&memory, &sql)).await);
            costs[2].push(cost(rows(&files, &sql)).await);
        }
        let medians = costs.map(median);
        print_row(&name, medians);
        for (sum, cost) in sums.iter_mut().zip(medians) {
            sum.wall += cost.wall;
            sum.cpu += cost.cpu;
        }
    }
    print_row("sum", sums);
    tokio::time::sleep(Duration::ZERO).await;
}

fn print_row(name: &str, [cached, memory, files]: [Cost; 3]) {
    println!(
        "| {name} | {:.3} | {:.3} | {:.2} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} |",
        cached.wall,
        memory.wall,
        cached.wall / memory.wall,
        files.wall,
        cached.wall / files.wall,
        cached.cpu,
        memory.cpu,
        files.cpu
    );
}

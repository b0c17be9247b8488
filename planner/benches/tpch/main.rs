//! TPC-H through the cache, against DataFusion on in-memory tables and on the same Parquet files.
//!
//! `cargo bench --bench tpch -- [--part warm|distant|budget|size] [--scale 1] [--runs 5]
//! [--queries q1,q6]`; without a part, all of them. Prints Markdown.
//!
//! All sides run in this process, on the same threads, one after the other for each query.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails, and tells its figures"
)]

mod distant;
mod forms;
mod measure;
#[path = "../../tests/tpch/mod.rs"]
mod tpch;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use datafusion::{
    datasource::MemTable,
    object_store::{ObjectStore, local::LocalFileSystem},
    prelude::{SessionConfig, SessionContext},
};
use flightcache_planner::{EmbeddedSettings, STACK_BYTES};

use distant::{Distant, Reads};
use measure::{Cost, cost, median, rows};
use tpch::{Cached, TABLES, direct, generate, queries};

/// Imitated time to the first byte of a read.
const WAIT: Duration = Duration::from_millis(30);
const ROW_GROUP_ROWS: usize = 1 << 20;

struct Bench {
    parts: Vec<String>,
    scale: f64,
    runs: usize,
    queries: Vec<(String, String)>,
    partitions: usize,
    folder: tempfile::TempDir,
    store: Arc<dyn ObjectStore>,
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
        Box::pin(Bench::new(threads).await.run()).await;
    });
}

impl Bench {
    async fn new(partitions: usize) -> Self {
        let words: Vec<String> =
            std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let given: HashMap<&str, &str> = words
            .chunks(2)
            .filter_map(|pair| Some((pair.first()?.as_str(), pair.get(1)?.as_str())))
            .collect();
        let names = |key, all: &str| {
            let given = given.get(key).copied().unwrap_or(all);
            given.split(',').map(str::to_owned).collect::<Vec<_>>()
        };
        let (wanted, mut queries) = (names("--queries", ""), queries());
        queries.retain(|(name, _)| wanted == [""] || wanted.contains(name));
        let folder = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let bench = Self {
            parts: names("--part", "warm,distant,budget,size"),
            scale: given.get("--scale").map_or(1.0, |scale| scale.parse().unwrap()),
            runs: given.get("--runs").map_or(5, |runs| runs.parse().unwrap()),
            queries,
            partitions,
            folder,
            store: Arc::new(store),
        };
        generate(&*bench.store, bench.scale, ROW_GROUP_ROWS).await;
        bench
    }

    async fn run(self) {
        for part in &self.parts {
            match part.as_str() {
                "warm" => Box::pin(self.warm()).await,
                "distant" => Box::pin(self.distant()).await,
                "budget" => Box::pin(self.budget()).await,
                "size" => Box::pin(self.size()).await,
                other => println!("no part is called {other}"),
            }
            println!();
        }
    }

    async fn cached(&self, memory_bytes: u64, disk: Option<(PathBuf, u64)>) -> Cached {
        let settings = EmbeddedSettings {
            memory_bytes,
            disk,
            decode_parallelism: self.partitions,
            remote: None,
        };
        Cached::new(Arc::clone(&self.store), settings).await
    }

    /// Everything in memory on all sides, or in the page cache.
    async fn warm(&self) {
        let files = direct(Arc::clone(&self.store), self.partitions).await;
        let memory = in_memory(&files, self.partitions).await;
        let cached = self.cached(16 << 30, None).await;
        println!(
            "| TPC-H, scale {}, warm | cached | in-memory tables | ratio | Parquet in the page cache | ratio | CPU: cached | in memory | Parquet |",
            self.scale
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        let mut sums = [Cost::default(); 3];
        for (name, sql) in &self.queries {
            cached.query(sql).await.unwrap();
            let mut costs = [const { Vec::new() }; 3];
            for _ in 0..self.runs {
                costs[0].push(cost(async { cached.query(sql).await.unwrap().1 }).await);
                costs[1].push(cost(rows(&memory, sql)).await);
                costs[2].push(cost(rows(&files, sql)).await);
            }
            let medians = costs.each_ref().map(|costs| median(costs));
            print_warm(name, medians);
            for (sum, cost) in sums.iter_mut().zip(medians) {
                sum.wall += cost.wall;
                sum.cpu += cost.cpu;
            }
        }
        print_warm("sum", sums);
    }

    /// The store some way off: DataFusion reads it again for every query, the cache once.
    async fn distant(&self) {
        let far = || Arc::new(Distant::new(Arc::clone(&self.store), WAIT));
        let (theirs, ours) = (far(), far());
        let files = direct(Arc::clone(&theirs) as _, self.partitions).await;
        let settings = EmbeddedSettings {
            memory_bytes: 16 << 30,
            disk: None,
            decode_parallelism: self.partitions,
            remote: None,
        };
        let cached = Cached::new(Arc::clone(&ours) as _, settings).await;
        println!(
            "| TPC-H, scale {}, {WAIT:?} to the first byte | wall | CPU | requests | bytes |",
            self.scale
        );
        println!("| --- | --- | --- | --- | --- |");
        let started = theirs.reads();
        let cost = self.all(async |sql| assert!(rows(&files, sql).await < usize::MAX)).await;
        print_distant("DataFusion", cost, started, theirs.reads());
        for what in ["cache, cold", "cache, warm"] {
            let started = ours.reads();
            let cost = self.all(async |sql| drop(cached.query(sql).await.unwrap())).await;
            print_distant(what, cost, started, ours.reads());
        }
    }

    async fn all(&self, query: impl AsyncFn(&str)) -> Cost {
        cost(async {
            for (_, sql) in &self.queries {
                query(sql).await;
            }
        })
        .await
    }

    /// Less memory than the queries use, with all of it on disk.
    async fn budget(&self) {
        let roomy = self.cached(16 << 30, None).await;
        self.all(async |sql| drop(roomy.query(sql).await.unwrap())).await;
        let set = roomy.cache.memory().bytes;
        drop(roomy);
        println!(
            "| TPC-H, scale {}, second round | wall | CPU | memory hits | disk hits | from the store |",
            self.scale
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        for percent in [25, 50, 120] {
            let disk = self.folder.path().join(format!("disk-{percent}"));
            let cached = self.cached(set * percent / 100, Some((disk, 4 * set))).await;
            self.all(async |sql| drop(cached.query(sql).await.unwrap())).await;
            cached.cache.flush().await;
            let (memory, disk) = (cached.cache.memory(), cached.cache.disk().unwrap());
            let read = cached.cache.origin().snapshot();
            let cost = self.all(async |sql| drop(cached.query(sql).await.unwrap())).await;
            let (after, on_disk) = (cached.cache.memory(), cached.cache.disk().unwrap());
            let asked = after.hits + after.misses + after.joined
                - (memory.hits + memory.misses + memory.joined);
            let share = |hits: u64| 100.0 * hits as f64 / asked as f64;
            println!(
                "| memory for {percent} % of {:.2} GB | {:.2} s | {:.2} s | {:.0} % | {:.0} % | {:.1} MB |",
                set as f64 / 1e9,
                cost.wall,
                cost.cpu,
                share(after.hits - memory.hits),
                share(on_disk.hits - disk.hits),
                (cached.cache.origin().snapshot().bytes - read.bytes) as f64 / 1e6,
            );
        }
    }

    /// What a table takes in memory, against its Parquet, and what it could take.
    async fn size(&self) {
        println!("| TPC-H, scale {} | Parquet | in memory | ratio |", self.scale);
        println!("| --- | --- | --- | --- |");
        for table in TABLES {
            let cached = self.cached(16 << 30, None).await;
            cached.query(&format!("SELECT * FROM {table}")).await.unwrap();
            let held = cached.cache.memory().bytes as f64;
            let file = self.folder.path().join(table).join("part-0.parquet");
            let stored = std::fs::metadata(file).unwrap().len() as f64;
            println!(
                "| {table} | {:.1} MB | {:.1} MB | {:.2} |",
                stored / 1e6,
                held / 1e6,
                held / stored
            );
        }

        println!();
        let cached = self.cached(16 << 30, None).await;
        let sql = "SELECT * FROM lineitem LIMIT 1000000";
        let (schema, batches) = cached.query(sql).await.unwrap();
        forms::print(&schema, &batches);
    }
}

/// The tables as DataFusion reads them, in memory, one list of batches a partition.
async fn in_memory(files: &SessionContext, partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions);
    let context = SessionContext::new_with_config(config);
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

fn print_warm(name: &str, [cached, memory, files]: [Cost; 3]) {
    println!(
        "| {name} | {:.3} s | {:.3} s | {:.2} | {:.3} s | {:.2} | {:.2} s | {:.2} s | {:.2} s |",
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

fn print_distant(what: &str, cost: Cost, before: Reads, after: Reads) {
    println!(
        "| {what} | {:.2} s | {:.2} s | {} | {:.1} MB |",
        cost.wall,
        cost.cpu,
        after.requests - before.requests,
        (after.bytes - before.bytes) as f64 / 1e6
    );
}

//! The cache inside a DataFusion program: a few lines more, and Parquet is read and decoded once.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc};

use datafusion::{
    arrow::util::pretty::pretty_format_batches,
    execution::SessionStateBuilder,
    object_store::{ObjectStore, memory::InMemory},
    prelude::{ParquetReadOptions, SessionContext},
};
use flightcache_planner::{EmbeddedCache, EmbeddedSettings};
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What a program has already: a store, registered under its URL. Here it is in memory; on
    // Azure it is object_store's `MicrosoftAzureBuilder`.
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let url = Url::parse("demo://trips")?;

    // The cache: its size, the store, and the rules that rewrite scans.
    let settings =
        EmbeddedSettings { memory_bytes: 1 << 30, disk: None, decode_parallelism: 2, remote: None };
    let cache = EmbeddedCache::open(settings).await?;
    cache.register_store(url.as_str(), Arc::clone(&store));
    let builder = SessionStateBuilder::new().with_default_features();
    let context = SessionContext::new_with_state(cache.rewrites(builder).build());

    // Everything else stays as it was.
    context.runtime_env().register_object_store(&url, store);
    context
        .sql(
            "COPY (SELECT value AS id, value % 7 AS day FROM range(0, 100000)) \
              TO 'demo://trips/2026.parquet'",
        )
        .await?
        .collect()
        .await?;
    context.register_parquet("trips", "demo://trips/", ParquetReadOptions::default()).await?;
    for _ in 0..2 {
        let query = "EXPLAIN ANALYZE SELECT day, count(*) FROM trips WHERE id > 50000 GROUP BY day";
        let rows = context.sql(query).await?.collect().await?;
        println!("{}", pretty_format_batches(&rows)?);
    }
    let memory = cache.memory();
    println!("{} hits, {} misses, {} bytes", memory.hits, memory.misses, memory.bytes);
    Ok(())
}

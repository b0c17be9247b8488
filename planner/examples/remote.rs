//! A DataFusion program that reads through a Flightcache server, and through the store where the
//! server is of no help: `remote grpc://127.0.0.1:50051 file:///data/lineitem/ "SELECT ..."`, whose
//! table is `t`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, sync::Arc};

use datafusion::{
    arrow::util::pretty::pretty_format_batches,
    execution::SessionStateBuilder,
    object_store::{ObjectStore, local::LocalFileSystem},
    prelude::{ParquetReadOptions, SessionContext},
};
use flightcache_planner::{
    EmbeddedCache, EmbeddedSettings,
    remote::{Connection, RemoteSettings},
};
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let (server, table, query) = (next("the server")?, next("the table")?, next("the query")?);

    // What a program has already; on Azure the store is object_store's `MicrosoftAzureBuilder`.
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
    let url = Url::parse("file://")?;

    // The server, and a small cache of what came from it. The server must serve the same URLs.
    let remote = Some(RemoteSettings::new(Connection::new(&server, None)?));
    let settings =
        EmbeddedSettings { memory_bytes: 64 << 20, disk: None, decode_parallelism: 2, remote };
    let cache = EmbeddedCache::open(settings).await?;
    cache.register_store(url.as_str(), Arc::clone(&store));
    let builder = SessionStateBuilder::new().with_default_features();
    let context = SessionContext::new_with_state(cache.rewrites(builder).build());

    // Everything else stays as it was.
    context.runtime_env().register_object_store(&url, store);
    context.register_parquet("t", table, ParquetReadOptions::default()).await?;
    let rows = context.sql(&query).await?.collect().await?;
    println!("{}", pretty_format_batches(&rows)?);
    let ways = cache.remote().unwrap_or_default();
    println!("{} chunks from the server, {} from the store", ways.chunks, ways.fallbacks);
    Ok(())
}

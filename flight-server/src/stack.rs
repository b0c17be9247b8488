//! The cache stack of a node, composed in this one place.
//!
//! ```text
//!  planner ─► memory tier ─► meter ─► I/O runtime ─► disk tier ─► meter ─► Parquet origin
//!  footers ───────────────────────► I/O runtime ─► disk tier ──────────► footer origin
//! ```
//!
//! Every arrow is [`ChunkSource::fetch`]. Callers run on the CPU runtime; what lies behind the
//! boundary does I/O and runs on the I/O runtime, and the origin decodes on the CPU runtime's
//! blocking threads.

use std::sync::Arc;

use async_trait::async_trait;
use flightcache_cache::{
    Chunk, ChunkSource, DiskSettings, DiskStore, DiskTier, Error, FetchRequest, MemoryBudget,
    MemorySettings, MemoryTier, Meter, Result,
};
use flightcache_connectors::{FooterOrigin, Footers, OriginCounters, ParquetOrigin, Stores};
use object_store::ObjectStore;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    config::Config,
    metrics::{Latencies, Latency},
};

/// Bytes of chunks that wait to be written to disk, at most.
const PENDING_WRITES_BYTES: u64 = 256 << 20;

/// The tiers of a node and what stands behind them.
#[derive(Clone, Debug)]
pub struct Stack {
    /// What scans read.
    pub memory: MemoryTier<Arc<dyn ChunkSource>>,
    /// The files of the disk tier, if there is one.
    pub disk: Option<DiskStore>,
    /// Parsed footers.
    pub footers: Arc<Footers>,
    /// The object stores.
    pub stores: Arc<Stores>,
    /// What the object stores were asked for.
    pub origin: Arc<OriginCounters>,
}

/// A store inside this process, served under a URL prefix of its own.
#[derive(Debug)]
pub struct Embedded {
    /// The prefix, such as `demo://store`.
    pub prefix: String,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
}

impl Stack {
    /// Composes the stack that `config` describes.
    ///
    /// # Errors
    /// `Invalid` naming a store option that is wrong, or a cache folder that cannot be used.
    pub async fn build(
        config: &Config,
        embedded: Option<Embedded>,
        io: &Handle,
        cpu: &Handle,
        latencies: &Latencies,
    ) -> Result<Self> {
        let origin = Arc::new(OriginCounters::default());
        let mut limits = config.origin.clone();
        // What cannot fit even when nothing else is there would take the room of all others.
        let room = config.cache.memory.saturating_add(config.cache.fill_headroom());
        limits.max_fragment_bytes = limits.max_fragment_bytes.min(room);
        let stores = Stores::new(config.stores.clone(), limits, Arc::clone(&origin))?;
        let stores = Arc::new(stores);
        if let Some(Embedded { prefix, store }) = embedded {
            stores.register(&prefix, store);
        }
        let disk = open_disk(config).await?;
        let behind_disk = |source: Arc<dyn ChunkSource>| -> Arc<dyn ChunkSource> {
            let source = match &disk {
                Some(disk) => Arc::new(DiskTier::new(source, disk.clone())),
                None => source,
            };
            Arc::new(OnRuntime { source, runtime: io.clone() })
        };

        let raw = Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone()));
        let footers = Footers::new(
            Arc::clone(&stores),
            behind_disk(raw),
            config.cache.footers(),
            cpu.clone(),
        );
        let footers = Arc::new(footers);

        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        let parquet =
            ParquetOrigin::new(Arc::clone(&footers), Arc::clone(&stores), cpu.clone(), parallelism);
        let parquet = Meter::new(parquet, observer(&latencies.origin_fetch));
        let fills = Meter::new(behind_disk(Arc::new(parquet)), observer(&latencies.fill));
        let settings = MemorySettings {
            capacity_bytes: config.cache.memory,
            max_fills: config.cache.max_fills,
            queue_timeout: config.server.queue_timeout,
            fill_timeout: config.cache.fill_timeout,
        };
        let budget = MemoryBudget::new(config.cache.memory, config.cache.fill_headroom());
        let sized = Arc::clone(&footers);
        let estimate = Arc::new(move |request: &FetchRequest| sized.filled_bytes(request));
        let fills: Arc<dyn ChunkSource> = Arc::new(fills);
        let memory = MemoryTier::new(fills, settings, budget, estimate);
        Ok(Self { memory, disk, footers, stores, origin })
    }
}

async fn open_disk(config: &Config) -> Result<Option<DiskStore>> {
    let Some(folder) = config.cache.dir.clone().filter(|_| config.cache.disk > 0) else {
        return Ok(None);
    };
    let settings = DiskSettings {
        folder,
        capacity_bytes: config.cache.disk,
        pending_bytes: PENDING_WRITES_BYTES.min(config.cache.disk / 4),
    };
    DiskStore::open(settings).await.map(Some)
}

fn observer(latency: &Latency) -> Arc<dyn Fn(std::time::Duration) + Send + Sync> {
    let latency = latency.clone();
    Arc::new(move |elapsed| latency.observe(elapsed))
}

/// A source whose work runs on another runtime than its callers', and ends with the caller: who
/// gives a fill up after its time must not leave its request behind.
#[derive(Debug)]
struct OnRuntime {
    source: Arc<dyn ChunkSource>,
    runtime: Handle,
}

#[async_trait]
impl ChunkSource for OnRuntime {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let (source, request) = (Arc::clone(&self.source), request.clone());
        let task = self.runtime.spawn(async move { source.fetch(&request).await });
        let mut task = AbortOnDrop(task);
        (&mut task.0)
            .await
            .unwrap_or_else(|error| Err(Error::internal("a fill was cut").with_source(error)))
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use flightcache_cache::fault::{FaultSource, Synthetic, object};
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_fetched_on() {
        let origin = FaultSource::new(Synthetic { rows: 1 });
        let (held, runtime) = (Arc::new(origin.clone()), Handle::current());
        let source = OnRuntime { source: held, runtime };
        let request = FetchRequest::columns(object("a"), 0, &[1]);
        let _gate = origin.close_gate();
        let fetches = Arc::downgrade(&source.source);
        assert!(source.fetch(&request).now_or_never().is_none());
        drop(source);
        while fetches.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

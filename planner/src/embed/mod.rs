//! The cache inside another DataFusion program.

mod rewrite;
mod uncached;

use std::{path::PathBuf, sync::Arc, time::Duration};

use datafusion::{execution::SessionStateBuilder, object_store::ObjectStore};
use flightcache_cache::{
    ChunkSource, DiskSettings, DiskSnapshot, DiskStore, DiskTier, FetchRequest, MemoryBudget,
    MemorySettings, MemorySnapshot, MemoryTier, Result,
};
use flightcache_connectors::{
    Dataset, FooterOrigin, Footers, OriginCounters, OriginSettings, ParquetOrigin, Stores,
};
use tokio::runtime::Handle;

use crate::{
    Planner,
    embed::rewrite::{CacheScans, NameUncached, Rewrite},
    remote::{RemoteSettings, RemoteSnapshot, RemoteSource},
};

/// How large an embedded cache may become.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Bytes of decoded columns in memory.
    pub memory_bytes: u64,
    /// A folder for what does not fit, and the bytes it may hold.
    pub disk: Option<(PathBuf, u64)>,
    /// Columns decoded at a time.
    pub decode_parallelism: usize,
    /// A Flightcache server that is asked for what neither holds, before the object stores are.
    pub remote: Option<RemoteSettings>,
}

/// The tiers of a node without a server: memory, disk, perhaps a server elsewhere, and Parquet in
/// the object stores that are registered with it. `Clone` shares them.
///
/// DataFusion sessions that [`rewrites`](Self::rewrites) set up read through it; their plans show
/// each scan as `cached parquet`, or say why it is not.
#[derive(Clone, Debug)]
pub struct EmbeddedCache {
    stores: Arc<Stores>,
    memory: MemoryTier<Arc<dyn ChunkSource>>,
    disk: Option<DiskStore>,
    remote: Option<RemoteSource<Arc<dyn ChunkSource>>>,
    planner: Arc<Planner>,
}

impl EmbeddedCache {
    /// An empty cache, or what the folder holds from before. To be called on the runtime that
    /// queries run on: columns are decoded on its blocking threads.
    ///
    /// # Errors
    /// `Invalid` if the folder cannot be used, or the server's token or certificates.
    pub async fn open(settings: EmbeddedSettings) -> Result<Self> {
        let counters = Arc::new(OriginCounters::default());
        let stores = Arc::new(Stores::new(Vec::new(), OriginSettings::default(), counters)?);
        let disk = match settings.disk {
            Some((folder, capacity_bytes)) => {
                let pending_bytes = PENDING_WRITES_BYTES.min(capacity_bytes / 4);
                let settings = DiskSettings { folder, capacity_bytes, pending_bytes };
                Some(DiskStore::open(settings).await?)
            }
            None => None,
        };
        let behind_disk = |source: Arc<dyn ChunkSource>| -> Arc<dyn ChunkSource> {
            match &disk {
                Some(disk) => Arc::new(DiskTier::new(source, disk.clone())),
                None => source,
            }
        };
        let cpu = Handle::current();
        let raw = behind_disk(Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone())));
        let footers = Arc::new(Footers::new(Arc::clone(&stores), raw, FOOTERS_BYTES, cpu.clone()));
        let parallelism = settings.decode_parallelism.max(1);
        let parquet =
            ParquetOrigin::new(Arc::clone(&footers), Arc::clone(&stores), cpu, parallelism);
        let mut origin: Arc<dyn ChunkSource> = Arc::new(parquet);
        let remote = settings
            .remote
            .as_ref()
            .map(|remote| RemoteSource::new(remote, Arc::clone(&footers), Arc::clone(&origin)));
        let remote = remote.transpose()?;
        if let Some(remote) = &remote {
            origin = Arc::new(remote.clone());
        }
        // What a node took of a fill's time, the store has still.
        let remote_timeout =
            settings.remote.as_ref().map_or(Duration::ZERO, RemoteSettings::patience);
        let limits = MemorySettings {
            capacity_bytes: settings.memory_bytes,
            max_fills: MAX_FILLS,
            queue_timeout: TIMEOUT,
            fill_timeout: TIMEOUT + remote_timeout,
        };
        let sized = Arc::clone(&footers);
        let estimate = Arc::new(move |request: &FetchRequest| sized.filled_bytes(request));
        let headroom = (settings.memory_bytes / 4).max(LEAST_HEADROOM_BYTES);
        let budget = MemoryBudget::new(settings.memory_bytes, headroom);
        let memory = MemoryTier::new(behind_disk(origin), limits, budget, estimate);
        let planner = Planner::new(Arc::new(memory.clone()), footers, headroom / 2);
        Ok(Self { stores, memory, disk, remote, planner: Arc::new(planner) })
    }

    /// Caches what is read from `store` under `url`, the same as the session registers it with: the
    /// URL by which a server elsewhere is asked for its objects.
    pub fn register_store(&self, url: &str, store: Arc<dyn ObjectStore>) {
        self.stores.register(url, store);
    }

    /// `builder` with the rules that turn Parquet scans of registered stores into cached ones.
    pub fn rewrites(&self, mut builder: SessionStateBuilder) -> SessionStateBuilder {
        let rewrite =
            Rewrite { context: self.planner.context().clone(), stores: Arc::clone(&self.stores) };
        let rules = builder.physical_optimizers().take().unwrap_or_default();
        let mut rules = rules.rules;
        rules.insert(0, Arc::new(CacheScans(rewrite.clone())));
        rules.push(Arc::new(NameUncached(rewrite)));
        builder.with_physical_optimizer_rules(rules)
    }

    /// A dataset of the files under `url` in a registered store, listed anew when it is older than
    /// `revalidate_after`.
    ///
    /// # Errors
    /// `Invalid` if the URL is malformed.
    pub fn dataset(&self, name: &str, url: &str, revalidate_after: Duration) -> Result<Dataset> {
        Dataset::new(name, url, revalidate_after, Arc::clone(&self.stores))
    }

    /// Plans scans and SQL over datasets.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// What the memory tier counted.
    pub fn memory(&self) -> MemorySnapshot {
        self.memory.snapshot()
    }

    /// What the disk tier counted, if there is one.
    pub fn disk(&self) -> Option<DiskSnapshot> {
        self.disk.as_ref().map(DiskStore::snapshot)
    }

    /// What the server was asked for and gave, if there is one.
    pub fn remote(&self) -> Option<RemoteSnapshot> {
        self.remote.as_ref().map(RemoteSource::snapshot)
    }

    /// What the object stores were asked for.
    pub fn origin(&self) -> &Arc<OriginCounters> {
        self.stores.counters()
    }

    /// Waits until what was read is on disk.
    pub async fn flush(&self) {
        if let Some(disk) = &self.disk {
            disk.flush().await;
        }
    }
}

/// Bytes of chunks that wait to be written to disk, at most.
const PENDING_WRITES_BYTES: u64 = 256 << 20;
/// Bytes of parsed footers, at most.
const FOOTERS_BYTES: u64 = 64 << 20;
/// Bytes beside a small cache for what queries hold and fills decode.
const LEAST_HEADROOM_BYTES: u64 = 512 << 20;
/// Fills that run at a time.
const MAX_FILLS: usize = 64;
/// How long a fill may wait, and how long it may take.
const TIMEOUT: Duration = Duration::from_mins(1);

//! A node: datasets, planner, cache stack, ticket keys and ceilings, without any network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flightcache_cache::{Error, ObjectId, Result, Waiters};
use flightcache_connectors::Dataset;
use flightcache_planner::Planner;
use flightcache_protocol::{
    DiskStats, EvictReply, FlightStats, MemoryStats, OriginStats, Stats, TicketKeys,
};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinError};

use crate::{
    auth::{self, Watched},
    config::{Config, ServerConfig},
    datasets::Datasets,
    metrics::{Latencies, StatsSource},
    sql::Engine,
    stack::{Embedded, Stack},
};

/// Everything that serves requests; shared by all of them.
#[derive(Debug)]
pub struct Node {
    /// What is served.
    pub datasets: Datasets,
    /// Plans and reads scans.
    pub planner: Planner,
    /// Answers SQL.
    pub sql: Engine,
    /// The tiers.
    pub stack: Stack,
    /// Seal and open tickets.
    pub ticket_keys: Arc<Watched<TicketKeys>>,
    /// Addresses and ceilings.
    pub settings: ServerConfig,
    /// Histograms of latency.
    pub latencies: Latencies,
    /// Where queries and encoding run.
    pub cpu: Handle,
    /// One permit a stream.
    pub streams: Arc<Semaphore>,
    /// One permit for each KiB of messages that are under way.
    pub stream_memory: Arc<Semaphore>,
    /// One permit for each KiB of batches under way that are no part of a chunk.
    pub copies: Arc<Semaphore>,
    /// Figures of streams.
    pub flight: FlightCounters,
}

/// Counts streams to clients.
#[derive(Debug, Default)]
pub struct FlightCounters {
    /// Streams open.
    pub streams_open: AtomicU64,
    /// Streams opened.
    pub streams: AtomicU64,
    /// Bytes of messages handed to the transport.
    pub bytes: AtomicU64,
}

impl Node {
    /// The node that `config` describes, doing I/O on `io` and everything else on `cpu`.
    ///
    /// # Errors
    /// `Invalid` naming what of the configuration cannot be used.
    pub async fn build(
        config: &Config,
        embedded: Option<Embedded>,
        io: &Handle,
        cpu: &Handle,
    ) -> Result<Self> {
        let latencies = Latencies::default();
        let stack = Stack::build(config, embedded, io, cpu, &latencies).await?;
        let datasets = Datasets::new(config, &stack.stores)?;
        // Half the room beside the cache, so that what scans need next always finds the other half.
        let ahead = config.cache.fill_headroom() / 2;
        let chunks = Arc::new(stack.memory.clone());
        let planner = Planner::new(chunks, Arc::clone(&stack.footers), ahead);
        let settings = config.server.clone();
        let kib = |bytes: u64| {
            let kib = usize::try_from(bytes >> 10).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS)))
        };
        Ok(Self {
            datasets,
            sql: Engine::new(config, &planner)?,
            planner,
            stack,
            ticket_keys: auth::ticket_keys(&settings)?,
            streams: Arc::new(Semaphore::new(settings.max_streams)),
            stream_memory: kib(settings.stream_memory),
            copies: kib(config.cache.copies()),
            settings,
            latencies,
            cpu: cpu.clone(),
            flight: FlightCounters::default(),
        })
    }

    /// Does `work` where planning and decoding belong; a panic there is an error here.
    ///
    /// # Errors
    /// What `work` fails with; `Data` if it panics, as decoders and pruning do on some broken files;
    /// `Unavailable` if the node shuts down.
    pub async fn on_cpu<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.cpu.spawn(work).await.unwrap_or_else(|ended| Err(cut(&ended)))
    }

    /// Those who wait for memory or for a stream.
    pub fn waiters(&self) -> &Waiters {
        self.stack.memory.budget().waiters()
    }

    /// Drops every chunk of `dataset`, of all its versions, from memory and disk.
    pub async fn evict(&self, dataset: &Dataset) -> EvictReply {
        let location = dataset.location();
        let (store, container) =
            (location.store.name().to_owned(), location.store.container().to_owned());
        let path = location.path.trim_matches('/').to_owned();
        let inside = move |object: &ObjectId| {
            object.store == store
                && object.container == container
                && object
                    .path
                    .strip_prefix(&path)
                    .is_some_and(|rest| rest.is_empty() || path.is_empty() || rest.starts_with('/'))
        };
        let memory_bytes = self.stack.memory.evict(&inside);
        let disk_bytes = match &self.stack.disk {
            Some(disk) => disk.evict(inside).await,
            None => 0,
        };
        EvictReply { memory_bytes, disk_bytes }
    }
}

impl StatsSource for Node {
    fn stats(&self) -> Stats {
        let memory = self.stack.memory.snapshot();
        let disk = self.stack.disk.as_ref().map(flightcache_cache::DiskStore::snapshot);
        let origin = self.stack.origin.snapshot();
        Stats {
            memory: MemoryStats {
                hits: memory.hits,
                misses: memory.misses,
                joined: memory.joined,
                evictions: memory.evictions,
                bytes: memory.bytes,
                capacity: self.stack.memory.budget().capacity(),
            },
            disk: disk.map_or_else(DiskStats::default, |disk| DiskStats {
                hits: disk.hits,
                misses: disk.misses,
                evictions: disk.evictions,
                corrupt: disk.corrupt,
                read_errors: disk.read_errors,
                write_errors: disk.write_errors,
                writes_skipped: disk.writes_skipped,
                writes_rejected: disk.writes_rejected,
                leases: disk.leases,
                bytes: disk.bytes,
                capacity: disk.capacity,
            }),
            origin: OriginStats {
                requests: origin.requests,
                bytes: origin.bytes,
                errors: origin.errors,
                throttled: origin.throttled,
                metadata_requests: origin.metadata_requests,
            },
            flight: FlightStats {
                streams_open: self.flight.streams_open.load(Ordering::Relaxed),
                streams: self.flight.streams.load(Ordering::Relaxed),
                bytes: self.flight.bytes.load(Ordering::Relaxed),
            },
            sql: self.sql.stats(),
        }
    }
}

/// What a task that planned or read a scan ended with, if not with a result.
pub(crate) fn cut(ended: &JoinError) -> Error {
    if ended.is_panic() {
        Error::data("some file of the scan cannot be decoded: its bytes or statistics are broken")
    } else {
        Error::unavailable("the node shuts down: read on elsewhere")
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

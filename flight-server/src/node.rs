//! A node: datasets, planner, cache stack, ticket key and ceilings, without any network.

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
    DiskStats, EvictReply, FlightStats, MemoryStats, OriginStats, Stats, TicketKey,
};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    config::{Config, ServerConfig},
    datasets::Datasets,
    metrics::{Latencies, StatsSource},
    stack::{Embedded, Stack},
};

/// Everything that serves requests; shared by all of them.
#[derive(Debug)]
pub struct Node {
    /// What is served.
    pub datasets: Datasets,
    /// Plans and reads scans.
    pub planner: Planner,
    /// The tiers.
    pub stack: Stack,
    /// Seals and opens tickets.
    pub ticket_key: TicketKey,
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
        let ahead = config.cache.headroom() / 2;
        let chunks = Arc::new(stack.memory.clone());
        let planner = Planner::new(chunks, Arc::clone(&stack.footers), ahead);
        let settings = config.server.clone();
        let kib = usize::try_from(settings.stream_memory >> 10).unwrap_or(usize::MAX);
        Ok(Self {
            datasets,
            planner,
            stack,
            ticket_key: ticket_key(&settings)?,
            streams: Arc::new(Semaphore::new(settings.max_streams)),
            stream_memory: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            settings,
            latencies,
            cpu: cpu.clone(),
            flight: FlightCounters::default(),
        })
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
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn ticket_key(settings: &ServerConfig) -> Result<TicketKey> {
    let Some(path) = &settings.ticket_key_file else {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::internal(format!("no random bytes for a key: {error}")))?;
        return Ok(TicketKey::derive(&secret));
    };
    let secret = std::fs::read(path).map_err(|error| {
        Error::invalid(format!("ticket_key_file {} cannot be read: {error}", path.display()))
    })?;
    if secret.len() < 16 {
        return Err(Error::invalid(format!(
            "ticket_key_file {} holds {} bytes: give it at least 16 random ones",
            path.display(),
            secret.len()
        )));
    }
    Ok(TicketKey::derive(&secret))
}

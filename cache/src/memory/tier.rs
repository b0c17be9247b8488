//! The tier itself: look up, claim, fill, insert.

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::{Instant, timeout, timeout_at};

use super::flight::{Claim, Flight, Flights, Outcome};
use crate::{
    Chunk, ChunkKey, ChunkSource, Error, FetchRequest, MemoryBudget, ObjectId, Result, Slots, Tally,
};

/// Bytes an entry costs beside its chunk and the text of its key: key, nodes and counters.
const ENTRY_OVERHEAD: usize = 256;

/// Guesses how many bytes a fill will decode to; the guess is leased before the fill begins.
pub type EstimateBytes = Arc<dyn Fn(&FetchRequest) -> u64 + Send + Sync>;

/// Limits of a [`MemoryTier`].
#[derive(Clone, Debug)]
pub struct MemorySettings {
    /// Most bytes cached, keys included.
    pub capacity_bytes: u64,
    /// Most fills that run at a time; others wait. A store has at most three times as many as are
    /// left free, so one that hangs leaves some to others.
    pub max_fills: usize,
    /// Longest a fill may wait for its permit and its lease, until it is `Exhausted`.
    pub queue_timeout: Duration,
    /// Longest a fill may take once it has both.
    pub fill_timeout: Duration,
}

/// What a [`MemoryTier`] counted since it was made, in parts, and what it holds.
///
/// `hits + misses + joined` is the number of parts asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySnapshot {
    /// Parts served from memory.
    pub hits: u64,
    /// Parts that started a fill, or belong to an object without a version.
    pub misses: u64,
    /// Parts that waited on a fill that was under way.
    pub joined: u64,
    /// Chunks let go to keep within the capacity, those never let in included.
    pub evictions: u64,
    /// Chunks held.
    pub entries: u64,
    /// Bytes held, keys included.
    pub bytes: u64,
}

/// A bounded cache of decoded chunks in front of `S`. `Clone` shares the cache.
///
/// Admission is W-TinyLFU (Einziger et al., "TinyLFU: a highly efficient cache admission policy"),
/// so a scan that reads everything once does not flush what is read again and again. Chunks of
/// objects without a version pass through: they are neither cached nor joined, but held to the same
/// limits.
pub struct MemoryTier<S>(Arc<Inner<S>>);

struct Inner<S> {
    source: S,
    settings: MemorySettings,
    budget: MemoryBudget,
    estimate: EstimateBytes,
    cache: Cache<ChunkKey, Entry>,
    flights: Arc<Flights>,
    fills: Slots,
    counters: Arc<Counters>,
}

#[derive(Clone)]
struct Entry {
    chunk: Chunk,
    weight: u32,
    hits: Arc<AtomicU64>,
}

/// A chunk that a [`MemoryTier`] holds.
#[derive(Clone, Debug)]
pub struct HeldChunk {
    /// Which it is.
    pub key: Arc<ChunkKey>,
    /// Its bytes, key included.
    pub bytes: u64,
    /// How often it was served since it came in.
    pub hits: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    joined: AtomicU64,
    evictions: AtomicU64,
}

impl<S: ChunkSource + 'static> MemoryTier<S> {
    /// A tier in front of `source`, whose chunks are charged to `budget`.
    pub fn new(
        source: S,
        settings: MemorySettings,
        budget: MemoryBudget,
        estimate: EstimateBytes,
    ) -> Self {
        let counters = Arc::<Counters>::default();
        let evictions = Arc::clone(&counters);
        let cache = Cache::builder()
            .max_capacity(settings.capacity_bytes)
            .weigher(|_, entry: &Entry| entry.weight)
            .eviction_policy(EvictionPolicy::tiny_lfu())
            .eviction_listener(move |_, _, cause| {
                if cause.was_evicted() {
                    evictions.evictions.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        let fills = Slots::new(settings.max_fills);
        Self(Arc::new(Inner {
            source,
            settings,
            budget,
            estimate,
            cache,
            flights: Arc::default(),
            fills,
            counters,
        }))
    }

    /// The counters and gauges as they stand; reading resets nothing.
    pub fn snapshot(&self) -> MemorySnapshot {
        let Counters { hits, misses, joined, evictions } = &*self.0.counters;
        MemorySnapshot {
            hits: hits.load(Ordering::Relaxed),
            misses: misses.load(Ordering::Relaxed),
            joined: joined.load(Ordering::Relaxed),
            evictions: evictions.load(Ordering::Relaxed),
            entries: self.len(),
            bytes: self.bytes(),
        }
    }

    /// Chunks held.
    pub fn len(&self) -> u64 {
        self.0.cache.entry_count()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, keys included.
    pub fn bytes(&self) -> u64 {
        self.0.cache.weighted_size()
    }

    /// The budget that the tier's chunks are charged to.
    pub fn budget(&self) -> &MemoryBudget {
        &self.0.budget
    }

    /// Every chunk held, in no order.
    pub fn entries(&self) -> impl Iterator<Item = HeldChunk> + '_ {
        self.0.cache.iter().map(|(key, entry)| HeldChunk {
            key,
            bytes: u64::from(entry.weight),
            hits: entry.hits.load(Ordering::Relaxed),
        })
    }

    /// Those parts of `request` that are held, with their keys; nothing is fetched or counted.
    pub fn held(&self, request: &FetchRequest) -> Vec<(ChunkKey, Chunk)> {
        let held = request.keys().filter_map(|key| {
            let chunk = self.0.cache.get(&key)?.chunk;
            Some((key, chunk))
        });
        held.collect()
    }

    /// Lets go of the chunks of every object that `matches`; returns their bytes.
    ///
    /// Readers keep what they hold, and a fill in flight is cached when it ends.
    pub fn evict(&self, matches: &dyn Fn(&ObjectId) -> bool) -> u64 {
        let cache = &self.0.cache;
        let freed = cache
            .iter()
            .filter(|(key, _)| matches(&key.object))
            .filter_map(|(key, _)| cache.remove(&*key))
            .map(|entry| u64::from(entry.weight))
            .sum();
        cache.run_pending_tasks();
        freed
    }
}

impl<S: ChunkSource + 'static> Inner<S> {
    /// Begins a detached fill of everything `flight` holds.
    fn begin(self: &Arc<Self>, wanted: &FetchRequest, flight: Flight) {
        let inner = Arc::clone(self);
        let request = FetchRequest::new(Arc::clone(&wanted.object), flight.parts());
        let request = request.counted(wanted.tally.clone());
        tokio::spawn(async move {
            let filled = AssertUnwindSafe(inner.fill(&request)).catch_unwind().await;
            let outcome: Outcome = filled
                .unwrap_or_else(|panic| {
                    let reason = panic_message(&*panic);
                    Err(Error::internal(format!("fill of {} panicked: {reason}", request.object)))
                })
                .map(Arc::from);
            if let Ok(chunks) = &outcome {
                inner.insert(&flight, chunks);
            }
            flight.land(outcome);
        });
    }

    /// Fetches `request` from the source within the limits, charged to the budget.
    async fn fill(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let queued = Instant::now() + self.settings.queue_timeout;
        let store = &request.object.store;
        let _slot = timeout_at(queued, self.fills.acquire(store)).await.map_err(|_| {
            let most = self.settings.max_fills;
            Error::exhausted(format!("the fills that {store} may have of all {most} are taken"))
        })?;
        let _lease = self.budget.acquire(store, (self.estimate)(request), queued).await?;
        let limit = self.settings.fill_timeout;
        let chunks = timeout(limit, self.source.fetch(request)).await.map_err(|_| {
            let limit = limit.as_millis();
            Error::unavailable(format!("fill of {} took over {limit} ms", request.object))
        })??;
        if chunks.len() != request.parts.len() {
            return Err(Error::internal(format!(
                "source answered {} chunks for {} parts of {}",
                chunks.len(),
                request.parts.len(),
                request.object
            )));
        }
        Ok(chunks.into_iter().map(|chunk| self.budget.claim(chunk)).collect())
    }

    fn insert(&self, flight: &Flight, chunks: &[Chunk]) {
        for (key, chunk) in flight.keys().iter().zip(chunks) {
            let weight = weight(key, chunk);
            self.cache
                .insert(key.clone(), Entry { chunk: chunk.clone(), weight, hits: Arc::default() });
        }
        self.cache.run_pending_tasks();
    }

    /// A second look under the claim lock: it must not count as another use of a missing key.
    fn peek(&self, key: &ChunkKey) -> Option<Chunk> {
        let cached = self.cache.contains_key(key).then(|| self.cache.get(key)).flatten();
        cached.map(|entry| entry.chunk)
    }
}

#[async_trait]
impl<S: ChunkSource + 'static> ChunkSource for MemoryTier<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let inner = &self.0;
        let counters = &inner.counters;
        if !request.object.is_versioned() {
            counters.misses.fetch_add(request.parts.len() as u64, Ordering::Relaxed);
            request.tally.memory(0, request.parts.len() as u64, 0);
            return inner.fill(request).await;
        }
        let mut claims: Vec<Option<Claim>> = request
            .keys()
            .map(|key| {
                let entry = inner.cache.get(&key)?;
                entry.hits.fetch_add(1, Ordering::Relaxed);
                Some(Claim::Cached(entry.chunk))
            })
            .collect();
        if claims.iter().any(Option::is_none) {
            let missing = request.keys().zip(&mut claims).filter(|(_, claim)| claim.is_none());
            if let Some(flight) = inner.flights.claim(missing, |key| inner.peek(key)) {
                inner.begin(request, flight);
            }
        }
        counters.count(claims.iter().flatten(), &request.tally);
        let mut chunks = Vec::with_capacity(claims.len());
        for claim in claims.into_iter().flatten() {
            chunks.push(claim.chunk().await?);
        }
        Ok(chunks)
    }
}

impl<S> Clone for MemoryTier<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for MemoryTier<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTier")
            .field("source", &self.0.source)
            .field("settings", &self.0.settings)
            .field("counters", &self.0.counters)
            .finish_non_exhaustive()
    }
}

impl Counters {
    fn count<'a>(&self, claims: impl Iterator<Item = &'a Claim>, tally: &Tally) {
        let (mut hits, mut misses, mut joined) = (0, 0, 0);
        for claim in claims {
            match claim {
                Claim::Cached(_) => hits += 1,
                Claim::Mine(_) => misses += 1,
                Claim::Joined(_) => joined += 1,
            }
        }
        self.hits.fetch_add(hits, Ordering::Relaxed);
        self.misses.fetch_add(misses, Ordering::Relaxed);
        self.joined.fetch_add(joined, Ordering::Relaxed);
        tally.memory(hits, misses, joined);
    }
}

fn weight(key: &ChunkKey, chunk: &Chunk) -> u32 {
    let ObjectId { store, container, path, etag, size: _ } = &*key.object;
    let text = store.len() + container.len() + path.len() + etag.len();
    u32::try_from(chunk.bytes() + text + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

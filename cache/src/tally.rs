//! What one reader's fetches came to, beside the counters of the tiers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts what the requests that carry it came to. `Clone` shares it; the default counts nothing.
///
/// A fill counts for the request that began it; what joined it counts as joined alone.
#[derive(Clone, Debug, Default)]
pub struct Tally(Option<Arc<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    joined: AtomicU64,
    disk_hits: AtomicU64,
    remote: AtomicU64,
    origin_requests: AtomicU64,
    origin_bytes: AtomicU64,
}

/// A [`Tally`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Chunks that were in memory.
    pub hits: u64,
    /// Chunks that were not.
    pub misses: u64,
    /// Chunks that somebody else was filling.
    pub joined: u64,
    /// Of the misses, those that were on disk.
    pub disk_hits: u64,
    /// Of the misses, those that another node served.
    pub remote: u64,
    /// Ranges read from the origin; several neighbours may have shared one request.
    pub origin_requests: u64,
    /// Bytes of them.
    pub origin_bytes: u64,
}

impl Tally {
    /// One that counts.
    pub fn counting() -> Self {
        Self(Some(Arc::default()))
    }

    /// The counts so far.
    pub fn tallied(&self) -> Tallied {
        let Some(counts) = &self.0 else { return Tallied::default() };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tallied {
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            joined: read(&counts.joined),
            disk_hits: read(&counts.disk_hits),
            remote: read(&counts.remote),
            origin_requests: read(&counts.origin_requests),
            origin_bytes: read(&counts.origin_bytes),
        }
    }

    pub(crate) fn memory(&self, hits: u64, misses: u64, joined: u64) {
        if let Some(counts) = &self.0 {
            counts.hits.fetch_add(hits, Ordering::Relaxed);
            counts.misses.fetch_add(misses, Ordering::Relaxed);
            counts.joined.fetch_add(joined, Ordering::Relaxed);
        }
    }

    pub(crate) fn disk(&self, hits: u64) {
        if let Some(counts) = &self.0 {
            counts.disk_hits.fetch_add(hits, Ordering::Relaxed);
        }
    }

    /// Notes chunks that another node served.
    pub fn remote(&self, chunks: u64) {
        if let Some(counts) = &self.0 {
            counts.remote.fetch_add(chunks, Ordering::Relaxed);
        }
    }

    /// Notes a range read from the origin.
    pub fn origin(&self, bytes: u64) {
        if let Some(counts) = &self.0 {
            counts.origin_requests.fetch_add(1, Ordering::Relaxed);
            counts.origin_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

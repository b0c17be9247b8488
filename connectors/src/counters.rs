//! What reading from origins cost.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of origin reads. They only grow.
#[derive(Debug, Default)]
pub struct OriginCounters {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) metadata_requests: AtomicU64,
}

/// The values of [`OriginCounters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginCounts {
    /// Data reads (ranged GETs), footers included; one read counts once, however often it is
    /// retried.
    pub requests: u64,
    /// Bytes that data reads brought.
    pub bytes: u64,
    /// Reads, listings and HEADs that failed for good.
    pub errors: u64,
    /// HTTP answers 429 and 503, retried ones included.
    pub throttled: u64,
    /// Listings and HEADs; one listing counts once, however many pages it has.
    pub metadata_requests: u64,
}

impl OriginCounters {
    /// Copies the counters, and resets nothing.
    pub fn snapshot(&self) -> OriginCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OriginCounts {
            requests: read(&self.requests),
            bytes: read(&self.bytes),
            errors: read(&self.errors),
            throttled: read(&self.throttled),
            metadata_requests: read(&self.metadata_requests),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

//! What the disk tier counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`DiskStore`](crate::DiskStore) counted since it was opened, and what it holds.
///
/// `hits + misses` is the number of parts asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSnapshot {
    /// Parts served from disk.
    pub hits: u64,
    /// Parts the inner source had to give.
    pub misses: u64,
    /// Files removed to keep within the capacity.
    pub evictions: u64,
    /// Files that failed their checks on read, and were removed.
    pub corrupt: u64,
    /// Files that exist but could not be opened or mapped; each is a miss as well.
    pub read_errors: u64,
    /// Files written.
    pub writes: u64,
    /// Files that could not be written.
    pub write_errors: u64,
    /// Chunks not written because too many bytes were waiting, or the file would be too large.
    pub writes_skipped: u64,
    /// Chunks not written because what they would displace is read more often.
    pub writes_rejected: u64,
    /// Files handed out to be mapped by another process.
    pub leases: u64,
    /// Bytes of all files, each rounded up to a block of 4096.
    pub bytes: u64,
    /// Most bytes the folder may hold.
    pub capacity: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) read_errors: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) write_errors: AtomicU64,
    pub(super) writes_skipped: AtomicU64,
    pub(super) writes_rejected: AtomicU64,
    pub(super) leases: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self, bytes: u64, capacity: u64) -> DiskSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskSnapshot {
            hits: read(&self.hits),
            misses: read(&self.misses),
            evictions: read(&self.evictions),
            corrupt: read(&self.corrupt),
            read_errors: read(&self.read_errors),
            writes: read(&self.writes),
            write_errors: read(&self.write_errors),
            writes_skipped: read(&self.writes_skipped),
            writes_rejected: read(&self.writes_rejected),
            leases: read(&self.leases),
            bytes,
            capacity,
        }
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

//! Files that others on this machine were told of: they stay until those had time to open them.
//!
//! Who has a file open or mapped keeps its bytes whatever becomes of its name, so a lease is short.
//! One that is asked for again lives on, and is verified again now and then.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::index::BLOCK_BYTES;

/// How long a file stays after it was last handed out.
pub(super) const LEASE_TIME: Duration = Duration::from_secs(10);

/// How long a file that is handed out again and again is taken to be what it was.
const VERIFIED_FOR: Duration = Duration::from_mins(1);

/// Files that are leased at a time, at most.
const MAX_LEASES: usize = 1 << 16;

/// A file of the disk tier that another process may map: immutable, and there for some seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedFile {
    /// Where it is, from the root on.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its checksum, which stands little endian at its bytes 8 to 24.
    pub checksum: u128,
}

/// What became of asking for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// They are whole and stay for some seconds; in the order in which they were asked for.
    Files(Vec<LeasedFile>),
    /// Not all are on disk.
    Absent,
    /// Too many files are leased.
    Full,
}

/// The leases of a store.
pub(super) struct Leases {
    table: Mutex<Table>,
    /// Blocks of files that lost their place and stay for their lease.
    kept: Arc<Semaphore>,
}

#[derive(Default)]
struct Table {
    leases: HashMap<u128, Lease>,
    swept: bool,
}

struct Lease {
    until: Instant,
    verified: Instant,
    bytes: u64,
    checksum: u128,
    /// Room for the file, once it has lost its place.
    kept: Option<OwnedSemaphorePermit>,
}

impl Leases {
    /// No lease; files that lose their place may take `kept_blocks`.
    pub(super) fn new(kept_blocks: u32) -> Self {
        let kept = Arc::new(Semaphore::new(kept_blocks as usize));
        Self { table: Mutex::default(), kept }
    }

    /// Prolongs the lease of a file that was verified not long ago; its length and checksum.
    pub(super) fn prolong(&self, digest: u128, now: Instant) -> Option<(u64, u128)> {
        let mut table = self.table();
        let lease = table.leases.get_mut(&digest)?;
        if lease.kept.is_some() || now.duration_since(lease.verified) >= VERIFIED_FOR {
            return None;
        }
        lease.until = now + LEASE_TIME;
        Some((lease.bytes, lease.checksum))
    }

    /// Leases a file that was verified; `false` if there are too many.
    pub(super) fn add(&self, digest: u128, bytes: u64, checksum: u128, now: Instant) -> bool {
        let mut table = self.table();
        if table.leases.len() >= MAX_LEASES && !table.leases.contains_key(&digest) {
            return false;
        }
        let lease = Lease { until: now + LEASE_TIME, verified: now, bytes, checksum, kept: None };
        table.leases.insert(digest, lease);
        true
    }

    /// Whether a file that loses its place stays for now: it is leased, and there is room for it.
    pub(super) fn keep(&self, digest: u128) -> bool {
        let mut table = self.table();
        let Some(lease) = table.leases.get_mut(&digest) else { return false };
        let blocks = u32::try_from(lease.bytes.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX);
        lease.kept = Arc::clone(&self.kept).try_acquire_many_owned(blocks).ok();
        lease.kept.is_some()
    }

    /// Ends the leases whose time is over; the files among them that have lost their place.
    pub(super) fn ended(&self, now: Instant) -> Vec<(u128, OwnedSemaphorePermit)> {
        let mut table = self.table();
        let over = table.leases.extract_if(|_, lease| lease.until <= now);
        over.filter_map(|(digest, lease)| Some((digest, lease.kept?))).collect()
    }

    /// Keeps what [`ended`](Self::ended) gave until the next look: its place is being given away.
    pub(super) fn keep_on(&self, digest: u128, room: OwnedSemaphorePermit, now: Instant) {
        let bytes = room.num_permits() as u64 * BLOCK_BYTES;
        let lease = Lease { until: now, verified: now, bytes, checksum: 0, kept: Some(room) };
        self.table().leases.entry(digest).or_insert(lease);
    }

    /// Whether the caller is to look after the leases, which nobody does; until it is told that
    /// there are none.
    pub(super) fn must_sweep(&self) -> bool {
        !std::mem::replace(&mut self.table().swept, true)
    }

    /// Whether some are left to look after; else the caller is done.
    pub(super) fn any_left(&self) -> bool {
        let mut table = self.table();
        table.swept = !table.leases.is_empty();
        table.swept
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

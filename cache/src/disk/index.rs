//! Which chunks are on disk, and which of them stay when room runs out.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use moka::{notification::RemovalCause, policy::EvictionPolicy, sync::Cache};

/// Files are counted in blocks of this many bytes, as file systems do.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// The files by digest, bounded in bytes, scan resistant as the memory tier is. The bound holds
/// before a file is written: a file has its place here first, or is not written at all.
///
/// Removal unlinks, so everything but `bytes` belongs on a blocking thread.
pub(super) struct Index {
    slots: Cache<u128, Arc<Slot>>,
    /// Held while a place is given, so that a file has one writer.
    placing: Mutex<()>,
}

/// A file's place.
#[derive(Debug)]
pub(super) struct Slot {
    bytes: u32,
    /// Set once the file has its name. Until then whoever writes it also sees to its removal.
    ready: AtomicBool,
}

/// What became of asking for a place.
#[derive(Debug)]
pub(super) enum Place {
    /// The caller writes the file, then calls [`Index::finish`] or [`Index::remove`].
    Given(Arc<Slot>),
    /// The file is there or being written.
    Taken,
    /// What would have to go is read more often.
    Refused,
}

impl Index {
    /// An index of at most `capacity_bytes`, which calls `unlink` with the digest of every file
    /// that goes, and whether it went for want of room.
    pub(super) fn new(
        capacity_bytes: u64,
        unlink: impl Fn(u128, bool) + Send + Sync + 'static,
    ) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, slot: &Arc<Slot>| slot.bytes)
            .eviction_policy(EvictionPolicy::tiny_lfu())
            .eviction_listener(move |digest, slot: Arc<Slot>, cause| {
                if slot.ready.load(Ordering::SeqCst) && cause != RemovalCause::Replaced {
                    unlink(*digest, cause.was_evicted());
                }
            })
            .build();
        Self { slots: cache, placing: Mutex::default() }
    }

    /// Takes in the files found at start; those beyond the capacity are unlinked.
    pub(super) fn restore(&self, files: Vec<(u128, u64)>) {
        for (digest, bytes) in files {
            let slot = Slot { bytes: weight(bytes), ready: AtomicBool::new(true) };
            self.slots.insert(digest, Arc::new(slot));
        }
        self.slots.run_pending_tasks();
    }

    /// Whether the file is there to be read. Counts as a use, also where there is none.
    pub(super) fn is_ready(&self, digest: u128) -> bool {
        self.slots.get(&digest).is_some_and(|slot| slot.ready.load(Ordering::SeqCst))
    }

    /// Asks for a place for a file of `bytes`.
    pub(super) fn place(&self, digest: u128, bytes: u64) -> Place {
        let slot = Arc::new(Slot { bytes: weight(bytes), ready: AtomicBool::new(false) });
        {
            let _placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
            if self.contains(digest) {
                return Place::Taken;
            }
            self.slots.insert(digest, Arc::clone(&slot));
        }
        self.slots.run_pending_tasks();
        if self.contains(digest) { Place::Given(slot) } else { Place::Refused }
    }

    /// The file of `slot` has its name. Returns false if its place was lost meanwhile: then the
    /// caller unlinks it.
    pub(super) fn finish(&self, digest: u128, slot: &Slot) -> bool {
        slot.ready.store(true, Ordering::SeqCst);
        self.contains(digest)
    }

    /// Removes a file and its place; returns its bytes.
    pub(super) fn remove(&self, digest: u128) -> u64 {
        self.slots.remove(&digest).map_or(0, |slot| u64::from(slot.bytes))
    }

    /// The digests of all files that are there, with their bytes in whole blocks.
    pub(super) fn files(&self) -> Vec<(u128, u64)> {
        let slots = self.slots.iter().filter(|(_, slot)| slot.ready.load(Ordering::SeqCst));
        slots.map(|(digest, slot)| (*digest, u64::from(slot.bytes))).collect()
    }

    /// Bytes of all files, in whole blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.slots.weighted_size()
    }

    /// Carries out what is pending, so that [`bytes`](Self::bytes) is exact.
    pub(super) fn settle(&self) {
        self.slots.run_pending_tasks();
    }

    /// Whether a file has a place, be it written or not. Counts as no use.
    pub(super) fn contains(&self, digest: u128) -> bool {
        self.slots.contains_key(&digest)
    }
}

fn weight(bytes: u64) -> u32 {
    u32::try_from(bytes.next_multiple_of(BLOCK_BYTES)).unwrap_or(u32::MAX)
}

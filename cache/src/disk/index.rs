//! Which chunks are on disk, and which of them stay when room runs out.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
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
    /// Counts uses, so that the least recently used are known.
    uses: AtomicU64,
}

/// A file's place.
#[derive(Debug)]
pub(super) struct Slot {
    bytes: u32,
    /// Set once the file has its name. Until then whoever writes it also sees to its removal.
    ready: AtomicBool,
    /// The number of its last use.
    used: AtomicU64,
}

impl Slot {
    fn new(bytes: u64, ready: bool, used: u64) -> Arc<Self> {
        let (ready, used) = (AtomicBool::new(ready), AtomicU64::new(used));
        Arc::new(Self { bytes: weight(bytes), ready, used })
    }
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
        Self { slots: cache, placing: Mutex::default(), uses: AtomicU64::new(0) }
    }

    /// Takes in the files found at start; those beyond the capacity are unlinked.
    pub(super) fn restore(&self, files: Vec<(u128, u64)>) {
        for (digest, bytes) in files {
            self.slots.insert(digest, Slot::new(bytes, true, 0));
        }
        self.slots.run_pending_tasks();
    }

    /// Whether the file is there to be read. Counts as a use, also where there is none.
    pub(super) fn is_ready(&self, digest: u128) -> bool {
        self.slots.get(&digest).is_some_and(|slot| {
            slot.used.store(self.tick(), Ordering::Relaxed);
            slot.ready.load(Ordering::SeqCst)
        })
    }

    /// Asks for a place for a file of `bytes`.
    pub(super) fn place(&self, digest: u128, bytes: u64) -> Place {
        let slot = Slot::new(bytes, false, self.tick());
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

    /// Removes the files that were not used for longest until at most `bytes` are left; returns how
    /// many went.
    pub(super) fn shrink(&self, bytes: u64) -> u64 {
        self.settle();
        let mut files: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.ready.load(Ordering::SeqCst))
            .map(|(digest, slot)| (slot.used.load(Ordering::Relaxed), *digest))
            .collect();
        files.sort_unstable();
        let (mut held, mut gone) = (self.bytes(), 0);
        for (_, digest) in files {
            if held <= bytes {
                break;
            }
            held = held.saturating_sub(self.remove(digest));
            gone += 1;
        }
        self.settle();
        gone
    }

    /// Calls `unlink` if the file has no place, which it cannot get meanwhile; whether it is settled:
    /// a file that is being written is not.
    pub(super) fn settled_without(&self, digest: u128, unlink: impl FnOnce()) -> bool {
        let _placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = self.slots.get(&digest) else {
            unlink();
            return true;
        };
        // Whoever took the place has renamed a file of its own over the old one.
        slot.ready.load(Ordering::SeqCst)
    }

    fn tick(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let gone = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&gone);
        let index = Index::new(1 << 20, move |digest, _| noted.lock().unwrap().push(digest));
        for digest in 0..6 {
            let Place::Given(slot) = index.place(digest, BLOCK_BYTES) else { panic!("room") };
            // The last is still being written: whoever writes it sees to it.
            assert!(digest == 5 || index.finish(digest, &slot));
        }
        assert!(index.is_ready(0) && index.is_ready(2));
        assert_eq!(index.shrink(3 * BLOCK_BYTES), 3);
        assert_eq!(*gone.lock().unwrap(), [1, 3, 4]);
        assert_eq!(index.shrink(0), 2);
        assert_eq!((index.bytes(), index.contains(5)), (BLOCK_BYTES, true));
    }
}

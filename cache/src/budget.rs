//! A ceiling on decoded bytes: cached, held by readers, and about to be decoded.
//!
//! ```text
//!   capacity + headroom
//!  ├──────────────────────────────────────────┬────────────────┤
//!  │ used: every allocation that was claimed, │ leases: fills  │ free
//!  │ until its last reader drops it           │ in flight      │
//! ```
//!
//! An evicted array that a stream still references is memory all the same, so a charge sticks to
//! the allocation itself (arrow's [`MemoryPool`]) and not to the cache entry.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow_buffer::{MemoryPool, MemoryReservation};
use bytes::Bytes;
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Chunk, Error, Result, Waiters,
    shares::{Share, Shares},
};

/// How long nothing may be freed until those who wait are taken to wait for each other.
const STUCK: Duration = Duration::from_secs(1);

/// A budget of decoded bytes. `Clone` shares the same budget.
///
/// The tier in front keeps what it caches within `capacity`; `headroom` is what fills in flight and
/// evicted arrays that readers still hold may take on top.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Ledger>);

#[derive(Debug)]
struct Ledger {
    capacity: u64,
    headroom: u64,
    used: AtomicU64,
    leased: AtomicU64,
    /// Held by the one waiter whose turn it is: tokio's mutex is fair, so turns are first come,
    /// first served, and only its holder adds to `leased`. Who must wait for its own store's
    /// leases waits without it.
    turn: Mutex<()>,
    shares: Shares,
    freed: Notify,
    waiters: Waiters,
}

impl MemoryBudget {
    /// A budget of `capacity_bytes` for what is cached and `headroom_bytes` beyond.
    pub fn new(capacity_bytes: u64, headroom_bytes: u64) -> Self {
        Self(Arc::new(Ledger {
            capacity: capacity_bytes,
            headroom: headroom_bytes,
            used: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            turn: Mutex::new(()),
            shares: Shares::default(),
            freed: Notify::new(),
            waiters: Waiters::default(),
        }))
    }

    /// Bytes of all claimed allocations that still live. Leases are not among them.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Acquire)
    }

    /// Bytes of all leases that are held.
    pub fn leased(&self) -> u64 {
        self.0.leased.load(Ordering::Acquire)
    }

    /// Bytes that may be cached.
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    /// Those who wait for a lease.
    pub fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }

    /// Waits, first come, first served, until `bytes` for an object of `store` fit beside what is
    /// used and leased. What a store leases is at most three times what it leaves of the headroom, so
    /// one that hangs leaves room to others, and only its own callers wait for it.
    ///
    /// What is larger than the headroom might never fit beside a full cache: it is also admitted
    /// when no other lease is held and no more than the capacity is used, so nothing hangs for
    /// ever. Nor may readers hang that each hold some chunks and wait for others: when the store
    /// holds no lease and nothing was freed for a second, one is admitted past the ceiling, if none
    /// is past it yet. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// `Exhausted` past `deadline`.
    pub async fn acquire(&self, store: &str, bytes: u64, deadline: Instant) -> Result<Lease> {
        let ledger = &self.0;
        let admitted = async {
            let _waiter = ledger.waiters.enter();
            let share = ledger.shares.of(store);
            let turn_in_store = share.turn.lock().await;
            loop {
                let freed = ledger.freed.notified();
                if share.allows(bytes, ledger.free()) {
                    let _turn = ledger.turn.lock().await;
                    // Others may have leased what was free before this turn came.
                    if share.allows(bytes, ledger.free()) {
                        ledger.room_for(bytes, &share).await;
                        share.take(bytes);
                        ledger.leased.fetch_add(bytes, Ordering::AcqRel);
                        break;
                    }
                }
                freed.await;
            }
            drop(turn_in_store);
            Lease { ledger: Arc::clone(ledger), share, bytes }
        };
        timeout_at(deadline, admitted).await.map_err(|_| {
            Error::exhausted(format!(
                "memory budget of {} bytes and {} bytes headroom has no room for {bytes} bytes: \
                 {} bytes used, {} bytes leased",
                ledger.capacity,
                ledger.headroom,
                self.used(),
                self.leased()
            ))
        })
    }

    /// The same chunk, its memory charged here until the last reader drops it.
    ///
    /// An allocation is charged once, however many chunks share it and however often it is claimed.
    /// Opaque bytes come back wrapped; clones made before this call are not charged.
    #[must_use]
    pub fn claim(&self, chunk: Chunk) -> Chunk {
        match chunk {
            Chunk::Column(column) => {
                column.for_each_buffer(|buffer| buffer.claim(&Pool(&self.0)));
                Chunk::Column(column)
            }
            Chunk::Bytes(bytes) => {
                let charge = Charge::new(&self.0, bytes.len());
                Chunk::Bytes(Bytes::from_owner(ChargedBytes { bytes, _charge: charge }))
            }
        }
    }
}

/// Room for a fill that has not decoded its bytes yet; given back on drop.
#[derive(Debug)]
pub struct Lease {
    ledger: Arc<Ledger>,
    share: Arc<Share>,
    bytes: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.share.give_back(self.bytes);
        self.ledger.leased.fetch_sub(self.bytes, Ordering::AcqRel);
        self.ledger.freed.notify_waiters();
    }
}

impl Ledger {
    /// Waits until `bytes` may be leased to the store of `share`.
    async fn room_for(&self, bytes: u64, share: &Share) {
        loop {
            let freed = self.freed.notified();
            if self.admits(bytes) {
                return;
            }
            if timeout(STUCK, freed).await.is_err() && self.is_stuck(share) {
                return;
            }
        }
    }

    fn ceiling(&self) -> u64 {
        self.capacity.saturating_add(self.headroom)
    }

    /// Bytes used and leased.
    fn taken(&self) -> u64 {
        let used = self.used.load(Ordering::Acquire);
        used.saturating_add(self.leased.load(Ordering::Acquire))
    }

    /// What of the headroom is not leased. Room that the cache has not filled yet is not shared out:
    /// it will be filled, while leases of a store that hangs stay.
    fn free(&self) -> u64 {
        self.headroom.saturating_sub(self.leased.load(Ordering::Acquire))
    }

    fn admits(&self, bytes: u64) -> bool {
        let alone = || {
            let (used, leased) = (&self.used, &self.leased);
            leased.load(Ordering::Acquire) == 0 && used.load(Ordering::Acquire) <= self.capacity
        };
        self.taken().saturating_add(bytes) <= self.ceiling() || (bytes > self.headroom && alone())
    }

    /// Whether no fill of that store could end the wait, and the ceiling still holds.
    fn is_stuck(&self, share: &Share) -> bool {
        share.held() == 0 && self.taken() <= self.ceiling()
    }
}

/// Bytes of one live allocation.
#[derive(Debug)]
struct Charge {
    ledger: Arc<Ledger>,
    bytes: usize,
}

impl Charge {
    fn new(ledger: &Arc<Ledger>, bytes: usize) -> Self {
        ledger.used.fetch_add(bytes as u64, Ordering::AcqRel);
        Self { ledger: Arc::clone(ledger), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.used.fetch_sub(self.bytes as u64, Ordering::AcqRel);
        self.ledger.freed.notify_waiters();
    }
}

impl MemoryReservation for Charge {
    fn size(&self) -> usize {
        self.bytes
    }

    fn resize(&mut self, new_size: usize) {
        *self = Self::new(&self.ledger, new_size);
    }
}

struct ChargedBytes {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Debug)]
struct Pool<'a>(&'a Arc<Ledger>);

impl MemoryPool for Pool<'_> {
    fn reserve(&self, size: usize) -> Box<dyn MemoryReservation> {
        Box::new(Charge::new(self.0, size))
    }

    fn available(&self) -> isize {
        let free = i128::from(self.0.capacity) - i128::from(self.0.used.load(Ordering::Acquire));
        isize::try_from(free).unwrap_or(if free < 0 { isize::MIN } else { isize::MAX })
    }

    fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire) as usize
    }

    fn capacity(&self) -> usize {
        self.0.capacity as usize
    }
}

#[cfg(test)]
mod tests;

//! What queries may hold: a limit for each, one for all of them, and a bounded folder to spill to.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::{
        disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode},
        memory_pool::{
            FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
            human_readable_size,
        },
    },
};

/// Memory and disk for queries.
#[derive(Clone, Debug)]
pub struct SqlSettings {
    /// Bytes that all queries together may hold in sorts, joins and aggregations.
    pub memory_bytes: usize,
    /// Bytes that one query may hold so.
    pub query_memory_bytes: usize,
    /// Folder for what does not fit; without one, nothing is spilled.
    pub spill_folder: Option<PathBuf>,
    /// Bytes that all queries together may spill.
    pub spill_bytes: u64,
    /// Partitions that a query runs in.
    pub partitions: usize,
}

/// The disk manager that `settings` ask for, shared by all queries.
pub(super) fn disk_manager(settings: &SqlSettings) -> Result<DiskManager> {
    let mode = match &settings.spill_folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::Disabled,
    };
    DiskManagerBuilder::default()
        .with_mode(mode)
        .with_max_temp_directory_size(settings.spill_bytes)
        .build()
}

/// Bytes that all queries hold together. `Clone` shares them.
#[derive(Clone, Debug)]
pub(super) struct SharedMemory {
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl SharedMemory {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn grow(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn try_grow(&self, bytes: usize) -> bool {
        let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    fn shrink(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory pool of one query: its own limit, shared fairly among those of its operators that
/// can spill, inside the limit of all queries.
pub(super) struct QueryMemory {
    own: FairSpillPool,
    shared: SharedMemory,
    limit: usize,
    peak: AtomicUsize,
}

impl QueryMemory {
    pub(super) fn new(limit: usize, shared: SharedMemory) -> Self {
        let limit = limit.min(shared.limit);
        Self { own: FairSpillPool::new(limit), shared, limit, peak: AtomicUsize::new(0) }
    }

    /// The most bytes it held.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn exceeded(
        &self,
        whose: &str,
        reservation: &MemoryReservation,
        wanted: usize,
    ) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{} more for {} would pass {whose}: read less, or raise [sql] {}",
            human_readable_size(wanted),
            reservation.consumer().name(),
            if whose.starts_with("the query") { "query_memory" } else { "memory" },
        ))
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(additional);
        self.own.grow(reservation, additional);
        self.peak.fetch_max(self.own.reserved(), Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.shrink(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !self.shared.try_grow(additional) {
            let limit = human_readable_size(self.shared.limit);
            let whose = format!("the {limit} of all queries");
            return Err(self.exceeded(&whose, reservation, additional));
        }
        if self.own.try_grow(reservation, additional).is_err() {
            self.shared.shrink(additional);
            let limit = human_readable_size(self.limit);
            let whose = format!("the query's {limit}");
            return Err(self.exceeded(&whose, reservation, additional));
        }
        self.peak.fetch_max(self.own.reserved(), Ordering::Relaxed);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Debug for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryMemory")
            .field("reserved", &self.own.reserved())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query memory of {}", human_readable_size(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stays_inside_its_own_and_the_shared_limit_and_gives_back() {
        let shared = SharedMemory::new(150);
        let pool = |limit| Arc::new(QueryMemory::new(limit, shared.clone())) as Arc<dyn MemoryPool>;
        let (first, second) = (pool(100), pool(100));
        let one = MemoryConsumer::new("one").register(&first);
        let two = MemoryConsumer::new("two").register(&second);
        assert!(one.try_grow(101).is_err_and(|error| error.to_string().contains("query_memory")));
        one.try_grow(90).unwrap();
        let refused = two.try_grow(90).unwrap_err().to_string();
        assert!(refused.contains("two") && refused.contains("of all queries"), "{refused}");
        two.try_grow(60).unwrap();
        assert_eq!((shared.held(), first.reserved()), (150, 90));
        drop(one);
        assert_eq!(shared.held(), 60);
        two.try_grow(40).unwrap();
        drop(two);
        assert_eq!(shared.held(), 0);
    }
}

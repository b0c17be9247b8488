//! Parsed footers, kept under a budget of bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flightcache_cache::{ChunkSource, Error, FetchRequest, ObjectId, Part, Result};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use moka::sync::Cache;
use tokio::runtime::Handle;

use super::{Footer, estimate_bytes, parse, stored_bytes};
use crate::{Stores, cpu::Cpu};

type Load = Shared<BoxFuture<'static, Result<Arc<Footer>>>>;

/// Parsed footers of object versions. `Clone` shares them.
///
/// Concurrent callers join one load, which goes on if they all leave. Objects without an ETag are
/// parsed anew for every call.
#[derive(Clone, Debug)]
pub struct Footers {
    source: Arc<dyn ChunkSource>,
    stores: Arc<Stores>,
    cpu: Cpu,
    parsed: Cache<Arc<ObjectId>, Arc<Footer>>,
    running: Arc<Mutex<HashMap<Arc<ObjectId>, Load>>>,
}

impl Footers {
    /// Footers whose bytes come from `source` as [`Part::Footer`], parsed on the blocking threads
    /// of `cpu`; at most `capacity_bytes` of memory are kept.
    pub fn new(
        stores: Arc<Stores>,
        source: Arc<dyn ChunkSource>,
        capacity_bytes: u64,
        cpu: Handle,
    ) -> Self {
        let weigh = |_: &Arc<ObjectId>, footer: &Arc<Footer>| {
            u32::try_from(footer.bytes).unwrap_or(u32::MAX)
        };
        let parsed = Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build();
        Self { source, stores, cpu: Cpu::new(cpu, 0), parsed, running: Arc::default() }
    }

    /// The footer of `object`.
    ///
    /// # Errors
    /// `Data` naming the object if it is not Parquet, encrypted or broken; what the source fails
    /// with.
    pub async fn get(&self, object: &Arc<ObjectId>) -> Result<Arc<Footer>> {
        if !object.is_versioned() {
            return self.load(object).await;
        }
        if let Some(footer) = self.parsed.get(object) {
            return Ok(footer);
        }
        let load = self.join(object);
        load.await
    }

    /// The footer of `object` if it is kept; loads nothing.
    pub fn peek(&self, object: &Arc<ObjectId>) -> Option<Arc<Footer>> {
        self.parsed.get(object)
    }

    /// Bytes that filling `request` reads and decodes to, from the footer; the object's size where
    /// that is not at hand.
    pub fn filled_bytes(&self, request: &FetchRequest) -> u64 {
        let Some(footer) = self.peek(&request.object) else { return request.object.size };
        let bytes = |part: &Part| match *part {
            Part::Column { row_group, column } => estimate_bytes(&footer, row_group, &[column])
                .saturating_add(stored_bytes(&footer, row_group, &[column])),
            Part::Footer => footer.bytes as u64,
            Part::Range { start, end } => end.saturating_sub(start),
        };
        request.parts.iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// Bytes of memory that kept footers hold.
    pub fn bytes(&self) -> u64 {
        self.parsed.run_pending_tasks();
        self.parsed.weighted_size()
    }

    fn join(&self, object: &Arc<ObjectId>) -> Load {
        let mut running = lock(&self.running);
        if let Some(load) = running.get(object) {
            return load.clone();
        }
        let (footers, id) = (self.clone(), Arc::clone(object));
        let task = tokio::spawn(async move {
            let _done = Done { running: Arc::clone(&footers.running), id: Arc::clone(&id) };
            // It may have ended between the look into the cache and the lock.
            if let Some(footer) = footers.parsed.get(&id) {
                return Ok(footer);
            }
            let footer = footers.load(&id).await?;
            footers.parsed.insert(id, Arc::clone(&footer));
            Ok(footer)
        });
        let broke = |_| Err(Error::internal("load of a footer ended without an answer"));
        let load = async move { task.await.unwrap_or_else(broke) }.boxed().shared();
        running.insert(Arc::clone(object), load.clone());
        load
    }

    async fn load(&self, object: &Arc<ObjectId>) -> Result<Arc<Footer>> {
        let request = FetchRequest::new(Arc::clone(object), vec![Part::Footer]);
        let chunks = self.source.fetch(&request).await?;
        let chunk = chunks.first().ok_or_else(|| Error::internal("a source gave no footer"))?;
        let max_bytes = self.stores.settings().max_fragment_bytes;
        let (tail, id) = (chunk.as_bytes()?.clone(), Arc::clone(object));
        let what = format!("footer of {object}");
        let footer = self.cpu.run(what, move || parse::parse(&id, tail, max_bytes)).await?;
        Ok(Arc::new(footer))
    }
}

/// Ends a load, also one that failed or panicked, so that the next caller starts another.
struct Done {
    running: Arc<Mutex<HashMap<Arc<ObjectId>, Load>>>,
    id: Arc<ObjectId>,
}

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Sources for tests: one that makes chunks from their keys, and one that can be made to misbehave.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::{
    array::Int64Array,
    datatypes::{DataType, Field},
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{Chunk, ChunkKey, ChunkSource, Column, Error, FetchRequest, ObjectId, Part, Result};

/// An object version at `path`, for tests that need no more of one.
pub fn object(path: &str) -> Arc<ObjectId> {
    Arc::new(ObjectId {
        store: "test://store".to_owned(),
        container: "container".to_owned(),
        path: path.to_owned(),
        etag: "\"1\"".to_owned(),
        size: 1 << 20,
    })
}

/// The reference source: every chunk follows from its key alone, so any two fetches of a key agree.
///
/// A column is `rows` integers (at most a piece), a footer 64 bytes, a range as long as it says.
/// Row group `u32::MAX` does not exist.
#[derive(Clone, Copy, Debug)]
pub struct Synthetic {
    /// Rows of each column.
    pub rows: usize,
}

impl Synthetic {
    /// The chunk of `key`.
    ///
    /// # Errors
    /// `NotFound` for a column of row group `u32::MAX`.
    pub fn chunk(&self, key: &ChunkKey) -> Result<Chunk> {
        let seed = key.digest();
        let bytes = |length: u64| {
            (0..length).map(|at| (seed >> (at % 16 * 8)) as u8 ^ at as u8).collect::<Bytes>()
        };
        match key.part {
            Part::Column { row_group: u32::MAX, .. } => {
                Err(Error::not_found(format!("{key} does not exist")))
            }
            Part::Column { column, .. } => {
                let values = (0..self.rows as i64).map(|row| row ^ seed as i64);
                let field = Field::new(format!("c{column}"), DataType::Int64, false);
                let piece = Arc::new(Int64Array::from_iter_values(values));
                Ok(Chunk::Column(Column::try_new(Arc::new(field), vec![piece])?))
            }
            Part::Footer => Ok(Chunk::Bytes(bytes(64))),
            Part::Range { start, end } => Ok(Chunk::Bytes(bytes(end.saturating_sub(start)))),
        }
    }
}

#[async_trait]
impl ChunkSource for Synthetic {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        request.keys().map(|key| self.chunk(&key)).collect()
    }
}

/// A source whose fetches are logged, held at a gate and made to fail. `Clone` shares all of it.
#[derive(Clone, Debug)]
pub struct FaultSource<S> {
    inner: S,
    script: Arc<Script>,
}

#[derive(Debug)]
struct Script {
    log: Mutex<Vec<FetchRequest>>,
    faults: Mutex<VecDeque<Fault>>,
    arrived: watch::Sender<usize>,
    gates: watch::Sender<usize>,
}

#[derive(Debug)]
enum Fault {
    Fail(Error),
    Panic,
}

/// Holds every fetch back, those under way and those to come, until it is dropped.
#[derive(Debug)]
pub struct Gate(Arc<Script>);

impl<S> FaultSource<S> {
    /// Fetches from `inner` until told otherwise.
    pub fn new(inner: S) -> Self {
        let script = Script {
            log: Mutex::default(),
            faults: Mutex::default(),
            arrived: watch::Sender::new(0),
            gates: watch::Sender::new(0),
        };
        Self { inner, script: Arc::new(script) }
    }

    /// Makes the next fetch that passes the gate, for which nothing else is scripted, fail.
    pub fn fail_next(&self, error: Error) {
        lock(&self.script.faults).push_back(Fault::Fail(error));
    }

    /// Makes the next fetch that passes the gate, for which nothing else is scripted, panic.
    pub fn panic_next(&self) {
        lock(&self.script.faults).push_back(Fault::Panic);
    }

    /// Closes a gate before the source.
    #[must_use]
    pub fn close_gate(&self) -> Gate {
        self.script.gates.send_modify(|gates| *gates += 1);
        Gate(Arc::clone(&self.script))
    }

    /// Waits until `requests` fetches have arrived since the source was made.
    pub async fn arrived(&self, requests: usize) {
        let mut arrived = self.script.arrived.subscribe();
        // The sender lives in `self`, so the wait cannot end for want of one.
        let _ = arrived.wait_for(|&arrived| arrived >= requests).await;
    }

    /// Every request that arrived, in order.
    pub fn log(&self) -> Vec<FetchRequest> {
        lock(&self.script.log).clone()
    }

    /// How often `part` of any object was asked for.
    pub fn fetches_of(&self, part: Part) -> usize {
        let log = lock(&self.script.log);
        log.iter().flat_map(|request| &request.parts).filter(|&&asked| asked == part).count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.gates.send_modify(|gates| *gates = gates.saturating_sub(1));
    }
}

#[async_trait]
impl<S: ChunkSource> ChunkSource for FaultSource<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let script = &self.script;
        lock(&script.log).push(request.clone());
        script.arrived.send_modify(|arrived| *arrived += 1);
        let mut gates = script.gates.subscribe();
        let _ = gates.wait_for(|&gates| gates == 0).await;
        let fault = lock(&script.faults).pop_front();
        match fault {
            Some(Fault::Fail(error)) => Err(error),
            // Unwinds without the panic hook's message: the panic is part of the test.
            Some(Fault::Panic) => std::panic::resume_unwind(Box::new("scripted panic")),
            None => self.inner.fetch(request).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Single flight: who fetches a part, and who waits for whose fetch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{Chunk, ChunkKey, Error, Part, Result};

/// What a fill came to: the chunks in the order of its parts, or why there are none.
pub(super) type Outcome = Result<Arc<[Chunk]>>;

/// Fills in flight, by the parts they will bring.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<ChunkKey, Ticket>>);

/// One part of a fill in flight. `Clone` is one more who waits.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    outcome: watch::Receiver<Option<Outcome>>,
    index: usize,
}

/// How a caller comes by a part.
#[derive(Debug)]
pub(super) enum Claim {
    /// It was cached after all.
    Cached(Chunk),
    /// The caller's own fill brings it.
    Mine(Ticket),
    /// Somebody's fill, or a repeated part of the same request, brings it.
    Joined(Ticket),
}

/// The parts a caller must fetch, and who waits for them. Dropping it unanswered, as a panic or a
/// runtime that shuts down does, fails the waiters and clears the way for the next caller.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    keys: Vec<ChunkKey>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Settles every key of `wanted` under one lock: cached, mine or joined. Opens a flight for mine.
    ///
    /// A fill inserts into the cache before its flight closes, so what is neither in flight nor
    /// `cached` under this lock is nobody's yet.
    pub(super) fn claim<'a>(
        self: &Arc<Self>,
        wanted: impl Iterator<Item = (ChunkKey, &'a mut Option<Claim>)>,
        cached: impl Fn(&ChunkKey) -> Option<Chunk>,
    ) -> Option<Flight> {
        let (sender, receiver) = watch::channel(None);
        let mut mine = Vec::new();
        let mut tickets = self.lock();
        for (key, claim) in wanted {
            *claim = Some(if let Some(ticket) = tickets.get(&key) {
                Claim::Joined(ticket.clone())
            } else if let Some(chunk) = cached(&key) {
                Claim::Cached(chunk)
            } else {
                let ticket = Ticket { outcome: receiver.clone(), index: mine.len() };
                tickets.insert(key.clone(), ticket.clone());
                mine.push(key);
                Claim::Mine(ticket)
            });
        }
        (!mine.is_empty()).then(|| Flight {
            flights: Arc::clone(self),
            keys: mine,
            outcome: sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChunkKey, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// The keys to fetch, without repetition.
    pub(super) fn keys(&self) -> &[ChunkKey] {
        &self.keys
    }

    /// The parts to fetch.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.keys.iter().map(|key| key.part).collect()
    }

    /// Closes the flight, then answers everyone who waits.
    pub(super) fn land(mut self, outcome: Outcome) {
        self.close();
        self.outcome.send_replace(Some(outcome));
    }

    /// Forgets the keys, so that whoever asks next looks in the cache or opens a flight again.
    fn close(&mut self) {
        let mut tickets = self.flights.lock();
        for key in self.keys.drain(..) {
            tickets.remove(&key);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.close();
    }
}

impl Ticket {
    async fn chunk(mut self) -> Result<Chunk> {
        let landed = self.outcome.wait_for(Option::is_some).await;
        match landed.as_deref().map_err(|_| Error::unavailable("fill was abandoned"))? {
            Some(Ok(chunks)) => chunks
                .get(self.index)
                .cloned()
                .ok_or_else(|| Error::internal("fill lacks a part it was made for")),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::internal("fill answered without an outcome")),
        }
    }
}

impl Claim {
    /// The chunk, once it is there.
    ///
    /// # Errors
    /// What the fill failed with; `Unavailable` if it ended without an answer.
    pub(super) async fn chunk(self) -> Result<Chunk> {
        match self {
            Self::Cached(chunk) => Ok(chunk),
            Self::Mine(ticket) | Self::Joined(ticket) => ticket.chunk().await,
        }
    }
}

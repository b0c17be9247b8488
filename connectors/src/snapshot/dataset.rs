//! A dataset: a name and a URL, whose snapshots are kept fresh and pinned.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flightcache_cache::{Error, Result};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

use super::{Snapshot, listing};
use crate::store::{Location, Stores, is_under, redact};

/// Snapshots kept for readers that pin one, the current one included.
const RECENT_SNAPSHOTS: usize = 16;

/// A snapshot that nobody pinned for so long is forgotten.
const RECENT_IDLE: Duration = Duration::from_hours(1);

/// A name and a URL prefix, whose files are objects. Needs a tokio runtime to list.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    url: String,
    location: Location,
    revalidate_after: Duration,
    stores: Arc<Stores>,
    state: Arc<Mutex<State>>,
}

type Listing = Shared<BoxFuture<'static, Result<Arc<Snapshot>>>>;

#[derive(Debug, Default)]
struct State {
    /// The newest snapshot and when its listing began.
    current: Option<(Instant, Arc<Snapshot>)>,
    /// Snapshots and when each was last asked for, the latest first.
    recent: VecDeque<(Arc<Snapshot>, Instant)>,
    /// The listing that callers join, and when it began.
    running: Option<(Instant, Listing)>,
}

impl Dataset {
    /// A dataset at `url`, not listed yet. What its snapshots show is never older than
    /// `revalidate_after`.
    ///
    /// # Errors
    /// `Invalid` naming the URL if it is malformed or no store can be opened for it.
    pub fn new(
        name: impl Into<String>,
        url: impl Into<String>,
        revalidate_after: Duration,
        stores: Arc<Stores>,
    ) -> Result<Self> {
        let (name, url) = (name.into(), url.into());
        let location = stores.locate(&url)?;
        let state = Arc::default();
        Ok(Self { name, url: redact(&url), location, revalidate_after, stores, state })
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dataset's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the URL points.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The path in the container that `url` names, if it is this dataset's prefix or lies under
    /// it, whatever its spelling: what [`Snapshot::restrict`] takes.
    pub fn under(&self, url: &str) -> Option<String> {
        let Location { store, path, .. } = self.stores.locate(url).ok()?;
        let own = &self.location;
        let same = store.name() == own.store.name() && store.container() == own.store.container();
        (same && is_under(&path, &own.path)).then_some(path)
    }

    /// The current snapshot: from memory within `revalidate_after`, else listed again, once for
    /// all concurrent callers.
    ///
    /// # Errors
    /// `NotFound` if no object is there, `Denied`, `Unavailable` if the origin does not answer:
    /// an older snapshot is never given in its place.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let listing = {
            let mut state = lock(&self.state);
            if let Some((began, snapshot)) = &state.current
                && began.elapsed() < self.revalidate_after
            {
                return Ok(Arc::clone(snapshot));
            }
            self.join(&mut state)
        };
        listing.await
    }

    /// The snapshot `id`: the current one, a recent one, or what a new listing gives.
    ///
    /// # Errors
    /// `Stale` naming the id if it is none of these; what [`snapshot`](Self::snapshot) fails with.
    pub async fn pinned(&self, id: &str) -> Result<Arc<Snapshot>> {
        let listing = {
            let mut state = lock(&self.state);
            if let Some(snapshot) = state.recent(id) {
                return Ok(snapshot);
            }
            self.join(&mut state)
        };
        let snapshot = listing.await?;
        if snapshot.id == id {
            return Ok(snapshot);
        }
        let name = &self.name;
        Err(Error::stale(format!("snapshot {id} of dataset {name} is gone: plan again")))
    }

    /// Lists anew, whatever is known.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn refresh(&self) -> Result<Arc<Snapshot>> {
        let listing = self.start(&mut lock(&self.state));
        listing.await
    }

    fn join(&self, state: &mut State) -> Listing {
        match &state.running {
            Some((_, listing)) => listing.clone(),
            None => self.start(state),
        }
    }

    /// Starts a listing that survives its callers.
    fn start(&self, state: &mut State) -> Listing {
        let began = Instant::now();
        let (location, url) = (self.location.clone(), self.url.clone());
        let shared = Arc::clone(&self.state);
        let task = tokio::spawn(async move {
            let done = Done { state: shared, began };
            let snapshot = listing::list(&location, &url).await?;
            Ok(done.publish(snapshot))
        });
        let broke = |_| Err(Error::internal("a listing ended without an answer"));
        let listing = async move { task.await.unwrap_or_else(broke) }.boxed().shared();
        state.running = Some((began, listing.clone()));
        listing
    }
}

impl State {
    fn recent(&mut self, id: &str) -> Option<Arc<Snapshot>> {
        let now = Instant::now();
        self.recent.retain(|(_, used)| now.duration_since(*used) < RECENT_IDLE);
        if let Some((_, current)) = self.current.as_ref().filter(|(_, current)| current.id == id) {
            return Some(Arc::clone(current));
        }
        let index = self.recent.iter().position(|(snapshot, _)| snapshot.id == id)?;
        let (snapshot, _) = self.recent.remove(index)?;
        self.recent.push_front((Arc::clone(&snapshot), now));
        Some(snapshot)
    }
}

/// Ends a listing, also one that failed or panicked, so that the next caller starts another.
struct Done {
    state: Arc<Mutex<State>>,
    began: Instant,
}

impl Done {
    fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut state = lock(&self.state);
        let snapshot = state.recent(&snapshot.id).unwrap_or_else(|| {
            let snapshot = Arc::new(snapshot);
            state.recent.push_front((Arc::clone(&snapshot), Instant::now()));
            state.recent.truncate(RECENT_SNAPSHOTS);
            snapshot
        });
        if state.current.as_ref().is_none_or(|(began, _)| *began <= self.began) {
            state.current = Some((self.began, Arc::clone(&snapshot)));
        }
        snapshot
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.running.as_ref().is_some_and(|(began, _)| *began == self.began) {
            state.running = None;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

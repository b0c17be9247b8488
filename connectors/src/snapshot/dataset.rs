//! A dataset: a name and a URL, whose snapshots are kept fresh and pinned.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flightcache_cache::{Error, ObjectId, Result};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

use super::{Snapshot, SnapshotBook, listing};
use crate::store::{Location, Stores, is_under, redact};

/// Snapshots kept for readers that pin one, the current one included.
const RECENT_SNAPSHOTS: usize = 16;

/// A snapshot that nobody pinned for so long is forgotten.
const RECENT_IDLE: Duration = Duration::from_hours(1);

/// A name and a URL prefix, whose files are objects. Needs a tokio runtime to list.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    revalidate_after: Duration,
    stores: Arc<Stores>,
    listings: Arc<Listings>,
}

/// What is listed, and what the listings gave.
#[derive(Debug)]
struct Listings {
    url: String,
    location: Location,
    /// Where snapshots are that are not recent any more.
    book: Option<Arc<SnapshotBook>>,
    state: Mutex<State>,
}

type Listing = Shared<BoxFuture<'static, Result<Arc<Snapshot>>>>;

#[derive(Debug, Default)]
struct State {
    /// The newest snapshot and when its listing began.
    current: Option<(Instant, Arc<Snapshot>)>,
    /// Listings that began earlier are of no use: they may show what is known to be gone.
    not_before: Option<Instant>,
    /// Snapshots and when each was last asked for, the latest first.
    recent: VecDeque<(Arc<Snapshot>, Instant)>,
    /// The listing in flight, and when it began.
    running: Option<(Instant, Listing)>,
    /// The listing that begins once that one has ended, for callers whom it is too old for.
    next: Option<Listing>,
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
        Self::remembered(name, url, revalidate_after, stores, None)
    }

    /// As [`new`](Self::new), with a book in which its snapshots outlive what memory holds of them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn remembered(
        name: impl Into<String>,
        url: impl Into<String>,
        revalidate_after: Duration,
        stores: Arc<Stores>,
        book: Option<Arc<SnapshotBook>>,
    ) -> Result<Self> {
        let (name, url) = (name.into(), url.into());
        let location = stores.locate(&url)?;
        let listings = Listings { url: redact(&url), location, book, state: Mutex::default() };
        Ok(Self { name, revalidate_after, stores, listings: Arc::new(listings) })
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dataset's URL.
    pub fn url(&self) -> &str {
        &self.listings.url
    }

    /// Where the URL points.
    pub fn location(&self) -> &Location {
        &self.listings.location
    }

    /// The path in the container that `url` names, if it is this dataset's prefix or lies under
    /// it, whatever its spelling: what [`Snapshot::restrict`] takes.
    pub fn under(&self, url: &str) -> Option<String> {
        let Location { store, path, .. } = self.stores.locate(url).ok()?;
        let own = self.location();
        let same = store.name() == own.store.name() && store.container() == own.store.container();
        (same && is_under(&path, &own.path)).then_some(path)
    }

    /// Whether `object` lies at or under the URL.
    pub fn covers(&self, object: &ObjectId) -> bool {
        let own = self.location();
        own.store.name() == object.store
            && own.store.container() == object.container
            && is_under(&object.path, &own.path)
    }

    /// The current snapshot: from memory within `revalidate_after`, else listed again, once for
    /// all concurrent callers.
    ///
    /// # Errors
    /// `NotFound` if no object is there, `Denied`, `Unavailable` if the origin does not answer:
    /// an older snapshot is never given in its place.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let listing = {
            let mut state = self.listings.lock();
            if let Some((began, snapshot)) = &state.current
                && began.elapsed() < self.revalidate_after
            {
                return Ok(Arc::clone(snapshot));
            }
            self.listings.join(&mut state, self.revalidate_after)
        };
        listing.await
    }

    /// The snapshot `id`: the current one, a recent one, one in the book, or what a new listing
    /// gives.
    ///
    /// # Errors
    /// `Stale` naming the id if it is none of these; what [`snapshot`](Self::snapshot) fails with.
    pub async fn pinned(&self, id: &str) -> Result<Arc<Snapshot>> {
        if let Some(snapshot) = self.listings.lock().recent(id) {
            return Ok(snapshot);
        }
        if let Some(snapshot) = self.listings.in_book(id).await {
            return Ok(self.listings.lock().remember(snapshot));
        }
        let listing = self.listings.join(&mut self.listings.lock(), Duration::ZERO);
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
        let listing = self.listings.join(&mut self.listings.lock(), Duration::ZERO);
        listing.await
    }

    /// An object turned out to be gone that snapshots which `hold` it still show: if the current
    /// one does, or there is none yet, the next caller is given a listing that begins from here
    /// on. So whoever is told to plan again can.
    pub fn outdated(&self, hold: impl Fn(&Snapshot) -> bool) {
        let mut state = self.listings.lock();
        if state.current.as_ref().is_none_or(|(_, current)| hold(current)) {
            state.current = None;
            state.not_before = Some(Instant::now());
        }
    }
}

impl Listings {
    /// A listing that began at most `max_age` ago: the one in flight, or one that callers share
    /// and that begins when that has ended, so that two are never in flight.
    fn join(self: &Arc<Self>, state: &mut State, max_age: Duration) -> Listing {
        match (&state.running, &state.next) {
            (Some((began, running)), _) if began.elapsed() < max_age && state.is_of_use(*began) => {
                running.clone()
            }
            (_, Some(next)) => next.clone(),
            (Some((_, running)), None) => {
                let next = self.after(running.clone());
                state.next = Some(next.clone());
                next
            }
            (None, None) => self.start(state),
        }
    }

    /// A listing that begins once `running` has ended.
    fn after(self: &Arc<Self>, running: Listing) -> Listing {
        let listings = Arc::clone(self);
        share(async move {
            // Why it failed is told to those who waited for it.
            let _ = running.await;
            let listing = {
                let mut state = listings.lock();
                state.next = None;
                listings.start(&mut state)
            };
            listing.await
        })
    }

    /// Starts a listing that survives its callers.
    fn start(self: &Arc<Self>, state: &mut State) -> Listing {
        let began = Instant::now();
        let listings = Arc::clone(self);
        let listing = share(async move {
            let done = Done { listings: Arc::clone(&listings), began };
            let snapshot = listing::list(&listings.location, &listings.url).await?;
            Ok(done.publish(snapshot))
        });
        state.running = Some((began, listing.clone()));
        listing
    }

    /// The snapshot `id` as the book has it.
    async fn in_book(self: &Arc<Self>, id: &str) -> Option<Snapshot> {
        let book = self.book.clone()?;
        let (listings, id) = (Arc::clone(self), id.to_owned());
        let read = move || book.read(&listings.location, &listings.url, &id);
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Has `snapshot` written into the book; where that fails it is pinned for as long as it is
    /// recent.
    fn note(self: &Arc<Self>, snapshot: &Arc<Snapshot>) {
        let Some(book) = self.book.clone() else { return };
        let (listings, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        tokio::task::spawn_blocking(move || book.write(&listings.location, &snapshot));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` detached, for any number of callers.
fn share(work: impl Future<Output = Result<Arc<Snapshot>>> + Send + 'static) -> Listing {
    let task = tokio::spawn(work);
    let broke = |_| Err(Error::internal("a listing ended without an answer"));
    async move { task.await.unwrap_or_else(broke) }.boxed().shared()
}

impl State {
    fn is_of_use(&self, began: Instant) -> bool {
        self.not_before.is_none_or(|earliest| began >= earliest)
    }

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

impl State {
    /// Keeps `snapshot` among the recent ones; gives the one that is kept.
    fn remember(&mut self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.recent(&snapshot.id).unwrap_or_else(|| {
            let snapshot = Arc::new(snapshot);
            self.recent.push_front((Arc::clone(&snapshot), Instant::now()));
            self.recent.truncate(RECENT_SNAPSHOTS);
            snapshot
        })
    }
}

/// Ends a listing, also one that failed or panicked, so that the next caller starts another.
struct Done {
    listings: Arc<Listings>,
    began: Instant,
}

impl Done {
    fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut state = self.listings.lock();
        let known = state.recent.iter().any(|(recent, _)| recent.id == snapshot.id);
        let snapshot = state.remember(snapshot);
        if !known {
            self.listings.note(&snapshot);
        }
        let newest = state.current.as_ref().is_none_or(|(began, _)| *began <= self.began);
        if newest && state.is_of_use(self.began) {
            state.current = Some((self.began, Arc::clone(&snapshot)));
        }
        snapshot
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let mut state = self.listings.lock();
        if state.running.as_ref().is_some_and(|(began, _)| *began == self.began) {
            state.running = None;
        }
    }
}

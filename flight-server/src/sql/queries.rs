//! The queries that run, and the last ones that ran: to end them, and to look at them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flightcache_cache::{Error, Result};
use flightcache_planner::sql::QueryUsage;
use moka::sync::Cache;
use tokio::{sync::watch, time::Instant};

use crate::node::now_ms;

/// Queries that are remembered after their end.
const MAX_FINISHED: usize = 1_000;
/// Bytes of a statement that are remembered.
const MAX_SQL_BYTES: usize = 4 << 10;
/// Cancelled queries whose other endpoints are refused.
const MAX_CANCELLED: u64 = 10_000;
/// How long they are.
const CANCELLED_TIME_TO_LIVE: Duration = Duration::from_hours(1);

/// The queries of a node. What it remembers is bounded.
#[derive(Debug)]
pub struct Queries {
    running: Mutex<BTreeMap<u64, Arc<Entry>>>,
    finished: Mutex<VecDeque<QueryRecord>>,
    cancelled: Cache<String, ()>,
    next: AtomicU64,
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            finished: Mutex::default(),
            cancelled: Cache::builder()
                .max_capacity(MAX_CANCELLED)
                .time_to_live(CANCELLED_TIME_TO_LIVE)
                .build(),
            next: AtomicU64::new(0),
        }
    }
}

/// How a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// It runs.
    Running,
    /// All of it was sent.
    Finished,
    /// It ended with an error.
    Failed,
    /// Its caller cancelled it, or went away.
    Cancelled,
}

impl QueryState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is known of one read of a query's endpoint.
#[derive(Clone, Debug)]
pub struct QueryRecord {
    /// The query's id, the same for all its endpoints.
    pub id: String,
    /// Whose it is; absent where the node asks nobody who he is.
    pub principal: Option<String>,
    /// Its text, shortened.
    pub sql: String,
    /// How it is.
    pub state: QueryState,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// How long it took so far, or in all, in milliseconds.
    pub elapsed_ms: u64,
    /// Rows made.
    pub rows: u64,
    /// Bytes of their batches.
    pub bytes: u64,
    /// Bytes that its sorts, joins and aggregations held at most.
    pub peak_memory_bytes: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    id: String,
    principal: Option<String>,
    sql: String,
    started_ms: u64,
    started: Instant,
    rows: AtomicU64,
    bytes: AtomicU64,
    usage: Mutex<Option<QueryUsage>>,
    stop: watch::Sender<Option<Error>>,
}

impl Entry {
    fn record(&self, state: QueryState, error: Option<&Error>) -> QueryRecord {
        QueryRecord {
            id: self.id.clone(),
            principal: self.principal.clone(),
            sql: self.sql.clone(),
            state,
            error: error.map(|error| error.message().to_owned()),
            started_ms: self.started_ms,
            elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            peak_memory_bytes: self.usage(QueryUsage::peak_memory_bytes),
        }
    }

    fn held_bytes(&self) -> u64 {
        self.usage(QueryUsage::memory_bytes)
    }

    fn usage(&self, figure: impl Fn(&QueryUsage) -> u64) -> u64 {
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.as_ref().map_or(0, figure)
    }
}

impl Queries {
    /// Notes that a query begins.
    ///
    /// # Errors
    /// `Invalid` if it was cancelled.
    pub(crate) fn begin(
        self: &Arc<Self>,
        id: &str,
        principal: Option<&str>,
        sql: &str,
    ) -> Result<Running> {
        let entry = Arc::new(Entry {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            id: id.to_owned(),
            principal: principal.map(str::to_owned),
            sql: sql.get(..sql.floor_char_boundary(MAX_SQL_BYTES)).unwrap_or_default().to_owned(),
            started_ms: now_ms(),
            started: Instant::now(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            usage: Mutex::default(),
            stop: watch::Sender::new(None),
        });
        self.running().insert(entry.number, Arc::clone(&entry));
        let running = Running { queries: Arc::clone(self), entry, ended: None };
        // Looked at once it can be found, so that who cancels at this moment is heard.
        if self.cancelled.contains_key(id) { Err(cancelled()) } else { Ok(running) }
    }

    /// Ends every read of the query `id`, and refuses those that are still to come; whether any was
    /// running.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        self.cancelled.insert(id.to_owned(), ());
        let of_it: Vec<_> =
            self.running().values().filter(|entry| entry.id == id).map(Arc::clone).collect();
        for entry in &of_it {
            entry.stop.send_replace(Some(cancelled()));
        }
        !of_it.is_empty()
    }

    /// Ends the query that holds most memory, the youngest among equals, with `error`; whether
    /// there was one.
    pub(crate) fn shed(&self, error: Error) -> bool {
        let running = self.running();
        let worst = running
            .values()
            .filter(|entry| entry.stop.borrow().is_none())
            .max_by_key(|entry| (entry.held_bytes(), entry.number));
        worst.is_some_and(|entry| {
            entry.stop.send_replace(Some(error));
            true
        })
    }

    /// The queries that run, the oldest first, then those that ran, the latest first.
    pub fn records(&self) -> Vec<QueryRecord> {
        let running: Vec<_> = self.running().values().map(Arc::clone).collect();
        let running = running.iter().map(|entry| entry.record(QueryState::Running, None));
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        running.chain(finished.iter().cloned()).collect()
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running().len()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancelled() -> Error {
    Error::invalid("the query was cancelled")
}

/// A query that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    queries: Arc<Queries>,
    entry: Arc<Entry>,
    ended: Option<Result<()>>,
}

impl Running {
    /// What takes note of where its cost can be read; of a query that is planned anew, again.
    pub(crate) fn costs(&self) -> impl FnOnce(QueryUsage) + Send + 'static + use<> {
        let entry = Arc::clone(&self.entry);
        move |usage| *entry.usage.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage)
    }

    /// What counts its batches.
    pub(crate) fn counter(&self) -> impl Fn(u64, u64) + Send + 'static + use<> {
        let entry = Arc::clone(&self.entry);
        move |rows, bytes| {
            entry.rows.fetch_add(rows, Ordering::Relaxed);
            entry.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Ends when the query is to end, with the reason.
    pub(crate) fn stopped(&self) -> impl Future<Output = Error> + Send + 'static + use<> {
        let mut stop = self.entry.stop.subscribe();
        async move {
            let reason = stop.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            reason.unwrap_or_else(cancelled)
        }
    }

    /// Notes how it ended; without it, its client went away.
    pub(crate) fn end(mut self, end: &Result<()>) {
        self.ended = Some(end.clone());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queries.running().remove(&self.entry.number);
        let record = match &self.ended {
            Some(Ok(())) => self.entry.record(QueryState::Finished, None),
            Some(Err(error)) if error.message() != cancelled().message() => {
                self.entry.record(QueryState::Failed, Some(error))
            }
            _ => self.entry.record(QueryState::Cancelled, None),
        };
        let mut finished = self.queries.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.truncate(MAX_FINISHED - 1);
        finished.push_front(record);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_cancelled_query_ends_and_does_not_begin_again() {
        let queries = Arc::new(Queries::default());
        let one = queries.begin("a", Some("alice"), "SELECT 1").unwrap();
        let other = queries.begin("b", None, "SELECT 2").unwrap();
        assert!(one.stopped().now_or_never().is_none());
        assert!(queries.cancel("a") && !queries.cancel("c"));
        let reason = one.stopped().now_or_never().unwrap();
        assert!(other.stopped().now_or_never().is_none());
        one.end(&Err(reason));
        assert!(queries.begin("a", Some("alice"), "SELECT 1").is_err());
        other.end(&Ok(()));
        let states: Vec<_> =
            queries.records().iter().map(|one| (one.id.clone(), one.state.name())).collect();
        let expected = [("b", "finished"), ("a", "cancelled"), ("a", "cancelled")];
        assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
        assert_eq!(queries.count(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let queries = Arc::new(Queries::default());
        for _ in 0..MAX_FINISHED + 5 {
            let running = queries.begin("a", None, &"ü".repeat(MAX_SQL_BYTES)).unwrap();
            running.end(&Err(Error::exhausted("too much")));
        }
        let records = queries.records();
        assert_eq!(records.len(), MAX_FINISHED);
        assert!(records.iter().all(|one| one.sql.len() <= MAX_SQL_BYTES));
        assert_eq!(records[0].error.as_deref(), Some("too much"));
    }

    #[tokio::test]
    async fn the_youngest_of_equals_is_shed_and_each_once() {
        let queries = Arc::new(Queries::default());
        let old = queries.begin("old", None, "").unwrap();
        let young = queries.begin("young", None, "").unwrap();
        assert!(queries.shed(Error::exhausted("no room")));
        assert!(young.stopped().now_or_never().is_some() && old.stopped().now_or_never().is_none());
        assert!(queries.shed(Error::exhausted("no room")));
        assert!(old.stopped().now_or_never().is_some());
        assert!(!queries.shed(Error::exhausted("no room")));
    }
}

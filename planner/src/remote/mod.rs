//! Chunks from a Flightcache server, and from the origin where the server does not have them.
//!
//! ```text
//!  memory tier ─► disk tier ─► RemoteSource ─┬─► node: GetFlightInfo, DoGet   (Arrow Flight)
//!                                            └─► Parquet origin               (in this process)
//! ```
//!
//! The cache is never why a read fails: a node that is down, slow, refuses, or does not cover an
//! object is passed by, and a counter says so. What it sends is taken only if it is of the object
//! version that was asked for, of the types that the file's own footer gives, and whole.

mod breaker;
mod connection;
mod gather;
mod node;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flightcache_cache::{Chunk, ChunkSource, Column, FetchRequest, ObjectId, Part, Result};
use flightcache_connectors::{Footer, Footers, partitions};
use futures::future::join_all;
use tokio::time::timeout;
use url::Url;

pub use connection::{ClientTls, Connection, DEFAULT_URL, NodeClient, of_flight};

use self::{gather::Gatherer, node::Node, rows::Expected};

/// How a remote node is reached, and how long it is waited for.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// The node.
    pub connection: Connection,
    /// How long it may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long it may take to answer, and then between two messages; a node that has nothing yet
    /// reads from the object store within that time.
    pub answer_timeout: Duration,
    /// How long a row group may take, however the node answers; one that has not come by then is
    /// read from the object store.
    pub read_timeout: Duration,
}

impl RemoteSettings {
    /// The node behind `connection`: two seconds to connect, ten for an answer, thirty for all.
    pub fn new(connection: Connection) -> Self {
        let [connect_timeout, answer_timeout, read_timeout] = [2, 10, 30].map(Duration::from_secs);
        Self { connection, connect_timeout, answer_timeout, read_timeout }
    }

    /// How long a row group is waited for: behind those that were asked for before, and itself.
    pub(crate) fn patience(&self) -> Duration {
        2 * self.read_timeout
    }
}

/// What a [`RemoteSource`] counted since it was made: which way chunks came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteSnapshot {
    /// Scans that the node was asked for; each may be of several row groups.
    pub requests: u64,
    /// Chunks that came from the node.
    pub chunks: u64,
    /// Rows of the row groups that they are of.
    pub rows: u64,
    /// Chunks that came from the origin instead.
    pub fallbacks: u64,
    /// Requests that failed: nobody answered, or not in time, or what was sent cannot be used.
    pub failures: u64,
    /// Requests for what the node does not cover, or has in another version or type.
    pub uncovered: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    chunks: AtomicU64,
    rows: AtomicU64,
    fallbacks: AtomicU64,
    failures: AtomicU64,
    uncovered: AtomicU64,
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

/// A [`ChunkSource`] that asks a node for columns, and the source behind it for what the node does
/// not give. `Clone` shares the connection and the counters.
#[derive(Clone, Debug)]
pub struct RemoteSource<S> {
    origin: S,
    footers: Arc<Footers>,
    gatherer: Gatherer,
    patience: Duration,
    counters: Arc<Counters>,
}

impl<S: ChunkSource> RemoteSource<S> {
    /// Columns of the node that `settings` name, else from `origin`; `footers` say what a file
    /// holds. Connects to nothing yet, but needs a Tokio runtime around it.
    ///
    /// # Errors
    /// `Invalid` for a token that no header can hold, or a file that holds no certificate or key.
    pub fn new(settings: &RemoteSettings, footers: Arc<Footers>, origin: S) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let gatherer = Gatherer::new(Node::new(settings, Arc::clone(&counters))?);
        let patience = settings.patience();
        Ok(Self { origin, footers, gatherer, patience, counters })
    }

    /// The counters as they stand; reading resets nothing.
    pub fn snapshot(&self) -> RemoteSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RemoteSnapshot {
            requests: read(&self.counters.requests),
            chunks: read(&self.counters.chunks),
            rows: read(&self.counters.rows),
            fallbacks: read(&self.counters.fallbacks),
            failures: read(&self.counters.failures),
            uncovered: read(&self.counters.uncovered),
        }
    }

    /// The chunks of `request` from the node; `None` if it does not give all of them.
    async fn ask(&self, request: &FetchRequest) -> Option<Vec<Chunk>> {
        let object = &request.object;
        let url = url_of(object)?;
        if request.parts.is_empty() || !self.gatherer.may_have(object) {
            return None;
        }
        let wanted = by_row_group(&request.parts)?;
        let footer = self.footers.get(object).await.ok()?;
        let asked = wanted.iter().map(|(&row_group, columns)| {
            let wanted = Wanted::new(&footer, &url, row_group, columns);
            async move { timeout(self.patience, self.row_group(wanted?)).await.ok().flatten() }
        });
        let mut found: HashMap<Part, Chunk> = HashMap::new();
        for ((&row_group, columns), chunks) in wanted.iter().zip(join_all(asked).await) {
            let parts = columns.iter().map(|&column| Part::Column { row_group, column });
            found.extend(parts.zip(chunks?.into_iter().map(Chunk::Column)));
        }
        let groups = wanted.keys().filter_map(|&group| footer.row_group_rows().nth(group as usize));
        add(&self.counters.rows, groups.sum::<u64>() as usize);
        add(&self.counters.chunks, found.len());
        request.tally.remote(found.len() as u64);
        request.parts.iter().map(|part| found.get(part).cloned()).collect()
    }

    /// The columns of one row group.
    async fn row_group(&self, wanted: Wanted) -> Option<Vec<Column>> {
        if wanted.expected.rows == 0 {
            let empty = |field| Column::try_new(field, Vec::new()).ok();
            return wanted.scan.fields.into_iter().map(empty).collect();
        }
        self.gatherer.fetch(wanted).await
    }
}

#[async_trait]
impl<S: ChunkSource> ChunkSource for RemoteSource<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        if let Some(chunks) = self.ask(request).await {
            return Ok(chunks);
        }
        add(&self.counters.fallbacks, request.parts.len());
        self.origin.fetch(request).await
    }
}

/// What is asked of a node for one row group.
#[derive(Clone, Debug)]
struct Wanted {
    scan: Scan,
    expected: Expected,
}

/// Columns of one object version: what one request may ask of several row groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scan {
    object: Arc<ObjectId>,
    url: String,
    /// The columns as the file's own footer gives them.
    fields: Vec<arrow::datatypes::FieldRef>,
}

impl Wanted {
    /// `None` if the file has no such row group or columns, or a node would take one of them for
    /// a folder's.
    fn new(footer: &Footer, url: &str, row_group: u32, columns: &BTreeSet<u32>) -> Option<Self> {
        let schema = &footer.schema;
        let field = |&column: &u32| schema.fields().get(column as usize).cloned();
        let fields = columns.iter().map(field).collect::<Option<Vec<_>>>()?;
        let ordinal = row_group as usize;
        let rows = footer.row_group_rows().nth(ordinal)?;
        let first_row = footer.row_group_rows().take(ordinal).sum();
        // Wherever the node's dataset begins: all folders of the path.
        let folders = partitions(&footer.object.path);
        if fields.iter().any(|field| folders.iter().any(|(name, _)| name == field.name())) {
            return None;
        }
        let scan = Scan { object: Arc::clone(&footer.object), url: url.to_owned(), fields };
        Some(Self { scan, expected: Expected { ordinal: row_group, first_row, rows } })
    }
}

/// The columns of each row group; `None` if there are other parts.
fn by_row_group(parts: &[Part]) -> Option<BTreeMap<u32, BTreeSet<u32>>> {
    let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for &part in parts {
        let Part::Column { row_group, column } = part else { return None };
        wanted.entry(row_group).or_default().insert(column);
    }
    Some(wanted)
}

/// The URL by which a node knows `object`: under that of its store, which is registered here as the
/// program names it. `None` for what has no version, and so proves nothing.
fn url_of(object: &ObjectId) -> Option<String> {
    if !object.is_versioned() || !object.container.is_empty() {
        return None;
    }
    // The store's name stays as it is: a URL without a special scheme may have any authority.
    let mut path = Url::parse("file:///").ok()?;
    path.path_segments_mut().ok()?.clear().extend(object.path.split('/'));
    let store = object.store.trim_end_matches('/');
    // That of local files has no authority.
    let slashes = if store.ends_with(':') { "//" } else { "" };
    Some(format!("{store}{slashes}{}", path.path()))
}

//! One request to a node: plan it, read its endpoints, hand out row groups as they are whole.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo,
    decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder},
};
use flightcache_cache::{Column, Error, ErrorKind, ObjectId, Result};
use flightcache_protocol::{BatchMetadata, ScanCommand, SplitMetadata, SplitObject};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use moka::sync::Cache;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{
    Counters, NodeClient, RemoteSettings, Scan, add,
    breaker::Breaker,
    connection::of_flight,
    gather::Waiting,
    rows::{self, Expected, RowGroup},
};

/// Endpoints of one request that are read at a time.
const ENDPOINTS_AT_ONCE: usize = 4;
/// How long a node is not asked again for an object that it does not cover.
const UNCOVERED_FOR: Duration = Duration::from_secs(30);
/// Objects of which that is remembered.
const MAX_UNCOVERED: u64 = 10_000;
/// Warnings of one node are this far apart.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// A node that is asked for columns.
#[derive(Debug)]
pub(super) struct Node {
    client: NodeClient,
    url: String,
    answer_timeout: Duration,
    read_timeout: Duration,
    breaker: Breaker,
    uncovered: Cache<Arc<ObjectId>, ()>,
    warned: Mutex<Option<Instant>>,
    counters: Arc<Counters>,
}

/// Whether `error` says that the node does not give this version of the object, of these types,
/// and not that it failed.
fn is_uncovered(error: &Error) -> bool {
    let kind = error.kind();
    matches!(kind, ErrorKind::NotFound | ErrorKind::Stale | ErrorKind::Data | ErrorKind::Invalid)
}

impl Node {
    pub(super) fn new(settings: &RemoteSettings, counters: Arc<Counters>) -> Result<Self> {
        let connection = settings.connection.clone().with_connect_timeout(settings.connect_timeout);
        let uncovered = Cache::builder().max_capacity(MAX_UNCOVERED).time_to_live(UNCOVERED_FOR);
        Ok(Self {
            client: connection.open_lazily()?,
            url: connection.url().to_owned(),
            answer_timeout: settings.answer_timeout,
            read_timeout: settings.read_timeout,
            breaker: Breaker::default(),
            uncovered: uncovered.build(),
            warned: Mutex::default(),
            counters,
        })
    }

    /// Whether the node is well as far as is known, and may cover `object`.
    pub(super) fn may_have(&self, object: &Arc<ObjectId>) -> bool {
        self.breaker.lets_through() && !self.uncovered.contains_key(object)
    }

    /// Asks for row groups of `scan` and hands each to who waits for it. Who gets none hears so once
    /// what that says of the node is noted.
    pub(super) async fn ask(&self, scan: Scan, wanted: Vec<Waiting>) {
        let Some(admitted) = self.breaker.admit() else { return };
        add(&self.counters.requests, 1);
        let wanted = Wanting::new(wanted);
        let read = self.while_given(&wanted, self.read(&scan, &wanted));
        // Decoders may panic on bytes that nobody vouches for.
        let read = AssertUnwindSafe(read).catch_unwind().await;
        let broken = |_| Err(Error::internal("what the node sent cannot be decoded"));
        let Err(error) = read.unwrap_or_else(broken) else { return admitted.succeeded() };
        if is_uncovered(&error) {
            admitted.succeeded();
            add(&self.counters.uncovered, 1);
            self.uncovered.insert(Arc::clone(&scan.object), ());
        } else {
            admitted.failed();
            add(&self.counters.failures, 1);
        }
        drop(wanted);
        self.warn(&scan.object, &error);
    }

    fn warn(&self, object: &ObjectId, error: &Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_some_and(|at| at.elapsed() < WARN_EVERY) {
            return;
        }
        *warned = Some(Instant::now());
        drop(warned);
        let kind = error.kind().name();
        warn!(node = %self.url, %object, kind, %error, "read from the object store instead");
    }

    async fn read(&self, scan: &Scan, wanted: &Wanting) -> Result<()> {
        let mut expected = wanted.expected();
        let info = self.plan(scan, &expected).await?;
        let mut reads = Vec::with_capacity(info.endpoint.len());
        for endpoint in info.endpoint {
            let object = object_of(&endpoint)?;
            same_version(&object, &scan.object)?;
            let mut row_groups = Vec::with_capacity(object.row_groups.len());
            for planned in object.row_groups {
                let asked = expected.remove(&planned.ordinal);
                let of = planned.ordinal;
                let unasked =
                    || Error::internal(format!("the node plans row group {of} otherwise"));
                row_groups.push(asked.filter(|it| it.is_planned_as(&planned)).ok_or_else(unasked)?);
            }
            reads.push(self.endpoint(scan, endpoint, row_groups, wanted));
        }
        if let Some((missing, _)) = expected.first_key_value() {
            return Err(Error::internal(format!("the node plans no row group {missing}")));
        }
        stream::iter(reads).map(Ok).try_for_each_concurrent(ENDPOINTS_AT_ONCE, |read| read).await
    }

    async fn plan(&self, scan: &Scan, expected: &BTreeMap<u32, Expected>) -> Result<FlightInfo> {
        let columns = scan.fields.iter().map(|field| field.name().clone()).collect();
        let command = ScanCommand {
            url: Some(scan.url.clone()),
            columns: Some(columns),
            row_groups: Some(expected.keys().copied().collect()),
            ..ScanCommand::default()
        };
        let json = serde_json::to_vec(&command)
            .map_err(|error| Error::internal("command is no JSON").with_source(error))?;
        let mut flight = self.client.flight()?;
        let planned = flight.get_flight_info(FlightDescriptor::new_cmd(json));
        self.in_time(planned).await?.map_err(of_flight)
    }

    /// Reads one endpoint, whose row groups come in the order of `expected`.
    async fn endpoint(
        &self,
        scan: &Scan,
        endpoint: FlightEndpoint,
        expected: Vec<Expected>,
        wanted: &Wanting,
    ) -> Result<()> {
        let mut flight = self.client.flight()?;
        let opened = flight.do_get(endpoint.ticket.unwrap_or_default());
        let opened = self.in_time(opened).await?.map_err(of_flight)?;
        let mut messages = opened.into_inner();
        for expected in expected {
            let mut row_group = RowGroup::new(expected, scan.fields.clone());
            while !row_group.is_complete() {
                if !wanted.is_awaited_from(expected.ordinal) {
                    // Nobody waits any more: what is left of this stream is not worth its bytes.
                    return Ok(());
                }
                let Some(message) = self.next(&mut messages).await? else { break };
                let DecodedFlightData { inner, payload } = message;
                match payload {
                    DecodedPayload::None => {}
                    DecodedPayload::Schema(schema) => rows::check(&schema, &scan.fields)?,
                    DecodedPayload::RecordBatch(batch) => {
                        row_group.push(&covered(&inner.app_metadata)?, &batch)?;
                    }
                }
            }
            wanted.give(expected.ordinal, &row_group.finish()?);
        }
        // The end says whether all went well; what a node sends beyond what it planned is its fault.
        match self.next(&mut messages).await? {
            None => Ok(()),
            Some(_) => Err(Error::internal("the node sends more rows than it planned")),
        }
    }

    async fn next(&self, messages: &mut FlightDataDecoder) -> Result<Option<DecodedFlightData>> {
        self.in_time(messages.try_next()).await?.map_err(of_flight)
    }

    /// What `read` comes to, unless no row group is given for the time that one may take.
    async fn while_given<T>(
        &self,
        wanted: &Wanting,
        read: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut read = pin!(read);
        loop {
            let given = wanted.given();
            match timeout(self.read_timeout, &mut read).await {
                Ok(read) => return read,
                Err(_) if wanted.given() > given => {}
                Err(_) => return Err(late(self.read_timeout)),
            }
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        in_time(self.answer_timeout, answer).await
    }
}

async fn in_time<T>(limit: Duration, answer: impl Future<Output = T>) -> Result<T> {
    timeout(limit, answer).await.map_err(|_| late(limit))
}

fn late(limit: Duration) -> Error {
    Error::unavailable(format!("no answer within {limit:?}"))
}

/// Who waits for which row group of one request.
#[derive(Debug)]
struct Wanting {
    waiting: Mutex<BTreeMap<u32, Vec<Waiting>>>,
    given: AtomicUsize,
}

impl Wanting {
    fn new(waiting: Vec<Waiting>) -> Self {
        let mut wanted: BTreeMap<u32, Vec<Waiting>> = BTreeMap::new();
        for waiting in waiting {
            wanted.entry(waiting.expected.ordinal).or_default().push(waiting);
        }
        Self { waiting: Mutex::new(wanted), given: AtomicUsize::new(0) }
    }

    /// Row groups that were given.
    fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }

    /// What is wanted, each row group once.
    fn expected(&self) -> BTreeMap<u32, Expected> {
        let wanted = self.lock();
        let firsts = wanted.values().filter_map(|waiting| waiting.first());
        firsts.map(|waiting| (waiting.expected.ordinal, waiting.expected)).collect()
    }

    /// Whether anybody waits for that row group or a later one, as far as they are not given.
    fn is_awaited_from(&self, ordinal: u32) -> bool {
        let wanted = self.lock();
        let mut waiting = wanted.range(ordinal..).flat_map(|(_, waiting)| waiting);
        waiting.any(|waiting| !waiting.done.is_closed())
    }

    fn give(&self, ordinal: u32, columns: &[Column]) {
        self.given.fetch_add(1, Ordering::Relaxed);
        let waiting = self.lock().remove(&ordinal).unwrap_or_default();
        for waiting in waiting {
            // Whoever does not listen any more wants no columns either.
            drop(waiting.done.send(columns.to_vec()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one object that an endpoint reads.
fn object_of(endpoint: &FlightEndpoint) -> Result<SplitObject> {
    let SplitMetadata { objects } = serde_json::from_slice(&endpoint.app_metadata)
        .map_err(|error| Error::internal("the node tells no object").with_source(error))?;
    let mut objects = objects.into_iter();
    match (objects.next(), objects.next()) {
        (Some(object), None) => Ok(object),
        _ => Err(Error::internal("the node tells several objects of an endpoint")),
    }
}

fn same_version(planned: &SplitObject, asked: &ObjectId) -> Result<()> {
    let same =
        planned.path == asked.path && planned.etag == asked.etag && planned.size == asked.size;
    if same { Ok(()) } else { Err(Error::stale("the node has another version of the object")) }
}

fn covered(app_metadata: &[u8]) -> Result<BatchMetadata> {
    serde_json::from_slice(app_metadata)
        .map_err(|error| Error::internal("the node tells no rows of a batch").with_source(error))
}

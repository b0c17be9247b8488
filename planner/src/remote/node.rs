//! One request to a node: plan it, read its endpoints, hand out row groups as they are whole.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo,
    decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder},
};
use flightcache_cache::{Error, ErrorKind, ObjectId, Result};
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

/// Whether `error` says that the node has not this version of the object, of these types, and not
/// that it failed.
fn is_uncovered(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Stale | ErrorKind::Data)
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

    /// Asks for row groups of `scan` and hands each to who waits for it, or drops it.
    pub(super) async fn ask(&self, scan: Scan, wanted: Vec<Waiting>) {
        let Some(admitted) = self.breaker.admit() else { return };
        add(&self.counters.requests, 1);
        // Decoders may panic on bytes that nobody vouches for.
        let read = in_time(self.read_timeout, self.read(&scan, wanted));
        let read = AssertUnwindSafe(read).catch_unwind().await.map(Result::flatten);
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

    async fn read(&self, scan: &Scan, wanted: Vec<Waiting>) -> Result<()> {
        let expected: Vec<_> = wanted.iter().map(|waiting| waiting.expected).collect();
        let info = self.plan(scan, &expected).await?;
        let mut wanted: BTreeMap<u32, Vec<Waiting>> =
            wanted.into_iter().fold(BTreeMap::new(), |mut wanted, waiting| {
                wanted.entry(waiting.expected.ordinal).or_insert_with(Vec::new).push(waiting);
                wanted
            });
        let mut reads = Vec::with_capacity(info.endpoint.len());
        for endpoint in info.endpoint {
            let object = object_of(&endpoint)?;
            same_version(&object, &scan.object)?;
            let mut row_groups = Vec::with_capacity(object.row_groups.len());
            for row_group in object.row_groups {
                let waiting = wanted.remove(&row_group.ordinal).filter(|waiting| {
                    waiting.iter().all(|waiting| waiting.expected.is_planned_as(&row_group))
                });
                let of = row_group.ordinal;
                let unasked =
                    || Error::internal(format!("the node plans row group {of} otherwise"));
                row_groups.push(waiting.ok_or_else(unasked)?);
            }
            reads.push(self.endpoint(scan, endpoint, row_groups));
        }
        if let Some((missing, _)) = wanted.first_key_value() {
            return Err(Error::internal(format!("the node plans no row group {missing}")));
        }
        stream::iter(reads).map(Ok).try_for_each_concurrent(ENDPOINTS_AT_ONCE, |read| read).await
    }

    async fn plan(&self, scan: &Scan, expected: &[Expected]) -> Result<FlightInfo> {
        let columns = scan.fields.iter().map(|field| field.name().clone()).collect();
        let mut row_groups: Vec<_> = expected.iter().map(|expected| expected.ordinal).collect();
        row_groups.dedup();
        let command = ScanCommand {
            url: Some(scan.url.clone()),
            columns: Some(columns),
            row_groups: Some(row_groups),
            ..ScanCommand::default()
        };
        let json = serde_json::to_vec(&command)
            .map_err(|error| Error::internal("command is no JSON").with_source(error))?;
        let mut flight = self.client.flight()?;
        let planned = flight.get_flight_info(FlightDescriptor::new_cmd(json));
        self.in_time(planned).await?.map_err(of_flight)
    }

    /// Reads one endpoint, whose row groups come in the order of `wanted`.
    async fn endpoint(
        &self,
        scan: &Scan,
        endpoint: FlightEndpoint,
        wanted: Vec<Vec<Waiting>>,
    ) -> Result<()> {
        let mut flight = self.client.flight()?;
        let opened = flight.do_get(endpoint.ticket.unwrap_or_default());
        let opened = self.in_time(opened).await?.map_err(of_flight)?;
        let mut messages = opened.into_inner();
        for waiting in wanted {
            let Some(expected) = waiting.first().map(|waiting| waiting.expected) else { continue };
            let mut row_group = RowGroup::new(expected, scan.fields.clone());
            while !row_group.is_complete() {
                if waiting.iter().all(|waiting| waiting.done.is_closed()) {
                    // Nobody waits any more: what is left of this stream is not worth its bytes.
                    return Ok(());
                }
                let Some(message) = self.next(&mut messages).await? else { break };
                let DecodedFlightData { inner, payload } = message;
                match payload {
                    DecodedPayload::None => {}
                    DecodedPayload::Schema(schema) => {
                        rows::check(&schema, &scan.fields)?;
                    }
                    DecodedPayload::RecordBatch(batch) => {
                        row_group.push(&covered(&inner.app_metadata)?, &batch)?;
                    }
                }
            }
            let columns = row_group.finish()?;
            for waiting in waiting {
                // Whoever does not listen any more wants no columns either.
                drop(waiting.done.send(columns.clone()));
            }
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

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        in_time(self.answer_timeout, answer).await
    }
}

async fn in_time<T>(limit: Duration, answer: impl Future<Output = T>) -> Result<T> {
    let late = |_| Error::unavailable(format!("no answer within {limit:?}"));
    timeout(limit, answer).await.map_err(late)
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

//! Statements: planned into endpoints, and read.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use arrow_flight::{FlightDescriptor, FlightInfo};
use flightcache_cache::{Error, ErrorKind, Result};
use flightcache_planner::{
    BatchStream, PlannedSplit,
    sql::{Query, Statement},
};
use flightcache_protocol::{ScanCommand, SplitMetadata, SqlQuery, SqlRequest, SqlStatement};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::sleep;

use super::{flight_info, prepared, sealed_endpoint};
use crate::{
    auth::Caller,
    node::Node,
    service::{
        Answer, info,
        read::{Admitted, Rows},
        stream::{MayGoOn, Reader},
    },
    sql::{Running, Slot, Wanted, overdue, prepare},
};

/// Bytes of endpoints in one answer, at most: a query of more splits is read through one endpoint.
const MAX_ENDPOINT_BYTES: usize = 2 << 20;

/// `app_metadata` of the `FlightInfo` of a query.
#[derive(Serialize)]
struct QueryMetadata<'a> {
    /// Names it, in `flightcache.queries` too.
    query: &'a str,
    /// What it reads, by dataset.
    snapshots: &'a BTreeMap<String, String>,
}

struct Planned {
    schema: SchemaRef,
    snapshots: BTreeMap<String, String>,
    splits: Vec<PlannedSplit>,
}

/// Plans `statement`: one endpoint, or one a split where its rows can be told from one at a time.
pub(super) async fn plan(
    node: &Arc<Node>,
    caller: &Caller,
    descriptor: FlightDescriptor,
    statement: SqlStatement,
) -> Result<FlightInfo> {
    let Planned { schema, snapshots, splits } = planned(node, caller, &statement).await?;
    let whole =
        SqlQuery { id: random_id()?, statement, snapshots, split: None, schema: digest(&schema)? };
    let metadata = QueryMetadata { query: &whole.id, snapshots: &whole.snapshots };
    let metadata = info::json(&metadata)?;
    let endpoint = |query: SqlQuery, metadata| {
        sealed_endpoint(node, caller, SqlRequest::Query(query), metadata)
    };
    let mut endpoints = Vec::new();
    let mut bytes = 0;
    for split in &splits {
        let of = SplitMetadata { objects: vec![split.object.clone()] };
        let query = SqlQuery { split: Some(split.ticket.clone()), ..whole.clone() };
        let made = endpoint(query, info::json(&of)?)?;
        bytes += prost::Message::encoded_len(&made);
        if bytes > MAX_ENDPOINT_BYTES {
            break;
        }
        endpoints.push(made);
    }
    if splits.len() < 2 || endpoints.len() < splits.len() {
        endpoints = vec![endpoint(whole, Vec::new())?];
    }
    flight_info(&schema, descriptor, endpoints, metadata)
}

/// The schema of what `statement` answers.
pub(super) async fn schema(
    node: &Arc<Node>,
    caller: &Caller,
    statement: &SqlStatement,
) -> Result<SchemaRef> {
    let wanted = Wanted { sql: statement.sql.clone(), ..Wanted::default() };
    prepare(node, caller, wanted, |statement| async move { Ok(Arc::clone(statement.schema())) })
        .await
}

async fn planned(node: &Arc<Node>, caller: &Caller, statement: &SqlStatement) -> Result<Planned> {
    let mut again = true;
    loop {
        let parameters = parameters(statement)?;
        let wanted = Wanted { sql: statement.sql.clone(), ..Wanted::default() };
        let planned = prepare(node, caller, wanted, |statement| async move {
            let statement = bound(statement, parameters.as_ref())?;
            let splits = statement.splits().await?.unwrap_or_default();
            let (schema, snapshots) = (Arc::clone(statement.schema()), statement.snapshots());
            Ok(Planned { schema, snapshots, splits })
        });
        match planned.await {
            // An object was overwritten between the snapshot and the footers.
            Err(error) if error.kind() == ErrorKind::Stale && again => again = false,
            planned => return planned,
        }
    }
}

/// Streams the endpoint of a query.
pub(super) async fn read(
    node: Arc<Node>,
    caller: &Caller,
    reader: Reader,
    query: SqlQuery,
) -> Result<http::Response<Answer>> {
    let principal = caller.principal();
    let running = node.sql.queries.begin(&query.id, principal, &query.statement.sql)?;
    let starting = start(&node, caller, reader, &query, &running);
    let started = tokio::select! {
        started = starting => started,
        error = running.stopped() => Err(error),
    };
    let (place, admitted, schema, batches) = match started {
        Ok(started) => started,
        Err(error) => {
            running.end(&Err(error.clone()));
            return Err(error);
        }
    };
    let batches = replanned(&node, caller, &query, &running, batches);
    let count = running.counter();
    let batches = batches.inspect_ok(move |batch| {
        count(batch.num_rows() as u64, batch.get_array_memory_size() as u64);
    });
    let rows = Rows {
        schema,
        batches: batches.boxed(),
        // Operators make batches of their own.
        copies: true,
        may_go_on: may_go_on(&node, caller, &query),
    };
    let (limit, stopped) = (node.sql.timeout, running.stopped());
    let stop = async move {
        tokio::select! {
            error = stopped => error,
            () = sleep(limit) => overdue(limit),
        }
    };
    let (node, caller) = (Arc::clone(&node), caller.clone());
    admitted.respond(rows, stop, move |end| {
        if end.as_ref().is_err_and(|error| error.kind() == ErrorKind::Stale) {
            outdated(&node, &caller, &query.snapshots);
        }
        running.end(end);
        drop(place);
    })
}

/// Asks anew whether `caller` is still known, and may read the datasets of `query`.
fn may_go_on(node: &Arc<Node>, caller: &Caller, query: &SqlQuery) -> MayGoOn {
    let (node, caller) = (Arc::clone(node), caller.clone());
    let commands: Vec<_> = query.snapshots.keys().map(ScanCommand::dataset).collect();
    Box::new(move || {
        caller.must_be_known()?;
        commands.iter().try_for_each(|command| node.datasets.authorize_on(&caller, command))
    })
}

/// The place of a query among those that run.
enum Place {
    Own(#[expect(dead_code, reason = "held until the query ends")] Slot),
    Shared(#[expect(dead_code, reason = "held until the query ends")] Arc<Slot>),
}

/// Waits for a place and a stream, in this order, and begins to run the query.
async fn start(
    node: &Arc<Node>,
    caller: &Caller,
    reader: Reader,
    query: &SqlQuery,
    running: &Running,
) -> Result<(Place, Admitted, SchemaRef, BatchStream)> {
    let (principal, until) = (caller.principal(), reader.until(node.settings.queue_timeout));
    let place = match &query.split {
        None => Place::Own(node.sql.slots.take(principal, until).await?),
        Some(_) => Place::Shared(node.sql.slots.share(&query.id, principal, until).await?),
    };
    let admitted = Admitted::new(node, reader).await?;
    let Query { schema, batches, usage } = run(node, caller, query).await?;
    running.costs()(usage);
    Ok((place, admitted, schema, batches))
}

/// Plans and starts the query at its snapshots; where one of them is gone, which another node or a
/// restart makes so, at the current ones, if the answer has the same schema there.
async fn run(node: &Arc<Node>, caller: &Caller, query: &SqlQuery) -> Result<Query> {
    match run_at(node, caller, query, query.snapshots.clone()).await {
        Err(error) if error.kind() == ErrorKind::Stale => {
            run_at(node, caller, query, BTreeMap::new()).await
        }
        run => run,
    }
}

async fn run_at(
    node: &Arc<Node>,
    caller: &Caller,
    query: &SqlQuery,
    snapshots: BTreeMap<String, String>,
) -> Result<Query> {
    let (sql, split) = (query.statement.sql.clone(), query.split.clone());
    let (parameters, expected) = (parameters(&query.statement)?, query.schema);
    let wanted = Wanted { sql, snapshots, split };
    prepare(node, caller, wanted, move |statement| async move {
        let query = bound(statement, parameters.as_ref())?.execute().await?;
        if digest(&query.schema)? != expected {
            return Err(Error::stale("the columns of the answer changed: plan again"));
        }
        Ok(query)
    })
    .await
}

/// The same batches; where an object turns out to be gone before the first of them, those of the
/// query planned anew.
fn replanned(
    node: &Arc<Node>,
    caller: &Caller,
    query: &SqlQuery,
    running: &Running,
    batches: BatchStream,
) -> BatchStream {
    // An empty answer is polled once more.
    let mut batches = batches.fuse();
    let (node, caller, query) = (Arc::clone(node), caller.clone(), query.clone());
    let costs = running.costs();
    let first = async move {
        match batches.next().await {
            Some(Err(error)) if error.kind() == ErrorKind::Stale && query.split.is_none() => {
                drop(batches);
                outdated(&node, &caller, &query.snapshots);
                let again = run_at(&node, &caller, &query, BTreeMap::new()).await?;
                costs(again.usage);
                Ok::<_, Error>(again.batches)
            }
            first => Ok(stream::iter(first).chain(batches).boxed()),
        }
    };
    stream::once(first).try_flatten().boxed()
}

fn outdated(node: &Node, caller: &Caller, snapshots: &BTreeMap<String, String>) {
    for (dataset, id) in snapshots {
        let command = ScanCommand::dataset(dataset);
        node.datasets.outdated(caller, &command, |current| current.id == *id);
    }
}

fn parameters(statement: &SqlStatement) -> Result<Option<RecordBatch>> {
    statement.parameters.as_deref().map(prepared::decode).transpose()
}

fn bound(statement: Statement, parameters: Option<&RecordBatch>) -> Result<Statement> {
    match parameters {
        Some(values) => statement.bind(values),
        None => match statement.parameters().fields().first() {
            Some(first) => {
                Err(Error::invalid(format!("parameter {} has no value: bind one", first.name())))
            }
            None => Ok(statement),
        },
    }
}

/// A digest of `schema`, the same on every node.
fn digest(schema: &Schema) -> Result<u64> {
    let sent = info::schema_result(schema)?;
    let hash = blake3::hash(&sent.schema);
    let first = hash.as_bytes().first_chunk::<8>();
    Ok(first.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal(format!("no random bytes for an id: {error}")))?;
    Ok(u128::from_le_bytes(bytes)).map(|id| format!("{id:032x}"))
}

//! `GetFlightInfo`, `GetSchema` and `ListFlights`: what there is, and where to read it.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, Location, SchemaAsIpc, SchemaResult,
    Ticket as FlightTicket, flight_descriptor::DescriptorType,
};
use arrow_ipc::writer::IpcWriteOptions;
use flightcache_cache::{Error, ErrorKind, Result};
use flightcache_connectors::Dataset;
use flightcache_planner::{DatasetTable, PlannedSplit, ScanPlan};
use flightcache_protocol::{
    ScanCommand, ScanMetadata, SplitMetadata, SqlTicket, Ticket, is_sql_ticket,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
    stream,
};
use serde::Serialize;
use tonic::Status;

use super::{BoxStream, sql};
use crate::{
    auth::Caller,
    node::{Node, now_ms},
    status::log,
};

/// Datasets that are looked at together by `ListFlights`.
const LISTED_AT_ONCE: usize = 8;

/// Times a plan is made anew because an object was overwritten while it was made.
const ATTEMPTS: usize = 5;

/// Plans the scan that `descriptor` asks for: one endpoint a split.
pub(super) async fn plan(
    node: &Arc<Node>,
    caller: &Caller,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo> {
    if let Some(command) = sql::command(&descriptor)? {
        return sql::plan(node, caller, descriptor, command).await;
    }
    let command = command(&descriptor)?;
    let planned = at_snapshot(node, caller, &command, |node, table| {
        let command = command.clone();
        async move {
            let plan = node.planner.plan(&table, &command).await?;
            let statistics = node.planner.statistics(&table, &command).await?;
            Ok((table, plan, statistics))
        }
        .boxed()
    });
    let (table, plan, statistics) = planned.await?;
    let snapshot = table.snapshot();
    let whole = Ticket {
        limit: command.limit,
        command: ScanCommand {
            snapshot: Some(snapshot.id.clone()),
            // Told once: tickets need not carry the question.
            statistics: None,
            ..command
        },
        principal: caller.principal().map(str::to_owned),
        split: None,
        schema: table.schema_digest(),
        expires_ms: expiry(node),
    };
    let endpoints = if plan.single_endpoint {
        whole_endpoint(node, &plan, &whole)?
    } else {
        let splits = plan.splits.iter();
        splits.map(|split| split_endpoint(node, split, &whole)).collect::<Result<_>>()?
    };
    let metadata = ScanMetadata { pruned: plan.pruned, statistics, ..metadata(&table) };
    info(&plan.schema, descriptor, endpoints, plan.rows, &metadata)
}

/// Does `work` at the snapshot that `command` reads; again at a new one, where none is pinned and
/// an object was overwritten in between.
pub(crate) async fn at_snapshot<T: Send + 'static>(
    node: &Arc<Node>,
    caller: &Caller,
    command: &ScanCommand,
    work: impl Fn(Arc<Node>, Arc<DatasetTable>) -> BoxFuture<'static, Result<T>> + Send,
) -> Result<T> {
    let mut stale: Option<Error> = None;
    for _ in 0..ATTEMPTS {
        let snapshot = match (node.datasets.resolve(caller, command).await, stale) {
            (Ok(snapshot), _) => snapshot,
            // Why it cannot be listed anew is told to whoever plans again.
            (Err(error), stale) => return Err(stale.unwrap_or(error)),
        };
        let (planning, of) = (Arc::clone(node), Arc::clone(&snapshot));
        let table = node.on_cpu(async move { planning.planner.table(&of).await }).await;
        let done = match table {
            Ok(table) => node.on_cpu(work(Arc::clone(node), table)).await,
            Err(error) => Err(error),
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Stale => {
                node.datasets.outdated(caller, command, |current| current.id == snapshot.id);
                if command.snapshot.is_some() {
                    return Err(error);
                }
                stale = Some(error);
            }
            done => return done,
        }
    }
    Err(stale.unwrap_or_else(|| Error::internal("a plan was never tried")))
}

/// The schema of what `descriptor` asks for.
pub(super) async fn schema(
    node: &Arc<Node>,
    caller: &Caller,
    descriptor: &FlightDescriptor,
) -> Result<SchemaResult> {
    if let Some(command) = sql::command(descriptor)? {
        return sql::schema(node, caller, command).await;
    }
    let command = command(descriptor)?;
    let schema = at_snapshot(node, caller, &command, |node, table| {
        ready(node.planner.schema(&table, &command)).boxed()
    });
    schema_result(&*schema.await?)
}

/// `schema` as `GetSchema` answers it.
pub(super) fn schema_result(schema: &Schema) -> Result<SchemaResult> {
    SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error| Error::internal("schema cannot be sent").with_source(error))
}

/// Every dataset that `caller` may read, without endpoints; of one that cannot be read, the name
/// alone.
pub(super) fn list(node: Arc<Node>, caller: &Caller) -> BoxStream<FlightInfo> {
    stream::iter(node.datasets.readable(caller))
        .map(move |dataset| {
            let node = Arc::clone(&node);
            async move { describe(&node, &dataset).await }
        })
        .buffered(LISTED_AT_ONCE)
        .boxed()
}

async fn describe(node: &Node, dataset: &Dataset) -> std::result::Result<FlightInfo, Status> {
    let name = dataset.name();
    let descriptor = FlightDescriptor::new_path(vec![name.to_owned()]);
    let known = async {
        let snapshot = dataset.snapshot().await;
        let snapshot = snapshot.map_err(|error| error.context(format!("dataset `{name}`")))?;
        let table = node.planner.table(&snapshot).await?;
        info(table.schema(), descriptor.clone(), Vec::new(), Some(table.rows()), &metadata(&table))
    };
    Ok(known.await.unwrap_or_else(|error| {
        log("ListFlights", &error);
        FlightInfo { total_records: -1, total_bytes: -1, ..FlightInfo::new() }
            .with_descriptor(descriptor)
    }))
}

fn command(descriptor: &FlightDescriptor) -> Result<ScanCommand> {
    match descriptor.r#type() {
        DescriptorType::Cmd => ScanCommand::parse(&descriptor.cmd),
        DescriptorType::Path => match descriptor.path.as_slice() {
            [name] => Ok(ScanCommand::dataset(name)),
            path => Err(Error::invalid(format!(
                "a flight path is one dataset name, not {} parts",
                path.len()
            ))),
        },
        DescriptorType::Unknown => Err(Error::invalid("flight descriptor has no type")),
    }
}

fn split_endpoint(node: &Node, split: &PlannedSplit, whole: &Ticket) -> Result<FlightEndpoint> {
    let ticket = Ticket { split: Some(split.ticket.clone()), limit: split.limit, ..whole.clone() };
    let metadata = SplitMetadata { objects: vec![split.object.clone()] };
    endpoint(node, &ticket, &metadata)
}

/// The one endpoint of a scan with both a filter and a limit, or none if nothing can match.
fn whole_endpoint(node: &Node, plan: &ScanPlan, ticket: &Ticket) -> Result<Vec<FlightEndpoint>> {
    if plan.splits.is_empty() {
        return Ok(Vec::new());
    }
    let objects = plan.splits.iter().map(|split| split.object.clone()).collect();
    Ok(vec![endpoint(node, ticket, &SplitMetadata { objects })?])
}

fn endpoint(node: &Node, ticket: &Ticket, metadata: &SplitMetadata) -> Result<FlightEndpoint> {
    let sealed = node.ticket_keys.get().seal(ticket)?;
    Ok(endpoint_of(node, sealed, ticket.expires_ms, json(metadata)?))
}

/// The endpoint of a sealed ticket.
pub(super) fn endpoint_of(
    node: &Node,
    sealed: Vec<u8>,
    expires_ms: u64,
    metadata: Vec<u8>,
) -> FlightEndpoint {
    // No location means the server that was asked.
    let location = node.settings.advertise.iter().map(|uri| Location { uri: uri.clone() });
    FlightEndpoint {
        ticket: Some(FlightTicket { ticket: sealed.into() }),
        location: location.collect(),
        expiration_time: Some(timestamp(expires_ms)),
        app_metadata: metadata.into(),
    }
}

/// The same endpoint with a ticket that lives as long as a new one.
pub(super) fn renew(
    node: &Node,
    caller: &Caller,
    endpoint: FlightEndpoint,
) -> Result<FlightEndpoint> {
    let sealed = endpoint.ticket.unwrap_or_default().ticket;
    let (keys, expires_ms) = (node.ticket_keys.get(), expiry(node));
    let renewed = if is_sql_ticket(&sealed) {
        let ticket = keys.open_sql(&sealed, now_ms())?;
        caller.must_own(ticket.principal.as_deref())?;
        keys.seal_sql(&SqlTicket { expires_ms, ..ticket })?
    } else {
        let ticket = keys.open(&sealed, now_ms())?;
        caller.must_own(ticket.principal.as_deref())?;
        node.datasets.authorize(caller, &ticket.command)?;
        keys.seal(&Ticket { expires_ms, ..ticket })?
    };
    Ok(FlightEndpoint {
        ticket: Some(FlightTicket { ticket: renewed.into() }),
        expiration_time: Some(timestamp(expires_ms)),
        location: endpoint.location,
        app_metadata: endpoint.app_metadata,
    })
}

/// When a ticket made at this moment ends, in milliseconds since the Unix epoch.
pub(super) fn expiry(node: &Node) -> u64 {
    let ttl = u64::try_from(node.settings.ticket_ttl.as_millis()).unwrap_or(u64::MAX);
    now_ms().saturating_add(ttl)
}

fn timestamp(ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000 * 1_000_000) as i32 }
}

/// What is told of a table.
fn metadata(table: &DatasetTable) -> ScanMetadata {
    let snapshot = table.snapshot();
    ScanMetadata {
        snapshot: snapshot.id.clone(),
        bytes: snapshot.bytes,
        objects: snapshot.objects.len() as u64,
        schemas: table.schemas(),
        partition_columns: snapshot.partition_columns.clone(),
        pruned: Vec::new(),
        statistics: Vec::new(),
    }
}

fn info(
    schema: &Schema,
    descriptor: FlightDescriptor,
    endpoint: Vec<FlightEndpoint>,
    rows: Option<u64>,
    metadata: &ScanMetadata,
) -> Result<FlightInfo> {
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Error::internal("schema cannot be sent").with_source(error))?
        .with_total_records(rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1))
        .with_total_bytes(-1)
        .with_ordered(true)
        .with_app_metadata(json(metadata)?);
    Ok(FlightInfo { endpoint, ..info.with_descriptor(descriptor) })
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal("metadata cannot be written").with_source(error))
}

//! `DoAction`: warm, refresh, evict, map, stats.

use std::sync::Arc;

use arrow_flight::{
    Action as FlightAction, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult,
    CancelStatus, FlightInfo, RenewFlightEndpointRequest, Result as FlightResult,
    sql::{
        ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
        ActionCreatePreparedStatementRequest, Any, ProstMessageExt,
    },
};
use flightcache_cache::{ChunkSource, Error, FetchRequest, Part, Result};
use flightcache_protocol::{
    Action, DatasetRequest, FillFailure, RefreshReply, ScanCommand, WarmProgress, WarmReply,
    WarmRequest, WarmSummary,
};
use futures::{FutureExt, StreamExt, stream};
use prost::Message;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{BoxStream, info, map, sql};
use crate::{auth::Caller, metrics::StatsSource, node::Node, status::status};

/// `CancelResult` of Flight SQL, an enumeration that arrow-flight keeps to itself.
const CANCELLED: i32 = 1;
const NOT_CANCELLABLE: i32 = 3;
/// Fragments that one warm-up fills at a time.
const WARMED_AT_ONCE: usize = 8;
/// Failures that a summary names; more are only counted by the caller's retries.
const MAX_FAILURES: usize = 10_000;

/// The actions there are.
pub(super) fn list() -> BoxStream<ActionType> {
    let types = Action::ALL.map(|action| {
        Ok(ActionType {
            r#type: action.name().to_owned(),
            description: action.description().to_owned(),
        })
    });
    stream::iter(types).boxed()
}

/// Does `action` and streams its answer.
pub(super) async fn act(
    node: Arc<Node>,
    caller: &Caller,
    action: FlightAction,
) -> Result<BoxStream<FlightResult>> {
    let kind = Action::parse(&action.r#type)?;
    let acting = caller.acting(kind.name());
    match kind {
        Action::Warm => warm(node, &acting, kind.body(&action.body)?).await,
        Action::Refresh => {
            let request: DatasetRequest = kind.body(&action.body)?;
            let snapshot = node.datasets.get(&acting, &request.dataset)?.refresh().await?;
            answer(&RefreshReply {
                snapshot: snapshot.id.clone(),
                objects: snapshot.objects.len() as u64,
                bytes: snapshot.bytes,
            })
        }
        Action::Evict => {
            let request: DatasetRequest = kind.body(&action.body)?;
            answer(&node.evict(node.datasets.get(&acting, &request.dataset)?).await)
        }
        // To read, and so no more than a ticket's `DoGet`, is what it takes.
        Action::Map => answer(&map::map(&node, caller, &kind.body(&action.body)?).await?),
        Action::Stats => {
            let Nothing {} = kind.body(&action.body)?;
            acting.decide_watch()?;
            answer(&node.stats())
        }
        Action::CancelFlightInfo => {
            let request: CancelFlightInfoRequest = decode(kind, &action)?;
            let cancelled = cancel(&node, caller, &request.info.unwrap_or_default())?;
            // Planning a scan leaves nothing behind, and its streams end when their reader drops them.
            let status =
                if cancelled { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
            Ok(protobuf(&CancelFlightInfoResult { status: status.into() }))
        }
        Action::RenewFlightEndpoint => {
            let request: RenewFlightEndpointRequest = decode(kind, &action)?;
            Ok(protobuf(&info::renew(&node, caller, request.endpoint.unwrap_or_default())?))
        }
        Action::CancelQuery => {
            let request: ActionCancelQueryRequest = unpack(kind, &action)?;
            let info = FlightInfo::decode(request.info)
                .map_err(|error| Error::invalid(format!("{}: {error}", kind.name())))?;
            let cancelled = cancel(&node, caller, &info)?;
            let result = if cancelled { CANCELLED } else { NOT_CANCELLABLE };
            let result = ActionCancelQueryResult { result };
            Ok(protobuf(&result.as_any()))
        }
        Action::CreatePreparedStatement => {
            let request: ActionCreatePreparedStatementRequest = unpack(kind, &action)?;
            let created = sql::prepared::create(&node, caller, request).await?;
            Ok(protobuf(&created.as_any()))
        }
        Action::ClosePreparedStatement => {
            let request: ActionClosePreparedStatementRequest = unpack(kind, &action)?;
            // A handle is all there is of it; only its owner may say that it is done.
            sql::prepared::statement(&node, caller, &request.prepared_statement_handle)?;
            Ok(stream::empty().boxed())
        }
    }
}

fn decode<M: Message + Default>(kind: Action, action: &FlightAction) -> Result<M> {
    M::decode(action.body.clone())
        .map_err(|error| Error::invalid(format!("{}: {error}", kind.name())))
}

/// As [`decode`], of what Flight SQL wraps once more.
fn unpack<M: ProstMessageExt>(kind: Action, action: &FlightAction) -> Result<M> {
    let any: Any = decode(kind, action)?;
    let message = any.unpack().ok().flatten();
    message.ok_or_else(|| Error::invalid(format!("{}: the body is another message", kind.name())))
}

/// Ends the query that `info` is of; whether it is one.
fn cancel(node: &Node, caller: &Caller, info: &FlightInfo) -> Result<bool> {
    let query = sql::query_id(node, caller, info)?;
    Ok(query.is_some_and(|id| {
        node.sql.queries.cancel(&id);
        true
    }))
}

fn protobuf(reply: &impl Message) -> BoxStream<FlightResult> {
    let message = FlightResult { body: reply.encode_to_vec().into() };
    stream::iter([Ok(message)]).boxed()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn answer(reply: &impl Serialize) -> Result<BoxStream<FlightResult>> {
    let message = message(reply)?;
    Ok(stream::iter([Ok(message)]).boxed())
}

fn message(reply: &impl Serialize) -> Result<FlightResult> {
    let body = serde_json::to_vec(reply)
        .map_err(|error| Error::internal("answer cannot be written").with_source(error))?;
    Ok(FlightResult { body: body.into() })
}

async fn warm(
    node: Arc<Node>,
    caller: &Caller,
    request: WarmRequest,
) -> Result<BoxStream<FlightResult>> {
    let command = ScanCommand {
        dataset: Some(request.dataset),
        columns: request.columns,
        filter: request.filter,
        ..ScanCommand::default()
    };
    let fragments = info::at_snapshot(&node, caller, &command, |node, table| {
        let command = command.clone();
        async move { node.planner.fragments(&table, &command).await }.boxed()
    });
    let fragments = fragments.await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let end = fill(&node, fragments, &sender).await;
        if let Err(error) = end {
            let _ = sender.send(Err(status("DoAction", &error))).await;
        }
    });
    Ok(ReceiverStream::new(receiver).boxed())
}

/// Fills `fragments`, telling how far it is; stops when the caller is gone.
async fn fill(
    node: &Arc<Node>,
    fragments: Vec<FetchRequest>,
    sender: &mpsc::Sender<std::result::Result<FlightResult, Status>>,
) -> Result<()> {
    let of = fragments.len() as u64;
    let mut summary = WarmSummary { fragments: of, bytes: 0, failures: Vec::new() };
    let mut filling = stream::iter(fragments)
        .map(|request| {
            let node = Arc::clone(node);
            async move {
                let filled = node.stack.memory.fetch(&request).await;
                (
                    request,
                    filled
                        .map(|chunks| chunks.iter().map(|chunk| chunk.bytes() as u64).sum::<u64>()),
                )
            }
        })
        .buffer_unordered(WARMED_AT_ONCE);
    let mut fragments = 0;
    while let Some((request, filled)) = filling.next().await {
        fragments += 1;
        match filled {
            Ok(bytes) => summary.bytes += bytes,
            Err(error) if summary.failures.len() < MAX_FAILURES => {
                summary.failures.push(failure(&request, &error));
            }
            Err(_) => {}
        }
        let progress = WarmProgress { fragments, of, bytes: summary.bytes };
        if sender.send(Ok(message(&WarmReply::Progress(progress))?)).await.is_err() {
            return Ok(());
        }
    }
    let _ = sender.send(Ok(message(&WarmReply::Summary(summary))?)).await;
    Ok(())
}

fn failure(request: &FetchRequest, error: &Error) -> FillFailure {
    let row_group = match request.parts.first() {
        Some(Part::Column { row_group, .. }) => *row_group,
        _ => 0,
    };
    let error = error.message().to_owned();
    FillFailure { object: request.object.path.clone(), row_group, error }
}

//! `DoGet`: opens a ticket, admits the stream, and produces its messages on the CPU runtime.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use flightcache_cache::{Error, ErrorKind, Result};
use flightcache_connectors::Snapshot;
use flightcache_planner::{BatchStream, DatasetTable, covered_rows};
use flightcache_protocol::{ScanCommand, Ticket, is_sql_ticket};
use futures::{
    FutureExt, StreamExt,
    future::{pending, ready},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{timeout, timeout_at},
};

use super::{
    body::{Answer, Outgoing, StreamBody},
    encode::{FlightEncoder, FlightMessage},
    info::at_snapshot,
    sql,
    stream::{MayGoOn, OpenStream, Pulse, Reader, Sender},
};
use crate::{
    auth::Caller,
    node::{Node, now_ms},
};

/// Messages that are ready and not yet asked for, of one stream.
const MESSAGES_AHEAD: usize = 4;

/// What a batch comes to, as the planner cuts them.
const BATCH_BYTES: usize = 2 << 20;

/// Serves a ticket: the response whose body streams its batches.
///
/// # Errors
/// `Invalid` for a ticket that is not ours, `Stale` if it expired or its object version is gone,
/// `Denied` if it is another principal's, `NotFound` if `caller` may not read its dataset any more,
/// `Exhausted` if no stream is free within the queue timeout.
pub(super) async fn read(
    node: Arc<Node>,
    caller: &Caller,
    reader: Reader,
    ticket: &[u8],
) -> Result<http::Response<Answer>> {
    if is_sql_ticket(ticket) {
        return sql::read(node, caller, reader, ticket).await;
    }
    let ticket = node.ticket_keys.get().open(ticket, now_ms())?;
    caller.must_own(ticket.principal.as_deref())?;
    let admitted = Admitted::new(&node, reader).await?;
    let table = table(&node, caller, &ticket).await?;
    let snapshot = table.snapshot().id.clone();
    let (planning, wanted) = (Arc::clone(&node), ticket.clone());
    let scan = node.on_cpu(async move {
        let split = wanted.split.as_ref();
        planning.planner.read(&table, &wanted.command, split, wanted.limit)
    });
    let (schema, batches) = scan.await?;
    let may_go_on = {
        let (node, caller, command) = (Arc::clone(&node), caller.clone(), ticket.command.clone());
        Box::new(move || node.datasets.authorize_on(&caller, &command))
    };
    let copies = ticket.command.filter.is_some();
    let rows = Rows { schema, batches, copies, may_go_on };
    let caller = caller.clone();
    admitted.respond(rows, pending(), move |end| {
        if end.as_ref().is_err_and(|error| error.kind() == ErrorKind::Stale) {
            let moved_on = |current: &Snapshot| match &ticket.split {
                Some(split) => current.holds(&split.path, &split.etag),
                None => current.id == snapshot,
            };
            node.datasets.outdated(&caller, &ticket.command, moved_on);
        }
    })
}

/// What a stream sends.
pub(super) struct Rows {
    /// The schema of every batch.
    pub(super) schema: SchemaRef,
    pub(super) batches: BatchStream,
    /// Whether batches are memory of their own, and not slices of chunks.
    pub(super) copies: bool,
    /// Asks anew whether the caller may have them.
    pub(super) may_go_on: MayGoOn,
}

/// A stream that has its place.
pub(super) struct Admitted {
    node: Arc<Node>,
    reader: Reader,
    permit: OwnedSemaphorePermit,
    arrived: Instant,
}

impl Admitted {
    /// Waits for a place.
    ///
    /// # Errors
    /// `Exhausted` if no stream is free within the queue timeout.
    pub(super) async fn new(node: &Arc<Node>, reader: Reader) -> Result<Self> {
        let arrived = Instant::now();
        let permit = admit(node, &reader).await?;
        Ok(Self { node: Arc::clone(node), reader, permit, arrived })
    }

    /// The response whose body streams `rows`, until `stop` says why no more; `ended` hears how it
    /// ended, if not by a client that went away.
    ///
    /// # Errors
    /// `Invalid` if the schema cannot be sent.
    pub(super) fn respond(
        self,
        rows: Rows,
        stop: impl Future<Output = Error> + Send + 'static,
        ended: impl FnOnce(&Result<()>) + Send + 'static,
    ) -> Result<http::Response<Answer>> {
        let Self { node, reader, permit, arrived } = self;
        let Rows { schema, batches, copies, may_go_on } = rows;
        let encoder = FlightEncoder::try_new(&schema)?;
        let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
        let open = OpenStream::new(Arc::clone(&node), reader, may_go_on, permit);
        let pulse = open.pulse();
        let outlet = Outlet { sender: sender.clone(), pulse: pulse.clone() };
        let producing = Arc::clone(&node);
        let producer = Producer { node: producing, encoder, outlet, copies, arrived };
        let produced = node.cpu.spawn(async move {
            let end = tokio::select! {
                end = producer.run(batches) => end,
                error = stop => Err(error),
            };
            ended(&end);
            end
        });
        tokio::spawn(open.attend(produced, sender));
        Ok(StreamBody::response(receiver, pulse))
    }
}

/// The table that `ticket` reads. Where its snapshot is no longer known, which one of another node
/// or a restart makes so, or an object of it that the split does not need is gone, a split is read
/// at the current snapshot if that has the same schema.
pub(super) async fn table(
    node: &Arc<Node>,
    caller: &Caller,
    ticket: &Ticket,
) -> Result<Arc<DatasetTable>> {
    let planned = async {
        let snapshot = node.datasets.resolve(caller, &ticket.command).await?;
        let planning = Arc::clone(node);
        node.on_cpu(async move { planning.planner.table(&snapshot).await }).await
    };
    let gone = match planned.await {
        Err(error) if error.kind() == ErrorKind::Stale && ticket.split.is_some() => error,
        planned => return planned,
    };
    let current = ScanCommand { snapshot: None, ..ticket.command.clone() };
    let table = at_snapshot(node, caller, &current, |_, table| ready(Ok(table)).boxed()).await?;
    if table.schema_digest() == ticket.schema { Ok(table) } else { Err(gone) }
}

async fn admit(node: &Node, reader: &Reader) -> Result<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(&node.streams).try_acquire_owned() {
        return Ok(permit);
    }
    let _waiter = node.waiters().enter();
    let waiting = Arc::clone(&node.streams).acquire_owned();
    match timeout_at(reader.until(node.settings.queue_timeout), waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::exhausted(format!(
            "all {} streams of this node are taken: try again later or elsewhere",
            node.settings.max_streams
        ))),
    }
}

/// Where messages go, and whether they are asked for.
struct Outlet {
    sender: Sender,
    pulse: Pulse,
}

struct Producer {
    node: Arc<Node>,
    encoder: FlightEncoder,
    outlet: Outlet,
    /// Whether batches are memory of their own, and not slices of chunks.
    copies: bool,
    arrived: Instant,
}

impl Producer {
    /// Produces every message; returns early, and well, when the client is gone.
    async fn run(self, mut batches: BatchStream) -> Result<()> {
        let Self { node, mut encoder, outlet, copies, arrived } = self;
        let mut first = true;
        loop {
            // Before the batch is made: what cannot be sent must not be there either.
            let room = if copies { BATCH_BYTES } else { 0 };
            let Some(mut copy) = reserve(&node, &node.copies, &outlet, room).await? else {
                return Ok(());
            };
            let Some(batch) = batches.next().await else { break };
            let batch = batch?;
            if first {
                node.latencies.first_batch.observe(arrived.elapsed());
                first = false;
            }
            let messages = encoder.encode(&batch, &metadata(&batch)?)?;
            let bytes: usize = messages.iter().map(FlightMessage::bytes).sum();
            let spare = copy.num_permits().saturating_sub(bytes.div_ceil(1024));
            drop(copy.split(spare));
            if !send_all(&node, &outlet, messages, Some(Arc::new(copy))).await? {
                return Ok(());
            }
        }
        send_all(&node, &outlet, encoder.finish()?, None).await?;
        Ok(())
    }
}

/// The `app_metadata` of a batch: the rows of the file it covers.
fn metadata(batch: &RecordBatch) -> Result<Vec<u8>> {
    let Some(rows) = covered_rows(batch.schema_ref()) else { return Ok(Vec::new()) };
    serde_json::to_vec(&rows)
        .map_err(|error| Error::internal("batch metadata cannot be written").with_source(error))
}

/// Hands messages over as the byte budget of streams allows; `false` if the client is gone. Their
/// memory is that of `copy`.
async fn send_all(
    node: &Node,
    outlet: &Outlet,
    messages: Vec<FlightMessage>,
    copy: Option<Arc<OwnedSemaphorePermit>>,
) -> Result<bool> {
    for message in messages {
        let bytes = message.bytes();
        let Some(permit) = reserve(node, &node.stream_memory, outlet, bytes).await? else {
            return Ok(false);
        };
        node.flight.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let held = Held { _message: permit, _copy: copy.clone() };
        if outlet.sender.send(Ok(Outgoing::new(message, held))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a message that is under way holds.
#[derive(Debug)]
pub(super) struct Held {
    _message: OwnedSemaphorePermit,
    /// Shared by the messages of a batch.
    _copy: Option<Arc<OwnedSemaphorePermit>>,
}

/// Room for `bytes` in a byte budget of streams; `None` if the client is gone.
async fn reserve(
    node: &Node,
    budget: &Arc<Semaphore>,
    outlet: &Outlet,
    bytes: usize,
) -> Result<Option<OwnedSemaphorePermit>> {
    let capacity = (node.settings.stream_memory >> 10).min(Semaphore::MAX_PERMITS as u64);
    let kib = (bytes as u64).div_ceil(1024).min(capacity);
    if let Ok(permit) = Arc::clone(budget).try_acquire_many_owned(kib as u32) {
        return Ok(Some(permit));
    }
    // Whose client has something to read still leaves what comes free to those who have nothing:
    // streams that nobody reads then hold as little as they can.
    tokio::select! {
        () = outlet.pulse.asked() => {}
        () = outlet.sender.closed() => return Ok(None),
    }
    let _waiter = node.waiters().enter();
    let waiting = Arc::clone(budget).acquire_many_owned(kib as u32);
    tokio::select! {
        permit = timeout(node.settings.queue_timeout, waiting) => match permit {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Error::exhausted("the memory of streams is taken: try again later")),
        },
        () = outlet.sender.closed() => Ok(None),
    }
}

//! `DoGet`: opens a ticket, admits the stream, and produces its messages on the CPU runtime.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use arrow::array::RecordBatch;
use flightcache_cache::{Error, ErrorKind, Result};
use flightcache_planner::{BatchStream, DatasetTable, covered_rows};
use flightcache_protocol::{ScanCommand, Ticket};
use futures::{FutureExt, StreamExt, future::ready};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tonic::Status;

use super::{
    body::{Outgoing, StreamBody},
    encode::{FlightEncoder, FlightMessage},
    info::at_snapshot,
};
use crate::{
    node::{Node, now_ms},
    status::status,
};

/// Messages that are ready and not yet asked for, of one stream.
const MESSAGES_AHEAD: usize = 2;

type Sender = mpsc::Sender<std::result::Result<Outgoing<OwnedSemaphorePermit>, Status>>;

/// Serves a ticket: the response whose body streams its batches.
///
/// # Errors
/// `Invalid` for a ticket that is not ours, `Stale` if it expired or its object version is gone,
/// `Exhausted` if no stream is free within the queue timeout.
pub(super) async fn read(
    node: Arc<Node>,
    ticket: &[u8],
) -> Result<http::Response<tonic::body::Body>> {
    let arrived = Instant::now();
    let ticket = node.ticket_key.open(ticket, now_ms())?;
    let permit = admit(&node).await?;
    let table = table(&node, &ticket).await?;
    let (schema, batches) =
        node.planner.read(&table, &ticket.command, ticket.split.as_ref(), ticket.limit)?;
    let encoder = FlightEncoder::try_new(&schema)?;

    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let open = OpenStream::new(Arc::clone(&node), permit);
    let producer = Producer { node: Arc::clone(&node), encoder, sender: sender.clone(), arrived };
    let snapshot = table.snapshot().id.clone();
    let produced = node.cpu.spawn(async move {
        let _open = open;
        producer.run(batches).await
    });
    tokio::spawn(async move {
        let end = match produced.await {
            Ok(Ok(())) => Status::ok(""),
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Stale {
                    node.datasets.outdated(&ticket.command, |current| match &ticket.split {
                        Some(split) => current.holds(&split.path, &split.etag),
                        None => current.id == snapshot,
                    });
                }
                status("DoGet", &error)
            }
            Err(_) => status("DoGet", &Error::data("reading this split failed in its decoder")),
        };
        // Nobody listens if the client is gone.
        let _ = sender.send(Err(end)).await;
    });
    Ok(StreamBody::response(receiver))
}

/// The table that `ticket` reads. Where its snapshot is no longer known, which one of another node
/// or a restart makes so, or an object of it that the split does not need is gone, a split is read
/// at the current snapshot if that has the same schema.
async fn table(node: &Node, ticket: &Ticket) -> Result<Arc<DatasetTable>> {
    let planned = async {
        let snapshot = node.datasets.resolve(&ticket.command).await?;
        node.planner.table(&snapshot).await
    };
    let gone = match planned.await {
        Err(error) if error.kind() == ErrorKind::Stale && ticket.split.is_some() => error,
        planned => return planned,
    };
    let current = ScanCommand { snapshot: None, ..ticket.command.clone() };
    let table = at_snapshot(node, &current, |table| ready(Ok(table)).boxed()).await?;
    if table.schema_digest() == ticket.schema { Ok(table) } else { Err(gone) }
}

async fn admit(node: &Node) -> Result<OwnedSemaphorePermit> {
    let waiting = Arc::clone(&node.streams).acquire_owned();
    match timeout(node.settings.queue_timeout, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::exhausted(format!(
            "all {} streams of this node are taken: try again later or elsewhere",
            node.settings.max_streams
        ))),
    }
}

/// Counts a stream as open for as long as it lives.
struct OpenStream {
    node: Arc<Node>,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    fn new(node: Arc<Node>, permit: OwnedSemaphorePermit) -> Self {
        node.flight.streams.fetch_add(1, Ordering::Relaxed);
        node.flight.streams_open.fetch_add(1, Ordering::Relaxed);
        Self { node, _permit: permit }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.node.flight.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Producer {
    node: Arc<Node>,
    encoder: FlightEncoder,
    sender: Sender,
    arrived: Instant,
}

impl Producer {
    /// Produces every message; returns early, and well, when the client is gone.
    async fn run(self, mut batches: BatchStream) -> Result<()> {
        let Self { node, mut encoder, sender, arrived } = self;
        let mut first = true;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if first {
                node.latencies.first_batch.observe(arrived.elapsed());
                first = false;
            }
            let messages = encoder.encode(&batch, &metadata(&batch)?)?;
            if !send_all(&node, &sender, messages).await? {
                return Ok(());
            }
        }
        send_all(&node, &sender, encoder.finish()?).await?;
        Ok(())
    }
}

/// The `app_metadata` of a batch: the rows of the file it covers.
fn metadata(batch: &RecordBatch) -> Result<Vec<u8>> {
    let Some(rows) = covered_rows(batch.schema_ref()) else { return Ok(Vec::new()) };
    serde_json::to_vec(&rows)
        .map_err(|error| Error::internal("batch metadata cannot be written").with_source(error))
}

/// Hands messages over as the byte budget of streams allows; `false` if the client is gone.
async fn send_all(node: &Node, sender: &Sender, messages: Vec<FlightMessage>) -> Result<bool> {
    for message in messages {
        let Some(permit) = reserve(node, sender, message.bytes()).await? else { return Ok(false) };
        node.flight.bytes.fetch_add(message.bytes() as u64, Ordering::Relaxed);
        if sender.send(Ok(Outgoing { message, _permit: permit })).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Room for `bytes` in the byte budget of streams; `None` if the client is gone.
async fn reserve(
    node: &Node,
    sender: &Sender,
    bytes: usize,
) -> Result<Option<OwnedSemaphorePermit>> {
    let capacity = (node.settings.stream_memory >> 10).min(Semaphore::MAX_PERMITS as u64);
    let kib = (bytes as u64).div_ceil(1024).min(capacity);
    let waiting = Arc::clone(&node.stream_memory).acquire_many_owned(kib as u32);
    tokio::select! {
        permit = timeout(node.settings.queue_timeout, waiting) => match permit {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Error::exhausted("the memory of streams is taken: try again later")),
        },
        () = sender.closed() => Ok(None),
    }
}

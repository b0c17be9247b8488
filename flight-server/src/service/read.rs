//! `DoGet`: opens a ticket, admits the stream, and produces its messages on the CPU runtime.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use arrow::array::RecordBatch;
use flightcache_cache::{Error, Result};
use flightcache_planner::{BatchStream, covered_rows};
use futures::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{timeout, timeout_at},
};

use super::{
    body::{Outgoing, StreamBody},
    encode::{FlightEncoder, FlightMessage},
    stream::{OpenStream, Reader, Sender},
};
use crate::{
    auth::Caller,
    node::{Node, now_ms},
};

/// Messages that are ready and not yet asked for, of one stream.
const MESSAGES_AHEAD: usize = 4;

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
) -> Result<http::Response<tonic::body::Body>> {
    let arrived = Instant::now();
    let ticket = node.ticket_keys.get().open(ticket, now_ms())?;
    caller.must_own(ticket.principal.as_deref())?;
    let permit = admit(&node, &reader).await?;
    let snapshot = node.datasets.resolve(caller, &ticket.command).await?;
    let planning = Arc::clone(&node);
    let scan = node.on_cpu(async move {
        let table = planning.planner.table(&snapshot).await?;
        planning.planner.read(&table, &ticket.command, ticket.split.as_ref(), ticket.limit)
    });
    let (schema, batches) = scan.await?;
    let encoder = FlightEncoder::try_new(&schema)?;

    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let open = OpenStream::new(Arc::clone(&node), reader, permit);
    let pulse = open.pulse();
    let producer = Producer { node: Arc::clone(&node), encoder, sender: sender.clone(), arrived };
    let produced = node.cpu.spawn(producer.run(batches));
    tokio::spawn(open.attend(produced, sender));
    Ok(StreamBody::response(receiver, pulse))
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
    if let Ok(permit) = Arc::clone(&node.stream_memory).try_acquire_many_owned(kib as u32) {
        return Ok(Some(permit));
    }
    let _waiter = node.waiters().enter();
    let waiting = Arc::clone(&node.stream_memory).acquire_many_owned(kib as u32);
    tokio::select! {
        permit = timeout(node.settings.queue_timeout, waiting) => match permit {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Error::exhausted("the memory of streams is taken: try again later")),
        },
        () = sender.closed() => Ok(None),
    }
}

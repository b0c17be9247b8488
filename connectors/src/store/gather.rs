//! Ranges of one object that are wanted at about the same time, read in few requests.
//!
//! ```text
//!  wanted    [  a  ][ b ]      [ c ]        from fills that know nothing of each other
//!  requests  └────────one GET────┘          adjacent, or with a gap that is cheaper to read
//!  done         a      b         c          each as soon as its last byte is there
//! ```
//!
//! A fill is one row group's columns. A scan begins several fills together, whose ranges lie side by
//! side in the object; what a request costs is paid once for all of them, and decoding the first
//! begins while the last still arrives.

use std::{
    collections::HashMap,
    future::pending,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use flightcache_cache::{Error, ObjectId, Result};
use futures::{StreamExt, future::join_all};
use tokio::sync::oneshot;

use super::{Store, merge};

/// How long a first range waits for others: far below the time to the first byte of any store.
const GATHER: Duration = Duration::from_millis(2);

/// Gathers the reads of one store.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    waiting: Mutex<HashMap<Arc<ObjectId>, Vec<Wanted>>>,
}

/// A range somebody waits for.
#[derive(Debug)]
struct Wanted {
    range: Range<u64>,
    done: oneshot::Sender<Result<Bytes>>,
    /// Says that it was served, or, by being dropped, that nobody waits any more.
    settled: oneshot::Receiver<()>,
}

impl Store {
    /// Bytes `range` of that version of `object`, read together with what others want of it at
    /// this moment. Gives what [`read`](Self::read) gives. A request ends when nobody waits for any
    /// of its ranges: dropping the future may stop it, and takes nothing from the others.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) async fn gather(
        self: &Arc<Self>,
        object: &Arc<ObjectId>,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (done, wanted) = oneshot::channel();
        let (served, settled) = oneshot::channel();
        let wanted_first = {
            let mut waiting = self.gatherer.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let of_object = waiting.entry(Arc::clone(object)).or_default();
            of_object.push(Wanted { range, done, settled });
            of_object.len() == 1
        };
        if wanted_first {
            let (store, object) = (Arc::clone(self), Arc::clone(object));
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                store.send(&object);
            });
        }
        let bytes = wanted.await;
        // The request may have ended before.
        let _ = served.send(());
        bytes.unwrap_or_else(|_| Err(Error::unavailable("reading was stopped")))
    }

    /// Sends the requests for everything that waits for `object`.
    fn send(self: &Arc<Self>, object: &Arc<ObjectId>) {
        let mut waiting = self.gatherer.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = waiting.remove(object).unwrap_or_default();
        drop(waiting);
        wanted.retain(|wanted| !wanted.done.is_closed());
        wanted.sort_by_key(|wanted| (wanted.range.start, wanted.range.end));
        let ranges: Vec<_> = wanted.iter().map(|wanted| wanted.range.clone()).collect();
        let settings = &self.shared.origin;
        let mut wanted = wanted.into_iter().peekable();
        for request in merge(&ranges, settings.coalesce_gap, settings.coalesce_max) {
            let mut of_request = Vec::new();
            while let Some(next) = wanted.next_if(|wanted| wanted.range.end <= request.end) {
                of_request.push(next);
            }
            let (store, object) = (Arc::clone(self), Arc::clone(object));
            tokio::spawn(async move { store.request(&object, request, of_request).await });
        }
    }

    /// Sends one request and hands out its bytes as they arrive, until nobody waits for them.
    async fn request(&self, object: &ObjectId, request: Range<u64>, wanted: Vec<Wanted>) {
        let (mut arriving, mut settled) = (Vec::new(), Vec::new());
        for Wanted { range, done, settled: waiting } in wanted {
            arriving.push(Arriving::new(range, done));
            settled.push(waiting);
        }
        let abandoned = async {
            if join_all(settled).await.iter().all(std::result::Result::is_ok) {
                // The request ends by itself; cut just before, it would cost its connection.
                pending::<()>().await;
            }
        };
        tokio::select! {
            received = self.receive(object, request, &mut arriving) => {
                let Err(error) = received else { return };
                for incomplete in arriving {
                    // Whoever does not listen any more wants no error either.
                    drop(incomplete.done.send(Err(error.clone())));
                }
            }
            () = abandoned => {}
        }
    }

    async fn receive(
        &self,
        object: &ObjectId,
        request: Range<u64>,
        arriving: &mut Vec<Arriving>,
    ) -> Result<()> {
        let mut at = request.start;
        let mut body = self.open(object, request.clone()).await?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            let end = at + bytes.len() as u64;
            for arriving in arriving.iter_mut() {
                arriving.take(at, &bytes);
            }
            for complete in arriving.extract_if(.., |arriving| arriving.is_complete()) {
                drop(complete.done.send(Ok(complete.bytes.freeze())));
            }
            at = end;
        }
        if at == request.end {
            return Ok(());
        }
        let (got, all) = (at - request.start, request.end - request.start);
        Err(Error::unavailable(format!("{object}: got {got} of {all} bytes")))
    }
}

/// A wanted range of which some bytes are there.
#[derive(Debug)]
struct Arriving {
    range: Range<u64>,
    bytes: BytesMut,
    done: oneshot::Sender<Result<Bytes>>,
}

impl Arriving {
    fn new(range: Range<u64>, done: oneshot::Sender<Result<Bytes>>) -> Self {
        let length = usize::try_from(range.end - range.start).unwrap_or_default();
        Self { range, bytes: BytesMut::with_capacity(length), done }
    }

    /// Takes what it wants of `bytes`, which start at `at` and follow those it was shown before.
    fn take(&mut self, at: u64, bytes: &[u8]) {
        let from = self.range.start.saturating_sub(at).min(bytes.len() as u64) as usize;
        let to = self.range.end.saturating_sub(at).min(bytes.len() as u64) as usize;
        self.bytes.extend_from_slice(bytes.get(from..to).unwrap_or_default());
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() as u64 == self.range.end - self.range.start
    }
}

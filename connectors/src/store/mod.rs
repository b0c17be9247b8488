//! Stores: one handle a container, whatever the URL was spelled like, and the reads through it.
//!
//! ```text
//!  url ──► Address ──► Plan (options, environment) ──► Store ──► object_store
//!          spelling     names nothing twice             limit, If-Match, counters, clean errors
//! ```

mod address;
mod backend;
mod client;
mod coalesce;
mod connector;
mod fault;
mod gather;
mod pause;
mod registry;

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use flightcache_cache::{Error, ObjectId, Result, Slots};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path,
};

pub(crate) use address::{is_under, redact};
pub(crate) use coalesce::coalesce;
use coalesce::merge;
use fault::Action;
use gather::Gatherer;
pub use registry::{Location, Stores};

use crate::{OriginCounters, OriginSettings, counters::add};

/// What all stores of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) origin: OriginSettings,
    pub(crate) counters: Arc<OriginCounters>,
    /// Data reads in flight.
    pub(crate) limit: Slots,
}

/// One container of an object store, opened.
///
/// Its `Debug` gives the names and nothing of its credentials.
pub struct Store {
    name: String,
    container: String,
    inner: Arc<dyn ObjectStore>,
    /// Values of options: whatever an error says, these are cut out of it.
    secrets: Vec<String>,
    shared: Arc<Shared>,
    gatherer: Gatherer,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, container, .. } = self;
        f.debug_struct("Store").field("name", name).field("container", container).finish()
    }
}

/// A version of an object as a listing or a HEAD showed it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: String,
    /// Weak, so beginning with `W/`, if the store gave none that names a version.
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) last_modified_ms: i64,
}

impl Store {
    /// Canonical name of the store, without the container: `store` of [`ObjectId`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Canonical name of the container, empty where a store has none: `container` of [`ObjectId`].
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The object at `path`; `None` if there is none, or only the mark of a folder.
    pub(crate) async fn head(&self, path: &str, target: &str) -> Result<Option<Listed>> {
        add(&self.shared.counters.metadata_requests, 1);
        match self.inner.head(&parse(path)?).await {
            Ok(meta) if meta.size == 0 => Ok(None),
            Ok(meta) => Ok(Some(self.listed(meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error, Action::Head, target)),
        }
    }

    /// Every object under the folder `path`, in no order.
    pub(crate) async fn list(&self, path: &str, target: &str) -> Result<Vec<Listed>> {
        add(&self.shared.counters.metadata_requests, 1);
        let prefix = parse(path)?;
        let listing = self.inner.list((!path.is_empty()).then_some(&prefix));
        let listing = listing.map_ok(|meta| self.listed(meta)).try_collect();
        listing.await.map_err(|error| self.failed(&error, Action::List, target))
    }

    /// Bytes `range` of that version of `object`, in one request that waits its turn.
    ///
    /// # Errors
    /// `Stale` if the object is gone or another version, `Denied`, `Unavailable`.
    pub(crate) async fn read(&self, object: &ObjectId, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let runs: Vec<Bytes> = self.open(object, range).await?.try_collect().await?;
        let bytes = match <[Bytes; 1]>::try_from(runs) {
            Ok([only]) => only,
            Err(runs) => runs.concat().into(),
        };
        if bytes.len() as u64 != wanted {
            let got = bytes.len();
            return Err(Error::unavailable(format!("{object}: got {got} of {wanted} bytes")));
        }
        Ok(bytes)
    }

    /// As [`read`](Self::read), the bytes as they arrive; how many that are is the caller's to check.
    async fn open<'a>(
        &'a self,
        object: &'a ObjectId,
        range: Range<u64>,
    ) -> Result<BoxStream<'a, Result<Bytes>>> {
        let turn = self.shared.limit.acquire(&self.name).await;
        add(&self.shared.counters.requests, 1);
        let counters = &self.shared.counters;
        let wanted = range.end.saturating_sub(range.start);
        let body = self.open_version(object, range).await;
        let body = body.inspect_err(|_| add(&counters.errors, 1))?;
        let mut left = wanted;
        Ok(body
            .map(move |bytes| {
                let bytes = bytes?;
                left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                    Error::unavailable(format!("{object}: got more than {wanted} bytes"))
                })?;
                Ok(bytes)
            })
            .inspect(move |bytes| {
                let _until_the_end = &turn;
                match bytes {
                    Ok(bytes) => add(&counters.bytes, bytes.len() as u64),
                    Err(_) => add(&counters.errors, 1),
                }
            })
            .boxed())
    }

    async fn open_version<'a>(
        &'a self,
        object: &'a ObjectId,
        range: Range<u64>,
    ) -> Result<BoxStream<'a, Result<Bytes>>> {
        let failed = |error| self.translate(&error, Action::Read, &object.to_string());
        let whole = range == (0..object.size);
        let options = GetOptions {
            if_match: object.is_versioned().then(|| object.etag.clone()),
            range: (!whole).then_some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let result = self.inner.get_opts(&parse(&object.path)?, options).await.map_err(failed)?;
        // Some servers do not know If-Match, and some objects have no ETag.
        if !self.is_version(&result.meta, object) {
            return Err(Error::stale(format!("{object} is another version than was listed")));
        }
        if matches!(result.payload, GetResultPayload::File(..)) {
            // A file's stream comes in 8 KiB, each from another thread.
            let bytes = result.bytes().await.map_err(failed)?;
            return Ok(stream::iter([Ok(bytes)]).boxed());
        }
        Ok(result.into_stream().map_err(failed).boxed())
    }

    fn listed(&self, meta: ObjectMeta) -> Listed {
        let etag = meta.e_tag.as_deref().filter(|etag| !etag.is_empty());
        let etag = etag.map_or_else(|| modified(&meta), |etag| self.etag(etag));
        Listed {
            etag,
            size: meta.size,
            last_modified_ms: meta.last_modified.timestamp_millis(),
            path: meta.location.into(),
        }
    }

    /// Whether an answer is of that version of `object`, as far as it tells. Without a strong ETag
    /// that is a matter of seconds: it keeps a read from mixing versions unless both were written
    /// in one.
    fn is_version(&self, meta: &ObjectMeta, object: &ObjectId) -> bool {
        let same = if object.etag.starts_with(NO_ETAG) {
            modified(meta) == object.etag
        } else {
            let bare = |etag: &str| etag.trim_start_matches("W/").to_owned();
            let answered = meta.e_tag.as_deref();
            answered.is_none_or(|etag| bare(&self.etag(etag)) == bare(&object.etag))
        };
        same && meta.size == object.size
    }

    /// An ETag in one spelling: Azure's listings leave out the quotes its other answers have.
    fn etag(&self, etag: &str) -> String {
        let bare = self.name.starts_with("azure://") && !etag.starts_with(['"', 'W']);
        if bare { format!("\"{etag}\"") } else { etag.to_owned() }
    }

    fn failed(&self, error: &object_store::Error, action: Action, target: &str) -> Error {
        add(&self.shared.counters.errors, 1);
        self.translate(error, action, target)
    }

    fn translate(&self, error: &object_store::Error, action: Action, target: &str) -> Error {
        fault::translate(error, action, target, &self.secrets)
    }
}

/// How the weak ETags begin that stand in for those a store does not give.
const NO_ETAG: &str = "W/\"modified ";

/// What there is to tell the versions of an object without an ETag apart.
fn modified(meta: &ObjectMeta) -> String {
    format!("{NO_ETAG}{}\"", meta.last_modified.timestamp_millis())
}

fn parse(path: &str) -> Result<Path> {
    let wrong = |_| Error::invalid(format!("path {path:?} has empty or relative segments"));
    Path::parse(path).map_err(wrong)
}

#[cfg(test)]
mod tests;

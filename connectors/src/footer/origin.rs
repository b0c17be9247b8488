//! Footers and byte ranges, straight from the store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flightcache_cache::{Chunk, ChunkSource, Error, FetchRequest, ObjectId, Part, Result};
use futures::future::try_join_all;
use tokio::runtime::Handle;

use super::parse;
use crate::{Stores, cpu::Cpu, store::Store};

/// Metadata and page indexes are seldom more than an object's size divided by this, so that one
/// request brings them, for a five-hundredth of the bytes at most.
const FOOTER_SHARE: u64 = 512;
/// Bytes that a footer is guessed to have, at most.
const MAX_GUESS_BYTES: u64 = 1 << 20;

/// Fetches [`Part::Footer`] and [`Part::Range`] from the object stores.
///
/// A footer chunk is the tail of its object from the page indexes on, or from the metadata where
/// the indexes lie elsewhere; of an object no larger than `footer_prefetch` it is the whole. One
/// request brings it unless it is longer than that or its usual share of the object, then a second
/// one the rest.
#[derive(Debug)]
pub struct FooterOrigin {
    stores: Arc<Stores>,
    cpu: Cpu,
}

impl FooterOrigin {
    /// An origin over `stores` that parses on the blocking threads of `cpu`.
    pub fn new(stores: Arc<Stores>, cpu: Handle) -> Self {
        Self { stores, cpu: Cpu::new(cpu, 0) }
    }

    async fn part(&self, object: &Arc<ObjectId>, part: Part) -> Result<Chunk> {
        let store = self.stores.of_object(object)?;
        match part {
            Part::Footer => Ok(Chunk::Bytes(self.footer(&store, object).await?)),
            Part::Range { start, end } if start <= end && end <= object.size => {
                Ok(Chunk::Bytes(store.read(object, start..end).await?))
            }
            Part::Range { start, end } => {
                Err(Error::invalid(format!("object {object} has no bytes {start}..{end}")))
            }
            Part::Column { .. } => Err(Error::internal("footers hold no columns")),
        }
    }

    async fn footer(&self, store: &Store, object: &Arc<ObjectId>) -> Result<Bytes> {
        let settings = self.stores.settings();
        let usual = (object.size / FOOTER_SHARE).min(MAX_GUESS_BYTES);
        let prefetch = settings.footer_prefetch.max(usual);
        let max_bytes = settings.max_fragment_bytes;
        let mut have = object.size.saturating_sub(prefetch.max(parse::TAIL_BYTES));
        let mut tail = store.read(object, have..object.size).await?;
        let metadata_start = parse::metadata_start(object, &tail, max_bytes)?;
        if metadata_start < have {
            // Page indexes lie before the metadata, and are seldom half as long.
            let metadata = object.size - metadata_start;
            let start = metadata_start.saturating_sub(prefetch.max(metadata / 2));
            tail = prepend(store.read(object, start..have).await?, &tail);
            have = start;
        }
        if have == 0 && object.size <= prefetch {
            return Ok(tail);
        }
        let (id, bytes) = (Arc::clone(object), tail.clone());
        let start = self.cpu.run(format!("footer of {object}"), move || {
            parse::chunk_start(&id, &bytes, metadata_start, max_bytes)
        });
        let start = start.await?;
        if start < have {
            return Ok(prepend(store.read(object, start..have).await?, &tail));
        }
        let skip = usize::try_from(start - have).unwrap_or(usize::MAX);
        // A copy, so that the chunk does not hold on to more than it is weighed by.
        Ok(Bytes::copy_from_slice(tail.get(skip..).unwrap_or_default()))
    }
}

#[async_trait]
impl ChunkSource for FooterOrigin {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        try_join_all(request.parts.iter().map(|&part| self.part(&request.object, part))).await
    }
}

fn prepend(head: Bytes, tail: &Bytes) -> Bytes {
    [head, tail.clone()].concat().into()
}

//! The one idea: a cache is a source in front of a source.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use crate::{Chunk, ChunkKey, ObjectId, Part, Result, Tally};

/// Parts of one object version that are wanted together.
///
/// `Clone` is cheap enough for a task to own one.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// The object version.
    pub object: Arc<ObjectId>,
    /// The parts; asking for the same part twice is allowed.
    pub parts: Vec<Part>,
    /// Counts what the request comes to.
    pub tally: Tally,
}

impl FetchRequest {
    /// `parts` of `object`, counted by nobody.
    pub fn new(object: Arc<ObjectId>, parts: Vec<Part>) -> Self {
        Self { object, parts, tally: Tally::default() }
    }

    /// The same request, counted by `tally`.
    pub fn counted(self, tally: Tally) -> Self {
        Self { tally, ..self }
    }

    /// The columns `columns` of row group `row_group`: what a scan asks for.
    pub fn columns(object: Arc<ObjectId>, row_group: u32, columns: &[u32]) -> Self {
        let parts = columns.iter().map(|&column| Part::Column { row_group, column }).collect();
        Self::new(object, parts)
    }

    /// The keys of the parts, in order.
    pub fn keys(&self) -> impl Iterator<Item = ChunkKey> + '_ {
        self.parts.iter().map(|&part| ChunkKey::new(Arc::clone(&self.object), part))
    }
}

/// Something chunks can be fetched from: a tier, a wrapper around one, a peer or the origin.
///
/// What every implementation owes, and what the suite in `contract` (feature `testing`) checks:
/// - one chunk for each part of the request, in its order;
/// - the same key gives equal values, every time, from every clone, under any concurrency;
/// - all or nothing: an error is for the whole request and nothing half-fetched is returned;
/// - dropping the returned future is always safe, and never wastes work others wait for.
#[async_trait]
pub trait ChunkSource: Debug + Send + Sync {
    /// Fetches the parts of `request`, in order.
    ///
    /// # Errors
    /// `Stale` or `NotFound` if that object version is gone, `Data` if its bytes cannot be
    /// decoded, `Exhausted` past a budget, `Unavailable` if the origin does not answer.
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>>;
}

#[async_trait]
impl<S: ChunkSource + ?Sized> ChunkSource for Arc<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        (**self).fetch(request).await
    }
}

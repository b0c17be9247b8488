//! The tier: a [`DiskStore`] in front of a source.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;

use super::store::DiskStore;
use crate::{Chunk, ChunkKey, ChunkSource, Error, FetchRequest, Part, Result};

/// Serves chunks from a [`DiskStore`], and has it write what the inner source had to give.
///
/// Concurrent misses are not joined here: that is the memory tier's work, in front. Chunks of
/// objects without a version pass through and are not written.
#[derive(Clone, Debug)]
pub struct DiskTier<S> {
    inner: S,
    store: DiskStore,
}

impl<S> DiskTier<S> {
    /// `store` in front of `inner`.
    pub fn new(inner: S, store: DiskStore) -> Self {
        Self { inner, store }
    }

    /// The store.
    pub fn store(&self) -> &DiskStore {
        &self.store
    }
}

impl<S: ChunkSource> DiskTier<S> {
    /// Fetches `parts` from the inner source, by part.
    async fn fill(&self, request: &FetchRequest, parts: Vec<Part>) -> Result<HashMap<Part, Chunk>> {
        let missing = FetchRequest { parts, ..request.clone() };
        let chunks = self.inner.fetch(&missing).await?;
        if chunks.len() != missing.parts.len() {
            return Err(Error::internal(format!(
                "source answered {} chunks for {} parts of {}",
                chunks.len(),
                missing.parts.len(),
                missing.object
            )));
        }
        Ok(missing.parts.into_iter().zip(chunks).collect())
    }
}

#[async_trait]
impl<S: ChunkSource> ChunkSource for DiskTier<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let counters = self.store.counters();
        let asked = request.parts.len() as u64;
        if !request.object.is_versioned() {
            counters.misses.fetch_add(asked, Ordering::Relaxed);
            return self.inner.fetch(request).await;
        }
        if request.parts.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.store.read(request.keys().collect()).await;
        let hits = found.iter().flatten().count() as u64;
        counters.hits.fetch_add(hits, Ordering::Relaxed);
        request.tally.disk(hits);
        counters.misses.fetch_add(asked - hits, Ordering::Relaxed);

        let mut missing = Vec::new();
        for (&part, chunk) in request.parts.iter().zip(&found) {
            if chunk.is_none() && !missing.contains(&part) {
                missing.push(part);
            }
        }
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let filled = self.fill(request, missing).await?;
        for (&part, chunk) in &filled {
            let key = ChunkKey::new(Arc::clone(&request.object), part);
            self.store.write_behind(key, chunk.clone());
        }
        let chunks = request.parts.iter().zip(found);
        Ok(chunks.filter_map(|(part, found)| found.or_else(|| filled.get(part).cloned())).collect())
    }
}

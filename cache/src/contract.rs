//! What every [`ChunkSource`] owes, as one suite that any implementation runs.

use std::sync::Arc;

use futures::{FutureExt, future::join_all};

use crate::{Chunk, ChunkSource, Error, FetchRequest, Part, Result};

/// Fetches that run at the same time in the concurrent checks.
const CONCURRENT: usize = 16;

/// Runs the suite. `make` gives a fresh source, and a request for at least three different parts
/// that exist there; sources it makes must agree on their chunks.
///
/// Row group `u32::MAX` of the object must not exist.
///
/// # Errors
/// `Internal`, naming the clause that does not hold.
pub async fn check<S: ChunkSource>(make: impl AsyncFn() -> (S, FetchRequest)) -> Result<()> {
    let (source, request) = make().await;
    ensure(distinct(&request.parts) >= 3, "the suite needs three different parts")?;
    let expected = source.fetch(&request).await.map_err(|error| error.context("first fetch"))?;
    ensure(expected.len() == request.parts.len(), "one chunk a part")?;
    let case = Case { request, expected };

    case.repeats(&source).await?;
    case.keeps_order(&source).await?;
    case.allows_duplicates(&source).await?;
    case.answers_nothing_for_nothing(&source).await?;
    case.is_all_or_nothing(&source).await?;
    case.survives_cancelling(&source).await?;
    case.agrees_under_concurrency(&source).await?;

    let (fresh, _) = make().await;
    case.survives_cancelling(&fresh).await?;
    let (fresh, _) = make().await;
    case.is_all_or_nothing(&fresh).await?;
    let (fresh, _) = make().await;
    case.agrees_under_concurrency(&fresh).await
}

struct Case {
    request: FetchRequest,
    expected: Vec<Chunk>,
}

impl Case {
    async fn repeats(&self, source: &impl ChunkSource) -> Result<()> {
        for _ in 0..3 {
            self.expect(source, self.all(), "repeated fetches are equal").await?;
        }
        Ok(())
    }

    async fn keeps_order(&self, source: &impl ChunkSource) -> Result<()> {
        for at in self.all() {
            self.expect(source, vec![at], "a part alone equals the part among others").await?;
        }
        let reversed = self.all().into_iter().rev().collect();
        self.expect(source, reversed, "chunks come in the order of the request").await
    }

    async fn allows_duplicates(&self, source: &impl ChunkSource) -> Result<()> {
        let twice = [self.all(), self.all()].concat();
        self.expect(source, twice, "a repeated part is answered each time").await
    }

    async fn answers_nothing_for_nothing(&self, source: &impl ChunkSource) -> Result<()> {
        self.expect(source, Vec::new(), "no parts give no chunks").await
    }

    async fn is_all_or_nothing(&self, source: &impl ChunkSource) -> Result<()> {
        let mut request = self.request.clone();
        request.parts.insert(1, Part::Column { row_group: u32::MAX, column: 0 });
        ensure(source.fetch(&request).await.is_err(), "one absent part fails the request")?;
        self.expect(source, self.all(), "a failed request leaves nothing behind").await
    }

    /// Drops a fetch before it is polled, and after its first poll, alone and beside another.
    async fn survives_cancelling(&self, source: &impl ChunkSource) -> Result<()> {
        const CLAUSE: &str = "a dropped fetch harms no other";
        drop(source.fetch(&self.request));
        let _ = source.fetch(&self.request).now_or_never();
        let beside = self.expect(source, self.all(), CLAUSE);
        let _ = source.fetch(&self.request).now_or_never();
        beside.await?;
        self.expect(source, self.all(), CLAUSE).await
    }

    /// Overlapping requests at once: all parts, and every pair of neighbours.
    async fn agrees_under_concurrency(&self, source: &impl ChunkSource) -> Result<()> {
        let fetches = (0..CONCURRENT).map(|n| {
            let all = self.all();
            let wanted = match n % 2 {
                0 => all,
                _ => all.iter().cycle().skip(n).take(2).copied().collect(),
            };
            self.expect(source, wanted, "concurrent fetches are equal")
        });
        join_all(fetches).await.into_iter().collect()
    }

    /// Fetches the parts at `wanted` and compares each with what the first fetch gave for it.
    async fn expect(
        &self,
        source: &impl ChunkSource,
        wanted: Vec<usize>,
        clause: &str,
    ) -> Result<()> {
        let parts = wanted.iter().filter_map(|&at| self.request.parts.get(at)).copied().collect();
        let request = FetchRequest::new(Arc::clone(&self.request.object), parts);
        let fetched = source.fetch(&request).await.map_err(|error| error.context(clause))?;
        let expected = wanted.iter().filter_map(|&at| self.expected.get(at));
        ensure(fetched.iter().eq(expected), clause)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.expected.len()).collect()
    }
}

fn distinct(parts: &[Part]) -> usize {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    parts.dedup();
    parts.len()
}

fn ensure(holds: bool, clause: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::internal(format!("contract broken: {clause}"))) }
}

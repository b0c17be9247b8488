//! Decoded columns, straight from the store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use flightcache_cache::{Chunk, ChunkSource, Error, FetchRequest, ObjectId, Part, Result, Tally};
use futures::future::{try_join, try_join_all};
use tokio::runtime::Handle;

use super::{decode::Job, pieces::Pieces};
use crate::{
    FooterOrigin, Footers, Stores,
    cpu::Cpu,
    footer::{Footer, estimate_bytes, parse::bytes_of},
    store::coalesce,
};

/// Fetches [`Part::Column`] from Parquet objects; other parts as [`FooterOrigin`] does.
///
/// The wanted columns of a row group are read in coalesced ranges, concurrently and with
/// `If-Match`, then decoded on other threads, a column each.
#[derive(Debug)]
pub struct ParquetOrigin {
    footers: Arc<Footers>,
    stores: Arc<Stores>,
    raw: FooterOrigin,
    cpu: Cpu,
}

impl ParquetOrigin {
    /// An origin over `stores` that finds its way by `footers`, and decodes at most
    /// `decode_parallelism` columns at a time (0: one a core) on the blocking threads of `cpu`.
    pub fn new(
        footers: Arc<Footers>,
        stores: Arc<Stores>,
        cpu: Handle,
        decode_parallelism: usize,
    ) -> Self {
        let raw = FooterOrigin::new(Arc::clone(&stores), cpu.clone());
        Self { footers, stores, raw, cpu: Cpu::new(cpu, decode_parallelism) }
    }

    async fn columns(
        &self,
        footer: &Arc<Footer>,
        row_group: u32,
        columns: Vec<u32>,
        tally: &Tally,
    ) -> Result<Vec<(Part, Chunk)>> {
        let object = &footer.object;
        let settings = self.stores.settings();
        let group = footer.row_group(row_group)?;
        let estimate = estimate_bytes(footer, row_group, &columns);
        if estimate > settings.max_fragment_bytes {
            let most = settings.max_fragment_bytes;
            return Err(Error::data(format!(
                "object {object}: {} columns of row group {row_group} decode to about {estimate} \
                 bytes, over the limit of {most}",
                columns.len()
            )));
        }
        let mut wanted = Vec::with_capacity(columns.len());
        for &column in &columns {
            let leaves = footer
                .leaves
                .get(column as usize)
                .ok_or_else(|| Error::invalid(format!("object {object} has no column {column}")))?;
            let chunks = group.columns().get(leaves.clone()).unwrap_or_default();
            wanted.push(chunks.iter().map(bytes_of).collect::<Vec<_>>());
        }
        let reads = if group.num_rows() == 0 {
            Vec::new()
        } else {
            self.read(footer, &wanted.concat(), tally).await?
        };
        let abandoned = Abandon::default();
        let jobs = columns.into_iter().zip(&wanted).map(|(column, parts)| {
            let pieces = Pieces::new(object.size, parts, &reads);
            let job = Job {
                footer: Arc::clone(footer),
                row_group,
                column,
                max_bytes: settings.max_fragment_bytes,
                timeout: settings.decode_timeout,
                abandoned: Arc::clone(&abandoned.0),
            };
            async move {
                let what = format!("object {object} row group {row_group} column {column}");
                let decoded = self.cpu.run(what, move || job.decode(&pieces)).await?;
                Ok((Part::Column { row_group, column }, Chunk::Column(decoded)))
            }
        });
        try_join_all(jobs).await
    }

    /// The bytes that cover `wanted`, sorted and disjoint.
    async fn read(
        &self,
        footer: &Footer,
        wanted: &[Range<u64>],
        tally: &Tally,
    ) -> Result<Vec<(Range<u64>, Bytes)>> {
        let object = &footer.object;
        if let Some(whole) = &footer.whole {
            return Ok(vec![(0..object.size, whole.clone())]);
        }
        let settings = self.stores.settings();
        let store = self.stores.of_object(object)?;
        let ranges = coalesce(wanted, settings.coalesce_gap, settings.coalesce_max);
        let reads = ranges.into_iter().map(|range| {
            let store = Arc::clone(&store);
            async move {
                let bytes = store.gather(object, range.clone()).await?;
                tally.origin(range.end - range.start);
                Ok((range, bytes))
            }
        });
        try_join_all(reads).await
    }
}

#[async_trait]
impl ChunkSource for ParquetOrigin {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        let mut columns: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut others = BTreeSet::new();
        for &part in &request.parts {
            match part {
                Part::Column { row_group, column } => {
                    columns.entry(row_group).or_default().insert(column);
                }
                other => drop(others.insert(other)),
            }
        }
        let object = &request.object;
        let decoded = async {
            if columns.is_empty() {
                return Ok(Vec::new());
            }
            let footer = self.footers.get(object).await?;
            let groups = columns.into_iter().map(|(row_group, columns)| {
                let footer = Arc::clone(&footer);
                let columns = columns.into_iter().collect();
                async move { self.columns(&footer, row_group, columns, &request.tally).await }
            });
            Ok(try_join_all(groups).await?.concat())
        };
        let (decoded, raw) = try_join(decoded, self.raw(object, others)).await?;
        let found: HashMap<Part, Chunk> = decoded.into_iter().chain(raw).collect();
        let missing = || Error::internal("a part was not fetched");
        request.parts.iter().map(|part| found.get(part).cloned().ok_or_else(missing)).collect()
    }
}

impl ParquetOrigin {
    async fn raw(
        &self,
        object: &Arc<ObjectId>,
        parts: BTreeSet<Part>,
    ) -> Result<Vec<(Part, Chunk)>> {
        let parts: Vec<_> = parts.into_iter().collect();
        let request = FetchRequest::new(Arc::clone(object), parts);
        let chunks = self.raw.fetch(&request).await?;
        Ok(request.parts.into_iter().zip(chunks).collect())
    }
}

/// Tells decoders that their caller is gone.
#[derive(Debug, Default)]
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

//! `[sql]`: what queries may hold, spill and take.

use std::{path::PathBuf, time::Duration};

use flightcache_planner::sql::SqlSettings;

use super::{
    CacheConfig,
    section::{Place, Section},
    settings,
    value::{self, Given, Reading},
};

/// Least memory that queries can work with, in bytes.
const MIN_MEMORY: u64 = 1 << 20;
/// Least memory of all queries that is taken by default, in bytes.
const MIN_DEFAULT_MEMORY: u64 = 64 << 20;
/// What may be spilled where there is a folder and no size, in bytes.
const SPILL_WITH_DIR: u64 = 8 << 30;
/// Name of the folder to spill to inside that of the disk tier.
const SPILL_FOLDER: &str = "spill";

/// `[sql]`: the ceilings of queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlConfig {
    /// Bytes that all queries together may hold; absent: see [`memory()`](Self::memory).
    pub memory: Option<u64>,
    /// Bytes that one query may hold; absent: half of those of all.
    pub query_memory: Option<u64>,
    /// Bytes that all queries together may spill; absent: 8 GiB where there is a folder.
    pub spill: Option<u64>,
    /// The folder to spill to; absent: `spill` in the folder of the disk tier, if there is one.
    pub spill_dir: Option<PathBuf>,
    /// How long one query may take, until its last row is sent.
    pub timeout: Duration,
    /// Queries that run at once; absent: two for each core.
    pub max_queries: Option<usize>,
    /// Partitions that a query runs in; absent: one for each core.
    pub partitions: Option<usize>,
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self {
            memory: None,
            query_memory: None,
            spill: None,
            spill_dir: None,
            timeout: Duration::from_mins(5),
            max_queries: None,
            partitions: None,
        }
    }
}

impl SqlConfig {
    /// Bytes that all queries together may hold: a quarter of the memory tier's capacity and at
    /// least 64 MiB, unless configured.
    pub fn memory(&self, cache: &CacheConfig) -> u64 {
        self.memory.unwrap_or((cache.memory / 4).max(MIN_DEFAULT_MEMORY))
    }

    /// Queries that run at once.
    pub fn max_queries(&self) -> usize {
        self.max_queries.unwrap_or(2 * cores())
    }

    /// The folder to spill to, if anything may be spilled.
    pub fn spill_folder(&self, cache: &CacheConfig) -> Option<PathBuf> {
        let inside = || cache.dir.as_ref().map(|dir| dir.join(SPILL_FOLDER));
        self.spill_dir.clone().or_else(inside).filter(|_| self.spill != Some(0))
    }

    /// What the planner is told.
    pub fn settings(&self, cache: &CacheConfig) -> SqlSettings {
        let memory = self.memory(cache);
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let spill_folder = self.spill_folder(cache);
        SqlSettings {
            memory_bytes: bytes(memory),
            query_memory_bytes: bytes(self.query_memory.unwrap_or(memory / 2)),
            spill_bytes: spill_folder.as_ref().map_or(0, |_| self.spill.unwrap_or(SPILL_WITH_DIR)),
            spill_folder,
            partitions: self.partitions.unwrap_or_else(cores),
        }
    }

    pub(super) fn read(mut section: Section<'_>, cache: &CacheConfig) -> Self {
        let default = Self::default();
        let (spill, place) = section.located("spill", None, |given| value::size(given).map(Some));
        let spill_dir = section.setting("spill_dir", None, |given| value::path(given).map(Some));
        let nowhere = spill_dir.is_none() && cache.dir.is_none();
        if spill.is_some_and(|bytes| bytes > 0) && nowhere && !matches!(place, Place::Absent) {
            let message = "`spill` without a folder; set `spill_dir`, or `dir` in [cache]";
            section.problem(&place, message);
        }
        let some = |given: Given<'_>| at_least_minimum(given).map(Some);
        let settings = Self {
            memory: section.setting("memory", None, some),
            query_memory: section.setting("query_memory", None, some),
            spill,
            spill_dir,
            timeout: section.setting("timeout", default.timeout, settings::some_time),
            max_queries: section
                .setting("max_queries", None, |given| value::count(given).map(Some)),
            partitions: section.setting("partitions", None, |given| value::count(given).map(Some)),
        };
        section.finish();
        settings
    }
}

fn at_least_minimum(given: Given<'_>) -> Reading<u64> {
    let bytes = value::size(given)?;
    if bytes < MIN_MEMORY {
        return Err(format!("{bytes} bytes are too few; give it at least 1MiB"));
    }
    Ok(bytes)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

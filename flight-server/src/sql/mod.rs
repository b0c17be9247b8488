//! SQL on a node: what a caller may name, which queries run, and the ceilings around them.
//!
//! ```text
//!  service/sql ── statement ──► prepare ──► planner's Sql over the caller's datasets
//!              └─ ticket ─────► Slots: one for each query that runs, shared out fairly
//!                               Queries: what runs and what ran, so that it can be ended and seen
//! ```

mod catalog;
mod queries;
mod slots;
mod system;
mod watchdog;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use flightcache_cache::{Error, Result};
use flightcache_planner::{
    Planner,
    sql::{Sql, Statement},
};
use flightcache_protocol::{SqlStats, TicketSplit};
use futures::FutureExt;
use tokio::time::timeout;
use tracing::warn;

use crate::{auth::Caller, config::Config, node::Node};

pub(crate) use queries::Running;
pub use queries::{Queries, QueryRecord, QueryState};
pub(crate) use slots::{Slot, Slots};
pub(crate) use system::system_tables;
pub use watchdog::watch;

/// What DataFusion begins the names of its folders with.
const SPILLED: &str = "datafusion-";

/// Answers SQL within the ceilings of `[sql]`.
#[derive(Debug)]
pub struct Engine {
    /// Plans and runs.
    pub sql: Sql,
    /// What runs and what ran.
    pub queries: Arc<Queries>,
    /// How long one query may take.
    pub timeout: Duration,
    pub(crate) slots: Slots,
}

impl Engine {
    /// SQL over what `planner` reads, as `config` says. What an earlier process spilled is removed.
    ///
    /// # Errors
    /// `Invalid` if the folder to spill to cannot be used.
    pub fn new(config: &Config, planner: &Planner) -> Result<Self> {
        let settings = config.sql.settings(&config.cache);
        if let Some(folder) = &settings.spill_folder {
            empty(folder)?;
        }
        Ok(Self {
            sql: Sql::new(planner, settings)?,
            queries: Arc::default(),
            timeout: config.sql.timeout,
            slots: Slots::new(config.sql.max_queries(), config.auth.is_some()),
        })
    }

    /// The figures at this moment.
    pub fn stats(&self) -> SqlStats {
        let (waiting, refused) = self.slots.waiting_and_refused();
        SqlStats {
            queries_running: self.queries.count() as u64,
            queries_waiting: waiting,
            queries_refused: refused,
            memory_bytes: self.sql.memory_bytes(),
            spilled_bytes: self.sql.spilled_bytes(),
        }
    }
}

/// Removes what was spilled into `folder`, and nothing else, and makes it if it is missing.
fn empty(folder: &Path) -> Result<()> {
    let unusable = |error: std::io::Error| {
        Error::invalid(format!("[sql] spill_dir {}: {error}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(unusable)?;
    for entry in fs::read_dir(folder).map_err(unusable)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(SPILLED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            warn!(%error, folder = %entry.path().display(), "what was spilled cannot be removed");
        }
    }
    Ok(())
}

/// What is to be prepared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) sql: String,
    /// The snapshots to read, by dataset; of others, the current one.
    pub(crate) snapshots: BTreeMap<String, String>,
    /// The only split to read.
    pub(crate) split: Option<TicketSplit>,
}

/// Parses, checks and plans `wanted` over what `caller` may read, then does `work` with it where
/// planning belongs.
///
/// # Errors
/// As [`SqlSession::prepare`](flightcache_planner::sql::SqlSession::prepare), and what `work`
/// gives; `Exhausted` if it takes too long.
pub(crate) async fn prepare<T, W>(
    node: &Arc<Node>,
    caller: &Caller,
    wanted: Wanted,
    work: impl FnOnce(Statement) -> W + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let Wanted { sql, snapshots, split } = wanted;
    let catalog = catalog::Readable::new(node, caller, snapshots);
    let session = node.sql.sql.session(Arc::new(catalog), split)?;
    let limit = node.sql.timeout;
    // On the heap: DataFusion's futures are large.
    let planned = async move { work(session.prepare(&sql).await?).await }.boxed();
    let planned = node.on_cpu(async move {
        timeout(limit, planned).await.unwrap_or_else(|_| Err(overdue(limit)))
    });
    planned.await
}

/// The error of a query that took longer than `limit`.
pub(crate) fn overdue(limit: Duration) -> Error {
    let limit = limit.as_secs_f64();
    Error::exhausted(format!(
        "the query took longer than {limit} s: read less, or raise [sql] timeout"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spilled_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let spill = folder.path().join("spill");
        fs::create_dir_all(spill.join("datafusion-1").join("deep")).unwrap();
        fs::write(spill.join("mine"), "kept").unwrap();
        empty(&spill).unwrap();
        let left: Vec<_> = fs::read_dir(&spill).unwrap().map(|one| one.unwrap().path()).collect();
        assert_eq!(left, [spill.join("mine")]);
        assert!(empty(&spill.join("mine")).unwrap_err().message().contains("spill_dir"));
    }
}

//! SQL over cached datasets: read-only, bounded, answered by DataFusion.
//!
//! ```text
//!  Sql ── session ──► SqlSession ── prepare ──► Statement ── execute ──► Query
//!  limits and         what one caller           parsed, checked,         batches, and what
//!  functions, once    may name                  planned logically        they cost
//! ```
//!
//! A session knows no object store and no file: a query reaches the datasets of its catalog, and
//! nothing else.

mod catalog;
mod functions;
mod interrupt;
mod literals;
mod memory;
mod projections;
mod query;
mod results;
mod shape;
mod sizes;
mod statement;
mod table;

use std::{fmt, sync::Arc};

use datafusion::{
    error::{DataFusionError, Result as PlanResult},
    execution::{
        SessionState, SessionStateBuilder,
        context::SQLOptions,
        disk_manager::DiskManager,
        object_store::ObjectStoreRegistry,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    object_store::{ObjectStore, memory::InMemory},
    prelude::SessionConfig,
};
use flightcache_cache::{Error, Result};
use flightcache_protocol::TicketSplit;
use url::Url;

pub use catalog::{CATALOG, Catalog, DATASETS, INFORMATION, SYSTEM, SystemTable};
pub use memory::SqlSettings;
pub use query::{Query, QueryUsage, Statement};
pub use table::columns;

use catalog::Datasets;
use functions::Bounds;
use memory::{QueryMemory, SharedMemory};

use crate::{Planner, error::from_datafusion, source::ScanContext};

/// The store that scans name and nothing reads: chunks come from the cache.
const STORE: &str = "flightcache://chunks";
/// Rows of a batch between operators.
const BATCH_ROWS: usize = 8192;

/// Answers SQL. One for a server: its limits are for all queries together. `Clone` shares it.
#[derive(Clone)]
pub struct Sql {
    context: ScanContext,
    settings: SqlSettings,
    memory: SharedMemory,
    disk: Arc<DiskManager>,
    stores: Arc<NoStores>,
    /// What all sessions have: functions, rules and planners, which take longer to gather than a
    /// small statement takes to plan. Each session clones it; what is shared in it never changes.
    template: Arc<SessionState>,
}

impl Sql {
    /// SQL over what `planner` reads.
    ///
    /// # Errors
    /// `Invalid` if the folder to spill to cannot be used.
    pub fn new(planner: &Planner, settings: SqlSettings) -> Result<Self> {
        let disk = memory::disk_manager(&settings)
            .map_err(|error| Error::invalid(format!("the spill folder: {error}")))?;
        let memory = SharedMemory::new(settings.memory_bytes);
        let context = planner.context().clone();
        let (disk, stores) = (Arc::new(disk), Arc::default());
        let pool = Arc::new(QueryMemory::new(settings.query_memory_bytes, memory.clone()));
        let runtime = runtime(&pool, &disk, &stores).map_err(|error| from_datafusion(&error))?;
        let template = Arc::new(template(settings.partitions, runtime));
        Ok(Self { context, settings, memory, disk, stores, template })
    }

    /// Bytes that all running queries hold in sorts, joins and aggregations.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.held() as u64
    }

    /// Bytes that all running queries have spilled and still need.
    pub fn spilled_bytes(&self) -> u64 {
        self.disk.used_disk_space()
    }

    /// A session for one query of a caller who may name what `catalog` has. With `split`, the one
    /// dataset that the query scans is that split of it alone.
    ///
    /// # Errors
    /// `Internal` if DataFusion cannot be set up.
    pub fn session(
        &self,
        catalog: Arc<dyn Catalog>,
        split: Option<TicketSplit>,
    ) -> Result<SqlSession> {
        let memory = QueryMemory::new(self.settings.query_memory_bytes, self.memory.clone());
        let memory = Arc::new(memory);
        let runtime = runtime(&memory, &self.disk, &self.stores);
        let runtime = runtime.map_err(|error| from_datafusion(&error))?;
        let mut state = SessionState::clone(&self.template);
        if split.is_some() {
            // A split is small: to hand its batches around would cost more than it brings.
            state.config_mut().options_mut().execution.target_partitions = 1;
        }
        let datasets = Arc::new(Datasets::new(self.context.clone(), catalog, split));
        state.register_catalog_list(catalog::catalogs(&datasets));
        let bounds = Bounds::default();
        let mut state = functions::bounded(state, &bounds);
        // What `now()` is for all of the query; without it there is none.
        state.mark_start_execution();
        state.add_analyzer_rule(Arc::new(projections::TellApart));
        Ok(SqlSession { state, runtime, datasets, memory, bounds })
    }
}

/// A session without catalogs.
fn template(partitions: usize, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(BATCH_ROWS)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, DATASETS)
        .with_information_schema(false);
    // Bounds of floating point columns are inexact here, which the rest of the plan respects.
    config.options_mut().execution.collect_statistics = true;
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build()
}

fn runtime(
    memory: &Arc<QueryMemory>,
    disk: &Arc<DiskManager>,
    stores: &Arc<NoStores>,
) -> PlanResult<Arc<RuntimeEnv>> {
    let mut runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::clone(memory) as _)
        .with_object_store_registry(Arc::clone(stores) as _)
        .build()?;
    runtime.disk_manager = Arc::clone(disk);
    Ok(Arc::new(runtime))
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What one query of one caller runs in.
pub struct SqlSession {
    state: SessionState,
    /// What its query runs in.
    runtime: Arc<RuntimeEnv>,
    datasets: Arc<Datasets>,
    memory: Arc<QueryMemory>,
    bounds: Bounds,
}

impl SqlSession {
    /// Parses, checks and plans `sql`; nothing but footers is read.
    ///
    /// # Errors
    /// `Invalid` if it does not parse or type, `NotFound` naming a dataset that does not exist,
    /// `Denied` if it does anything but read; what resolving a dataset gives.
    pub async fn prepare(self, sql: &str) -> Result<Statement> {
        let parsed = statement::parse(sql)?;
        let plan = self.state.statement_to_plan(parsed).await;
        let plan = plan.map_err(|error| self.explained(&error))?;
        // Parsing has refused it already: a second look, at what the text was understood as.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|error| Error::denied(from_datafusion(&error).message()))?;
        Statement::new(self, plan).await
    }

    /// Our error for what planning gave, with what would help to mend the text.
    fn explained(&self, error: &DataFusionError) -> Error {
        let known = from_datafusion(error);
        let missing = known.message().strip_prefix("table '");
        let Some(name) = missing.and_then(|rest| rest.strip_suffix("' not found")) else {
            return known;
        };
        let catalog = format!("{CATALOG}.");
        let name = name.strip_prefix(&catalog).unwrap_or(name);
        let name = name.strip_prefix("public.").unwrap_or(name);
        let datasets = datafusion::catalog::SchemaProvider::table_names(&*self.datasets);
        let near = crate::near(name, datasets.iter().map(String::as_str));
        Error::not_found(format!("dataset `{}` does not exist{near}", name.escape_debug()))
    }
}

impl fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSession").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Knows the one store that scans name, which is empty, and refuses every other.
#[derive(Debug, Default)]
struct NoStores(Arc<InMemory>);

impl ObjectStoreRegistry for NoStores {
    fn register_store(
        &self,
        _url: &Url,
        _store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> PlanResult<Arc<dyn ObjectStore>> {
        if url.as_str().trim_end_matches('/') == STORE {
            return Ok(Arc::clone(&self.0) as _);
        }
        let denied = Error::denied("SQL reaches the datasets of this server and no URL");
        Err(crate::error::external(denied))
    }
}

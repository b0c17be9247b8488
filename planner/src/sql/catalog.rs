//! What a query can name: datasets, system tables, and the standard's description of both.
//!
//! ```text
//!  flightcache ─ public              one table a dataset, resolved once a query
//!              ├ flightcache         system tables
//!              └ information_schema  the standard's, without the configuration
//! ```

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider,
        TableProvider, information_schema::InformationSchemaProvider, streaming::StreamingTable,
    },
    datasource::{ViewTable, provider_as_source},
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{LogicalPlanBuilder, TableType, col, lit},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use flightcache_protocol::TicketSplit;
use futures::{TryStreamExt, future, stream};
use tokio::sync::Mutex;

use super::table::CachedTable;
use crate::{error::external, source::ScanContext, table::DatasetTable};

/// The catalog of every session.
pub const CATALOG: &str = "flightcache";
/// The schema of the datasets.
pub const DATASETS: &str = "public";
/// The schema of the system tables.
pub const SYSTEM: &str = "flightcache";
/// The standard's own schema.
pub const INFORMATION: &str = "information_schema";
/// The table of [`INFORMATION`] that is left out.
const SETTINGS: &str = "df_settings";
/// Which lists all tables, itself included.
const TABLES: &str = "tables";

/// What one caller may name in a query.
#[async_trait]
pub trait Catalog: Debug + Send + Sync + 'static {
    /// The datasets that the caller may read.
    fn datasets(&self) -> Vec<String>;

    /// The dataset called `name` at the snapshot that the query reads; `None` if the caller may not
    /// read it or it does not exist.
    ///
    /// # Errors
    /// What listing the dataset and reading its footers give.
    async fn dataset(&self, name: &str) -> flightcache_cache::Result<Option<Arc<DatasetTable>>>;

    /// The system tables, showing what the caller may read.
    fn system(&self) -> Vec<Arc<dyn SystemTable>>;
}

/// A table of figures about the server itself.
#[async_trait]
pub trait SystemTable: Debug + Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Its columns.
    fn schema(&self) -> SchemaRef;

    /// Its rows at this moment.
    ///
    /// # Errors
    /// What gathering them gives.
    async fn read(&self) -> flightcache_cache::Result<Vec<RecordBatch>>;
}

/// The datasets of one query. Each is resolved once, so that all of the query reads one snapshot.
#[derive(Debug)]
pub(super) struct Datasets {
    context: ScanContext,
    catalog: Arc<dyn Catalog>,
    split: Option<TicketSplit>,
    resolved: Mutex<HashMap<String, Option<Arc<CachedTable>>>>,
}

impl Datasets {
    pub(super) fn new(
        context: ScanContext,
        catalog: Arc<dyn Catalog>,
        split: Option<TicketSplit>,
    ) -> Self {
        Self { context, catalog, split, resolved: Mutex::default() }
    }

    pub(super) fn context(&self) -> &ScanContext {
        &self.context
    }

    /// The datasets that were resolved, by name.
    pub(super) async fn resolved(&self) -> Vec<(String, Arc<DatasetTable>)> {
        let resolved = self.resolved.lock().await;
        let mut known: Vec<_> = resolved
            .iter()
            .filter_map(|(name, table)| Some((name.clone(), Arc::clone(table.as_ref()?.dataset()))))
            .collect();
        known.sort_by(|left, right| left.0.cmp(&right.0));
        known
    }

    async fn resolve(&self, name: &str) -> Result<Option<Arc<CachedTable>>> {
        let mut resolved = self.resolved.lock().await;
        if let Some(known) = resolved.get(name) {
            return Ok(known.clone());
        }
        let dataset = self.catalog.dataset(name).await.map_err(external)?;
        let table = dataset.map(|dataset| {
            Arc::new(CachedTable::new(self.context.clone(), dataset, self.split.clone()))
        });
        resolved.insert(name.to_owned(), table.clone());
        Ok(table)
    }
}

#[async_trait]
impl SchemaProvider for Datasets {
    fn table_names(&self) -> Vec<String> {
        self.catalog.datasets()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.resolve(name).await?.map(|table| table as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.catalog.datasets().iter().any(|known| known == name)
    }
}

/// The datasets as [`INFORMATION`] describes them: one that cannot be read must not make the others
/// unknown, so it has a name and no columns.
#[derive(Debug)]
struct Described(Arc<Datasets>);

#[async_trait]
impl SchemaProvider for Described {
    fn table_names(&self) -> Vec<String> {
        self.0.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.0.table(name).await.unwrap_or_default())
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.0.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.table_exist(name)
    }
}

/// The system tables of one query.
#[derive(Debug)]
struct System(Vec<Arc<dyn SystemTable>>);

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        self.0.iter().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.0.iter().find(|table| table.name() == name) else { return Ok(None) };
        let rows = Rows { schema: table.schema(), table: Arc::clone(table) };
        let table = StreamingTable::try_new(table.schema(), vec![Arc::new(rows)])?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.iter().any(|table| table.name() == name)
    }
}

/// The rows of a system table, gathered when they are read.
#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    table: Arc<dyn SystemTable>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let table = Arc::clone(&self.table);
        let rows = async move { table.read().await.map_err(external) };
        let rows = stream::once(rows)
            .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
            .try_flatten()
            .try_filter(|batch| future::ready(batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// DataFusion's `information_schema` without its configuration.
#[derive(Debug)]
struct Information(InformationSchemaProvider);

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        self.0.table_names().into_iter().filter(|name| name != SETTINGS).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name.eq_ignore_ascii_case(SETTINGS) {
            return Ok(None);
        }
        let table = self.0.table(name).await?;
        if name.eq_ignore_ascii_case(TABLES) {
            return table.map(without_settings).transpose();
        }
        Ok(table)
    }

    fn table_exist(&self, name: &str) -> bool {
        !name.eq_ignore_ascii_case(SETTINGS) && self.0.table_exist(name)
    }
}

/// The rows of the table of tables but for the configuration's.
fn without_settings(tables: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let shown =
        col("table_schema").not_eq(lit(INFORMATION)).or(col("table_name").not_eq(lit(SETTINGS)));
    let rows = LogicalPlanBuilder::scan(TABLES, provider_as_source(tables), None)?.filter(shown)?;
    Ok(Arc::new(ViewTable::new(rows.build()?, None)))
}

/// The one catalog of a session.
#[derive(Debug)]
struct Schemas {
    datasets: Arc<Datasets>,
    system: Arc<System>,
    /// Described by [`INFORMATION`]: this catalog without it.
    described: Option<Arc<dyn CatalogProviderList>>,
}

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        let information = self.described.as_ref().map(|_| INFORMATION);
        [DATASETS, SYSTEM].into_iter().chain(information).map(str::to_owned).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            DATASETS if self.described.is_none() => {
                Some(Arc::new(Described(Arc::clone(&self.datasets))))
            }
            DATASETS => Some(Arc::clone(&self.datasets) as _),
            SYSTEM => Some(Arc::clone(&self.system) as _),
            INFORMATION => {
                let described = Arc::clone(self.described.as_ref()?);
                Some(Arc::new(Information(InformationSchemaProvider::new(described))))
            }
            _ => None,
        }
    }
}

/// The catalogs of a session that reads `datasets`.
pub(super) fn catalogs(datasets: &Arc<Datasets>) -> Arc<dyn CatalogProviderList> {
    let system = Arc::new(System(datasets.catalog.system()));
    let list = |described| -> Arc<dyn CatalogProviderList> {
        let list = MemoryCatalogProviderList::new();
        let schemas =
            Schemas { datasets: Arc::clone(datasets), system: Arc::clone(&system), described };
        list.register_catalog(CATALOG.to_owned(), Arc::new(schemas));
        Arc::new(list)
    };
    list(Some(list(None)))
}

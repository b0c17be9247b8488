//! A dataset in memory, read by the planner and by DataFusion itself.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use arrow::{
    array::RecordBatch, compute::concat_batches, datatypes::Schema,
    util::pretty::pretty_format_batches,
};
use datafusion::{
    config::TableParquetOptions,
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path},
    parquet::{
        arrow::ArrowWriter,
        file::{metadata::SortingColumn, properties::WriterProperties},
    },
    prelude::{SessionConfig, SessionContext},
};
use flightcache_cache::{Result, fault::FaultSource};
use flightcache_connectors::{
    Dataset, FooterOrigin, Footers, OriginCounters, OriginSettings, ParquetOrigin, Stores,
};
use flightcache_planner::{
    DatasetTable, Planner, ScanPlan, covered_rows,
    sql::{Catalog, Query, Sql, SqlSettings, Statement, SystemTable},
};
use flightcache_protocol::{BatchMetadata, ScanCommand};
use futures::TryStreamExt;
use tokio::runtime::Handle;

const PREFIX: &str = "test://store";

/// A dataset of Parquet files in memory.
pub(crate) struct Harness {
    store: Arc<InMemory>,
    pub(crate) counters: Arc<OriginCounters>,
    /// What the planner fetches from.
    pub(crate) chunks: FaultSource<Arc<ParquetOrigin>>,
    pub(crate) planner: Planner,
    pub(crate) dataset: Dataset,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let counters = Arc::new(OriginCounters::default());
        let stores = Stores::new(Vec::new(), OriginSettings::default(), Arc::clone(&counters));
        let stores = Arc::new(stores.unwrap());
        stores.register(PREFIX, Arc::clone(&store) as Arc<dyn ObjectStore>);
        let cpu = Handle::current();
        let raw = Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone()));
        let footers = Arc::new(Footers::new(Arc::clone(&stores), raw, 1 << 20, cpu.clone()));
        let origin = ParquetOrigin::new(Arc::clone(&footers), Arc::clone(&stores), cpu, 2);
        let chunks = FaultSource::new(Arc::new(origin));
        let planner = Planner::new(Arc::new(chunks.clone()), footers, 1 << 20);
        let url = format!("{PREFIX}/data/");
        let dataset = Dataset::new("data", url, Duration::ZERO, stores).unwrap();
        Self { store, counters, chunks, planner, dataset }
    }

    /// Writes `batch` to `data/PATH` in row groups of `rows`.
    pub(crate) async fn write(&self, path: &str, batch: &RecordBatch, rows: usize) {
        self.write_sorted(path, batch, rows, None).await;
    }

    /// The same, each row group declared to be in an order.
    pub(crate) async fn write_sorted(
        &self,
        path: &str,
        batch: &RecordBatch,
        rows: usize,
        by: Option<Vec<SortingColumn>>,
    ) {
        let properties = WriterProperties::builder()
            .set_sorting_columns(by)
            .set_max_row_group_row_count(Some(rows))
            .set_data_page_row_count_limit(10)
            .set_write_batch_size(10)
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        self.put(path, writer.into_inner().unwrap()).await;
    }

    /// Puts a file at `data/PATH`.
    pub(crate) async fn put(&self, path: &str, bytes: Vec<u8>) {
        let path = Path::parse(format!("data/{path}")).unwrap();
        self.store.put(&path, bytes.into()).await.unwrap();
    }

    pub(crate) async fn table(&self) -> Result<Arc<DatasetTable>> {
        self.planner.table(&self.dataset.snapshot().await?).await
    }

    pub(crate) async fn plan(&self, command: &ScanCommand) -> Result<ScanPlan> {
        self.planner.plan(&*self.table().await?, command).await
    }

    /// Every batch of `command`, endpoint by endpoint, with the rows of the file each covers.
    pub(crate) async fn read(
        &self,
        command: &ScanCommand,
    ) -> Result<Vec<(String, BatchMetadata, RecordBatch)>> {
        let table = self.table().await?;
        let plan = self.planner.plan(&table, command).await?;
        let mut read = Vec::new();
        if plan.single_endpoint {
            let (_, batches) = self.planner.read(&table, command, None, command.limit)?;
            for batch in batches.try_collect::<Vec<_>>().await? {
                let covered = covered_rows(batch.schema_ref()).unwrap();
                read.push((String::new(), covered, batch));
            }
            return Ok(read);
        }
        for split in plan.splits {
            let (schema, batches) =
                self.planner.read(&table, command, Some(&split.ticket), split.limit)?;
            assert_eq!(schema, plan.schema);
            for batch in batches.try_collect::<Vec<_>>().await? {
                let covered = covered_rows(batch.schema_ref()).unwrap();
                read.push((split.ticket.path.clone(), covered, batch));
            }
        }
        Ok(read)
    }

    /// The rows of `command`, one line each, sorted.
    pub(crate) async fn rows(&self, command: &ScanCommand) -> Result<Vec<String>> {
        let batches = self.read(command).await?.into_iter().map(|(_, _, batch)| batch);
        Ok(lines(batches))
    }

    /// SQL over the dataset, as `data`.
    pub(crate) fn sql(&self) -> Sql {
        self.sql_within(64 << 20)
    }

    /// The same, with queries that may hold `memory_bytes` and spill nothing.
    pub(crate) fn sql_within(&self, memory_bytes: usize) -> Sql {
        let settings = SqlSettings {
            memory_bytes,
            query_memory_bytes: memory_bytes,
            spill_folder: None,
            spill_bytes: 0,
            partitions: 2,
        };
        Sql::new(&self.planner, settings).unwrap()
    }

    /// A catalog of the dataset alone.
    pub(crate) async fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::new(One(self.table().await.unwrap()))
    }

    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement> {
        self.sql().session(self.catalog().await, None)?.prepare(sql).await
    }

    /// The answer to `sql`, one line a row, sorted.
    pub(crate) async fn query(&self, sql: &str) -> Result<Vec<String>> {
        answer(self.prepare(sql).await?.execute().await?).await
    }

    /// What DataFusion answers over the files themselves, one line a row, sorted.
    pub(crate) async fn direct(&self, sql: &str) -> Vec<String> {
        let batches = self.datafusion().await.sql(sql).await.unwrap().collect().await.unwrap();
        lines(batches.into_iter())
    }

    /// What DataFusion's own Parquet reader answers, one line a row, sorted.
    pub(crate) async fn expected(&self, columns: &str, filter: &str) -> Vec<String> {
        self.direct(&format!("SELECT {columns} FROM data WHERE {filter}")).await
    }

    async fn datafusion(&self) -> SessionContext {
        let context = SessionContext::new_with_config(
            // No statistics anywhere: with them DataFusion itself loses rows that hold NaN.
            SessionConfig::new()
                .set_bool("datafusion.execution.collect_statistics", false)
                .set_bool("datafusion.execution.listing_table_ignore_subdirectory", false),
        );
        let url = url::Url::parse(PREFIX).unwrap();
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        context.runtime_env().register_object_store(&url, store);
        let mut options = TableParquetOptions::default();
        options.global.pruning = false;
        options.global.enable_page_index = false;
        options.global.schema_force_view_types = false;
        let format = ParquetFormat::new().with_options(options);
        let table = self.table().await.unwrap();
        let partitions = &table.snapshot().partition_columns;
        let (folders, columns): (Vec<_>, Vec<_>) = table
            .schema()
            .fields()
            .iter()
            .map(Arc::clone)
            .partition(|field| partitions.contains(field.name()));
        let folders = folders.iter().map(|field| (field.name().clone(), field.data_type().clone()));
        let options =
            ListingOptions::new(Arc::new(format)).with_table_partition_cols(folders.collect());
        let config =
            ListingTableConfig::new(ListingTableUrl::parse(format!("{PREFIX}/data/")).unwrap())
                .with_listing_options(options)
                .with_schema(Arc::new(Schema::new(columns)));
        context.register_table("data", Arc::new(ListingTable::try_new(config).unwrap())).unwrap();
        context
    }
}

/// A catalog of one dataset, `data`.
#[derive(Debug)]
struct One(Arc<DatasetTable>);

#[async_trait::async_trait]
impl Catalog for One {
    fn datasets(&self) -> Vec<String> {
        vec!["data".to_owned()]
    }

    async fn dataset(&self, name: &str) -> Result<Option<Arc<DatasetTable>>> {
        Ok((name == "data").then(|| Arc::clone(&self.0)))
    }

    fn system(&self) -> Vec<Arc<dyn SystemTable>> {
        Vec::new()
    }
}

/// The rows of a query, one line each, sorted.
pub(crate) async fn answer(query: Query) -> Result<Vec<String>> {
    let batches: Vec<_> = query.batches.try_collect().await?;
    assert!(batches.iter().all(|batch| batch.schema() == query.schema));
    Ok(lines(batches.into_iter()))
}

/// Fails with the first rows that differ.
pub(crate) fn assert_rows(what: &str, found: &[String], expected: &[String]) {
    let lost: Vec<_> = expected.iter().filter(|row| !found.contains(row)).take(3).collect();
    let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).take(3).collect();
    let (found, expected) = (found.len(), expected.len());
    assert!(
        lost.is_empty() && added.is_empty() && found == expected,
        "{what}: {found} rows, expected {expected}; lost {lost:?}; added {added:?}"
    );
}

pub(crate) fn lines(batches: impl Iterator<Item = RecordBatch>) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches.filter(|batch| batch.num_rows() > 0) {
        let mut text = String::new();
        let batch = concat_batches(&batch.schema(), [&batch]).unwrap();
        write!(text, "{}", pretty_format_batches(&[batch]).unwrap()).unwrap();
        let rows = text.lines().skip(3).filter(|line| line.starts_with('|'));
        lines.extend(rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines.sort();
    lines
}

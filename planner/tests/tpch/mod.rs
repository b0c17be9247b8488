//! TPC-H in an object store, read through the tiers of a node and by DataFusion itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    object_store::{ObjectStore, ObjectStoreExt, path::Path},
    parquet::{arrow::ArrowWriter, file::properties::WriterProperties},
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use flightcache_cache::{
    ChunkSource, DiskSettings, DiskStore, DiskTier, FetchRequest, MemoryBudget, MemorySettings,
    MemoryTier, Part, Result,
};
use flightcache_connectors::{
    Dataset, FooterOrigin, Footers, OriginCounters, OriginSettings, ParquetOrigin, Stores,
    estimate_bytes,
};
use flightcache_planner::{
    DatasetTable, Planner,
    sql::{Catalog, Sql, SqlSettings, SystemTable},
};
use futures::TryStreamExt;
use tokio::runtime::Handle;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow,
    RecordBatchIterator, RegionArrow, SupplierArrow,
};

/// The URL prefix under which the store is known.
pub(crate) const PREFIX: &str = "tpch://store";
/// The tables.
pub(crate) const TABLES: [&str; 8] =
    ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"];
/// The 22 queries, `q1` first.
const QUERIES: &str = include_str!("queries.sql");

/// The queries with their names.
pub(crate) fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for text in QUERIES.split("\n-- q").skip(1) {
        let (number, sql) = text.split_once('\n').unwrap();
        queries.push((format!("q{number}"), sql.trim().trim_end_matches(';').to_owned()));
    }
    queries
}

/// Writes the tables at `scale` into `store`, in row groups of `rows`.
pub(crate) async fn generate(store: &dyn ObjectStore, scale: f64, rows: usize) {
    write(store, "customer", CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)), rows).await;
    write(store, "lineitem", LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)), rows).await;
    write(store, "nation", NationArrow::new(NationGenerator::new(scale, 1, 1)), rows).await;
    write(store, "orders", OrderArrow::new(OrderGenerator::new(scale, 1, 1)), rows).await;
    write(store, "part", PartArrow::new(PartGenerator::new(scale, 1, 1)), rows).await;
    write(store, "partsupp", PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)), rows).await;
    write(store, "region", RegionArrow::new(RegionGenerator::new(scale, 1, 1)), rows).await;
    write(store, "supplier", SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)), rows).await;
}

async fn write(
    store: &dyn ObjectStore,
    table: &str,
    batches: impl RecordBatchIterator,
    rows: usize,
) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let schema = Arc::clone(batches.schema());
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    for batch in batches {
        writer.write(&batch).unwrap();
    }
    let path = Path::from(format!("{table}/part-0.parquet"));
    store.put(&path, writer.into_inner().unwrap().into()).await.unwrap();
}

/// DataFusion over the files themselves.
pub(crate) async fn direct(store: Arc<dyn ObjectStore>, partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions);
    let context = SessionContext::new_with_config(config);
    context.runtime_env().register_object_store(&url::Url::parse(PREFIX).unwrap(), store);
    for table in TABLES {
        let url = format!("{PREFIX}/{table}/");
        context.register_parquet(table, url, ParquetReadOptions::default()).await.unwrap();
    }
    context
}

/// The tables behind the tiers of a node.
pub(crate) struct Cached {
    /// Answers queries.
    pub(crate) sql: Sql,
    /// The memory tier.
    pub(crate) memory: MemoryTier<Arc<dyn ChunkSource>>,
    /// The files of the disk tier, if there is one.
    pub(crate) disk: Option<DiskStore>,
    /// What the store was asked for.
    pub(crate) origin: Arc<OriginCounters>,
    planner: Planner,
    datasets: BTreeMap<String, Dataset>,
}

impl Cached {
    /// `memory_bytes` of memory and, with a folder, `disk_bytes` of disk in front of `store`.
    pub(crate) async fn new(
        store: Arc<dyn ObjectStore>,
        memory_bytes: u64,
        disk: Option<(&std::path::Path, u64)>,
        partitions: usize,
    ) -> Self {
        let origin = Arc::new(OriginCounters::default());
        let stores = Stores::new(Vec::new(), OriginSettings::default(), Arc::clone(&origin));
        let stores = Arc::new(stores.unwrap());
        stores.register(PREFIX, store);
        let cpu = Handle::current();
        let disk = match disk {
            Some((folder, capacity_bytes)) => {
                let folder = folder.to_owned();
                let settings = DiskSettings { folder, capacity_bytes, pending_bytes: 64 << 20 };
                Some(DiskStore::open(settings).await.unwrap())
            }
            None => None,
        };
        let behind_disk = |source: Arc<dyn ChunkSource>| -> Arc<dyn ChunkSource> {
            match &disk {
                Some(disk) => Arc::new(DiskTier::new(source, disk.clone())),
                None => source,
            }
        };
        let raw = behind_disk(Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone())));
        let footers = Arc::new(Footers::new(Arc::clone(&stores), raw, 64 << 20, cpu.clone()));
        let parquet =
            ParquetOrigin::new(Arc::clone(&footers), Arc::clone(&stores), cpu, partitions);
        let settings = MemorySettings {
            capacity_bytes: memory_bytes,
            max_fills: 64,
            queue_timeout: Duration::from_secs(60),
            fill_timeout: Duration::from_secs(60),
        };
        let sized = Arc::clone(&footers);
        let estimate = Arc::new(move |request: &FetchRequest| {
            let footer = sized.peek(&request.object);
            let columns = request.parts.iter().map(|part| match (*part, &footer) {
                (Part::Column { row_group, column }, Some(footer)) => {
                    estimate_bytes(footer, row_group, &[column])
                }
                _ => request.object.size,
            });
            columns.sum()
        });
        // Room beside the cache for what queries hold while it is evicted.
        let budget = MemoryBudget::new(memory_bytes, 1 << 30);
        let source = behind_disk(Arc::new(parquet));
        let memory = MemoryTier::new(source, settings, budget, estimate);
        let planner = Planner::new(Arc::new(memory.clone()), footers, 256 << 20);
        let settings = SqlSettings {
            memory_bytes: 2 << 30,
            query_memory_bytes: 2 << 30,
            spill_folder: None,
            spill_bytes: 0,
            partitions,
        };
        let sql = Sql::new(&planner, settings).unwrap();
        let datasets = TABLES.map(|table| {
            let url = format!("{PREFIX}/{table}/");
            let stores = Arc::clone(&stores);
            let dataset = Dataset::new(table, url, Duration::from_hours(1), stores).unwrap();
            (table.to_owned(), dataset)
        });
        Self { sql, memory, disk, origin, planner, datasets: datasets.into() }
    }

    /// The catalog of the tables.
    pub(crate) async fn catalog(&self) -> Arc<dyn Catalog> {
        let mut tables = BTreeMap::new();
        for (name, dataset) in &self.datasets {
            let snapshot = dataset.snapshot().await.unwrap();
            tables.insert(name.clone(), self.planner.table(&snapshot).await.unwrap());
        }
        Arc::new(Tables(tables))
    }

    /// The answer to `sql`.
    pub(crate) async fn query(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let session = self.sql.session(self.catalog().await, None)?;
        let query = session.prepare(sql).await?.execute().await?;
        Ok((query.schema, query.batches.try_collect().await?))
    }
}

#[derive(Debug)]
struct Tables(BTreeMap<String, Arc<DatasetTable>>);

#[async_trait::async_trait]
impl Catalog for Tables {
    fn datasets(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    async fn dataset(&self, name: &str) -> Result<Option<Arc<DatasetTable>>> {
        Ok(self.0.get(name).cloned())
    }

    fn system(&self) -> Vec<Arc<dyn SystemTable>> {
        Vec::new()
    }
}

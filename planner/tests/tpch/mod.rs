//! TPC-H in an object store, read through the tiers of a node and by DataFusion itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    object_store::{ObjectStore, ObjectStoreExt, path::Path},
    parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties},
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use flightcache_cache::Result;
use flightcache_connectors::Dataset;
use flightcache_planner::{
    DatasetTable, EmbeddedCache, EmbeddedSettings,
    sql::{Catalog, Sql, SqlSettings, SystemTable},
};
use futures::TryStreamExt;
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
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(rows))
        .build();
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
    pub(crate) sql: Sql,
    pub(crate) cache: EmbeddedCache,
    datasets: BTreeMap<String, Dataset>,
}

impl Cached {
    /// A cache in front of `store`.
    pub(crate) async fn new(store: Arc<dyn ObjectStore>, settings: EmbeddedSettings) -> Self {
        let partitions = settings.decode_parallelism;
        let cache = EmbeddedCache::open(settings).await.unwrap();
        cache.register_store(PREFIX, store);
        let settings = SqlSettings {
            memory_bytes: 2 << 30,
            query_memory_bytes: 2 << 30,
            spill_folder: None,
            spill_bytes: 0,
            partitions,
        };
        let sql = Sql::new(cache.planner(), settings).unwrap();
        let datasets = TABLES.map(|table| {
            let url = format!("{PREFIX}/{table}/");
            (table.to_owned(), cache.dataset(table, &url, Duration::from_hours(1)).unwrap())
        });
        Self { sql, cache, datasets: datasets.into() }
    }

    /// The catalog of the tables.
    pub(crate) async fn catalog(&self) -> Arc<dyn Catalog> {
        let mut tables = BTreeMap::new();
        for (name, dataset) in &self.datasets {
            let snapshot = dataset.snapshot().await.unwrap();
            tables.insert(name.clone(), self.cache.planner().table(&snapshot).await.unwrap());
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

//! Turns Parquet scans of any DataFusion plan into scans of cached chunks.
//!
//! ```text
//!  DataSourceExec(FileScanConfig(ParquetSource)) ──► DataSourceExec(FileScanConfig(CachedSource))
//! ```
//!
//! [`CacheScans`] comes before DataFusion's own rules, so that these treat a cached scan as they
//! would treat the other. [`NameUncached`] comes after them and writes why a scan was left alone
//! where `EXPLAIN` shows it.

use std::sync::Arc;

use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
            parquet::{ParquetAccessPlan, ParquetFileReaderFactory},
        },
        source::DataSourceExec,
    },
    error::Result,
    physical_expr::split_conjunction,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::ExecutionPlan,
};
use flightcache_cache::ObjectId;
use flightcache_connectors::Stores;

use crate::{
    embed::uncached::Uncached,
    source::opener::FileSplit,
    source::{CachedSource, ScanContext, is_dynamic},
};

/// Replaces the scans that can be answered from the cache.
#[derive(Debug)]
pub(crate) struct CacheScans(pub(crate) Rewrite);

/// Says of the scans that were not replaced why.
#[derive(Debug)]
pub(crate) struct NameUncached(pub(crate) Rewrite);

/// What both rules know. `Clone` shares it.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub(crate) context: ScanContext,
    pub(crate) stores: Arc<Stores>,
}

impl PhysicalOptimizerRule for CacheScans {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| {
            let Some((config, parquet)) = parquet_scan(&node) else {
                return Ok(Transformed::no(node));
            };
            Ok(match self.0.cached(config, parquet) {
                Ok(config) => {
                    let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
                    Transformed::yes(scan)
                }
                Err(_) => Transformed::no(node),
            })
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &'static str {
        "cache_scans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl PhysicalOptimizerRule for NameUncached {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let named = plan.transform_up(|node| {
            let Some((config, parquet)) = parquet_scan(&node) else {
                return Ok(Transformed::no(node));
            };
            let Err(reason) = self.0.objects(config, parquet) else {
                return Ok(Transformed::no(node));
            };
            let source = Uncached::new(Arc::clone(config.file_source()), reason);
            let config =
                FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).build();
            let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
            Ok(Transformed::yes(scan))
        })?;
        Ok(named.data)
    }

    fn name(&self) -> &'static str {
        "name_uncached_scans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn parquet_scan(node: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    let scan = node.downcast_ref::<DataSourceExec>()?;
    scan.downcast_to_file_source::<ParquetSource>()
}

impl Rewrite {
    /// The scan from the cache, or why there is none.
    fn cached(
        &self,
        config: &FileScanConfig,
        parquet: &ParquetSource,
    ) -> std::result::Result<FileScanConfig, String> {
        let groups = self.objects(config, parquet)?;
        let mut source = CachedSource::new(self.context.clone(), parquet.table_schema().clone());
        if let Some(projection) = parquet.projection() {
            source = source.with_projection(projection.clone());
        }
        let applied = parquet.table_parquet_options().global.pushdown_filters;
        for part in parquet.filter().iter().flat_map(|filter| split_conjunction(filter)) {
            source = match (is_dynamic(part), applied) {
                (true, _) => source.and_dynamic(Arc::clone(part)),
                (false, true) => source.and_filter(Arc::clone(part)),
                (false, false) => source.and_prune(Arc::clone(part)),
            };
        }
        Ok(FileScanConfigBuilder::from(config.clone())
            .with_source(Arc::new(source))
            .with_file_groups(groups)
            .build())
    }

    /// The files of a scan, each knowing its object version; or why they are not cached.
    fn objects(
        &self,
        config: &FileScanConfig,
        parquet: &ParquetSource,
    ) -> std::result::Result<Vec<FileGroup>, String> {
        let options = parquet.table_parquet_options();
        let of_its_own = if !parquet.table_schema().virtual_columns().is_empty() {
            Some("it reads virtual columns")
        } else if parquet.parquet_file_reader_factory().is_some_and(|reader| !is_stock(reader)) {
            Some("it has a reader of its own")
        } else if options.global.coerce_int96.is_some() {
            Some("it reads INT96 as another type")
        } else if config.expr_adapter_factory.is_some() {
            Some("it adapts schemas in its own way")
        } else {
            None
        };
        if let Some(reason) = of_its_own {
            return Err(reason.to_owned());
        }
        let url = config.object_store_url.as_str();
        let store = self
            .stores
            .registered(url)
            .ok_or_else(|| format!("{url} is not registered with the cache"))?;
        config
            .file_groups
            .iter()
            .map(|group| {
                let files = group.iter().map(|file| with_object(&store, file));
                Ok(FileGroup::new(files.collect::<std::result::Result<_, String>>()?))
            })
            .collect()
    }
}

/// Whether `reader` is one of DataFusion's own, which tell by their `Debug` text alone.
fn is_stock(reader: &Arc<dyn ParquetFileReaderFactory>) -> bool {
    let name = format!("{reader:?}");
    ["CachedParquetFileReaderFactory", "DefaultParquetFileReaderFactory"]
        .iter()
        .any(|stock| name.starts_with(stock))
}

fn with_object(
    store: &str,
    file: &PartitionedFile,
) -> std::result::Result<PartitionedFile, String> {
    if file.extension::<ParquetAccessPlan>().is_some() {
        return Err(format!("{} has an access plan of its own", file.path()));
    }
    let meta = &file.object_meta;
    let object = ObjectId {
        store: store.to_owned(),
        container: String::new(),
        path: meta.location.to_string(),
        etag: meta.e_tag.clone().unwrap_or_default(),
        size: meta.size,
    };
    if !object.is_versioned() {
        return Err(format!("{} has no strong ETag", file.path()));
    }
    let split = FileSplit::new(Arc::new(object), 0..u32::MAX);
    Ok(file.clone().with_extension(split))
}

//! A dataset as a table of SQL.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Statistics, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, parquet::transform_schema_to_view},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::{DataFusionError, Result},
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::LexOrdering,
    physical_plan::ExecutionPlan,
};
use datafusion_datasource::compute_all_files_statistics;
use flightcache_protocol::TicketSplit;
use futures::{StreamExt, TryStreamExt, stream};

use super::{STORE, results};
use crate::{
    error::external,
    scan::partitioned_file,
    source::{CachedSource, ScanContext, opener::FileSplit},
    table::{DatasetTable, FOOTERS_AT_ONCE, TableObject, statistics},
};

/// Objects of a table up to which bounds of columns are gathered for planning; of more, rows alone.
const MAX_WITH_BOUNDS: usize = 1_000;

/// A dataset at one snapshot, or one split of it, as DataFusion scans it.
///
/// Strings and binaries are views, as DataFusion reads them from Parquet itself.
#[derive(Debug)]
pub(super) struct CachedTable {
    context: ScanContext,
    table: Arc<DatasetTable>,
    schema: TableSchema,
    split: Option<TicketSplit>,
}

impl CachedTable {
    pub(super) fn new(
        context: ScanContext,
        table: Arc<DatasetTable>,
        split: Option<TicketSplit>,
    ) -> Self {
        let files = Arc::new(transform_schema_to_view(table.schema.file_schema()));
        let partitions = table.schema.table_partition_cols().clone();
        let schema = TableSchema::builder(files).with_table_partition_cols(partitions).build();
        Self { context, table, schema, split }
    }

    /// The dataset behind it.
    pub(super) fn dataset(&self) -> &Arc<DatasetTable> {
        &self.table
    }

    /// Its schema as queries see it.
    pub(super) fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    async fn files(&self) -> Result<(Vec<PartitionedFile>, Option<LexOrdering>)> {
        if let Some(split) = &self.split {
            let object = self.table.object(&split.path, &split.etag, split.size);
            let object = object.map_err(external)?;
            return Ok((vec![partitioned_file(object, split.start..split.end)], None));
        }
        let bounds = self.table.objects.len() <= MAX_WITH_BOUNDS;
        let mut files = Vec::with_capacity(self.table.objects.len());
        let mut orderings: Option<Option<LexOrdering>> = None;
        let objects = self.table.objects.iter().map(|object| async move {
            let known = if bounds {
                self.known(object).await?
            } else {
                (rows_alone(object, self.schema.file_schema()), None)
            };
            Ok::<_, DataFusionError>((object, known))
        });
        let mut looked_at =
            stream::iter(objects.collect::<Vec<_>>()).buffered(FOOTERS_AT_ONCE).boxed();
        while let Some((object, (statistics, ordering))) = looked_at.try_next().await? {
            orderings = Some(match orderings {
                None => ordering.clone(),
                Some(common) if common == ordering => common,
                Some(_) => None,
            });
            let groups = object.splits.iter().map(|split| split.row_groups.end).max().unwrap_or(0);
            let file = partitioned_file(object, 0..groups).with_statistics(Arc::new(statistics));
            files.push(file.with_ordering(ordering));
        }
        Ok((files, orderings.flatten()))
    }

    async fn known(&self, object: &TableObject) -> Result<(Statistics, Option<LexOrdering>)> {
        let footer = self.context.footers.get(&object.object.id).await.map_err(external)?;
        let statistics = statistics::of_file(&footer, self.schema.file_schema());
        Ok((statistics, statistics::declared_order(&footer, self.schema.file_schema())))
    }
}

/// The columns of a dataset as queries return them.
pub fn columns(table: &DatasetTable) -> SchemaRef {
    results::plain_schema(&transform_schema_to_view(table.schema()))
}

fn rows_alone(object: &TableObject, schema: &SchemaRef) -> Statistics {
    let rows: u64 = object.splits.iter().map(|split| split.rows).sum();
    Statistics { num_rows: Precision::Exact(rows as usize), ..Statistics::new_unknown(schema) }
}

#[async_trait]
impl TableProvider for CachedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (files, ordering) = self.files().await?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let (groups, statistics) = compute_all_files_statistics(
            groups,
            Arc::clone(self.schema.table_schema()),
            self.split.is_none(),
            false,
        )?;
        let unversioned = |file: &&PartitionedFile| {
            file.extension::<FileSplit>().is_some_and(|split| !split.object.is_versioned())
        };
        let read_through = groups.iter().flat_map(FileGroup::iter).filter(unversioned).count();
        let source = CachedSource::new(self.context.clone(), self.schema.clone())
            .with_read_through(read_through);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_output_ordering(ordering.into_iter().collect())
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The scan takes the filters it applies from the physical plan.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

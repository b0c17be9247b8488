//! Expressions over a dataset's columns, rewritten for one file of it.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::ScalarValue,
    datasource::table_schema::TableSchema,
    error::Result,
    physical_expr::{
        PhysicalExpr, projection::ProjectionExprs, simplifier::PhysicalExprSimplifier,
    },
    physical_expr_adapter::{
        DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
        replace_columns_with_literals,
    },
};

/// Rewrites expressions over the table schema to expressions over one file's own schema.
///
/// Partition columns become literals, columns the file lacks become nulls, columns of a narrower
/// type are cast: all of it DataFusion's own adapter.
#[derive(Debug)]
pub(crate) struct FileAdapter {
    file_schema: SchemaRef,
    partitions: HashMap<String, ScalarValue>,
    adapter: Arc<dyn PhysicalExprAdapter>,
}

impl FileAdapter {
    /// An adapter from `table` to a file of `file_schema` under folders of `partition_values`.
    pub(crate) fn try_new(
        table: &TableSchema,
        file_schema: SchemaRef,
        partition_values: &[ScalarValue],
    ) -> Result<Self> {
        let partitions = table
            .table_partition_cols()
            .iter()
            .zip(partition_values)
            .map(|(field, value)| (field.name().clone(), value.clone()))
            .collect();
        let adapter = DefaultPhysicalExprAdapterFactory
            .create(Arc::clone(table.file_schema()), Arc::clone(&file_schema))?;
        Ok(Self { file_schema, partitions, adapter })
    }

    /// The file's own schema.
    pub(crate) fn file_schema(&self) -> &SchemaRef {
        &self.file_schema
    }

    /// `expr` over the file's own schema.
    pub(crate) fn expr(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = replace_columns_with_literals(expr, &self.partitions)?;
        PhysicalExprSimplifier::new(&self.file_schema).simplify(self.adapter.rewrite(expr)?)
    }

    /// `projection` over the file's own schema.
    pub(crate) fn projection(&self, projection: ProjectionExprs) -> Result<ProjectionExprs> {
        projection.try_map_exprs(|expr| self.expr(expr))
    }
}

//! What footers say of a file, as DataFusion's planning wants it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    common::{ColumnStatistics, Statistics, stats::Precision},
    datasource::physical_plan::parquet::{metadata::DFParquetMetadata, transform_schema_to_view},
    scalar::ScalarValue,
};
use flightcache_cache::guarded;
use flightcache_connectors::Footer;

/// Statistics of the file of `footer` over `columns`, the file columns of a table.
///
/// Rows are exact. What the file does not say of a column is absent, and so is everything of a
/// nested one; bounds of floating point columns are inexact, since writers leave NaN out of them.
pub(crate) fn of_file(footer: &Footer, columns: &SchemaRef) -> Statistics {
    let rows = Precision::Exact(footer.row_group_rows().sum::<u64>() as usize);
    let file_schema = Arc::new(transform_schema_to_view(&footer.schema));
    // Statistics of a broken file may make DataFusion panic: then nothing is known of its columns.
    let read = guarded(|| {
        DFParquetMetadata::statistics_from_parquet_metadata(&footer.metadata, &file_schema)
    });
    let read = read.and_then(Result::ok).unwrap_or_default();
    let column_statistics = columns
        .fields()
        .iter()
        .map(|field| {
            let known =
                known(footer, &file_schema, field).and_then(|at| read.column_statistics.get(at));
            known.map_or_else(ColumnStatistics::new_unknown, |known| {
                as_type(known.clone(), field.data_type())
            })
        })
        .collect::<Vec<_>>();
    let total_byte_size = column_statistics
        .iter()
        .fold(Precision::Exact(0), |sum, column| sum.add(&column.byte_size));
    Statistics { num_rows: rows, total_byte_size, column_statistics }
}

/// Where in the file `field` is, if every row group tells its bounds and nulls.
fn known(footer: &Footer, file_schema: &Schema, field: &Field) -> Option<usize> {
    if field.data_type().is_nested() {
        return None;
    }
    let at = file_schema.index_of(field.name()).ok()?;
    let leaf = footer.leaf(at)?;
    let tells = footer.metadata.row_groups().iter().all(|group| {
        let statistics = group.columns().get(leaf).and_then(|column| column.statistics());
        statistics.is_some_and(|statistics| statistics.null_count_opt().is_some())
    });
    tells.then_some(at)
}

/// Bounds as values of the table's type, which may be wider than the file's.
fn as_type(mut column: ColumnStatistics, data_type: &DataType) -> ColumnStatistics {
    let cast = |bound: Precision<ScalarValue>| {
        let bound = match bound.get_value().map(|value| value.cast_to(data_type)) {
            Some(Ok(value)) if bound.is_exact() == Some(true) => Precision::Exact(value),
            Some(Ok(value)) => Precision::Inexact(value),
            _ => Precision::Absent,
        };
        if data_type.is_floating() { bound.to_inexact() } else { bound }
    };
    column.min_value = cast(column.min_value);
    column.max_value = cast(column.max_value);
    column.sum_value = Precision::Absent;
    column
}

//! What footers say of a file, as DataFusion's planning wants it.

use std::sync::Arc;

use arrow::{
    array::{Array, make_comparator},
    compute::SortOptions,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{ColumnStatistics, Statistics, stats::Precision},
    datasource::physical_plan::parquet::{
        metadata::{DFParquetMetadata, ordering_from_parquet_metadata},
        transform_schema_to_view,
    },
    parquet::{
        arrow::arrow_reader::statistics::StatisticsConverter, file::metadata::RowGroupMetaData,
    },
    physical_expr::{LexOrdering, expressions::Column},
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

/// The order of the rows of a file, if it declares one and its statistics do not leave it open.
///
/// Parquet declares the order of each row group by itself; DataFusion takes that of the first for the
/// file's. Here all must declare the same, and each must begin after the one before ends.
pub(crate) fn declared_order(footer: &Footer, columns: &SchemaRef) -> Option<LexOrdering> {
    // A broken file may name columns that it does not have.
    let order = guarded(|| ordering_from_parquet_metadata(&footer.metadata, columns));
    let order = order?.ok()??;
    let mut groups = footer.metadata.row_groups().iter();
    let first = groups.next()?.sorting_columns()?;
    if groups.next().is_none() {
        return Some(order);
    }
    let same = |group: &RowGroupMetaData| group.sorting_columns() == Some(first);
    let by = order.first().expr.downcast_ref::<Column>()?;
    let follow = guarded(|| follow_each_other(footer, by.name(), order.first().options.descending));
    (footer.metadata.row_groups().iter().all(same) && follow?).then_some(order)
}

/// Whether, by the bounds of column `name`, every row group lies wholly after the one before.
fn follow_each_other(footer: &Footer, name: &str, descending: bool) -> bool {
    let schema = footer.metadata.file_metadata().schema_descr();
    let groups = footer.metadata.row_groups();
    let bounds = || {
        let column = StatisticsConverter::try_new(name, &footer.schema, schema).ok()?;
        let column = column.with_missing_null_counts_as_zero(false);
        let nulls = column.row_group_null_counts(groups).ok()?;
        // Where nulls and NaN stand is not told by bounds.
        let kind = footer.schema.field_with_name(name).ok()?.data_type();
        if nulls.null_count() > 0 || nulls.iter().flatten().any(|count| count > 0) {
            return None;
        }
        let (lowest, highest) =
            (column.row_group_mins(groups).ok()?, column.row_group_maxes(groups).ok()?);
        let known = lowest.null_count() == 0 && highest.null_count() == 0;
        (known && !kind.is_floating()).then_some((lowest, highest))
    };
    let Some((lowest, highest)) = bounds() else { return false };
    let Ok(compare) = make_comparator(&highest, &lowest, SortOptions::default()) else {
        return false;
    };
    (1..groups.len()).all(|next| {
        // The higher bound of the lower row group against the lower bound of the higher one.
        let (below, above) = if descending { (next, next - 1) } else { (next - 1, next) };
        compare(below, above).is_lt()
    })
}

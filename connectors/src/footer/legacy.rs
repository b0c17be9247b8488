//! Bounds of old writers, in an order that is not ours.
//!
//! The fields `min` and `max` of Parquet's statistics, which `min_value` and `max_value` replaced, were
//! compared as signed bytes whatever the column's type. What prunes by them loses rows: `é` is below
//! `a` in that order. Neither the parquet crate nor DataFusion tells the two apart when it prunes.

use parquet::{
    basic::{SortOrder, Type},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
        statistics::Statistics,
    },
};

/// `metadata` without statistics whose bounds may be in another order than the column's.
pub(super) fn without_legacy_bounds(
    metadata: ParquetMetaData,
) -> parquet::errors::Result<ParquetMetaData> {
    let mut columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    if !columns.any(is_misleading) {
        return Ok(metadata);
    }
    let mut builder = metadata.into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| {
        let columns = group.columns().iter().map(|column| {
            if !is_misleading(column) {
                return Ok(column.clone());
            }
            column.clone().into_builder().clear_statistics().build()
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        group.into_builder().set_column_metadata(columns).build()
    });
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    Ok(builder.set_row_groups(groups).build())
}

fn is_misleading(column: &ColumnChunkMetaData) -> bool {
    let bounds = |statistics: &Statistics| {
        statistics.min_bytes_opt().is_some() || statistics.max_bytes_opt().is_some()
    };
    let kind = column.column_descr();
    let signed = kind.sort_order() == SortOrder::SIGNED
        && matches!(kind.physical_type(), Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE);
    !signed
        && column
            .statistics()
            .is_some_and(|statistics| statistics.is_min_max_deprecated() && bounds(statistics))
}

//! Claims of a footer that are refused before anything relies on them.

use flightcache_cache::{Error, ObjectId, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// Checks that the row groups' claims are possible: nothing negative, no bytes outside of the
/// file, and no more rows than fit into `max_bytes` at one bit each.
///
/// # Errors
/// `Data` naming the object and the claim.
pub(crate) fn check(metadata: &ParquetMetaData, object: &ObjectId, max_bytes: u64) -> Result<()> {
    let wrong = |claim: String| Error::data(format!("object {object}: footer claims {claim}"));
    let columns = metadata.file_metadata().schema_descr().num_columns();
    for (ordinal, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        if u64::try_from(rows).is_ok_and(|rows| rows / 8 > max_bytes) || rows < 0 {
            return Err(wrong(format!("{rows} rows in row group {ordinal}")));
        }
        if group.num_columns() != columns {
            let found = group.num_columns();
            return Err(wrong(format!("{found} of {columns} columns in row group {ordinal}")));
        }
        for column in group.columns() {
            if !is_possible(column, object.size) {
                let path = column.column_path();
                return Err(wrong(format!("impossible bytes for {path} of row group {ordinal}")));
            }
        }
    }
    Ok(())
}

fn is_possible(column: &ColumnChunkMetaData, size: u64) -> bool {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    let end = end.and_then(|end| u64::try_from(end).ok());
    start >= 0
        && column.data_page_offset() >= 0
        && column.compressed_size() >= 0
        && column.uncompressed_size() >= 0
        && column.num_values() >= 0
        && column.file_path().is_none_or(str::is_empty)
        && end.is_some_and(|end| end <= size)
}

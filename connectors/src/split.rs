//! Cuts an object into splits, from its footer alone, so that they are the same for every query.

use std::ops::Range;

use parquet::file::metadata::RowGroupMetaData;

use crate::Footer;

/// A split ends once the `total_byte_size` of its row groups passes this, in bytes.
pub const SPLIT_BYTES: u64 = 64 << 20;

/// Consecutive row groups of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRange {
    /// Ordinal of the first row group: with the object's id, what the split is called.
    pub first_row_group: u32,
    /// Ordinals of the row groups.
    pub row_groups: Range<u32>,
    /// Sum of their `total_byte_size`: uncompressed, encoded bytes.
    pub bytes: u64,
    /// Rows of them all.
    pub rows: u64,
}

/// The splits of an object, in file order. A file without row groups has none.
pub fn splits(footer: &Footer) -> Vec<SplitRange> {
    let mut splits: Vec<SplitRange> = Vec::new();
    for (ordinal, group) in (0_u32..).zip(footer.metadata.row_groups()) {
        let bytes = u64::try_from(group.total_byte_size()).unwrap_or(0);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        match splits.last_mut() {
            Some(split) if split.bytes <= SPLIT_BYTES => {
                split.row_groups.end = ordinal + 1;
                split.bytes = split.bytes.saturating_add(bytes);
                split.rows = split.rows.saturating_add(rows);
            }
            _ => {
                let row_groups = ordinal..ordinal + 1;
                splits.push(SplitRange { first_row_group: ordinal, row_groups, bytes, rows });
            }
        }
    }
    splits
}

/// The byte by which parquet-mr assigns row group `row_group` to a range of its file: the start
/// of its first page plus half of its compressed size. `None` if there is no such row group, or
/// it has no columns.
pub fn midpoint(footer: &Footer, row_group: u32) -> Option<u64> {
    let group = footer.metadata.row_groups().get(row_group as usize)?;
    let compressed = u64::try_from(group.compressed_size()).ok()?;
    first_page(group)?.checked_add(compressed / 2)
}

fn first_page(group: &RowGroupMetaData) -> Option<u64> {
    let column = group.columns().first()?;
    let data = column.data_page_offset();
    let dictionary = column.dictionary_page_offset().filter(|&at| at > 0 && at < data);
    u64::try_from(dictionary.unwrap_or(data)).ok()
}

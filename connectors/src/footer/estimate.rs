//! How large columns will be once decoded.

use arrow::datatypes::DataType;
use parquet::{
    basic::{LogicalType, Type},
    file::metadata::ColumnChunkMetaData,
};

use super::Footer;

/// Bytes guessed for one string or binary where the file does not say.
const GUESSED_VALUE_BYTES: u64 = 8;

/// Decoded bytes of the top-level columns `columns` of row group `row_group`, about: exact for
/// fixed widths without nulls, a guess for strings whose sizes the file does not tell. Columns and
/// row groups that do not exist count nothing.
pub fn estimate_bytes(footer: &Footer, row_group: u32, columns: &[u32]) -> u64 {
    let Some(group) = footer.metadata.row_groups().get(row_group as usize) else { return 0 };
    let mut bytes = 0_u64;
    for &column in columns {
        let Some(leaves) = footer.leaves.get(column as usize) else { continue };
        let field = footer.schema.fields().get(column as usize);
        let keyed = field.is_some_and(|f| matches!(f.data_type(), DataType::Dictionary(..)));
        for chunk in group.columns().get(leaves.clone()).unwrap_or_default() {
            bytes = bytes.saturating_add(leaf_bytes(chunk, keyed));
        }
    }
    bytes
}

/// Bytes of the top-level columns `columns` of row group `row_group` as stored: what is read of them
/// before they are decoded.
pub fn stored_bytes(footer: &Footer, row_group: u32, columns: &[u32]) -> u64 {
    let Some(group) = footer.metadata.row_groups().get(row_group as usize) else { return 0 };
    let leaves = columns.iter().filter_map(|&column| footer.leaves.get(column as usize));
    let chunks = leaves.flat_map(|leaves| group.columns().get(leaves.clone()).unwrap_or_default());
    let stored = chunks.map(|chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0));
    stored.fold(0, u64::saturating_add)
}

fn leaf_bytes(chunk: &ColumnChunkMetaData, keyed: bool) -> u64 {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let values = unsigned(chunk.num_values());
    let descriptor = chunk.column_descr();
    let validity = if descriptor.max_def_level() > 0 { values / 8 } else { 0 };
    let offsets = if descriptor.max_rep_level() > 0 { values.saturating_mul(4) } else { 0 };
    let decimal = matches!(descriptor.logical_type_ref(), Some(LogicalType::Decimal { .. }));
    let wide = if descriptor.type_precision() > 38 { 32 } else { 16 };
    let width = match descriptor.physical_type() {
        _ if decimal => wide,
        Type::BOOLEAN => return values / 8 + validity + offsets,
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::INT96 | Type::DOUBLE => 8,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(descriptor.type_length()).unwrap_or(0),
        Type::BYTE_ARRAY if keyed => {
            let stored = unsigned(chunk.uncompressed_size());
            return values.saturating_mul(4).saturating_add(stored).saturating_add(validity);
        }
        Type::BYTE_ARRAY => {
            let guess = values.saturating_mul(GUESSED_VALUE_BYTES);
            let guess = guess.max(unsigned(chunk.uncompressed_size()));
            let data = chunk.unencoded_byte_array_data_bytes().map_or(guess, unsigned);
            return data
                .saturating_add(values.saturating_mul(4))
                .saturating_add(validity + offsets);
        }
    };
    values.saturating_mul(width).saturating_add(validity).saturating_add(offsets)
}

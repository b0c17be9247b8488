//! From the tail of an object to a footer.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use flightcache_cache::{Error, ObjectId, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    file::metadata::{
        ColumnChunkMetaData, FileMetaData, FooterTail, PageIndexPolicy, ParquetMetaData,
        ParquetMetaDataBuilder, ParquetMetaDataReader, RowGroupMetaData,
    },
};

use super::{
    Footer,
    check::check,
    depth::{MAX_DEPTH, is_too_deep},
    int96::int96_leaves,
    legacy::without_legacy_bounds,
    plain::plain_schema,
};

/// Bytes at the end of every Parquet file: length of the metadata and magic.
pub(crate) const TAIL_BYTES: u64 = 8;

/// Bytes of the smallest file: magic, empty metadata, length, magic.
const MIN_FILE_BYTES: u64 = 12;

/// Where the metadata begins, from the last bytes of the file.
///
/// # Errors
/// `Data` naming the object if it is not Parquet, encrypted, or claims more metadata than it has
/// bytes or than `max_bytes`.
pub(crate) fn metadata_start(object: &ObjectId, tail: &[u8], max_bytes: u64) -> Result<u64> {
    let foreign = || Error::data(format!("object {object} is not Parquet, or cut short"));
    let last = tail.last_chunk::<{ TAIL_BYTES as usize }>().ok_or_else(foreign)?;
    if object.size < MIN_FILE_BYTES {
        return Err(foreign());
    }
    let last = FooterTail::try_new(last).map_err(|_| foreign())?;
    if last.is_encrypted_footer() {
        return Err(Error::data(format!("object {object} is encrypted")));
    }
    let length = last.metadata_length() as u64;
    if length > max_bytes || length + MIN_FILE_BYTES > object.size {
        let size = object.size;
        return Err(Error::data(format!(
            "object {object} claims {length} bytes of footer in a file of {size}"
        )));
    }
    Ok(object.size - TAIL_BYTES - length)
}

/// Where the part of the file that a footer chunk holds begins: at the page indexes if nothing
/// else than they and bloom filters lies between the last column chunk and the metadata, else at
/// `metadata_start`. `tail` holds the metadata.
///
/// # Errors
/// `Data` naming the object if the metadata cannot be parsed or claims the impossible.
pub(crate) fn chunk_start(
    object: &ObjectId,
    tail: &Bytes,
    metadata_start: u64,
    max_bytes: u64,
) -> Result<u64> {
    check_depth(object, tail, metadata_start)?;
    let metadata = parse_metadata(object, tail, PageIndexPolicy::Skip)?;
    check(&metadata, object, max_bytes)?;
    let columns = || metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let data_end = columns().map(|column| bytes_of(column).end).max().unwrap_or(0);
    let indexes = columns().flat_map(|column| {
        [
            index_range(column.column_index_offset(), column.column_index_length()),
            index_range(column.offset_index_offset(), column.offset_index_length()),
        ]
    });
    let mut start = metadata_start;
    for range in indexes.flatten() {
        if range.start < data_end || range.end > metadata_start {
            return Ok(metadata_start);
        }
        start = start.min(range.start);
    }
    Ok(if metadata_start - start > max_bytes { metadata_start } else { start })
}

/// Parses `tail`, the end of `object` or all of it.
///
/// # Errors
/// `Data` naming the object if it is encrypted, not Parquet, or broken.
pub(crate) fn parse(object: &Arc<ObjectId>, tail: Bytes, max_bytes: u64) -> Result<Footer> {
    let start = metadata_start(object, &tail, max_bytes)?;
    if (tail.len() as u64) < object.size - start {
        return Err(Error::internal(format!("footer of {object} is cut")));
    }
    check_depth(object, &tail, start)?;
    // Page indexes only ever save work: a file is read without broken or distant ones.
    let indexed = parse_metadata(object, &tail, PageIndexPolicy::Optional);
    let metadata = indexed.or_else(|_| parse_metadata(object, &tail, PageIndexPolicy::Skip))?;
    check(&metadata, object, max_bytes)?;
    let broken = |error| broken(object, &error);
    let metadata = Arc::new(without_legacy_bounds(with_rows(metadata)).map_err(broken)?);
    let decoded = without_indexes(&metadata);
    let reader = ArrowReaderMetadata::try_new(Arc::clone(&decoded), ArrowReaderOptions::new());
    let mut reader = reader.map_err(broken)?;
    let schema = plain_schema(reader.schema());
    if !Arc::ptr_eq(&schema, reader.schema()) {
        let options = ArrowReaderOptions::new().with_schema(schema);
        reader = ArrowReaderMetadata::try_new(Arc::clone(&decoded), options).map_err(broken)?;
    }
    let schema = Arc::clone(reader.schema());
    let leaves = leaves(&metadata);
    if leaves.len() != schema.fields().len() {
        return Err(Error::data(format!("object {object} has columns without values")));
    }
    let int96 = int96_leaves(&schema, &leaves, metadata.file_metadata().schema_descr());
    let whole = (tail.len() as u64 == object.size).then_some(tail);
    let own = if Arc::ptr_eq(&metadata, &decoded) { 0 } else { decoded.memory_size() };
    let bytes = metadata.memory_size()
        + own
        + schema.fields().size()
        + whole.as_ref().map_or(0, Bytes::len);
    let object = Arc::clone(object);
    Ok(Footer { object, metadata, schema, int96, bytes, reader, leaves, whole })
}

/// `metadata` with as many rows as its row groups have: some writers give another number, and the
/// decoder sizes its batches by it.
fn with_rows(metadata: ParquetMetaData) -> ParquetMetaData {
    let rows = metadata.row_groups().iter().map(RowGroupMetaData::num_rows);
    let rows = rows.fold(0_i64, i64::saturating_add);
    let file = metadata.file_metadata();
    if file.num_rows() == rows {
        return metadata;
    }
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut old = metadata.into_builder();
    ParquetMetaDataBuilder::new(file)
        .set_column_index(old.take_column_index())
        .set_offset_index(old.take_offset_index())
        .set_row_groups(old.take_row_groups())
        .build()
}

/// What the decoder goes by: page indexes only prune, since one that is wrong would have it read
/// other pages than lie in the column, or the same ones twice.
fn without_indexes(metadata: &Arc<ParquetMetaData>) -> Arc<ParquetMetaData> {
    if metadata.offset_index().is_none() && metadata.column_index().is_none() {
        return Arc::clone(metadata);
    }
    let builder = ParquetMetaData::clone(metadata).into_builder();
    Arc::new(builder.set_offset_index(None).set_column_index(None).build())
}

/// Bytes of a column chunk that was checked.
pub(crate) fn bytes_of(column: &ColumnChunkMetaData) -> Range<u64> {
    let (start, length) = column.byte_range();
    start..start.saturating_add(length)
}

/// The error for what the parquet crate says about `object`.
pub(crate) fn broken(object: &ObjectId, error: &impl std::fmt::Display) -> Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
    Error::data(format!("object {object} is broken: {line}"))
}

fn check_depth(object: &ObjectId, tail: &[u8], metadata_start: u64) -> Result<()> {
    let length = usize::try_from(object.size - metadata_start).unwrap_or(usize::MAX);
    let metadata = tail.len().checked_sub(length).and_then(|start| tail.get(start..));
    if metadata.is_some_and(is_too_deep) {
        let most = MAX_DEPTH;
        return Err(Error::data(format!("object {object} has a schema over {most} levels deep")));
    }
    Ok(())
}

fn parse_metadata(
    object: &ObjectId,
    tail: &Bytes,
    policy: PageIndexPolicy,
) -> Result<ParquetMetaData> {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(policy);
    let parsed = reader.try_parse_sized(tail, object.size).and_then(|()| reader.finish());
    parsed.map_err(|error| broken(object, &error))
}

fn index_range(offset: Option<i64>, length: Option<i32>) -> Option<Range<u64>> {
    let start = u64::try_from(offset?).ok()?;
    let length = u64::try_from(length?).ok()?;
    Some(start..start.saturating_add(length))
}

fn leaves(metadata: &ParquetMetaData) -> Vec<Range<usize>> {
    let schema = metadata.file_metadata().schema_descr();
    let roots = schema.root_schema().get_fields().len();
    let mut leaves: Vec<Range<usize>> = Vec::with_capacity(roots);
    let mut last = None;
    for leaf in 0..schema.num_columns() {
        let root = schema.get_column_root_idx(leaf);
        match leaves.last_mut() {
            Some(range) if last == Some(root) => range.end = leaf + 1,
            _ => leaves.push(leaf..leaf + 1),
        }
        last = Some(root);
    }
    leaves
}

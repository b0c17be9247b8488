//! What follows the key in a cache file: an Arrow IPC stream for a column, else the bytes.
//!
//! A column is a stream of one column: a record batch for each piece, 64-byte aligned, dictionaries
//! kept. Neither direction copies values: buffers are written from where they lie, and a decoded
//! array points into the mapped file.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
};
use arrow_buffer::Buffer;
use arrow_ipc::{
    MetadataVersion,
    reader::StreamDecoder,
    writer::{IpcWriteOptions, StreamEncoder},
};
use bytes::Bytes;

use crate::{Chunk, Column, Error, Result, guarded};

type ArrowResult<T> = std::result::Result<T, ArrowError>;

const COLUMN: u8 = 1;
const BYTES: u8 = 2;

/// An encoded chunk, in pieces to be written one after the other.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) kind: u8,
    pub(super) buffers: Vec<Buffer>,
}

/// Encodes `chunk`.
///
/// # Errors
/// `Internal` if Arrow IPC cannot express the column.
pub(super) fn encode(chunk: &Chunk) -> Result<Payload> {
    match chunk {
        Chunk::Bytes(bytes) => {
            Ok(Payload { kind: BYTES, buffers: vec![Buffer::from(bytes.clone())] })
        }
        Chunk::Column(column) => {
            let buffers = guard(|| encode_column(column))
                .map_err(|error| Error::internal("cannot encode column").with_source(error))?;
            Ok(Payload { kind: COLUMN, buffers })
        }
    }
}

/// Decodes what [`encode`] wrote, pointing into `payload`.
///
/// # Errors
/// `Data` if the bytes are no such thing; hostile bytes do not panic.
pub(super) fn decode(kind: u8, payload: Bytes) -> Result<Chunk> {
    match kind {
        BYTES => Ok(Chunk::Bytes(payload)),
        COLUMN => {
            let (schema, pieces) = guard(|| decode_stream(Buffer::from(payload)))
                .map_err(|error| Error::data("cannot decode cached column").with_source(error))?;
            let [field] = &**schema.fields() else {
                return Err(Error::data("cached column has not one field"));
            };
            Ok(Chunk::Column(Column::try_new(Arc::clone(field), pieces)?))
        }
        other => Err(Error::data(format!("cache file of unknown kind {other}"))),
    }
}

fn encode_column(column: &Column) -> ArrowResult<Vec<Buffer>> {
    let schema = Arc::new(Schema::new(vec![Arc::clone(column.field())]));
    let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
    let mut encoder = StreamEncoder::try_new_with_options(&schema, options)?;
    let mut buffers = Vec::new();
    for piece in column.pieces() {
        let options = RecordBatchOptions::new().with_row_count(Some(piece.len()));
        let columns = vec![Arc::clone(piece)];
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
        buffers.append(&mut encoder.encode(&batch)?);
    }
    buffers.append(&mut encoder.finish()?);
    Ok(buffers)
}

fn decode_stream(mut stream: Buffer) -> ArrowResult<(SchemaRef, Vec<ArrayRef>)> {
    let mut decoder = StreamDecoder::new().with_require_alignment(true);
    let mut pieces = Vec::new();
    while !stream.is_empty() {
        if let Some(batch) = decoder.decode(&mut stream)? {
            pieces.extend(batch.columns().first().cloned());
        }
    }
    decoder.finish()?;
    let schema =
        decoder.schema().ok_or_else(|| ArrowError::IpcError("no schema in stream".to_owned()))?;
    Ok((schema, pieces))
}

/// Runs `step`, which may panic on bytes or types it does not expect.
fn guard<T>(step: impl FnOnce() -> ArrowResult<T>) -> ArrowResult<T> {
    guarded(step).unwrap_or_else(|| Err(ArrowError::IpcError("arrow panicked".to_owned())))
}

//! What a cache holds: decoded columns, and opaque bytes.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayData, ArrayRef},
    datatypes::FieldRef,
};
use arrow_buffer::{Buffer, NullBuffer};
use bytes::Bytes;

use crate::{Error, Result};

/// Rows of every piece of a [`Column`] but the last.
///
/// A column is decoded piece by piece so that no single array must hold a whole row group: 32-bit
/// offsets end at 2 GiB, and a record batch is cut from pieces without copying.
pub const PIECE_ROWS: usize = 65_536;

/// One column of one row group, decoded. `Clone` is cheap.
///
/// Pieces are [`PIECE_ROWS`] rows each, the last one fewer, so pieces of the columns of one row
/// group always line up.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    field: FieldRef,
    pieces: Arc<[ArrayRef]>,
}

impl Column {
    /// A column of `field`'s type from its pieces.
    ///
    /// # Errors
    /// `Internal` if a piece has another type than the field or another length than it must have.
    pub fn try_new(field: FieldRef, pieces: Vec<ArrayRef>) -> Result<Self> {
        for (index, piece) in pieces.iter().enumerate() {
            let full = index + 1 < pieces.len();
            if piece.data_type() != field.data_type() {
                return Err(Error::internal(format!(
                    "piece of column {} is {}, not {}",
                    field.name(),
                    piece.data_type(),
                    field.data_type()
                )));
            }
            if piece.len() > PIECE_ROWS || (full && piece.len() != PIECE_ROWS) {
                return Err(Error::internal(format!(
                    "piece {index} of column {} has {} rows",
                    field.name(),
                    piece.len()
                )));
            }
        }
        Ok(Self { field, pieces: pieces.into() })
    }

    /// Name and type of the column in its file.
    pub fn field(&self) -> &FieldRef {
        &self.field
    }

    /// The pieces, in row order.
    pub fn pieces(&self) -> &[ArrayRef] {
        &self.pieces
    }

    /// Rows over all pieces.
    pub fn rows(&self) -> usize {
        self.pieces.iter().map(Array::len).sum()
    }

    /// Visits every allocation the pieces hold, once even where arrays share it.
    pub(crate) fn for_each_buffer(&self, mut visit: impl FnMut(&Buffer)) {
        let mut seen = HashSet::new();
        for piece in &*self.pieces {
            visit_buffers(&piece.to_data(), &mut seen, &mut visit);
        }
    }
}

/// A cached value. `Clone` is cheap.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// A decoded column.
    Column(Column),
    /// Opaque bytes, as stored.
    Bytes(Bytes),
}

impl Chunk {
    /// Memory the chunk holds, in bytes: allocated capacity, each buffer once even if shared.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Column(column) => {
                let mut bytes = 0;
                column.for_each_buffer(|buffer| bytes += buffer.capacity().max(buffer.len()));
                bytes
            }
        }
    }

    /// The column.
    ///
    /// # Errors
    /// `Internal` if the chunk is opaque bytes.
    pub fn as_column(&self) -> Result<&Column> {
        match self {
            Self::Column(column) => Ok(column),
            Self::Bytes(_) => {
                Err(Error::internal("chunk holds bytes where a column was asked for"))
            }
        }
    }

    /// The opaque bytes.
    ///
    /// # Errors
    /// `Internal` if the chunk is a column.
    pub fn as_bytes(&self) -> Result<&Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Column(_) => {
                Err(Error::internal("chunk holds a column where bytes were asked for"))
            }
        }
    }
}

fn visit_buffers(data: &ArrayData, seen: &mut HashSet<usize>, visit: &mut impl FnMut(&Buffer)) {
    let nulls = data.nulls().map(NullBuffer::buffer);
    for buffer in data.buffers().iter().chain(nulls) {
        if seen.insert(buffer.data_ptr().as_ptr() as usize) {
            visit(buffer);
        }
    }
    for child in data.child_data() {
        visit_buffers(child, seen, visit);
    }
}

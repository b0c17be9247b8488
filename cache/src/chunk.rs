//! What a cache holds: decoded columns, and opaque bytes.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayData, ArrayRef},
    datatypes::FieldRef,
};
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
#[derive(Clone, Debug)]
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
}

/// A cached value. `Clone` is cheap.
#[derive(Clone, Debug)]
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
                let mut seen = HashSet::new();
                column.pieces.iter().map(|piece| buffer_bytes(&piece.to_data(), &mut seen)).sum()
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
            Self::Bytes(_) => Err(Error::internal("chunk holds bytes where a column was asked for")),
        }
    }

    /// The opaque bytes.
    ///
    /// # Errors
    /// `Internal` if the chunk is a column.
    pub fn as_bytes(&self) -> Result<&Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Column(_) => Err(Error::internal("chunk holds a column where bytes were asked for")),
        }
    }
}

fn buffer_bytes(data: &ArrayData, seen: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let own: usize = data
        .buffers()
        .iter()
        .chain(nulls)
        .filter(|buffer| seen.insert(buffer.data_ptr().as_ptr() as usize))
        .map(|buffer| buffer.capacity().max(buffer.len()))
        .sum();
    own + data.child_data().iter().map(|child| buffer_bytes(child, seen)).sum::<usize>()
}

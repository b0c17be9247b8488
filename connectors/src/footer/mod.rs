//! Footers: read in one request, parsed once, kept under a budget.
//!
//! ```text
//!  Footers ──► [disk tier] ──► FooterOrigin ──► Store
//!  parsed,      raw bytes        guesses the length
//!  budget                        of the tail
//! ```

mod cache;
mod check;
mod depth;
mod estimate;
mod int96;
mod legacy;
mod origin;
pub(crate) mod parse;
mod plain;
pub(crate) mod thrift;

use std::{fmt, ops::Range, sync::Arc};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
pub use cache::Footers;
pub use estimate::{estimate_bytes, stored_bytes};
use flightcache_cache::{Error, ObjectId, Result};
pub use int96::{Int96Leaf, has_path};
pub use origin::FooterOrigin;
use parquet::{
    arrow::arrow_reader::ArrowReaderMetadata,
    file::metadata::{ParquetMetaData, RowGroupMetaData},
};

/// The parsed footer of one object version.
pub struct Footer {
    /// The object version.
    pub object: Arc<ObjectId>,
    /// Parquet's own metadata, with the page indexes where the file has them at its end.
    pub metadata: Arc<ParquetMetaData>,
    /// The file's columns as they are decoded: as the parquet crate reads them, an embedded Arrow
    /// schema honoured, but without views.
    pub schema: SchemaRef,
    /// The columns, and values inside of them, that the file holds as INT96.
    pub int96: Vec<Int96Leaf>,
    /// Memory that all of this holds, in bytes, about.
    pub bytes: usize,
    /// What the decoder makes of `metadata` and `schema`.
    pub(crate) reader: ArrowReaderMetadata,
    /// For each top-level column, its leaves in `metadata`.
    pub(crate) leaves: Vec<Range<usize>>,
    /// The whole object, where it is so small that it came with the footer.
    pub(crate) whole: Option<Bytes>,
}

impl Footer {
    /// Metadata of row group `row_group`.
    ///
    /// # Errors
    /// `Invalid` if the file has no such row group.
    pub fn row_group(&self, row_group: u32) -> Result<&RowGroupMetaData> {
        self.metadata.row_groups().get(row_group as usize).ok_or_else(|| {
            let groups = self.metadata.num_row_groups();
            Error::invalid(format!(
                "object {} has {groups} row groups, no {row_group}",
                self.object
            ))
        })
    }

    /// Rows of each row group.
    pub fn row_group_rows(&self) -> impl Iterator<Item = u64> + '_ {
        let groups = self.metadata.row_groups().iter();
        groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// Whether anything in top-level column `column` is INT96.
    pub fn holds_int96(&self, column: usize) -> bool {
        let leaves = self.leaves.get(column).cloned().unwrap_or_default();
        self.int96.iter().any(|known| leaves.contains(&known.leaf))
    }

    /// The leaf in `metadata` that top-level column `column` is, unless it is nested.
    pub fn leaf(&self, column: usize) -> Option<usize> {
        self.leaves.get(column).filter(|leaves| leaves.len() == 1).map(|leaves| leaves.start)
    }
}

impl fmt::Debug for Footer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footer")
            .field("object", &self.object)
            .field("row_groups", &self.metadata.num_row_groups())
            .field("columns", &self.schema.fields().len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

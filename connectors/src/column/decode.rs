//! From the bytes of one column of one row group to Arrow arrays.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayData, ArrayRef},
    buffer::{Buffer, NullBuffer},
};
use flightcache_cache::{Column, Error, PIECE_ROWS, Result};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{int96, pages, pieces::Pieces};
use crate::footer::{Footer, estimate_bytes, parse::broken};

/// A decoded column stays below this, because a cache file does.
const MAX_COLUMN_BYTES: u64 = 2 << 30;

/// One column of one row group to decode.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) footer: Arc<Footer>,
    pub(crate) row_group: u32,
    pub(crate) column: u32,
    pub(crate) max_bytes: u64,
    pub(crate) timeout: Duration,
    /// Set once nobody wants the result.
    pub(crate) abandoned: Arc<AtomicBool>,
}

impl Job {
    /// Decodes the column out of `pieces`, which hold its leaves.
    ///
    /// # Errors
    /// `Data` naming object and column if the bytes are broken, give another number of rows than
    /// the footer says, take too long, or expand beyond the bounds.
    pub(crate) fn decode(&self, pieces: &Pieces) -> Result<Column> {
        let unknown =
            || Error::invalid(format!("object {} has no such column", self.footer.object));
        let field = self.footer.schema.fields().get(self.column as usize).ok_or_else(unknown)?;
        let rows = usize::try_from(self.footer.row_group(self.row_group)?.num_rows());
        let rows = rows.map_err(|error| self.broken(&error))?;
        if rows == 0 {
            return Column::try_new(Arc::clone(field), Vec::new());
        }
        self.check_pages(pieces)?;
        let mut arrays = Vec::with_capacity(rows.div_ceil(PIECE_ROWS));
        let (mut seen, mut bytes, mut decoded) = (HashSet::new(), 0, 0);
        let deadline = Instant::now() + self.timeout;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            pieces.clone(),
            self.footer.reader.clone(),
        );
        let mask = ProjectionMask::roots(reader.parquet_schema(), [self.column as usize]);
        let reader = reader
            .with_projection(mask)
            .with_row_groups(vec![self.row_group as usize])
            .with_batch_size(PIECE_ROWS)
            .build();
        for batch in reader.map_err(|error| self.broken(&error))? {
            let mut batch = batch.map_err(|error| self.broken(&error))?;
            if self.abandoned.load(Ordering::Relaxed) {
                return Err(Error::unavailable("decoding was abandoned"));
            }
            if Instant::now() > deadline {
                return Err(self.broken(&format!("decoding takes over {:?}", self.timeout)));
            }
            let mut array: ArrayRef = batch.remove_column(0);
            drop(batch);
            // Memory is weighed in capacity, and the decoder's buffers grow by doubling.
            array.shrink_to_fit();
            bytes += buffer_bytes(&array.to_data(), &mut seen);
            decoded += array.len();
            if bytes > self.max_bytes.min(MAX_COLUMN_BYTES - 1) {
                return Err(self.broken(&format!("decodes to over {bytes} bytes")));
            }
            arrays.push(array);
        }
        if decoded != rows {
            return Err(self.broken(&format!("has {decoded} rows of {rows}")));
        }
        self.check_int96(pieces)?;
        Column::try_new(Arc::clone(field), arrays).map_err(|error| self.broken(&error))
    }

    /// Refuses timestamps that have wrapped around on the way into 64 bits.
    fn check_int96(&self, pieces: &Pieces) -> Result<()> {
        let group = self.footer.row_group(self.row_group)?;
        let leaves = self.footer.leaves.get(self.column as usize).cloned().unwrap_or_default();
        for leaf in self.footer.int96.iter().filter(|known| leaves.contains(&known.leaf)) {
            let Some(chunk) = group.columns().get(leaf.leaf) else { continue };
            let fit = int96::fit(chunk, pieces, leaf.unit).map_err(|error| self.broken(&error))?;
            if !fit {
                let (object, path) = (&self.footer.object, chunk.column_path().string());
                let (ordinal, range) = (self.row_group, int96::range(leaf.unit));
                return Err(Error::data(format!(
                    "object {object}: row group {ordinal} column {path} has INT96 timestamps outside \
                     of {range}: leave the column out, or rewrite it as INT64"
                )));
            }
        }
        Ok(())
    }

    /// Refuses pages that do not keep to what the footer says, by which the fill was bounded.
    fn check_pages(&self, pieces: &Pieces) -> Result<()> {
        let group = self.footer.row_group(self.row_group)?;
        let leaves = self.footer.leaves.get(self.column as usize).cloned().unwrap_or_default();
        let estimate = estimate_bytes(&self.footer, self.row_group, &[self.column]);
        for chunk in group.columns().get(leaves).unwrap_or_default() {
            pages::check(chunk, pieces, estimate).map_err(|wrong| self.broken(&wrong))?;
        }
        Ok(())
    }

    pub(crate) fn broken(&self, error: &impl std::fmt::Display) -> Error {
        let field = self.footer.schema.fields().get(self.column as usize);
        let name = field.map_or("", |field| field.name());
        let at = format!("row group {} column {name}", self.row_group);
        broken(&self.footer.object, &format!("{at}: {error}"))
    }
}

fn buffer_bytes(data: &ArrayData, seen: &mut HashSet<usize>) -> u64 {
    let nulls = data.nulls().map(NullBuffer::buffer);
    let buffers = data.buffers().iter().chain(nulls);
    let fresh = buffers.filter(|buffer| seen.insert(buffer.data_ptr().as_ptr() as usize));
    let own: usize = fresh.map(Buffer::capacity).sum();
    own as u64 + data.child_data().iter().map(|child| buffer_bytes(child, seen)).sum::<u64>()
}

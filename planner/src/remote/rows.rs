//! Chunks made of the batches that a node streams.
//!
//! Everything is checked that makes a chunk what the origin would decode: its type, and that its
//! batches cover its row group from the first row to the last.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::concat,
    datatypes::{FieldRef, Schema},
};
use flightcache_cache::{Column, Error, PIECE_ROWS, Result};
use flightcache_protocol::{BatchMetadata, RowGroupMetadata};

/// A row group as the footer tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) ordinal: u32,
    /// Its first row, counted from the start of the file.
    pub(super) first_row: u64,
    pub(super) rows: u64,
}

impl Expected {
    pub(super) fn is_planned_as(&self, planned: &RowGroupMetadata) -> bool {
        self.ordinal == planned.ordinal
            && self.first_row == planned.first_row
            && self.rows == planned.rows
    }
}

/// One row group of which not all batches are there.
#[derive(Debug)]
pub(super) struct RowGroup {
    expected: Expected,
    fields: Vec<FieldRef>,
    rows: u64,
    /// For each column its whole pieces, and the arrays of the one that is not.
    columns: Vec<(Vec<ArrayRef>, Vec<ArrayRef>)>,
}

/// Whether batches of `schema` hold columns of just these names and types.
///
/// # Errors
/// `NotFound` naming the column that the node does not have as it is here.
pub(super) fn check(schema: &Schema, fields: &[FieldRef]) -> Result<()> {
    if schema.fields().len() != fields.len() {
        let (sent, asked) = (schema.fields().len(), fields.len());
        return Err(Error::not_found(format!("the node sends {sent} columns instead of {asked}")));
    }
    let mut pairs = schema.fields().iter().zip(fields);
    match pairs.find(|(sent, own)| !same(sent, own)) {
        Some((sent, own)) => Err(Error::not_found(format!(
            "the node sends column `{}` as {}, and here it is `{}`, {}",
            sent.name(),
            sent.data_type(),
            own.name(),
            own.data_type()
        ))),
        None => Ok(()),
    }
}

fn same(sent: &FieldRef, own: &FieldRef) -> bool {
    sent.name() == own.name() && sent.data_type() == own.data_type()
}

impl RowGroup {
    pub(super) fn new(expected: Expected, fields: Vec<FieldRef>) -> Self {
        let columns = fields.iter().map(|_| (Vec::new(), Vec::new())).collect();
        Self { expected, fields, rows: 0, columns }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.rows == self.expected.rows
    }

    /// Takes the next batch, which covers `covered`.
    ///
    /// # Errors
    /// `Internal` if it does not follow what is there, or has other rows than it says.
    pub(super) fn push(&mut self, covered: &BatchMetadata, batch: &RecordBatch) -> Result<()> {
        let Expected { ordinal, first_row, rows } = self.expected;
        let follows = covered.row_group == ordinal
            && covered.first_row == first_row + self.rows
            && covered.rows == batch.num_rows() as u64
            && covered.rows <= rows - self.rows
            && batch.num_columns() == self.columns.len();
        if !follows {
            return Err(Error::internal(format!(
                "the node sends {covered:?} with {} rows where row {} of row group {ordinal} is next",
                batch.num_rows(),
                first_row + self.rows
            )));
        }
        let mut done = 0;
        while done < batch.num_rows() {
            let at = self.rows as usize % PIECE_ROWS;
            let length = (PIECE_ROWS - at).min(batch.num_rows() - done);
            let part = batch.slice(done, length);
            for ((_, pending), array) in self.columns.iter_mut().zip(part.columns()) {
                pending.push(Arc::clone(array));
            }
            done += length;
            self.rows += length as u64;
            if self.is_complete() || at + length == PIECE_ROWS {
                self.end_piece()?;
            }
        }
        Ok(())
    }

    fn end_piece(&mut self) -> Result<()> {
        for (pieces, pending) in &mut self.columns {
            pieces.push(compact(pending)?);
            pending.clear();
        }
        Ok(())
    }

    /// The columns.
    ///
    /// # Errors
    /// `Internal` if rows are missing.
    pub(super) fn finish(self) -> Result<Vec<Column>> {
        let Expected { ordinal, rows, .. } = self.expected;
        if !self.is_complete() {
            let got = self.rows;
            return Err(Error::internal(format!(
                "the node ends after {got} of {rows} rows of row group {ordinal}"
            )));
        }
        let columns = self.fields.into_iter().zip(self.columns);
        columns.map(|(field, (pieces, _))| Column::try_new(field, pieces)).collect()
    }
}

/// One array of `parts`, in memory of its own: what arrived together shares one buffer, and would
/// be kept as long as any column of it.
fn compact(parts: &[ArrayRef]) -> Result<ArrayRef> {
    let mut parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let nothing = parts.first().map(|part| part.slice(0, 0));
    // A single array would be given back as it is.
    parts.extend(nothing.as_deref());
    let mut joined = concat(&parts)
        .map_err(|error| Error::internal("batches cannot be joined").with_source(error))?;
    joined.shrink_to_fit();
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type},
    };

    use super::*;

    const EXPECTED: Expected = Expected { ordinal: 2, first_row: 1_000, rows: 100_000 };

    fn field(name: &str, data_type: DataType) -> FieldRef {
        Arc::new(Field::new(name, data_type, true))
    }

    fn row_group() -> RowGroup {
        RowGroup::new(EXPECTED, vec![field("n", DataType::Int64)])
    }

    fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
        let values = Int64Array::from_iter_values(rows);
        RecordBatch::try_from_iter([("n", Arc::new(values) as ArrayRef)]).unwrap()
    }

    fn covering(row_group: u32, first_row: u64, rows: u64) -> BatchMetadata {
        BatchMetadata { row_group, first_row, rows }
    }

    #[test]
    fn batches_of_any_length_make_pieces() {
        for step in [1_000, 65_535, 65_536, 65_537, 100_000] {
            let mut group = row_group();
            for first in (0..100_000).step_by(step) {
                let rows = first as i64..(first + step).min(100_000) as i64;
                let covered = covering(2, 1_000 + first as u64, rows.clone().count() as u64);
                group.push(&covered, &batch(rows)).unwrap();
            }
            let columns = group.finish().unwrap();
            let pieces = columns[0].pieces();
            assert_eq!(pieces.iter().map(Array::len).collect::<Vec<_>>(), [65_536, 34_464]);
            let values = pieces.iter().flat_map(|piece| piece.as_primitive::<Int64Type>().values());
            assert!(values.copied().eq(0..100_000), "in steps of {step}");
        }
    }

    #[test]
    fn what_does_not_follow_or_is_not_whole_is_refused() {
        for covered in [
            covering(1, 1_000, 10),
            covering(2, 0, 10),
            covering(2, 1_001, 10),
            covering(2, 1_000, 9),
            covering(2, u64::MAX, 10),
        ] {
            assert!(row_group().push(&covered, &batch(0..10)).is_err(), "{covered:?}");
        }
        let mut group = row_group();
        group.push(&covering(2, 1_000, 99_999), &batch(0..99_999)).unwrap();
        let twice = covering(2, 1_000, 10);
        assert!(group.push(&twice, &batch(0..10)).is_err());
        let beyond = covering(2, 100_999, 2);
        assert!(group.push(&beyond, &batch(0..2)).is_err());
        let narrow = batch(0..1).project(&[]).unwrap();
        assert!(group.push(&covering(2, 100_999, 1), &narrow).is_err());
        let error = group.finish().unwrap_err();
        assert!(error.message().contains("99999 of 100000 rows of row group 2"), "{error}");
    }

    #[test]
    fn other_columns_and_types_are_told() {
        let own = [field("n", DataType::Int64), field("w", DataType::Utf8)];
        let [number, word] = [0, 1].map(|at| Arc::clone(&own[at]));
        for (sent, told) in [
            (vec![field("n", DataType::Int64)], "1 columns instead of 2"),
            (vec![word, Arc::clone(&number)], "`w`"),
            (vec![number, field("w", DataType::LargeUtf8)], "`w` as LargeUtf8"),
        ] {
            let error = check(&Schema::new(sent), &own).unwrap_err();
            assert!(error.message().contains(told), "{error}");
        }
        check(&Schema::new(own.to_vec()), &own).unwrap();
    }
}

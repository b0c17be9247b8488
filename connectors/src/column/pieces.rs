//! The fetched bytes of one column, as the parquet crate wants to read them.

use std::ops::Range;

use bytes::{Buf, Bytes, buf::Reader};
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

/// Bytes of an object, of which only `runs` are there.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    size: u64,
    runs: Vec<(u64, Bytes)>,
}

impl Pieces {
    /// The parts `wanted` of an object of `size` bytes, out of `reads`, which are sorted, disjoint
    /// and cover them. A part that lies in one read is not copied.
    pub(crate) fn new(size: u64, wanted: &[Range<u64>], reads: &[(Range<u64>, Bytes)]) -> Self {
        let runs = wanted.iter().map(|part| (part.start, gather(part, reads))).collect();
        Self { size, runs }
    }

    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let missing = || ParquetError::EOF(format!("no bytes at {start} were claimed"));
        let mut found = self.runs.iter().filter_map(|(at, bytes)| {
            let skip = usize::try_from(start.checked_sub(*at)?).ok()?;
            (skip < bytes.len()).then(|| bytes.slice(skip..))
        });
        found.next().ok_or_else(missing)
    }
}

fn gather(part: &Range<u64>, reads: &[(Range<u64>, Bytes)]) -> Bytes {
    let mut found = reads.iter().filter_map(|(range, bytes)| {
        let start = part.start.max(range.start);
        let end = part.end.min(range.end);
        (start < end).then(|| {
            let at = |offset: u64| usize::try_from(offset - range.start).unwrap_or(usize::MAX);
            bytes.slice(at(start).min(bytes.len())..at(end).min(bytes.len()))
        })
    });
    let first = found.next().unwrap_or_default();
    let Some(second) = found.next() else { return first };
    let mut all = first.to_vec();
    all.extend_from_slice(&second);
    found.for_each(|bytes| all.extend_from_slice(&bytes));
    all.into()
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Pieces {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.from(start)?;
        let missing = || ParquetError::EOF(format!("{length} bytes at {start} were not claimed"));
        (length <= bytes.len()).then(|| bytes.slice(..length)).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_over_several_reads_are_joined() {
        let reads = [(0..4, Bytes::from_static(b"abcd")), (4..8, Bytes::from_static(b"efgh"))];
        let pieces = Pieces::new(8, &[1..2, 2..7], &reads);
        assert_eq!(pieces.get_bytes(1, 1).unwrap(), "b");
        assert_eq!(pieces.get_bytes(3, 4).unwrap(), "defg");
        assert!(pieces.get_bytes(3, 5).is_err());
        assert!(pieces.get_read(7).is_err());
        assert!(pieces.get_read(0).is_err());
    }
}

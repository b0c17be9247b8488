//! Whether the timestamps of an INT96 column fit the 64 bits that they are decoded to.
//!
//! The parquet crate, as other readers, lets them wrap around: the last day of the year 9999 becomes
//! one of 1816. So their pages are decoded once more, as the days and nanoseconds that they are.

use std::sync::Arc;

use arrow::datatypes::TimeUnit;
use parquet::{
    column::reader::{ColumnReader, get_column_reader},
    data_type::Int96,
    errors::Result,
    file::{metadata::ColumnChunkMetaData, serialized_reader::SerializedPageReader},
};

use super::pieces::Pieces;

/// Records that are looked at together.
const RECORDS: usize = 4096;

const EPOCH_JULIAN_DAY: i128 = 2_440_588;
const DAY_NANOS: i128 = 86_400_000_000_000;
const DAY_MICROS: i128 = 86_400_000_000;

/// Whether every value of `chunk`, which `pieces` hold, fits 64 bits of `unit`. It was decoded before,
/// so its size is known to be in bounds.
///
/// # Errors
/// What the parquet crate says of broken pages.
pub(super) fn fit(chunk: &ColumnChunkMetaData, pieces: &Pieces, unit: TimeUnit) -> Result<bool> {
    let rows = usize::try_from(chunk.num_values()).unwrap_or(usize::MAX);
    let pages = SerializedPageReader::new(Arc::new(pieces.clone()), chunk, rows, None)?;
    let reader = get_column_reader(chunk.column_descr_ptr(), Box::new(pages));
    let ColumnReader::Int96ColumnReader(mut reader) = reader else { return Ok(true) };
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let (records, _, levels) = reader.read_records(
            RECORDS,
            Some(&mut definitions),
            Some(&mut repetitions),
            &mut values,
        )?;
        if !values.iter().all(|value| fits(value, unit)) {
            return Ok(false);
        }
        if records == 0 && levels == 0 {
            return Ok(true);
        }
        definitions.clear();
        repetitions.clear();
        values.clear();
    }
}

/// What 64 bits of `unit` hold, in words.
pub(super) fn range(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Nanosecond => "the years 1677 to 2262, which 64 bits of nanoseconds hold",
        _ => "what 64 bits of the unit in the file's Arrow schema hold",
    }
}

fn fits(value: &Int96, unit: TimeUnit) -> bool {
    let [low, high, day] = *value.data() else { return false };
    let days = i128::from(day.cast_signed()) - EPOCH_JULIAN_DAY;
    let nanos = i128::from((u64::from(high) << 32 | u64::from(low)).cast_signed());
    let moment = match unit {
        TimeUnit::Nanosecond => days * DAY_NANOS + nanos,
        TimeUnit::Microsecond => days * DAY_MICROS + nanos / 1_000,
        // The longest time that INT96 can say has fewer milliseconds than 64 bits hold.
        TimeUnit::Millisecond | TimeUnit::Second => return true,
    };
    i64::try_from(moment).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int96(day: i32, nanos: i64) -> Int96 {
        let [low, high] = [nanos.cast_unsigned() as u32, (nanos.cast_unsigned() >> 32) as u32];
        let mut value = Int96::new();
        value.set_data(low, high, day.cast_unsigned());
        value
    }

    /// Wherever this says that a value fits, the crate's own conversion has not wrapped, and where it
    /// says not, it has: the least and the greatest moment, and a nanosecond beyond.
    #[test]
    fn the_ends_are_exact() {
        let (least, most) = (i128::from(i64::MIN), i128::from(i64::MAX));
        let epoch = i32::try_from(EPOCH_JULIAN_DAY).unwrap();
        for moment in [least - 1, least, least + 1, -1, 0, 1, most - 1, most, most + 1] {
            let day = i32::try_from(moment.div_euclid(DAY_NANOS)).unwrap() + epoch;
            let nanos = i64::try_from(moment.rem_euclid(DAY_NANOS)).unwrap();
            let value = int96(day, nanos);
            let same = i128::from(value.to_nanos()) == moment;
            assert_eq!(fits(&value, TimeUnit::Nanosecond), same, "{moment}");
            assert_eq!(same, (least..=most).contains(&moment));
        }
    }

    #[test]
    fn coarser_units_reach_further() {
        let in_9999 = int96(5_373_484, 0);
        assert!(!fits(&in_9999, TimeUnit::Nanosecond));
        assert!(fits(&in_9999, TimeUnit::Microsecond));
        for day in [i32::MIN, i32::MAX] {
            let value = int96(day, i64::MAX);
            assert!(!fits(&value, TimeUnit::Microsecond));
            let millis = (i128::from(day) - EPOCH_JULIAN_DAY) * 86_400_000
                + i128::from(i64::MAX / 1_000_000);
            assert_eq!(i128::from(value.to_millis()), millis);
            assert!(fits(&value, TimeUnit::Millisecond) && fits(&value, TimeUnit::Second));
        }
    }
}

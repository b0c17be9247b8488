//! How large a function's value may be, from above, before it is made.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit},
};
use datafusion::{error::Result, logical_expr::ColumnarValue};

/// Functions whose value may be larger than their arguments, or is as large as all of them together.
pub(super) const AMPLIFYING: [&str; 26] = [
    "array_append",
    "array_concat",
    "array_prepend",
    "array_repeat",
    "array_resize",
    "array_to_string",
    "array_union",
    "concat",
    "concat_ws",
    "flatten",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "make_array",
    "map",
    "named_struct",
    "overlay",
    "range",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
    "string_to_array",
    "struct",
    "translate",
];
/// Bytes of one element of a list of numbers or dates.
const ELEMENT_BYTES: u64 = 16;
/// Bytes of one character at most.
const CHARACTER_BYTES: u64 = 4;

/// Bytes that the value of `name` may come to over `rows` rows of `args`, at most.
///
/// # Errors
/// What casting a count gives.
pub(super) fn output_bytes(name: &str, args: &[ColumnarValue], rows: usize) -> Result<u64> {
    let argument = |at: usize| args.get(at).map_or(Ok(PerRow::One(0)), sizes);
    let count = |at: usize| args.get(at).map_or(Ok(PerRow::One(0)), numbers);
    let total = |each: &dyn Fn(usize) -> u64| (0..rows).map(each).fold(0, u64::saturating_add);
    Ok(match name {
        // Null, if one of them is.
        "range" | "generate_series" if args.iter().any(is_null) => 0,
        "repeat" | "array_repeat" | "list_repeat" => {
            let (of, times) = (argument(0)?, count(1)?);
            total(&|row| of.get(row).max(1).saturating_mul(times.get(row)))
        }
        "lpad" | "rpad" => {
            let length = count(1)?;
            total(&|row| length.get(row).saturating_mul(CHARACTER_BYTES))
        }
        "array_resize" | "list_resize" => {
            let (list, length, value) = (argument(0)?, count(1)?, argument(2)?);
            total(&|row| {
                let element = value.get(row).max(ELEMENT_BYTES);
                list.get(row).saturating_add(length.get(row).saturating_mul(element))
            })
        }
        "range" | "generate_series" => {
            let (first, last, step) = (count(0)?, count(1)?, count(2)?);
            total(&|row| {
                let span = match args.len() {
                    1 => first.at(row).unsigned_abs(),
                    _ => first.at(row).abs_diff(last.at(row)),
                };
                let step = if args.len() < 3 { 1 } else { step.at(row).unsigned_abs().max(1) };
                (span / step).saturating_add(1).saturating_mul(ELEMENT_BYTES)
            })
        }
        "replace" => {
            let (of, from, to) = (argument(0)?, argument(1)?, argument(2)?);
            total(&|row| {
                let matches = of.get(row) / from.get(row).max(1);
                of.get(row).saturating_add(matches.saturating_mul(to.get(row)))
            })
        }
        "regexp_replace" => {
            // Each reference in a replacement can stand for all of the text, but all matches
            // together only once.
            let (of, to) = (argument(0)?, argument(2)?);
            total(&|row| {
                of.get(row).saturating_add(1).saturating_mul(to.get(row).saturating_add(1))
            })
        }
        "string_to_array" => {
            let of = argument(0)?;
            total(&|row| of.get(row).saturating_mul(ELEMENT_BYTES))
        }
        "array_to_string" | "concat_ws" => {
            let all = args.iter().map(sizes).collect::<Result<Vec<_>>>()?;
            let between = if name == "concat_ws" { argument(0)? } else { argument(1)? };
            total(&|row| {
                let values = all.iter().map(|size| size.get(row)).fold(0, u64::saturating_add);
                let parts = (args.len() as u64).saturating_add(values);
                values.saturating_add(parts.saturating_mul(between.get(row)))
            })
        }
        _ => {
            let all = args.iter().map(sizes).collect::<Result<Vec<_>>>()?;
            total(&|row| all.iter().map(|size| size.get(row)).fold(0, u64::saturating_add))
        }
    })
}

fn is_null(value: &ColumnarValue) -> bool {
    matches!(value, ColumnarValue::Scalar(scalar) if scalar.is_null())
}

/// One number a row, or the same for all.
enum PerRow<T> {
    One(T),
    Each(Vec<T>),
}

impl<T: Copy + Default> PerRow<T> {
    fn at(&self, row: usize) -> T {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values.get(row).copied().unwrap_or_default(),
        }
    }

    fn of(value: &ColumnarValue, read: impl Fn(&ArrayRef) -> Result<Vec<T>>) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => read(array).map(Self::Each),
            ColumnarValue::Scalar(scalar) => {
                let read = read(&scalar.to_array()?)?;
                Ok(Self::One(read.first().copied().unwrap_or_default()))
            }
        }
    }
}

impl PerRow<u64> {
    fn get(&self, row: usize) -> u64 {
        self.at(row)
    }
}

impl PerRow<i64> {
    /// As a count: nothing below zero.
    fn get(&self, row: usize) -> u64 {
        u64::try_from(self.at(row)).unwrap_or(0)
    }
}

/// Bytes of each row's value.
fn sizes(value: &ColumnarValue) -> Result<PerRow<u64>> {
    PerRow::of(value, |array| {
        let lengths: Vec<usize> = match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().offsets().lengths().collect(),
            DataType::LargeUtf8 => array.as_string::<i64>().offsets().lengths().collect(),
            DataType::Binary => array.as_binary::<i32>().offsets().lengths().collect(),
            DataType::LargeBinary => array.as_binary::<i64>().offsets().lengths().collect(),
            DataType::Utf8View => {
                array.as_string_view().lengths().map(|size| size as usize).collect()
            }
            DataType::BinaryView => {
                array.as_binary_view().lengths().map(|size| size as usize).collect()
            }
            DataType::Dictionary(_, values) => {
                let plain = sizes(&ColumnarValue::Array(cast(array, values)?))?;
                return Ok((0..array.len()).map(|row| plain.at(row)).collect());
            }
            _ => {
                let bytes = array.to_data().get_slice_memory_size()?;
                // The longest list is not known without looking: all of the batch may be in one.
                let each = if array.data_type().is_nested() {
                    bytes
                } else {
                    bytes.div_ceil(array.len().max(1))
                };
                vec![each; array.len()]
            }
        };
        Ok(lengths.into_iter().map(|length| length as u64).collect())
    })
}

/// Each row's number; of a date, time or interval the nanoseconds.
fn numbers(value: &ColumnarValue) -> Result<PerRow<i64>> {
    const DAY_NS: i64 = 86_400_000_000_000;
    PerRow::of(value, |array| {
        let array = match array.data_type() {
            DataType::Interval(_) => {
                let of = DataType::Interval(IntervalUnit::MonthDayNano);
                let intervals = cast(array, &of)?;
                let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
                let ns = intervals.iter().map(|interval| {
                    interval.map_or(0, |interval| {
                        let days = i64::from(interval.months) * 30 + i64::from(interval.days);
                        days.saturating_mul(DAY_NS).saturating_add(interval.nanoseconds)
                    })
                });
                return Ok(ns.collect());
            }
            kind if kind.is_temporal() => {
                cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None))?
            }
            _ => ArrayRef::clone(array),
        };
        let numbers = cast(&array, &DataType::Int64)?;
        Ok(numbers.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect())
    })
}

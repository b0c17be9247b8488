//! Bounds and nulls of whole columns, exact, as far as all footers together tell them.
//!
//! ```text
//!  row group ─ join ─► object ─ join ─► column: nulls, lowest and highest value
//! ```

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Field, Int64Type},
};
use datafusion::{
    common::ScalarValue,
    parquet::{
        arrow::arrow_reader::statistics::StatisticsConverter, basic::ColumnOrder,
        basic::Type as PhysicalType,
    },
};
use flightcache_cache::guarded;
use flightcache_connectors::Footer;
use flightcache_protocol::ColumnStatistics;

/// Longest text that is told: an answer must not grow with what files hold.
const MAX_TEXT_BYTES: usize = 4096;

/// What is known of a column's rows.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    nulls: Option<u64>,
    range: Range,
}

#[derive(Clone, Debug)]
enum Range {
    Unknown,
    /// No row has a value.
    Empty,
    Known(Value, Value),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Text(String),
}

impl Bounds {
    const UNKNOWN: Self = Self { nulls: None, range: Range::Unknown };

    /// Those of no row at all.
    pub(crate) const EMPTY: Self = Self { nulls: Some(0), range: Range::Empty };

    fn nulls(rows: u64) -> Self {
        Self { nulls: Some(rows), range: Range::Empty }
    }

    /// Those of a file's rows of `field`, a column of the table: a file that lacks it has nulls.
    pub(crate) fn of_file(footer: &Footer, field: &Field) -> Self {
        let Ok(at) = footer.schema.index_of(field.name()) else {
            return Self::nulls(footer.row_group_rows().sum());
        };
        // Statistics of a broken file may make the parquet crate panic.
        guarded(|| Self::of_leaf(footer, at, field)).flatten().unwrap_or(Self::UNKNOWN)
    }

    /// Those of `rows` rows that all have the value of a folder.
    pub(crate) fn of_folder(value: &ScalarValue, rows: u64) -> Self {
        if rows == 0 || value.is_null() {
            return Self::nulls(rows);
        }
        let range = value.to_array().ok().and_then(|array| values(&array)).map(|mut one| one.pop());
        let range = match range {
            Some(Some(Some(value))) => Range::Known(value.clone(), value),
            _ => Range::Unknown,
        };
        Self { nulls: Some(0), range }
    }

    fn of_leaf(footer: &Footer, at: usize, field: &Field) -> Option<Self> {
        let file_field = footer.schema.fields().get(at)?;
        // Levels of nested columns count what is no value of theirs.
        let leaf = footer.leaf(at).filter(|_| !file_field.data_type().is_nested())?;
        let schema = footer.metadata.file_metadata().schema_descr();
        let is_ordered = match schema.columns().get(leaf)?.physical_type() {
            PhysicalType::INT96 => false,
            PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => matches!(
                footer.metadata.file_metadata().column_order(leaf),
                ColumnOrder::TYPE_DEFINED_ORDER(_)
            ),
            _ => true,
        };
        let is_told = is_ordered && means_the_same(file_field.data_type(), field.data_type());
        let groups = footer.metadata.row_groups();
        let column = StatisticsConverter::try_new(field.name(), &footer.schema, schema)
            .ok()?
            .with_missing_null_counts_as_zero(false);
        let nulls = column.row_group_null_counts(groups).ok()?;
        let exact_lowest = column.row_group_is_min_value_exact(groups).ok()?;
        let exact_highest = column.row_group_is_max_value_exact(groups).ok()?;
        let bounds = |array| {
            let known = if is_told { values(&array) } else { None };
            known.unwrap_or_else(|| vec![None; groups.len()]).into_iter()
        };
        let lowest = bounds(column.row_group_mins(groups).ok()?).zip(&exact_lowest);
        let highest = bounds(column.row_group_maxes(groups).ok()?).zip(&exact_highest);
        let known = footer.row_group_rows().zip(&nulls).zip(lowest.zip(highest));
        let all = known.fold(Self::EMPTY, |all, ((rows, nulls), (lowest, highest))| {
            // Of a row group without rows writers may tell nothing.
            let nulls = if rows == 0 { Some(0) } else { nulls.filter(|nulls| *nulls <= rows) };
            let range = match (lowest, highest) {
                _ if nulls == Some(rows) => Range::Empty,
                ((Some(lowest), Some(true)), (Some(highest), Some(true))) if lowest <= highest => {
                    Range::Known(lowest, highest)
                }
                _ => Range::Unknown,
            };
            all.join(Self { nulls, range })
        });
        Some(all)
    }

    /// Those of the rows of both.
    pub(crate) fn join(self, other: Self) -> Self {
        let nulls = self.nulls.zip(other.nulls).and_then(|(one, two)| one.checked_add(two));
        let range = match (self.range, other.range) {
            (Range::Unknown, _) | (_, Range::Unknown) => Range::Unknown,
            (Range::Empty, range) | (range, Range::Empty) => range,
            (Range::Known(low, high), Range::Known(lower, higher)) => {
                Range::Known(low.min(lower), high.max(higher))
            }
        };
        Self { nulls, range }
    }

    /// As a plan tells it of `column`.
    pub(crate) fn told(self, column: &str) -> ColumnStatistics {
        let (min, max) = match self.range {
            Range::Known(low, high) => (low.told(), high.told()),
            Range::Unknown | Range::Empty => (None, None),
        };
        ColumnStatistics { column: column.to_owned(), nulls: self.nulls, min, max }
    }
}

impl Value {
    fn told(self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text).filter(|text| text.len() <= MAX_TEXT_BYTES),
        }
    }
}

/// Whether values of both types that are equal as [`Value`]s mean the same.
fn means_the_same(file: &DataType, table: &DataType) -> bool {
    let decimal = |kind: &DataType| match kind {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    };
    match (plain(file), plain(table)) {
        (file, table) if file == table => true,
        (file, table) if file.is_integer() && table.is_integer() => true,
        (file, table) if is_text(file) && is_text(table) => true,
        (file, table) => decimal(file).is_some_and(|scale| decimal(table) == Some(scale)),
    }
}

fn plain(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => values,
        kind => kind,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The values of `array`; `None` for types whose order has exceptions, as of floating point.
fn values(array: &ArrayRef) -> Option<Vec<Option<Value>>> {
    let kind = plain(array.data_type()).clone();
    if is_text(&kind) {
        let text = cast(array, &DataType::Utf8).ok()?;
        let text = text.as_string_opt::<i32>()?.iter();
        return Some(text.map(|value| value.map(|text| Value::Text(text.to_owned()))).collect());
    }
    if let DataType::Decimal32(_, scale)
    | DataType::Decimal64(_, scale)
    | DataType::Decimal128(_, scale) = kind
    {
        let wide = cast(array, &DataType::Decimal128(38, scale)).ok()?;
        return Some(numbers(wide.as_primitive_opt::<Decimal128Type>()?.iter()));
    }
    let narrow = match kind {
        DataType::UInt64 => {
            let wide = cast(array, &DataType::Decimal128(20, 0)).ok()?;
            return Some(numbers(wide.as_primitive_opt::<Decimal128Type>()?.iter()));
        }
        DataType::Date32 => cast(array, &DataType::Int32).ok()?,
        DataType::Boolean | DataType::Timestamp(..) => Arc::clone(array),
        kind if kind.is_integer() => Arc::clone(array),
        _ => return None,
    };
    let wide = cast(&narrow, &DataType::Int64).ok()?;
    Some(numbers(wide.as_primitive_opt::<Int64Type>()?.iter()))
}

fn numbers<N: Into<i128>>(values: impl Iterator<Item = Option<N>>) -> Vec<Option<Value>> {
    values.map(|value| value.map(|number| Value::Number(number.into()))).collect()
}

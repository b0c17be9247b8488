//! Partition columns: what folder names such as `year=2024` become.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;

/// The type of a partition column, decided over all its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartitionType {
    Int32,
    Int64,
    Utf8,
}

/// Types and values of the partition columns of a dataset.
///
/// A column is `Int32` if every value is such an integer, else `Int64`, else `Utf8`: the types
/// Spark and pyarrow infer for integers and names. A missing value is null.
#[derive(Debug)]
pub(crate) struct Partitions {
    types: Vec<PartitionType>,
    fields: Vec<FieldRef>,
}

impl Partitions {
    /// Infers the types of `columns` from the `rows` of values, one a file.
    pub(crate) fn infer<'a>(
        columns: &[String],
        rows: impl Iterator<Item = &'a [Option<String>]>,
    ) -> Self {
        let mut types = vec![PartitionType::Int32; columns.len()];
        for row in rows {
            for (kind, value) in types.iter_mut().zip(row) {
                let Some(value) = value else { continue };
                if *kind == PartitionType::Int32 && value.parse::<i32>().is_err() {
                    *kind = PartitionType::Int64;
                }
                if *kind == PartitionType::Int64 && value.parse::<i64>().is_err() {
                    *kind = PartitionType::Utf8;
                }
            }
        }
        let fields = columns
            .iter()
            .zip(&types)
            .map(|(name, kind)| {
                let data_type = match kind {
                    PartitionType::Int32 => DataType::Int32,
                    PartitionType::Int64 => DataType::Int64,
                    PartitionType::Utf8 => DataType::Utf8,
                };
                Arc::new(Field::new(name, data_type, true))
            })
            .collect();
        Self { types, fields }
    }

    /// The columns.
    pub(crate) fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// The values of one file.
    pub(crate) fn values(&self, row: &[Option<String>]) -> Vec<ScalarValue> {
        self.types
            .iter()
            .zip(row)
            .map(|(kind, value)| {
                let value = value.as_deref();
                match kind {
                    PartitionType::Int32 => {
                        ScalarValue::Int32(value.and_then(|value| value.parse().ok()))
                    }
                    PartitionType::Int64 => {
                        ScalarValue::Int64(value.and_then(|value| value.parse().ok()))
                    }
                    PartitionType::Utf8 => ScalarValue::Utf8(value.map(str::to_owned)),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_hold_every_value() {
        let columns = ["a", "b", "c"].map(str::to_owned);
        let rows = [
            [Some("01".to_owned()), Some("4294967296".to_owned()), Some("x".to_owned())],
            [None, Some("1".to_owned()), Some("2".to_owned())],
        ];
        let partitions = Partitions::infer(&columns, rows.iter().map(<[_; 3]>::as_slice));
        assert_eq!(
            partitions.values(&rows[0]),
            [
                ScalarValue::Int32(Some(1)),
                ScalarValue::Int64(Some(4_294_967_296)),
                ScalarValue::Utf8(Some("x".into()))
            ]
        );
        assert_eq!(partitions.values(&rows[1])[0], ScalarValue::Int32(None));
        assert_eq!(partitions.fields()[2].data_type(), &DataType::Utf8);
    }
}

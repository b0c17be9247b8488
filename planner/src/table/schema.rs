//! The schema of a dataset: the union of its files' schemas, and the partition columns.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::logical_expr::type_coercion::binary::{binary_numeric_coercion, string_coercion};
use flightcache_cache::{Error, Result};

/// Builds the union of file schemas, one file at a time.
///
/// Columns stand in the order in which they are first seen; a column that some file lacks is
/// nullable; types are widened as DataFusion widens them when it compares.
#[derive(Debug, Default)]
pub(crate) struct SchemaUnion {
    fields: Vec<FieldRef>,
    positions: HashMap<String, usize>,
    metadata: HashMap<String, String>,
    merged: Vec<SchemaRef>,
}

impl SchemaUnion {
    /// Adds the schema of the file `path`.
    ///
    /// # Errors
    /// `Data` naming the file if it has one column name twice, or a column whose type cannot be
    /// reconciled with that of the files before.
    pub(crate) fn add(&mut self, schema: &SchemaRef, path: &str) -> Result<()> {
        if self.merged.iter().any(|merged| Arc::ptr_eq(merged, schema) || merged == schema) {
            return Ok(());
        }
        check_names(schema, path)?;
        if self.merged.is_empty() {
            self.metadata.clone_from(schema.metadata());
        } else {
            self.metadata.retain(|key, value| schema.metadata().get(key) == Some(value));
        }
        for field in schema.fields() {
            let known = self.positions.get(field.name()).and_then(|&at| self.fields.get_mut(at));
            if let Some(known) = known {
                *known = merge(known, field).ok_or_else(|| irreconcilable(known, field, path))?;
            } else {
                self.positions.insert(field.name().clone(), self.fields.len());
                let nullable = field.is_nullable() || !self.merged.is_empty();
                self.fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
            }
        }
        for known in &mut self.fields {
            if !known.is_nullable() && schema.field_with_name(known.name()).is_err() {
                *known = Arc::new(known.as_ref().clone().with_nullable(true));
            }
        }
        self.merged.push(Arc::clone(schema));
        Ok(())
    }

    /// How many different schemas were added.
    pub(crate) fn schemas(&self) -> u64 {
        self.merged.len() as u64
    }

    /// The union without the columns named in `partitions`: folders win over files.
    pub(crate) fn finish(self, partitions: &[String]) -> SchemaRef {
        let fields = self.fields.into_iter().filter(|field| !partitions.contains(field.name()));
        Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), self.metadata))
    }
}

fn check_names(schema: &Schema, path: &str) -> Result<()> {
    let mut names = std::collections::HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => Err(Error::data(format!("{path} has two columns named `{}`", field.name()))),
        None => Ok(()),
    }
}

fn irreconcilable(known: &Field, field: &Field, path: &str) -> Error {
    Error::data(format!(
        "column `{}` is {} in {path} but {} in other files of the dataset",
        field.name(),
        field.data_type(),
        known.data_type()
    ))
}

fn merge(left: &FieldRef, right: &FieldRef) -> Option<FieldRef> {
    let nullable = left.is_nullable() || right.is_nullable();
    let data_type = widen(left.data_type(), right.data_type())?;
    let metadata = left
        .metadata()
        .iter()
        .filter(|&(key, value)| right.metadata().get(key) == Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Some(Arc::new(Field::new(left.name(), data_type, nullable).with_metadata(metadata)))
}

fn widen(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Binary, BinaryView, LargeBinary, LargeList, List, Null, Struct, Timestamp};
    match (left, right) {
        _ if left == right => Some(left.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (Struct(left), Struct(right)) => Some(Struct(widen_fields(left, right)?)),
        (List(left), List(right)) => Some(List(merge(left, right)?)),
        (LargeList(left) | List(left), LargeList(right) | List(right)) => {
            Some(LargeList(merge(left, right)?))
        }
        (Timestamp(left, zone), Timestamp(right, other)) if zone == other => {
            Some(Timestamp(finer(*left, *right), zone.clone()))
        }
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => Some(LargeBinary),
        _ => binary_numeric_coercion(left, right).or_else(|| string_coercion(left, right)),
    }
}

fn widen_fields(left: &Fields, right: &Fields) -> Option<Fields> {
    let mut fields: Vec<FieldRef> = Vec::with_capacity(left.len());
    for field in left {
        fields.push(match right.iter().find(|other| other.name() == field.name()) {
            Some(other) => merge(field, other)?,
            None => Arc::new(field.as_ref().clone().with_nullable(true)),
        });
    }
    for field in right {
        if !left.iter().any(|other| other.name() == field.name()) {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    Some(fields.into())
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    left.max(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: Vec<Field>) -> SchemaRef {
        Arc::new(Schema::new(fields))
    }

    #[test]
    fn columns_are_united_and_widened() {
        let mut union = SchemaUnion::default();
        let a = Field::new("a", DataType::Int32, false);
        let nested = DataType::Struct(vec![a.clone()].into());
        union.add(&schema(vec![a.clone(), Field::new("s", nested, false)]), "1").unwrap();
        let wide = Field::new("a", DataType::Int64, false);
        let b = Field::new("b", DataType::Utf8, false);
        let nested = DataType::Struct(vec![wide.clone(), b.clone()].into());
        union.add(&schema(vec![b, wide, Field::new("s", nested, false)]), "2").unwrap();
        union.add(&schema(vec![Field::new("year", DataType::Int32, false)]), "3").unwrap();
        let union = union.finish(&["year".to_owned()]);
        let names: Vec<_> = union.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "s", "b"]);
        assert_eq!(union.field(0).data_type(), &DataType::Int64);
        assert!(union.fields().iter().all(|field| field.is_nullable()));
        assert!(union.field(1).data_type().to_string().contains("Int64"));
    }

    #[test]
    fn what_cannot_be_reconciled_names_the_file() {
        let mut union = SchemaUnion::default();
        union.add(&schema(vec![Field::new("a", DataType::Int32, false)]), "1").unwrap();
        let error = union
            .add(&schema(vec![Field::new("a", DataType::Utf8, false)]), "x/2.parquet")
            .unwrap_err();
        assert!(error.message().contains("x/2.parquet") && error.message().contains("`a`"));
        let twice = schema(vec![Field::new("a", DataType::Int32, false); 2]);
        assert!(SchemaUnion::default().add(&twice, "3").is_err());
    }
}

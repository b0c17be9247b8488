//! Columns whose timestamps a file holds as INT96: a day and the nanoseconds in it.
//!
//! Old writers have no other timestamps, and Spark writes them unless told otherwise. Arrow has no such
//! type: they are read as 64 bits of nanoseconds, and then look like any others.

use std::ops::Range;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::{basic::Type, schema::types::SchemaDescriptor};

/// What stands in a path for the items of a list.
const ITEM: &str = "item";

/// What stands in a path for the two sides of a map.
const SIDES: [&str; 2] = ["key", "value"];

/// A column of a file, or a value inside of one, that is INT96.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Int96Leaf {
    /// Where it is: the column, and on the way down the fields of structs, `item` in lists, `key` or
    /// `value` in maps. Empty where that does not say which one it is.
    pub path: Vec<String>,
    /// Its leaf in the file.
    pub(crate) leaf: usize,
    /// What it is decoded to.
    pub(crate) unit: TimeUnit,
}

/// The leaves of a file that are INT96.
///
/// `leaves` are those of each top-level column of `schema` in `parquet`.
pub(super) fn int96_leaves(
    schema: &Schema,
    leaves: &[Range<usize>],
    parquet: &SchemaDescriptor,
) -> Vec<Int96Leaf> {
    let is_int96 = |leaf: usize| parquet.column(leaf).physical_type() == Type::INT96;
    let mut found = Vec::new();
    for (field, range) in schema.fields().iter().zip(leaves) {
        if !range.clone().any(is_int96) {
            continue;
        }
        let mut known = Vec::new();
        descend(field.data_type(), &mut vec![field.name().clone()], &mut known);
        if known.len() != range.len() {
            known = vec![(Vec::new(), TimeUnit::Nanosecond); range.len()];
        }
        for (leaf, (path, unit)) in range.clone().zip(&known).filter(|(leaf, _)| is_int96(*leaf)) {
            let once = known.iter().filter(|(other, _)| other == path).count() == 1;
            let path = if once { path.clone() } else { Vec::new() };
            found.push(Int96Leaf { path, leaf, unit: *unit });
        }
    }
    found
}

/// Collects the leaves below a value of `data_type` at `path`, in the order in which Parquet has them.
fn descend(data_type: &DataType, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, TimeUnit)>) {
    let children = children(data_type);
    if children.is_empty() {
        let unit = match data_type {
            DataType::Timestamp(unit, _) => *unit,
            _ => TimeUnit::Nanosecond,
        };
        found.push((path.clone(), unit));
    }
    for (name, child) in children {
        path.push(name.to_owned());
        descend(child.data_type(), path, found);
        path.pop();
    }
}

/// Whether `schema` has anything at `path`, which is as in [`Int96Leaf`].
pub fn has_path(schema: &Schema, path: &[String]) -> bool {
    let Some((column, way)) = path.split_first() else { return false };
    let Ok(field) = schema.field_with_name(column) else { return false };
    let mut at = field.data_type();
    for step in way {
        match children(at).into_iter().find(|(name, _)| name == step) {
            Some((_, child)) => at = child.data_type(),
            None => return false,
        }
    }
    true
}

/// What is inside of a value, each with its name in a path.
fn children(data_type: &DataType) -> Vec<(&str, &Field)> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => vec![(ITEM, item)],
        DataType::Struct(fields) => {
            fields.iter().map(|field| (field.name().as_str(), field.as_ref())).collect()
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(sides) => {
                SIDES.into_iter().zip(sides.iter().map(AsRef::as_ref)).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

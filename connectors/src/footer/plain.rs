//! The plain form of a type: the same values without views.
//!
//! Views drag their buffers along when they are sliced, and not every client can read them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// `schema` with every view type, however deep, replaced by its plain type.
pub(crate) fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = plain_fields(schema.fields());
    if fields == *schema.fields() {
        return Arc::clone(schema);
    }
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(plain_field).collect()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = plain_type(field.data_type());
    if plain == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(plain))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::ListView(item) | DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeListView(item) | DataType::LargeList(item) => {
            DataType::LargeList(plain_field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        DataType::Dictionary(key, value) => {
            DataType::Dictionary(key.clone(), Box::new(plain_type(value)))
        }
        DataType::RunEndEncoded(ends, values) => {
            DataType::RunEndEncoded(Arc::clone(ends), plain_field(values))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_replaced_however_deep() {
        let text = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list = Field::new("list", DataType::ListView(Arc::clone(&text)), true);
        let inner = Fields::from(vec![list, Field::new("n", DataType::Int8, false)]);
        let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Struct(inner), true)]));
        let plain = plain_schema(&schema);
        assert!(!format!("{plain:?}").contains("View"), "{plain:?}");
        assert!(Arc::ptr_eq(&plain, &plain_schema(&plain)));
    }
}

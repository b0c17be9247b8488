//! Results as clients get them: plain values, in messages of a good size.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use datafusion::{error::Result, execution::SendableRecordBatchStream};
use futures::{Stream, StreamExt, stream};

use crate::source::fragment::data_bytes;

/// Bytes of a batch above which it is sent as it is; smaller ones are put together.
const TARGET_BATCH_BYTES: usize = 1 << 20;

/// The schema that clients get for `schema`: views become plain strings and binaries, dictionaries
/// their values.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = plain_type(field.data_type());
    if plain == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(plain))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) | DataType::ListView(field) => DataType::List(plain_field(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => {
            DataType::LargeList(plain_field(field))
        }
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain_field(field), *size),
        DataType::Map(field, sorted) => DataType::Map(plain_field(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        // JDBC's driver takes the keys for the values.
        DataType::Dictionary(_, values) => plain_type(values),
        // Clients know no run ends: nanoarrow and Spark cannot read them.
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        other => other.clone(),
    }
}

/// `batches` as batches of `schema`, what [`plain_schema`] made of theirs; small ones together.
pub(super) fn plain(
    batches: SendableRecordBatchStream,
    schema: SchemaRef,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let state = Gather { batches, schema, gathered: Vec::new(), bytes: 0, done: false };
    stream::unfold(state, |mut state| async move { state.next().await.map(|next| (next, state)) })
}

struct Gather {
    batches: SendableRecordBatchStream,
    schema: SchemaRef,
    gathered: Vec<RecordBatch>,
    bytes: usize,
    done: bool,
}

impl Gather {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        while !self.done {
            let batch = match self.batches.next().await {
                None => break,
                Some(Err(error)) => {
                    self.done = true;
                    self.gathered.clear();
                    return Some(Err(error));
                }
                Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                Some(Ok(batch)) => batch,
            };
            match plain_batch(&batch, &self.schema) {
                Ok(batch) => {
                    self.bytes += data_bytes(&batch);
                    self.gathered.push(batch);
                }
                Err(error) => return Some(Err(error)),
            }
            if self.bytes >= TARGET_BATCH_BYTES {
                return self.take();
            }
        }
        self.done = true;
        self.take()
    }

    fn take(&mut self) -> Option<Result<RecordBatch>> {
        let gathered = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        match gathered.as_slice() {
            [] => None,
            [batch] => Some(Ok(batch.clone())),
            batches => Some(concat_batches(&self.schema, batches).map_err(Into::into)),
        }
    }
}

fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| plain_array(column, field))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn plain_array(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    Ok(cast(column, field.data_type())?)
}

//! Writers of record batches: table, CSV, JSON, Arrow IPC, Parquet.

use std::io::Write;

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::writer::{FileWriter, StreamWriter},
    util::pretty::pretty_format_batches_with_schema,
};
use flightcache_cache::{Error, Result};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{arguments::Format, destination::Destination, output::unwritable};

/// Takes batches one by one and writes them.
pub(super) trait Sink {
    /// Writes a batch, or keeps it where the format needs all of them.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what comes after the last batch.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A sink of `format`, whose batches all have `schema`.
pub(super) fn sink<'a>(
    format: Format,
    schema: &SchemaRef,
    to: &'a mut Destination,
) -> Result<Box<dyn Sink + Send + 'a>> {
    Ok(match format {
        Format::Table => {
            Box::new(Table { schema: SchemaRef::clone(schema), batches: Vec::new(), to })
        }
        Format::Csv => {
            // The writer puts its header before the first batch: an empty one makes sure of it.
            let mut writer = arrow::csv::Writer::new(to);
            writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema))).map_err(unfit)?;
            Box::new(Csv(writer))
        }
        Format::Json => Box::new(Json(arrow::json::LineDelimitedWriter::new(to))),
        Format::Arrow => match to {
            Destination::File(..) => {
                Box::new(ArrowFile(FileWriter::try_new(to, schema).map_err(unfit)?))
            }
            Destination::Stream(_) => {
                Box::new(ArrowStream(StreamWriter::try_new(to, schema).map_err(unfit)?))
            }
        },
        Format::Parquet => {
            let zstd = Compression::ZSTD(ZstdLevel::default());
            let properties = WriterProperties::builder().set_compression(zstd).build();
            let writer = ArrowWriter::try_new(to, SchemaRef::clone(schema), Some(properties));
            Box::new(Parquet(writer.map_err(|error| unfit(error.into()))?))
        }
    })
}

fn unfit(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(message, _) => unwritable(message),
        other => {
            Error::invalid(format!("rows cannot be written: {other}; choose another --format"))
        }
    }
}

/// Needs all rows before it knows the widths of its columns: its caller bounds them.
struct Table<'a> {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    to: &'a mut Destination,
}

impl Sink for Table<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.batches.push(batch.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let table = pretty_format_batches_with_schema(self.schema, &self.batches).map_err(unfit)?;
        writeln!(self.to, "{table}").map_err(unwritable)
    }
}

struct Csv<'a>(arrow::csv::Writer<&'a mut Destination>);

impl Sink for Csv<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(unfit)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Json<'a>(arrow::json::LineDelimitedWriter<&'a mut Destination>);

impl Sink for Json<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(unfit)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(unfit)
    }
}

struct ArrowFile<'a>(FileWriter<&'a mut Destination>);

impl Sink for ArrowFile<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(unfit)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(unfit)
    }
}

struct ArrowStream<'a>(StreamWriter<&'a mut Destination>);

impl Sink for ArrowStream<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(unfit)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(unfit)
    }
}

struct Parquet<'a>(ArrowWriter<&'a mut Destination>);

impl Sink for Parquet<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(|error| unfit(error.into()))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.close().map(drop).map_err(|error| unfit(error.into()))
    }
}

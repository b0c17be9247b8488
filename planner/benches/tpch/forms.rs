//! What other forms of a column in memory would save, and what they would cost a scan.

use std::{collections::HashSet, sync::Arc, time::Instant};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, SchemaRef},
};

/// Bytes a row in plain Arrow and in the tightest form tried, and the nanoseconds a row that it
/// takes to make of it what queries and what Flight clients want.
struct Form {
    name: String,
    plain: f64,
    tight: f64,
    tight_type: String,
    to_query_ns: f64,
    to_client_ns: f64,
}

/// Prints the forms of the columns of `batches`, in batches of `rows` as a row group has them.
pub(crate) fn print(schema: &SchemaRef, batches: &[RecordBatch]) {
    println!("| column | plain, a row | tight, a row | as | to a query | to a client |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let (mut plain, mut tight) = (0.0, 0.0);
    for (at, field) in schema.fields().iter().enumerate() {
        let arrays: Vec<ArrayRef> =
            batches.iter().map(|batch| Arc::clone(batch.column(at))).collect();
        let form = measure(field.name(), &arrays);
        plain += form.plain;
        tight += form.tight;
        println!(
            "| {} | {:.1} B | {:.1} B | {} | {:.1} ns | {:.1} ns |",
            form.name, form.plain, form.tight, form.tight_type, form.to_query_ns, form.to_client_ns
        );
    }
    println!("| all | {plain:.1} B | {tight:.1} B | | | |");
}

fn measure(name: &str, arrays: &[ArrayRef]) -> Form {
    let plain_type = arrays[0].data_type().clone();
    let tight_type = tight_type(arrays);
    let query_type = match &plain_type {
        DataType::Utf8 => DataType::Utf8View,
        other => other.clone(),
    };
    let tight: Vec<ArrayRef> =
        arrays.iter().map(|array| cast(array, &tight_type).unwrap()).collect();
    let rows: usize = arrays.iter().map(|array| array.len()).sum();
    let each = |bytes: usize| bytes as f64 / rows as f64;
    let time = |from: &[ArrayRef], to: &DataType| {
        let started = Instant::now();
        for array in from {
            std::hint::black_box(cast(array, to).unwrap());
        }
        started.elapsed().as_nanos() as f64 / rows as f64
    };
    Form {
        name: name.to_owned(),
        plain: each(arrays.iter().map(size).sum()),
        tight: each(tight.iter().map(size).sum()),
        to_query_ns: time(&tight, &query_type),
        to_client_ns: time(&tight, &plain_type),
        tight_type: if tight_type == plain_type {
            "plain".to_owned()
        } else {
            tight_type.to_string()
        },
    }
}

/// A dictionary where a column has few values, a narrower decimal where its values fit.
fn tight_type(arrays: &[ArrayRef]) -> DataType {
    match arrays[0].data_type() {
        DataType::Utf8 => {
            let mut values = HashSet::new();
            for array in arrays {
                values.extend(array.as_string::<i32>().iter().flatten());
                if values.len() > 256 {
                    return DataType::Utf8;
                }
            }
            DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8))
        }
        DataType::Decimal128(precision, scale) if *precision <= 9 => {
            DataType::Decimal32(*precision, *scale)
        }
        DataType::Decimal128(precision, scale) if *precision <= 18 => {
            DataType::Decimal64(*precision, *scale)
        }
        other => other.clone(),
    }
}

fn size(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap()
}

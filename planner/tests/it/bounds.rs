//! What footers tell exactly of columns, and what they leave open.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
    Int16Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
    new_null_array,
};
use arrow::datatypes::{DataType, Int32Type};
use flightcache_protocol::{ColumnStatistics, ScanCommand};

use crate::harness::Harness;

async fn told(harness: &Harness, columns: &[&str]) -> Vec<ColumnStatistics> {
    let command = ScanCommand {
        statistics: Some(columns.iter().map(|&name| name.to_owned()).collect()),
        ..ScanCommand::dataset("data")
    };
    let table = harness.table().await.unwrap();
    harness.planner.statistics(&table, &command).await.unwrap()
}

/// What is told of one column: nulls and bounds.
async fn of(harness: &Harness, column: &str) -> (Option<u64>, Option<String>, Option<String>) {
    let [told] = told(harness, &[column]).await.try_into().unwrap();
    assert_eq!(told.column, column);
    (told.nulls, told.min, told.max)
}

fn bounded(nulls: u64, min: &str, max: &str) -> (Option<u64>, Option<String>, Option<String>) {
    (Some(nulls), Some(min.to_owned()), Some(max.to_owned()))
}

async fn one(values: ArrayRef) -> Harness {
    let harness = Harness::new();
    let batch = RecordBatch::try_from_iter_with_nullable([("x", values, true)]).unwrap();
    harness.write("1.parquet", &batch, 2).await;
    harness
}

#[tokio::test]
async fn bounds_of_each_type_are_those_of_its_values() {
    let text: DictionaryArray<Int32Type> =
        vec![Some("b"), None, Some("é"), Some("Z")].into_iter().collect();
    let decimals = Decimal128Array::from(vec![Some(-5), Some(10_i128.pow(37)), None, Some(3)]);
    let cases: Vec<(ArrayRef, (u64, &str, &str))> = vec![
        (Arc::new(Int32Array::from(vec![Some(7), None, Some(-3), Some(0)])), (1, "-3", "7")),
        (Arc::new(UInt64Array::from(vec![u64::MAX, 1, 0, 9])), (0, "0", "18446744073709551615")),
        (Arc::new(BooleanArray::from(vec![Some(true), None, Some(true)])), (1, "1", "1")),
        (Arc::new(Date32Array::from(vec![-1, 19_000, 4])), (0, "-1", "19000")),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![-7, 1_700_000_000_000_001])),
            (0, "-7", "1700000000000001"),
        ),
        (
            Arc::new(decimals.with_precision_and_scale(38, 4).unwrap()),
            (1, "-5", "10000000000000000000000000000000000000"),
        ),
        (Arc::new(StringArray::from(vec![Some("b"), Some(""), Some("é")])), (0, "", "é")),
        (Arc::new(text), (1, "Z", "é")),
    ];
    for (values, (nulls, min, max)) in cases {
        let kind = values.data_type().clone();
        assert_eq!(of(&one(values).await, "x").await, bounded(nulls, min, max), "{kind}");
    }
}

#[tokio::test]
async fn what_is_not_exact_is_not_told() {
    // Writers leave NaN out of bounds, and cut long strings.
    let floats = one(Arc::new(Float64Array::from(vec![f64::NAN, 1.0]))).await;
    assert_eq!(of(&floats, "x").await, (Some(0), None, None));
    let long = "y".repeat(200);
    let cut = one(Arc::new(StringArray::from(vec![Some("a"), Some(&long), None]))).await;
    assert_eq!(of(&cut, "x").await, (Some(1), None, None));
}

#[tokio::test]
async fn nulls_and_missing_columns_bound_nothing() {
    let harness = one(new_null_array(&DataType::Int32, 5)).await;
    assert_eq!(of(&harness, "x").await, (Some(5), None, None));

    let batch = |name, values: ArrayRef| RecordBatch::try_from_iter([(name, values)]).unwrap();
    harness.write("2.parquet", &batch("y", Arc::new(Int32Array::from(vec![4, 9, 6]))), 2).await;
    assert_eq!(of(&harness, "x").await, (Some(8), None, None));
    assert_eq!(of(&harness, "y").await, bounded(5, "4", "9"));

    // The table's column is as wide as its widest file's.
    harness.write("3.parquet", &batch("y", Arc::new(Int16Array::from(vec![-2]))), 2).await;
    assert_eq!(of(&harness, "y").await, bounded(5, "-2", "9"));
    // No rows at all change nothing.
    harness.write("4.parquet", &batch("y", Arc::new(Int32Array::from(Vec::<i32>::new()))), 2).await;
    assert_eq!(of(&harness, "y").await, bounded(5, "-2", "9"));
}

#[tokio::test]
async fn folders_bound_their_columns() {
    let harness = Harness::new();
    let values = |n: i32| Arc::new(Int32Array::from_iter_values(0..n)) as ArrayRef;
    for (path, rows) in [("k=9/1.parquet", 3), ("k=10/1.parquet", 2), ("k=11/1.parquet", 0)] {
        let batch = RecordBatch::try_from_iter([("x", values(rows))]).unwrap();
        harness.write(path, &batch, 2).await;
    }
    // As numbers, and not by the folder without rows.
    assert_eq!(of(&harness, "k").await, bounded(0, "9", "10"));
    let both = told(&harness, &["x", "k"]).await;
    assert_eq!(both.iter().map(|told| told.column.as_str()).collect::<Vec<_>>(), ["x", "k"]);
}

#[tokio::test]
async fn columns_that_are_not_there_are_named() {
    let harness = one(Arc::new(Int32Array::from(vec![1]))).await;
    let table = harness.table().await.unwrap();
    for names in [vec!["nope"], vec!["x", "x"]] {
        let named = names.last().unwrap().to_string();
        let statistics = Some(names.into_iter().map(str::to_owned).collect());
        let command = ScanCommand { statistics, ..ScanCommand::dataset("data") };
        let error = harness.planner.statistics(&table, &command).await.unwrap_err();
        assert!(error.message().contains(&format!("`{named}`")), "{error}");
    }
}

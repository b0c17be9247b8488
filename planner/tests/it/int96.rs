//! INT96 columns: told as such, never pruned by their statistics, and no trouble to other columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampNanosecondArray};
use datafusion::parquet::{
    data_type::{Int32Type, Int96, Int96Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use flightcache_cache::ErrorKind;
use flightcache_protocol::{INT96_KEY, ScanCommand};

use crate::harness::{Harness, assert_rows};

const DAY_OF_1970: i32 = 2_440_588;
const DAY_OF_2020: i32 = DAY_OF_1970 + 18_262;
const DAY_OF_9999: i32 = 5_373_484;

fn int96(day: i32) -> Int96 {
    let mut value = Int96::new();
    value.set_data(0, 0, day.cast_unsigned());
    value
}

/// A file of `ts`, INT96, and `n`, in row groups of one day each. All of its statistics of `ts` claim
/// the first day of 1970, as those of writers do that compare INT96 as bytes.
fn file(days: &[i32]) -> Vec<u8> {
    let schema = parse_message_type("message m { optional int96 ts; required int32 n; }").unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties).unwrap();
    for (at, day) in days.iter().enumerate() {
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let wrong = int96(DAY_OF_1970);
        column
            .typed::<Int96Type>()
            .write_batch_with_statistics(
                &[int96(*day)],
                Some(&[1, 0]),
                None,
                Some(&wrong),
                Some(&wrong),
                None,
            )
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[at as i32, -1], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.into_inner().unwrap()
}

async fn told(harness: &Harness) -> Option<String> {
    harness.table().await.unwrap().schema().metadata().get(INT96_KEY).cloned()
}

/// The bounds of every row group exclude what it holds: whatever prunes by them loses rows.
#[tokio::test]
async fn statistics_of_int96_prune_nothing() {
    let harness = Harness::new();
    harness.put("a.parquet", file(&[DAY_OF_1970, DAY_OF_2020, DAY_OF_2020 + 1])).await;
    for filter in [
        "ts >= TIMESTAMP '2020-01-01'",
        "ts = TIMESTAMP '2020-01-02'",
        "ts <> TIMESTAMP '1970-01-01'",
        "ts IN (TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-02')",
        "ts IS NULL",
        "ts IS NOT NULL AND n > 0",
        "CAST(ts AS DATE) > DATE '2000-01-01'",
    ] {
        let expected = harness.expected("*", filter).await;
        assert!(!expected.is_empty(), "{filter} asks for nothing");
        let harness = &harness;
        let of = |command| async move { harness.rows(&command).await.unwrap() };
        let text = Some(filter.to_owned());
        let all = ScanCommand::dataset("data");
        let filtered = of(ScanCommand { filter: text.clone(), ..all.clone() }).await;
        assert_rows(filter, &filtered, &expected);
        let pruned = of(ScanCommand { prune: text, ..all }).await;
        assert!(expected.iter().all(|row| pruned.contains(row)), "{filter}: {pruned:?}");
        let sql = format!("SELECT * FROM data WHERE {filter}");
        assert_rows(&sql, &harness.query(&sql).await.unwrap(), &expected);
    }
    let bounds = "SELECT min(ts), max(ts), count(ts) FROM data";
    assert_rows(bounds, &harness.query(bounds).await.unwrap(), &harness.direct(bounds).await);
}

#[tokio::test]
async fn a_time_beyond_nanoseconds_fails_its_own_column_alone() {
    let harness = Harness::new();
    harness.put("a.parquet", file(&[DAY_OF_2020, DAY_OF_9999])).await;
    let command =
        ScanCommand { columns: Some(vec!["n".to_owned()]), ..ScanCommand::dataset("data") };
    assert_eq!(harness.rows(&command).await.unwrap().len(), 4);
    assert_eq!(harness.query("SELECT sum(n) FROM data").await.unwrap(), ["| -1 |"]);
    for error in [
        harness.rows(&ScanCommand::dataset("data")).await.unwrap_err(),
        harness.query("SELECT max(ts) FROM data").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.message().contains("a.parquet") && error.message().contains("column ts"));
    }
}

/// Nanoseconds of INT64 are none of Spark's types: a column that is INT96 here and INT64 there must
/// not be told as INT96, though both look the same to Arrow.
#[tokio::test]
async fn only_what_is_int96_in_every_file_is_told() {
    let harness = Harness::new();
    harness.put("a.parquet", file(&[DAY_OF_2020])).await;
    assert_eq!(told(&harness).await.as_deref(), Some(r#"[["ts"]]"#));
    let lacking: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![1]));
    let lacking = RecordBatch::try_from_iter([("n", lacking)]).unwrap();
    harness.write("b.parquet", &lacking, 10).await;
    assert_eq!(told(&harness).await.as_deref(), Some(r#"[["ts"]]"#));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1]));
    let nanos = RecordBatch::try_from_iter([("ts", nanos)]).unwrap();
    harness.write("c.parquet", &nanos, 10).await;
    assert_eq!(told(&harness).await, None);
}

/// What a client writes from what it was sent may bring the key along, and is not believed.
#[tokio::test]
async fn a_file_cannot_claim_to_be_int96() {
    let harness = Harness::new();
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1]));
    let nanos = RecordBatch::try_from_iter([("ts", nanos)]).unwrap();
    let mut schema = nanos.schema().as_ref().clone();
    schema.metadata.insert(INT96_KEY.to_owned(), r#"[["ts"]]"#.to_owned());
    let nanos = nanos.with_schema(Arc::new(schema)).unwrap();
    harness.write("a.parquet", &nanos, 10).await;
    assert_eq!(told(&harness).await, None);
}

/// A folder's values are no INT96, whatever column of the files they hide.
#[tokio::test]
async fn a_partition_column_is_not_told() {
    let harness = Harness::new();
    harness.put("ts=2020/a.parquet", file(&[DAY_OF_2020])).await;
    assert_eq!(told(&harness).await, None);
}

/// A cache file holds nanoseconds and nothing that says where from: a client that mapped it could not
/// tell them from those of INT64.
#[tokio::test]
async fn int96_columns_are_streamed_and_not_mapped() {
    let harness = Harness::new();
    harness.put("a.parquet", file(&[DAY_OF_2020])).await;
    let table = harness.table().await.unwrap();
    for (column, mapped) in [("n", true), ("ts", false)] {
        let columns = Some(vec![column.to_owned()]);
        let command = ScanCommand { columns, ..ScanCommand::dataset("data") };
        let plan = harness.plan(&command).await.unwrap();
        let plain = harness.planner.plain(&table, &command, &plan.splits[0].ticket).await.unwrap();
        assert_eq!(plain.is_some(), mapped, "{column}");
    }
}

//! What is written is read back equal, of every type.

use std::collections::HashMap;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal256Array, DictionaryArray,
        FixedSizeListArray, Int32Array, Int32Builder, Int64Array, ListArray, MapBuilder, NullArray,
        RunArray, StringArray, StringBuilder, StringViewArray, StructArray,
        TimestampNanosecondArray,
    },
    datatypes::{DataType, Field, Int32Type, Int64Type, i256},
};
use bytes::Bytes;

use super::*;
use crate::{Column, PIECE_ROWS};

fn field(data_type: &DataType) -> Arc<Field> {
    let metadata = HashMap::from([("PARQUET:field_id".to_owned(), "7".to_owned())]);
    arc(Field::new("Größe", data_type.clone(), true).with_metadata(metadata))
}

fn column(pieces: Vec<ArrayRef>) -> Chunk {
    let field = field(pieces[0].data_type());
    Chunk::Column(Column::try_new(field, pieces).unwrap())
}

/// Writes `chunk`, reads it back, and checks that it is equal and lies in the map.
async fn round_trip(chunk: Chunk, what: &str) -> Chunk {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.write_behind(key(0), chunk.clone());
    store.flush().await;
    assert_eq!(store.snapshot().writes, 1, "{what}");
    let read = store.read(vec![key(0), key(1)]).await;
    assert_eq!(read, [Some(chunk), None], "{what}");
    let file = std::fs::metadata(store.path(&key(0))).unwrap().len() as usize;
    let read = read.into_iter().flatten().next().unwrap();
    assert!(read.bytes() <= file, "{what} was copied: {} > {file}", read.bytes());
    read
}

fn dictionary(values: &[&str], rows: usize) -> ArrayRef {
    let keys = (0..rows).map(|row| (row % 5 != 0).then_some((row % values.len()) as i32));
    let keys = keys.collect::<Int32Array>();
    arc(DictionaryArray::<Int32Type>::new(keys, arc(StringArray::from(values.to_vec()))))
}

fn arrays() -> Vec<(&'static str, ArrayRef)> {
    let ints: ArrayRef = arc(Int64Array::from(vec![Some(1), None, Some(3)]));
    let text: ArrayRef = arc(StringArray::from(vec![Some("a"), None, Some("ccc")]));
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let nested = StructArray::from(vec![
        (arc(Field::new("ints", DataType::Int64, true)), Arc::clone(&ints)),
        (arc(Field::new("list", list.data_type().clone(), true)), arc(list.clone()) as ArrayRef),
        (
            arc(Field::new("dictionary", dictionary(&["x"], 0).data_type().clone(), true)),
            dictionary(&["x", "yy"], 3),
        ),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(4);
    map.append(true).unwrap();
    map.append(false).unwrap();
    let fixed = FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(
        [Some(vec![Some(1), Some(2)]), None],
        2,
    );
    let runs: RunArray<Int32Type> = ["a", "a", "b"].into_iter().collect();
    let long = "longer than the twelve bytes that a view holds";
    vec![
        ("integers", Arc::clone(&ints)),
        ("slice", arc(Int64Array::from_iter_values(0..1000).slice(13, 500))),
        ("text", text),
        ("booleans", arc(BooleanArray::from(vec![Some(true), None, Some(false)]).slice(1, 2))),
        ("text views", arc(StringViewArray::from(vec![Some("short"), None, Some(long)]))),
        ("binary views", arc(BinaryViewArray::from(vec![&b"short"[..], long.as_bytes()]))),
        ("nulls", arc(NullArray::new(5))),
        ("no rows", arc(Int64Array::from(Vec::<i64>::new()))),
        ("no rows of text", arc(StringArray::from(Vec::<&str>::new()))),
        (
            "decimals",
            arc(Decimal256Array::from(vec![Some(i256::MAX), None, Some(i256::MINUS_ONE)])
                .with_precision_and_scale(76, 10)
                .unwrap()),
        ),
        (
            "timestamps",
            arc(TimestampNanosecondArray::from(vec![1, 2]).with_timezone("Europe/Zurich")),
        ),
        ("list", arc(list)),
        ("fixed list", arc(fixed)),
        ("struct", arc(nested.clone())),
        ("slice of struct", arc(nested.slice(1, 2))),
        ("map", arc(map.finish())),
        ("runs", arc(runs)),
        ("dictionary", dictionary(&["AIR", "RAIL", "TRUCK"], 100)),
        ("no rows of dictionary", dictionary(&["AIR"], 0)),
    ]
}

#[tokio::test]
async fn every_kind_of_column_comes_back_equal_and_uncopied() {
    for (what, array) in arrays() {
        round_trip(column(vec![array]), what).await;
    }
}

#[tokio::test]
async fn pieces_dictionaries_and_metadata_are_kept() {
    let values = arc(StringArray::from(vec!["AIR", "RAIL"])) as ArrayRef;
    let piece = |rows: i32, values: &ArrayRef| -> ArrayRef {
        let keys = (0..rows).map(|row| row % 2).collect::<Int32Array>();
        arc(DictionaryArray::<Int32Type>::new(keys, Arc::clone(values)))
    };
    let other = arc(StringArray::from(vec!["SHIP", "MAIL"])) as ArrayRef;
    let full = PIECE_ROWS as i32;
    let chunk = column(vec![piece(full, &values), piece(full, &values), piece(9, &other)]);
    let read = round_trip(chunk, "pieces").await;
    let read = read.as_column().unwrap();
    assert_eq!((read.rows(), read.pieces().len()), (2 * PIECE_ROWS + 9, 3));
    assert_eq!(read.field().metadata()["PARQUET:field_id"], "7");
    let [first, second] =
        [0, 1].map(|at| read.pieces()[at].as_dictionary::<Int32Type>().values().to_data());
    assert!(first.ptr_eq(&second), "a shared dictionary stays shared");

    let none = Column::try_new(field(&DataType::Utf8), Vec::new()).unwrap();
    round_trip(Chunk::Column(none), "no pieces").await;
}

#[tokio::test]
async fn bytes_come_back_equal() {
    for length in [0, 1, 63, 64, 65, 10_000] {
        let bytes = (0..length).map(|at| at as u8).collect::<Bytes>();
        round_trip(Chunk::Bytes(bytes), &format!("{length} bytes")).await;
    }
}

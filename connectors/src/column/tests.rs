//! Columns: every type as parquet's own reader gives it, few requests, and broken bytes.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array,
        DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array,
        Int8Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StringViewArray,
        StructArray, TimestampNanosecondArray, UInt16Array, UInt64Array, new_null_array,
    },
    buffer::OffsetBuffer,
    compute::concat,
    datatypes::{DataType, Field, Fields, Int32Type, Schema, i256},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use flightcache_cache::{
    Chunk, ChunkSource, Column, ErrorKind, FetchRequest, PIECE_ROWS, Part, contract,
};
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    },
    basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel},
    file::{
        metadata::ParquetMetaDataReader,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
};

use crate::{
    OriginSettings,
    testing::{World, impatient, int96, parquet, write},
};

const ROWS: usize = 300;

fn list_of(values: &ArrayRef, nullable: bool) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), nullable));
    let offsets = OffsetBuffer::from_lengths((0..ROWS).map(|row| row % 3));
    let length = offsets.last().copied().unwrap_or(0) as usize;
    Arc::new(ListArray::new(field, offsets, values.slice(0, length), None))
}

fn structs(children: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields: Fields = children
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = children.into_iter().map(|(_, array)| array).collect();
    let nulls = (0..ROWS).map(|row| row % 7 != 0).collect::<Vec<_>>().into();
    Arc::new(StructArray::new(fields, arrays, Some(nulls)))
}

fn maps(keys: &ArrayRef, values: &ArrayRef) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", values.data_type().clone(), true),
    ]);
    let offsets = OffsetBuffer::from_lengths((0..ROWS).map(|row| row % 2));
    let length = offsets.last().copied().unwrap_or(0) as usize;
    let columns = vec![keys.slice(0, length), values.slice(0, length)];
    let entries = StructArray::new(fields.clone(), columns, None);
    let entry = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    Arc::new(MapArray::new(entry, offsets, entries, None, false))
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let numbers = || 0..ROWS as i64;
    let maybe = |row: i64| (row % 5 != 0).then_some(row);
    let text = || numbers().map(|row| maybe(row).map(|row| format!("text number {row}")));
    let strings: ArrayRef = Arc::new(text().collect::<StringArray>());
    let ints: ArrayRef = Arc::new(numbers().map(maybe).collect::<Int64Array>());
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(numbers().map(|n| n.to_string())));
    let words: DictionaryArray<Int32Type> =
        numbers().map(|row| maybe(row).map(|row| ["a", "bb", "ccc"][row as usize % 3])).collect();
    let decimals = numbers().map(i128::from).collect::<Decimal128Array>();
    let wide = Decimal256Array::from_iter_values(numbers().map(|row| i256::from_i128(row.into())));
    let fixed = numbers().map(i64::to_le_bytes);
    let floats = numbers().map(|row| maybe(row).map(|row| row as f32)).collect::<Float32Array>();
    let halves = arrow::compute::cast(&floats, &DataType::Float16).unwrap();
    let triple = Arc::new(Field::new("item", DataType::Int32, true));
    let flat: ArrayRef = Arc::new(Int32Array::from_iter_values(0..3 * ROWS as i32));
    let nested = structs(vec![("i", Arc::clone(&ints)), ("s", Arc::clone(&strings))]);
    let views: ArrayRef = Arc::new(text().collect::<StringViewArray>());
    vec![
        (
            "bool",
            Arc::new(numbers().map(|row| maybe(row).map(|r| r % 2 == 0)).collect::<BooleanArray>()),
        ),
        ("i8", Arc::new(Int8Array::from_iter_values(numbers().map(|row| row as i8)))),
        ("u16", Arc::new(UInt16Array::from_iter_values(numbers().map(|row| row as u16)))),
        (
            "u64",
            Arc::new(UInt64Array::from_iter_values(numbers().map(|row| row as u64 + (1 << 63)))),
        ),
        ("i64", Arc::clone(&ints)),
        ("f64", Arc::new(Float64Array::from_iter_values(numbers().map(|row| row as f64 / 3.0)))),
        ("f16", halves),
        (
            "time",
            Arc::new(
                TimestampNanosecondArray::from_iter_values(numbers())
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        ("d9", Arc::new(decimals.clone().with_precision_and_scale(9, 2).unwrap())),
        ("d38", Arc::new(decimals.with_precision_and_scale(38, 3).unwrap())),
        ("d76", Arc::new(wide.with_precision_and_scale(76, 10).unwrap())),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter(fixed).unwrap())),
        (
            "binary",
            Arc::new(text().map(|text| text.map(String::into_bytes)).collect::<BinaryArray>()),
        ),
        ("dictionary", Arc::new(words)),
        ("null", new_null_array(&DataType::Null, ROWS)),
        ("all null", new_null_array(&DataType::Utf8, ROWS)),
        ("list", list_of(&strings, true)),
        ("list of struct", list_of(&nested, true)),
        ("struct of views", structs(vec![("v", views), ("l", list_of(&ints, true))])),
        ("map", maps(&keys, &nested)),
        ("triple", Arc::new(FixedSizeListArray::new(triple, 3, flat, None))),
        ("strings", strings),
    ]
}

fn concatenated(column: &Column) -> Option<ArrayRef> {
    let pieces: Vec<_> = column.pieces().iter().map(AsRef::as_ref).collect();
    concat(&pieces).ok()
}

/// Compares every column of every row group with what parquet's own reader gives of the file.
async fn same_as_parquet(world: &World, file: &Bytes) {
    let id = world.object("t", file.clone()).await;
    let footer = world.footers.get(&id).await.unwrap();
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).unwrap();
    let columns: Vec<u32> = (0..footer.schema.fields().len() as u32).collect();
    for row_group in 0..footer.metadata.num_row_groups() as u32 {
        let request = FetchRequest::columns(Arc::clone(&id), row_group, &columns);
        let chunks = world.origin.fetch(&request).await.unwrap();
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
        let schema = Arc::clone(reader.schema());
        let reader = reader.with_row_groups(vec![row_group as usize]).with_batch_size(1000);
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        let whole = arrow::compute::concat_batches(&schema, &batches).unwrap();
        for (index, chunk) in chunks.iter().enumerate() {
            let column = chunk.as_column().unwrap();
            assert_eq!(column.rows(), whole.num_rows());
            let Some(found) = concatenated(column) else { continue };
            let expected = arrow::compute::cast(whole.column(index), found.data_type()).unwrap();
            assert_eq!(&found, &expected, "column {}", column.field().name());
        }
    }
}

#[tokio::test]
async fn every_type_is_what_parquet_reads() {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns().into_iter().map(|(name, array)| (name, array, true)),
    );
    let batch = batch.unwrap();
    let cases = [
        (WriterVersion::PARQUET_1_0, Compression::UNCOMPRESSED, true),
        (WriterVersion::PARQUET_2_0, Compression::SNAPPY, false),
        (WriterVersion::PARQUET_2_0, Compression::ZSTD(ZstdLevel::default()), true),
        (WriterVersion::PARQUET_1_0, Compression::GZIP(GzipLevel::default()), true),
        (WriterVersion::PARQUET_1_0, Compression::BROTLI(BrotliLevel::default()), false),
        (WriterVersion::PARQUET_1_0, Compression::LZ4_RAW, true),
    ];
    for (version, compression, dictionary) in cases {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_compression(compression)
            .set_dictionary_enabled(dictionary)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_data_page_row_count_limit(50)
            .set_max_row_group_row_count(Some(128));
        let file = write(&batch, properties.build());
        for footer_prefetch in [64 << 10, 256] {
            let world = World::new(OriginSettings { footer_prefetch, ..impatient() });
            same_as_parquet(&world, &file).await;
        }
    }
}

#[tokio::test]
async fn dictionaries_stay_dictionaries_and_fields_are_the_schemas() {
    let world = World::new(impatient());
    let id = world.object("t", parquet(columns(), 1000)).await;
    let footer = world.footers.get(&id).await.unwrap();
    let all: Vec<u32> = (0..footer.schema.fields().len() as u32).collect();
    let chunks = world.origin.fetch(&FetchRequest::columns(id, 0, &all)).await.unwrap();
    for (field, chunk) in footer.schema.fields().iter().zip(&chunks) {
        let column = chunk.as_column().unwrap();
        assert_eq!(column.field(), field);
        let shown = field.data_type().to_string();
        assert!(!shown.contains("View"), "{shown}");
        assert_eq!(field.name() == "dictionary", shown.starts_with("Dictionary"));
        let estimate = crate::estimate_bytes(
            &footer,
            0,
            &[footer.schema.index_of(field.name()).unwrap() as u32],
        );
        let bytes = chunk.bytes() as u64;
        assert!(estimate * 4 + 1024 > bytes, "{}: {estimate} for {bytes}", field.name());
    }
}

#[tokio::test]
async fn pieces_line_up_and_hold_no_slack() {
    let rows = PIECE_ROWS * 2 + 17;
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let text = StringArray::from_iter_values((0..rows).map(|row| row.to_string()));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| Some(vec![Some(row as i32); row % 4])),
    );
    let file = parquet(vec![("i", ints), ("s", Arc::new(text)), ("l", Arc::new(lists))], rows);
    let world = World::new(impatient());
    same_as_parquet(&world, &file).await;
    let id = world.object("t", file).await;
    let chunks = world.origin.fetch(&FetchRequest::columns(id, 0, &[0, 1, 2])).await.unwrap();
    for chunk in &chunks {
        let column = chunk.as_column().unwrap();
        let lengths: Vec<_> = column.pieces().iter().map(Array::len).collect();
        assert_eq!(lengths, [PIECE_ROWS, PIECE_ROWS, 17]);
    }
    let bytes = chunks[0].bytes();
    assert!(bytes < rows * 8 + 4096, "{bytes} bytes for {rows} numbers");
}

#[tokio::test]
async fn ranges_are_coalesced_and_only_the_wanted_are_read() {
    let columns: Vec<_> = (0..10).map(|c| format!("c{c}")).collect();
    let array = |seed: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            (0..20_000).map(|row: i64| row.wrapping_mul(seed * 0x9E37_79B9_7F4A)),
        ))
    };
    let file = parquet(columns.iter().map(|name| (name.as_str(), array(7))).collect(), 20_000);
    let read = async |wanted: &[u32], coalesce_gap: u64, coalesce_max: u64| {
        let settings =
            OriginSettings { coalesce_gap, coalesce_max, footer_prefetch: 16 << 10, ..impatient() };
        let world = World::new(settings);
        let id = world.object("t", file.clone()).await;
        world.footers.get(&id).await.unwrap();
        let before = world.counts();
        let chunks = world.origin.fetch(&FetchRequest::columns(id, 0, wanted)).await.unwrap();
        assert_eq!(chunks.len(), wanted.len());
        let after = world.counts();
        (after.requests - before.requests, after.bytes - before.bytes)
    };
    let (requests, all) = read(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1 << 20, 32 << 20).await;
    assert_eq!(requests, 1);
    let (requests, three) = read(&[0, 1, 5], 0, 32 << 20).await;
    assert_eq!(requests, 2);
    assert!(three * 10 <= all * 3 + 1000, "{three} of {all}");
    assert_eq!(read(&[0, 2], 1 << 20, 32 << 20).await.0, 1);
    let (requests, bytes) = read(&[4, 4, 4], 0, 50_000).await;
    assert_eq!(requests, bytes.div_ceil(50_000));
}

#[tokio::test]
async fn an_overwritten_object_is_stale() {
    let world = World::new(OriginSettings { footer_prefetch: 1024, ..impatient() });
    let file = |rows: i64| {
        parquet(vec![("i", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef)], 100_000)
    };
    let id = world.object("t", file(10_000)).await;
    world.footers.get(&id).await.unwrap();
    world.put("t", file(20_000)).await;
    let request = FetchRequest::columns(id, 0, &[0]);
    let error = world.origin.fetch(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.message().contains("mem://bucket"), "{error}");
}

#[tokio::test]
async fn broken_pages_are_data_errors_and_nothing_worse() {
    let file = parquet(columns(), 1000);
    let world = World::new(OriginSettings { footer_prefetch: 256, ..impatient() });
    let mut broken = 0;
    for at in (4..file.len() - 5000).step_by(397) {
        let mut turned = file.to_vec();
        turned[at] ^= 0xFF;
        turned[at + 1] ^= 0x55;
        let id = world.object("bad ü", turned).await;
        let Ok(footer) = world.footers.get(&id).await else { continue };
        let all: Vec<u32> = (0..footer.schema.fields().len() as u32).collect();
        if let Err(error) = world.origin.fetch(&FetchRequest::columns(id, 0, &all)).await {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            assert!(error.message().contains("bad ü"), "{error}");
            broken += 1;
        }
    }
    assert!(broken > 10, "{broken}");
}

#[tokio::test]
async fn expansion_is_bounded() {
    let text = StringArray::from_iter_values(std::iter::repeat_n("x".repeat(10_000), 2_000));
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(std::iter::repeat_n(7, 300_000)));
    let settings = || OriginSettings { max_fragment_bytes: 1 << 20, ..impatient() };
    for columns in [vec![("s", Arc::new(text) as ArrayRef)], vec![("i", ints)]] {
        let world = World::new(settings());
        let id = world.object("t", parquet(columns, 1_000_000)).await;
        let request = FetchRequest::columns(id, 0, &[0]);
        let error = world.origin.fetch(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("mem://bucket"), "{error}");
    }
}

/// `value` as Thrift writes it, padded to `length` bytes.
fn varint(value: u64, length: usize) -> Vec<u8> {
    let mut left = value << 1;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        let byte = left as u8 | 0x80;
        left >>= 7;
        byte
    })
    .take(length)
    .collect();
    bytes[length - 1] &= 0x7F;
    bytes
}

/// A file of one page of `codec` which holds 100 MB of zeros, and says that it is a few bytes.
fn bomb(codec: Compression) -> Vec<u8> {
    let zeros = BinaryArray::from_vec(vec![&vec![0; 100_000_000]]);
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None);
    let mut file = write(
        &RecordBatch::try_from_iter([("b", Arc::new(zeros) as ArrayRef)]).unwrap(),
        properties.build(),
    )
    .to_vec();
    // A length of four bytes, then the value.
    let (page, said) = (100_000_004, varint(100_000_004, 4));
    let places: Vec<_> = (0..file.len() - 4).filter(|at| file[*at..at + 4] == said).collect();
    assert_eq!(places.len(), 1, "{page}");
    file[places[0]..places[0] + 4].copy_from_slice(&varint(50, 4));
    let meta = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(file.clone())).unwrap();
    let claimed = meta.row_group(0).column(0).uncompressed_size() as u64;
    for at in 0..file.len() - 4 {
        if file[at..at + 4] == varint(claimed, 4) {
            file[at..at + 4].copy_from_slice(&varint(70, 4));
        }
    }
    file
}

#[tokio::test]
async fn a_page_gives_no_more_than_it_claims() {
    let gzip = Compression::GZIP(GzipLevel::default());
    let brotli = Compression::BROTLI(BrotliLevel::default());
    for codec in [gzip, brotli, Compression::SNAPPY, Compression::LZ4_RAW, Compression::LZ4] {
        let world = World::new(impatient());
        let id = world.object("bomb", bomb(codec)).await;
        let footer = world.footers.get(&id).await.unwrap();
        assert!(crate::estimate_bytes(&footer, 0, &[0]) < 1000);
        let request = FetchRequest::columns(id, 0, &[0]);
        let error = world.origin.fetch(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{codec}: {error}");
        if matches!(codec, Compression::GZIP(_) | Compression::BROTLI(_)) {
            assert!(error.message().contains("gives more than the 50 bytes"), "{codec}: {error}");
        }
    }
}

#[tokio::test]
async fn a_page_claims_no_more_than_it_can_give() {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300_000));
    let batch = RecordBatch::try_from_iter([("i", ints)]).unwrap();
    for codec in
        [Compression::SNAPPY, Compression::LZ4_RAW, Compression::ZSTD(ZstdLevel::default())]
    {
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_dictionary_enabled(false)
            .set_data_page_size_limit(1 << 30)
            .set_data_page_row_count_limit(1 << 30)
            .set_statistics_enabled(EnabledStatistics::None);
        let mut file = write(&batch, properties.build()).to_vec();
        let at = (0..file.len()).find(|at| file[*at..at + 4] == varint(2_400_000, 4)).unwrap();
        file[at..at + 4].copy_from_slice(&varint(130_000_000, 4));
        let world = World::new(impatient());
        let id = world.object("t", file).await;
        let error = world.origin.fetch(&FetchRequest::columns(id, 0, &[0])).await.unwrap_err();
        assert!(error.message().contains("claims 130000000 bytes"), "{codec}: {error}");
    }
}

#[tokio::test]
async fn many_columns_many_row_groups_and_none() {
    let world = World::new(impatient());
    let ints: ArrayRef = Arc::new(Int32Array::from_iter_values(0..4));
    let names: Vec<_> = (0..2000).map(|column| format!("column {column}")).collect();
    let wide = parquet(names.iter().map(|name| (name.as_str(), Arc::clone(&ints))).collect(), 2);
    same_as_parquet(&world, &wide).await;
    let long: ArrayRef = Arc::new(Int32Array::from_iter_values(0..2000));
    same_as_parquet(&world, &parquet(vec![("i", long)], 1)).await;
    let schema = Arc::new(Schema::new(vec![Field::new("i", DataType::Int32, true)]));
    let empty = write(&RecordBatch::new_empty(schema), WriterProperties::builder().build());
    let id = world.object("empty", empty).await;
    assert_eq!(crate::splits(&world.footers.get(&id).await.unwrap()), []);
    let request = FetchRequest::columns(id, 0, &[0]);
    assert_eq!(world.origin.fetch(&request).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn delta_and_split_encodings() {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5000).map(|row| row * row)));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values((0..5000).map(f64::from)));
    let text: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..5000).map(|r| format!("prefix {r}"))));
    let batch = RecordBatch::try_from_iter(vec![("i", ints), ("f", floats), ("s", text)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_column_encoding("i".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("f".into(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_encoding("s".into(), Encoding::DELTA_BYTE_ARRAY);
    same_as_parquet(&World::new(impatient()), &write(&batch, properties.build())).await;
}

#[tokio::test]
async fn the_contract_of_sources_holds() {
    let file = parquet(columns(), 100);
    contract::check(async || {
        let world = World::new(OriginSettings { footer_prefetch: 1024, ..impatient() });
        let id = world.object("t", file.clone()).await;
        let mut request = FetchRequest::columns(id, 1, &[0, 4, 16, 21]);
        request.parts.extend([Part::Footer, Part::Range { start: 4, end: 90 }]);
        (world.origin, request)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn columns_and_other_parts_come_in_order() {
    let world = World::new(impatient());
    let id = world.object("t", parquet(columns(), 100)).await;
    let parts = vec![
        Part::Column { row_group: 2, column: 3 },
        Part::Range { start: 0, end: 4 },
        Part::Column { row_group: 0, column: 3 },
    ];
    let chunks = world.origin.fetch(&FetchRequest::new(Arc::clone(&id), parts)).await.unwrap();
    let [Chunk::Column(third), Chunk::Bytes(magic), Chunk::Column(first)] = chunks.as_slice()
    else {
        panic!("{chunks:?}")
    };
    assert_eq!((magic.as_ref(), first.rows(), third.rows()), (&b"PAR1"[..], 100, 100));
    let missing = FetchRequest::columns(id, 0, &[99]);
    assert_eq!(world.origin.fetch(&missing).await.unwrap_err().kind(), ErrorKind::Invalid);
}

const DAY_OF_1970: i32 = 2_440_588;
const DAY_OF_9999: i32 = 5_373_484;

/// Nanoseconds wrap around outside of 1677 to 2262. A decoder that does not look would give 1816 for
/// 9999, in a column as well as inside a list; the columns beside it are none the worse.
#[tokio::test]
async fn int96_that_nanoseconds_cannot_say_is_refused() {
    let world = World::new(impatient());
    let within = [Some((DAY_OF_1970, 1)), None, Some((DAY_OF_1970 - 1, 86_399_999_999_999))];
    let object = world.object("within.parquet", int96(&within)).await;
    let request = FetchRequest::columns(object, 0, &[0, 1]);
    let chunks = world.origin.fetch(&request).await.unwrap();
    let [Chunk::Column(ts), Chunk::Column(events)] = chunks.as_slice() else { panic!() };
    let ts = concatenated(ts).unwrap();
    let expected = TimestampNanosecondArray::from(vec![Some(1), None, Some(-1)]);
    assert_eq!(ts.as_ref(), &expected as &dyn Array);
    let events = concatenated(events).unwrap();
    let events = events.as_list::<i32>().values().as_struct().column(0);
    assert_eq!(events.as_ref(), &expected as &dyn Array);

    let mut beyond = vec![Some((DAY_OF_1970, 0)); 20_000];
    beyond.push(Some((DAY_OF_9999, 0)));
    let object = world.object("beyond.parquet", int96(&beyond)).await;
    for (column, name) in [(0, "ts"), (1, "events.list.element.at")] {
        let request = FetchRequest::columns(Arc::clone(&object), 0, &[column]);
        let error = world.origin.fetch(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = error.message();
        assert!(message.contains("beyond.parquet") && message.contains(name), "{message}");
        assert!(message.contains("leave the column out"), "{message}");
    }
}

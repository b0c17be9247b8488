//! Footers: how they are read, and which are refused.

use arrow::{
    array::{ArrayRef, Int64Array, StringArray, StringViewArray},
    record_batch::RecordBatch,
};
use flightcache_cache::{Chunk, ChunkSource, ErrorKind, FetchRequest, Part};
use parquet::{
    basic::{Compression, Type},
    data_type::ByteArray,
    file::{
        metadata::{
            ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader,
            ParquetMetaDataWriter, RowGroupMetaData,
        },
        properties::WriterProperties,
        statistics::Statistics,
    },
};
use tokio::runtime::Handle;

use super::*;
use crate::{
    OriginSettings, midpoint, splits,
    testing::{World, impatient, parquet, write},
};

fn numbers(rows: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A))))
}

fn small_prefetch(footer_prefetch: u64) -> OriginSettings {
    OriginSettings { footer_prefetch, ..impatient() }
}

#[tokio::test]
async fn one_request_and_one_parse_for_64_callers() {
    let world = World::new(small_prefetch(8 << 10));
    let id = world.object("t/ü 1", parquet(vec![("n", numbers(50_000))], 10_000)).await;
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (footers, id) = (Arc::clone(&world.footers), Arc::clone(&id));
            tokio::spawn(async move { footers.get(&id).await.unwrap() })
        })
        .collect();
    let first = world.footers.get(&id).await.unwrap();
    for caller in callers {
        assert!(Arc::ptr_eq(&caller.await.unwrap(), &first));
    }
    assert_eq!(world.counts().requests, 1);
    assert_eq!(first.metadata.num_row_groups(), 5);
    assert!(first.metadata.column_index().is_some() && first.metadata.offset_index().is_some());
    assert!(first.whole.is_none() && first.bytes > 1000);
    assert!(world.footers.bytes() >= first.bytes as u64);
}

#[tokio::test]
async fn a_large_object_gives_its_footer_at_once() {
    let world = World::new(small_prefetch(64));
    let file = parquet(vec![("n", numbers(400_000))], 400_000);
    assert!(file.len() > 2 << 20);
    let footer = world.footers.get(&world.object("t/large", file).await).await.unwrap();
    assert!(footer.metadata.offset_index().is_some() && footer.bytes > 64);
    assert_eq!(world.counts().requests, 1);
}

#[tokio::test]
async fn a_chunk_is_the_same_whatever_the_prefetch() {
    let file = parquet(vec![("n", numbers(50_000)), ("m", numbers(50_000))], 1_000);
    let mut expected: Option<Bytes> = None;
    for (prefetch, requests) in [(64 << 10, 1), (10 << 10, 2), (1 << 10, 2), (8, 2)] {
        let world = World::new(small_prefetch(prefetch));
        let id = world.object("t", file.clone()).await;
        let raw = FooterOrigin::new(Arc::clone(&world.stores), Handle::current());
        let parts = vec![Part::Footer, Part::Range { start: 0, end: 4 }];
        let chunks = raw.fetch(&FetchRequest::new(Arc::clone(&id), parts)).await.unwrap();
        let [Chunk::Bytes(footer), Chunk::Bytes(magic)] = chunks.as_slice() else { panic!() };
        assert_eq!(magic, "PAR1".as_bytes());
        assert!(world.counts().requests <= requests + 1, "{prefetch}: {:?}", world.counts());
        assert_eq!(footer, &file[file.len() - footer.len()..]);
        assert_eq!(expected.get_or_insert_with(|| footer.clone()), footer, "{prefetch}");
        let parsed = world.footers.get(&id).await.unwrap();
        assert!(parsed.metadata.offset_index().is_some());
    }
}

#[tokio::test]
async fn a_small_file_is_read_whole_in_one_request() {
    let world = World::new(impatient());
    let id = world.object("t", parquet(vec![("n", numbers(100))], 10)).await;
    assert!(world.footers.get(&id).await.unwrap().whole.is_some());
    let request = FetchRequest::columns(id, 3, &[0]);
    let chunks = world.origin.fetch(&request).await.unwrap();
    assert_eq!(chunks[0].as_column().unwrap().rows(), 10);
    assert_eq!(world.counts().requests, 1);
}

#[tokio::test]
async fn views_come_back_plain() {
    let text: ArrayRef =
        Arc::new(StringViewArray::from_iter_values(["a", "longer than twelve bytes"]));
    let world = World::new(impatient());
    let id = world.object("t", parquet(vec![("s", text)], 10)).await;
    let footer = world.footers.get(&id).await.unwrap();
    assert_eq!(footer.schema.field(0).data_type(), &arrow::datatypes::DataType::Utf8);
    let chunks = world.origin.fetch(&FetchRequest::columns(id, 0, &[0])).await.unwrap();
    let expected: ArrayRef = Arc::new(StringArray::from(vec!["a", "longer than twelve bytes"]));
    assert_eq!(chunks[0].as_column().unwrap().pieces(), [expected]);
}

/// A file with the statistics of an old writer: both bounds in the fields that were compared as
/// signed bytes.
fn of_an_old_writer(file: &Bytes) -> Bytes {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let data_end = metadata.row_group(0).columns().iter().map(|column| {
        let (start, length) = column.byte_range();
        start + length
    });
    let data_end = data_end.max().unwrap() as usize;
    let mut builder = metadata.into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| {
        let columns = group.columns().iter().map(|column| {
            let statistics = match column.column_type() {
                Type::BYTE_ARRAY => {
                    let (low, high) = (ByteArray::from("é"), ByteArray::from("b"));
                    Statistics::byte_array(Some(low), Some(high), None, Some(0), true)
                }
                _ => Statistics::int64(Some(1), Some(3), None, Some(0), true),
            };
            column.clone().into_builder().set_statistics(statistics).build().unwrap()
        });
        let columns = columns.collect();
        group.into_builder().set_column_metadata(columns).build().unwrap()
    });
    let groups = groups.collect();
    let metadata =
        builder.set_row_groups(groups).set_column_index(None).set_offset_index(None).build();
    let mut bytes = file[..data_end].to_vec();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    bytes.into()
}

#[tokio::test]
async fn bounds_in_another_order_than_the_columns_are_not_taken() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "é"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 3, 2]));
    let file = of_an_old_writer(&parquet(vec![("s", text), ("n", numbers)], 3));
    let kept = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
    assert!(kept.row_group(0).column(0).statistics().unwrap().is_min_max_deprecated());
    let world = World::new(impatient());
    let id = world.object("t", file).await;
    let footer = world.footers.get(&id).await.unwrap();
    let group = footer.metadata.row_group(0);
    assert_eq!(group.column(0).statistics(), None, "`b` would be above `é`");
    assert!(group.column(1).statistics().is_some(), "signed numbers are in one order");
    assert_eq!(world.origin.fetch(&FetchRequest::columns(id, 0, &[0, 1])).await.unwrap().len(), 2);
}

async fn refused(world: &World, bytes: impl Into<Bytes>, why: &str) {
    let id = world.object("bad/ü.parquet", bytes).await;
    let error = world.footers.get(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.message().contains("bad/ü.parquet"), "{error}");
    assert!(error.message().contains(why), "{error} without {why}");
}

#[tokio::test]
async fn broken_files_are_refused_by_name() {
    let world = World::new(impatient());
    let good = parquet(vec![("n", numbers(1000))], 100);
    refused(&world, "not parquet at all, just some text", "not Parquet").await;
    refused(&world, "PAR1", "not Parquet").await;
    refused(&world, good.slice(..good.len() - 1), "not Parquet").await;
    refused(&world, good.slice(good.len() - 20..), "claims").await;
    let mut encrypted = good.to_vec();
    let length = encrypted.len();
    encrypted[length - 4..].copy_from_slice(b"PARE");
    refused(&world, encrypted, "encrypted").await;
    let mut long = good.to_vec();
    long[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&world, long, "claims 4294967295 bytes").await;
    // Bytes of the metadata turned at random: an answer each time, and never a panic.
    let start = length - 8 - 300;
    for at in start..length - 8 {
        let mut turned = good.to_vec();
        turned[at] ^= 0xFF;
        let id = world.object("bad/turned", turned).await;
        if let Err(error) = world.footers.get(&id).await {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        }
    }
}

/// The file with another footer: `change` makes the row groups.
fn with_row_groups(file: &Bytes, change: impl Fn(RowGroupMetaData) -> RowGroupMetaData) -> Bytes {
    let reader = parquet::file::metadata::ParquetMetaDataReader::new();
    let metadata = reader.parse_and_finish(file).unwrap();
    let groups: Vec<_> = metadata.row_groups().iter().cloned().map(change).collect();
    let rows = groups.iter().map(RowGroupMetaData::num_rows).sum();
    let old = metadata.file_metadata();
    let schema = old.schema_descr_ptr();
    let file_metadata = FileMetaData::new(2, rows, None, None::<Vec<KeyValue>>, schema, None);
    let tail = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap());
    let mut bytes = file[..file.len() - 8 - tail as usize].to_vec();
    let metadata = ParquetMetaData::new(file_metadata, groups);
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    bytes.into()
}

#[tokio::test]
async fn absurd_claims_are_refused() {
    let world = World::new(impatient());
    let good = parquet(vec![("n", numbers(1000))], 1000);
    let claim = |rows: i64| {
        with_row_groups(&good, move |group| {
            group.into_builder().set_num_rows(rows).build().unwrap()
        })
    };
    refused(&world, claim(622_000_000_000_000), "622000000000000 rows").await;
    refused(&world, claim(-1), "-1 rows").await;
    let shifted = with_row_groups(&good, |group| {
        let columns = group.columns().iter().map(|column| {
            let builder = column.clone().into_builder().set_data_page_offset(1 << 40);
            builder.set_dictionary_page_offset(None).build().unwrap()
        });
        group.clone().into_builder().set_column_metadata(columns.collect()).build().unwrap()
    });
    refused(&world, shifted, "impossible bytes").await;
    // Claims that could be true are found out when the pages are read.
    let id = world.object("t", claim(2000)).await;
    let error = world.origin.fetch(&FetchRequest::columns(id, 0, &[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("1000 rows of 2000"), "{error}");
}

#[tokio::test]
async fn a_schema_without_bottom_is_refused() {
    let world = World::new(impatient());
    let metadata = super::depth::nested(200_000);
    let length = (metadata.len() as u32).to_le_bytes();
    refused(&world, [b"PAR1", &metadata[..], &length, b"PAR1"].concat(), "levels deep").await;
    let metadata = super::depth::nested(super::depth::MAX_DEPTH - 1);
    let length = (metadata.len() as u32).to_le_bytes();
    let file = [b"PAR1", &metadata[..], &length, b"PAR1"].concat();
    let id = world.object("deep", file).await;
    assert_eq!(world.footers.get(&id).await.unwrap().schema.fields().len(), 1);
}

#[tokio::test]
async fn splits_and_midpoints_come_from_the_footer_alone() {
    let world = World::new(impatient());
    let text = StringArray::from_iter_values((0..4000).map(|row| format!("{row:032}")));
    let columns = vec![("n", numbers(4000)), ("s", Arc::new(text) as ArrayRef)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1000))
        .set_compression(Compression::SNAPPY);
    let file = write(&batch, properties.build());
    let large = with_row_groups(&file, |group| {
        group.into_builder().set_total_byte_size(40 << 20).build().unwrap()
    });
    let id = world.object("t", large).await;
    let footer = world.footers.get(&id).await.unwrap();
    let cut = splits(&footer);
    let expected = [(0, 0..2, 80_u64 << 20, 2000), (2, 2..4, 80 << 20, 2000)];
    let expected = expected.map(|(first_row_group, row_groups, bytes, rows)| crate::SplitRange {
        first_row_group,
        row_groups,
        bytes,
        rows,
    });
    assert_eq!(cut, expected);
    for ordinal in 0..4 {
        let group = footer.row_group(ordinal).unwrap();
        let first = group.column(0).dictionary_page_offset().unwrap();
        let half: i64 = group.columns().iter().map(ColumnChunkMetaData::compressed_size).sum();
        assert_eq!(midpoint(&footer, ordinal), Some((first + half / 2) as u64));
    }
    assert_eq!(midpoint(&footer, 4), None);
    assert_eq!(footer.row_group(4).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(estimate_bytes(&footer, 0, &[0]) >= 8000);
    assert!(estimate_bytes(&footer, 0, &[1]) >= 36_000);
    assert_eq!(estimate_bytes(&footer, 9, &[0]), 0);
}

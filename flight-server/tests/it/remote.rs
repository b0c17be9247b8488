//! Chunks from a node, and from the store when the node does not give them.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float16Array, Int32Array,
        Int64Array, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder,
        StringViewArray, StructArray, TimestampMicrosecondArray,
    },
    datatypes::{ArrowPrimitiveType, DataType, Field, Float16Type, Int32Type, Int64Type},
};
use flightcache_cache::{ChunkSource, ErrorKind, FetchRequest, Part, Tally, contract};
use flightcache_flight_server::{
    auth::{Pattern, Rule},
    config::AuthConfig,
};
use flightcache_planner::{
    EmbeddedCache, EmbeddedSettings,
    remote::{Connection, RemoteSettings, RemoteSnapshot},
};
use flightcache_protocol::ScanCommand;
use futures::{StreamExt, TryStreamExt, future::join_all};
use object_store::{ObjectStore, memory::InMemory};
use parquet::{
    data_type::Int64Type as ParquetInt64,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::harness::{Local, Node, PREFIX, compare, on_runtimes, put, settings, stalling, write};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

const HOUR: Duration = Duration::from_hours(1);

/// Every kind of column that the wire or the joining of batches treats differently.
fn kinds(rows: i64) -> RecordBatch {
    let some = |i: &i64| i % 9 > 0;
    let word: StringViewArray =
        (0..rows).map(|i| some(&i).then(|| format!("a word of some length {}", i % 5))).collect();
    let kind: DictionaryArray<Int32Type> =
        (0..rows).map(|i| some(&i).then_some(if i % 3 == 0 { "x" } else { "y" })).collect();
    let price: Decimal128Array = (0..rows).map(|i| some(&i).then_some(i128::from(i) * 7)).collect();
    let at: TimestampMicrosecondArray =
        (0..rows).map(|i| some(&i).then_some(i * 3_600_000_000)).collect();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..rows).map(|i| some(&i).then(|| (0..i % 4).map(Some).collect::<Vec<_>>())),
    );
    let left: Int32Array = (0..rows).map(|i| some(&i).then_some(i as i32)).collect();
    let right: StringViewArray = (0..rows).map(|i| some(&i).then(|| format!("r{i}"))).collect();
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("l", DataType::Int32, true)), Arc::new(left) as ArrayRef),
        (Arc::new(Field::new("r", DataType::Utf8View, true)), Arc::new(right)),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for i in 0..rows {
        map.keys().append_value(format!("k{}", i % 3));
        map.values().append_option(some(&i).then(|| format!("v{i}")));
        map.append(some(&i)).unwrap();
    }
    let half: Float16Array =
        (0..rows).map(|i| some(&i).then(|| Half::from_f32(i as f32))).collect();
    let flag: BooleanArray = (0..rows).map(|i| some(&i).then_some(i % 2 == 0)).collect();
    let columns: [(&str, ArrayRef); 11] = [
        ("id", Arc::new((0..rows).collect::<Int64Array>())),
        ("word", Arc::new(word)),
        ("kind", Arc::new(kind)),
        ("price", Arc::new(price.with_precision_and_scale(15, 2).unwrap())),
        ("at", Arc::new(at.with_timezone("Europe/Zurich"))),
        ("list", Arc::new(list)),
        ("pair", Arc::new(pair)),
        ("map", Arc::new(map.finish())),
        ("half", Arc::new(half)),
        ("flag", Arc::new(flag)),
        ("null", Arc::new(StringArray::new_null(rows as usize))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn numbers(from: i64, to: i64) -> RecordBatch {
    let column = |factor: i64| Arc::new((from..to).map(|i| i * factor).collect::<Int64Array>());
    let columns: [(&str, ArrayRef); 3] = [("a", column(1)), ("b", column(-1)), ("c", column(7))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn store() -> Arc<InMemory> {
    Arc::new(InMemory::new())
}

/// What came from the node and what did not, without the requests it took.
fn ways(counted: RemoteSnapshot) -> (u64, u64, u64, u64) {
    (counted.chunks, counted.fallbacks, counted.failures, counted.uncovered)
}

#[test]
fn chunks_of_every_type_are_those_that_the_file_holds() {
    on_runtimes(async |cpu| {
        let store = store();
        // Row groups of more than a piece, whose batches are many, and a last one of a few rows.
        write(&store, "data/a b/ü%20 #?.parquet", &kinds(150_000), 70_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let object = local.object("data/").await;
        let remote = local.remote(&node.settings());
        for row_group in 0..3 {
            let all: Vec<u32> = (0..11).collect();
            let request = FetchRequest::columns(Arc::clone(&object), row_group, &all);
            compare(&remote, &local, &request).await;
        }
        let mut request = FetchRequest::columns(object, 2, &[5, 0]);
        request.parts.push(Part::Column { row_group: 0, column: 7 });
        let request = request.counted(Tally::counting());
        let found = remote.fetch(&request).await.unwrap();
        let expected = local.origin.fetch(&request).await.unwrap();
        assert_eq!(found, expected);
        assert_eq!(request.tally.tallied().remote, 3);
        for (found, expected) in found.iter().zip(&expected) {
            let (held, needed) = (found.bytes(), expected.bytes());
            assert!(held <= needed + needed / 4, "{held} bytes where {needed} do");
        }
        let counted = remote.snapshot();
        assert_eq!(ways(counted), (36, 0, 0, 0));
        assert_eq!(counted.rows, 150_000 + 10_000 + 70_000);
        node.stop().await;
    });
}

#[test]
fn empty_row_groups_and_what_does_not_exist_are_as_in_the_file() {
    on_runtimes(async |cpu| {
        let store = store();
        let schema = parse_message_type("message m { required int64 n; }").unwrap();
        let properties = Arc::new(WriterProperties::default());
        let mut writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties).unwrap();
        for values in [&[1, 2, 3][..], &[], &[4]] {
            let mut row_group = writer.next_row_group().unwrap();
            let mut column = row_group.next_column().unwrap().unwrap();
            column.typed::<ParquetInt64>().write_batch(values, None, None).unwrap();
            column.close().unwrap();
            row_group.close().unwrap();
        }
        put(&store, "data/1.parquet", writer.into_inner().unwrap()).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let object = local.object("data/1.parquet").await;
        let remote = local.remote(&node.settings());
        for row_group in 0..3 {
            let request = FetchRequest::columns(Arc::clone(&object), row_group, &[0]);
            compare(&remote, &local, &request).await;
        }
        assert_eq!(ways(remote.snapshot()), (3, 0, 0, 0));
        for (row_group, column) in [(3, 0), (0, 1)] {
            let request = FetchRequest::columns(Arc::clone(&object), row_group, &[column]);
            let error = remote.fetch(&request).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
        node.stop().await;
    });
}

#[test]
fn it_keeps_the_contract_of_a_source() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 3_000), 1_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        for settings in [node.settings(), settings("grpc://127.0.0.1:1")] {
            let checked = contract::check(async || {
                let local = Local::new(&store);
                let request =
                    FetchRequest::columns(local.object("data/1.parquet").await, 1, &[2, 0, 1]);
                (local.remote(&settings), request)
            });
            checked.await.unwrap();
        }
        node.stop().await;
    });
}

#[test]
fn row_groups_that_are_wanted_together_are_asked_for_together() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 400_000), 10_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let object = local.object("data/1.parquet").await;
        let remote = local.remote(&node.settings());
        local.footers.get(&object).await.unwrap();
        let before = local.requests();
        let requests = |columns: &'static [u32]| {
            let object = Arc::clone(&object);
            let of = move |n| FetchRequest::columns(Arc::clone(&object), n, columns);
            (0..40).map(of).collect::<Vec<_>>()
        };
        let requests = [requests(&[0, 2]), requests(&[1])].concat();
        let fetched = join_all(requests.iter().map(|request| remote.fetch(request))).await;
        // One for each choice of columns, or a few on a machine that is busy.
        let requests_sent = remote.snapshot().requests;
        assert!((2..=8).contains(&requests_sent), "{requests_sent} requests");
        assert_eq!(ways(remote.snapshot()), (120, 0, 0, 0));
        assert_eq!(local.requests(), before, "nothing from the store");
        for (request, chunks) in requests.iter().zip(fetched) {
            assert_eq!(chunks.unwrap(), local.origin.fetch(request).await.unwrap());
        }
        node.stop().await;
    });
}

#[test]
fn another_version_of_an_object_is_read_from_the_store() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 1_000), 1_000).await;
        write(&store, "data/2.parquet", &numbers(0, 1_000), 1_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let remote = local.remote(&node.settings());
        let old = FetchRequest::columns(local.object("data/1.parquet").await, 0, &[0]);
        compare(&remote, &local, &old).await;
        // As long, so that the ETag alone tells.
        write(&store, "data/1.parquet", &numbers(1, 1_001), 1_000).await;
        let new = FetchRequest::columns(local.object("data/1.parquet").await, 0, &[0]);
        for _ in 0..2 {
            compare(&remote, &local, &new).await;
        }
        let counted = remote.snapshot();
        assert_eq!(ways(counted), (1, 2, 0, 1));
        assert_eq!(counted.requests, 2, "it is not asked again at once");
        let other = FetchRequest::columns(local.object("data/2.parquet").await, 0, &[0]);
        compare(&remote, &local, &other).await;
        assert_eq!(ways(remote.snapshot()), (2, 2, 0, 1), "other objects still come from it");
        node.stop().await;
    });
}

#[test]
fn what_no_dataset_covers_and_what_a_folder_names_is_read_from_the_store() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/a=5/1.parquet", &numbers(0, 100), 100).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let remote = local.remote(&node.settings());
        let object = local.object("data/a=5/1.parquet").await;
        // To the node column `a` is the folder's: 5 in every row.
        let request = FetchRequest::columns(Arc::clone(&object), 0, &[0, 1]);
        compare(&remote, &local, &request).await;
        assert_eq!(ways(remote.snapshot()), (0, 2, 0, 0));
        compare(&remote, &local, &FetchRequest::columns(object, 0, &[1])).await;
        assert_eq!(ways(remote.snapshot()), (1, 2, 0, 0));
        // Names of folders are escaped.
        write(&store, "data/%61=5/2.parquet", &numbers(0, 100), 100).await;
        let escaped = local.object("data/%61=5/2.parquet").await;
        compare(&remote, &local, &FetchRequest::columns(escaped, 0, &[0, 1])).await;
        assert_eq!(ways(remote.snapshot()), (1, 4, 0, 0));
        write(&store, "other/1.parquet", &numbers(0, 100), 100).await;
        let other = FetchRequest::columns(local.object("other/1.parquet").await, 0, &[0, 1]);
        for _ in 0..2 {
            compare(&remote, &local, &other).await;
        }
        assert_eq!(ways(remote.snapshot()), (1, 8, 0, 1));
        assert_eq!(remote.snapshot().requests, 2, "it is asked once");
        node.stop().await;
    });
}

#[test]
fn a_node_that_does_not_answer_is_passed_by_and_left_alone() {
    on_runtimes(async |_| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 100), 100).await;
        let local = Local::new(&store);
        let request = FetchRequest::columns(local.object("data/1.parquet").await, 0, &[0, 1]);
        // It takes connections and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("grpc://{}", silent.local_addr().unwrap());
        let soon = Duration::from_millis(100);
        let hangs = RemoteSettings { answer_timeout: soon, ..settings(&url) };
        let drags = RemoteSettings { answer_timeout: HOUR, read_timeout: soon, ..settings(&url) };
        for settings in [hangs, drags, settings("grpc://127.0.0.1:1")] {
            let remote = local.remote(&settings);
            for _ in 0..20 {
                compare(&remote, &local, &request).await;
            }
            let counted = remote.snapshot();
            assert_eq!(ways(counted), (0, 40, 1, 0));
            assert_eq!(counted.requests, 1);
        }
    });
}

#[test]
fn a_node_that_stalls_in_the_middle_keeps_nobody_waiting() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 200_000), 20_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let local = Local::new(&store);
        let object = local.object("data/1.parquet").await;
        // Two row groups of the ten come through.
        let stalling = stalling(node.running.flight, 1_200_000).await;
        let soon = Duration::from_millis(500);
        let settings =
            RemoteSettings { answer_timeout: soon, ..settings(&format!("grpc://{stalling}")) };
        let remote = local.remote(&settings);
        local.footers.get(&object).await.unwrap();
        let of = |n| FetchRequest::columns(Arc::clone(&object), n, &[0, 1, 2]);
        let requests: Vec<_> = (0..10).map(of).collect();
        join_all(requests.iter().map(|request| compare(&remote, &local, request))).await;
        let counted = remote.snapshot();
        assert!(counted.chunks > 0 && counted.failures > 0, "{counted:?}");
        assert_eq!(counted.chunks + counted.fallbacks, 30, "{counted:?}");
        node.stop().await;
    });
}

#[test]
fn a_node_that_knows_its_callers_serves_who_shows_a_token_that_may_read() {
    on_runtimes(async |cpu| {
        let store = store();
        write(&store, "data/1.parquet", &numbers(0, 100), 100).await;
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, "ann ann-0123456789abcd\nbob bob-0123456789abcd\n").unwrap();
        let rule = Rule {
            principal: Pattern::parse("ann").unwrap(),
            datasets: vec![Pattern::parse("data").unwrap()],
            actions: false,
        };
        let (rules, token_file) = (vec![rule], Some(tokens));
        let auth = AuthConfig { token_file, oidc: None, rules, rule_file: None };
        let node = Node::secured(&store, HOUR, &cpu, Some(auth)).await;
        let local = Local::new(&store);
        let request = FetchRequest::columns(local.object("data/1.parquet").await, 0, &[0, 1]);
        let url = format!("grpc://{}", node.running.flight);
        for (token, expected) in [
            (Some("ann-0123456789abcd"), (2, 0, 0, 0)),
            // What he must not read does not exist for him.
            (Some("bob-0123456789abcd"), (0, 2, 0, 1)),
            (Some("eve-0123456789abcd"), (0, 2, 1, 0)),
            (None, (0, 2, 1, 0)),
        ] {
            let connection = Connection::new(&url, token.map(str::to_owned)).unwrap();
            let remote = local.remote(&RemoteSettings::new(connection));
            compare(&remote, &local, &request).await;
            assert_eq!(ways(remote.snapshot()), expected, "{token:?}");
        }
        node.stop().await;
    });
}

fn embedded(remote: Option<RemoteSettings>) -> EmbeddedSettings {
    EmbeddedSettings { memory_bytes: 256 << 20, disk: None, decode_parallelism: 2, remote }
}

#[test]
fn a_scan_goes_on_from_the_store_when_its_node_is_stopped() {
    on_runtimes(async |cpu| {
        let store = store();
        let rows = 2_000_000;
        write(&store, "data/1.parquet", &numbers(0, rows), 20_000).await;
        let node = Node::start(&store, HOUR, &cpu).await;
        let cache = EmbeddedCache::open(embedded(Some(node.settings()))).await.unwrap();
        cache.register_store(PREFIX, Arc::clone(&store) as Arc<dyn ObjectStore>);
        let url = format!("{PREFIX}/data/");
        let dataset = cache.dataset("data", &url, HOUR).unwrap();
        let planner = cache.planner();
        let table = planner.table(&dataset.snapshot().await.unwrap()).await.unwrap();
        let footer = cache.origin().snapshot().requests;
        let command = ScanCommand::dataset("data");
        let (_, mut batches) = planner.read(&table, &command, None, None).unwrap();
        let mut read = vec![batches.next().await.unwrap().unwrap()];
        assert_eq!(cache.origin().snapshot().requests, footer, "the node gave what came first");
        node.stop().await;
        read.extend(batches.try_collect::<Vec<_>>().await.unwrap());
        let schema = read[0].schema();
        let whole = arrow::compute::concat_batches(&schema, &read).unwrap();
        assert_eq!(whole.columns(), numbers(0, rows).columns());
        let counted = cache.remote().unwrap();
        assert!(counted.chunks > 0 && counted.fallbacks > 0, "{counted:?}");
        assert!(counted.failures > 0, "{counted:?}");
        assert_eq!(counted.chunks + counted.fallbacks, 300, "{counted:?}");
        assert!(cache.origin().snapshot().requests > footer);
    });
}

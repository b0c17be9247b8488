//! Spellings of URLs, options, and what errors say.

use std::{error::Error as StdError, fmt::Write};

use flightcache_cache::ErrorKind;
use futures::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};

use super::{address::Address, *};
use crate::{
    Dataset, StoreSettings,
    testing::{World, impatient},
};

const SAS: &str = "sv=2022-11-02&sig=S3cr3tSignature%3D";

fn settings(prefix: &str, options: &[(&str, &str)]) -> StoreSettings {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    StoreSettings { prefix: prefix.to_owned(), options: options.iter().map(own).collect() }
}

fn open(settings: Vec<StoreSettings>) -> Result<Stores> {
    Stores::new(settings, impatient(), Arc::new(OriginCounters::default()))
}

fn names(stores: &Stores, url: &str) -> (String, String, String) {
    let Location { store, path, .. } = stores.locate(url).unwrap();
    (store.name().to_owned(), store.container().to_owned(), path)
}

/// Everything a log could show of an error.
fn everything(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        let _ = write!(text, "{source} {source:?}");
        next = source.source();
    }
    text
}

#[tokio::test]
async fn spellings_of_one_container_are_one_store() {
    let key = ("account_key", "c2VjcmV0c2VjcmV0");
    let stores = open(vec![settings("az://c", &[("account_name", "acct"), key])]).unwrap();
    let expected = ("azure://acct".to_owned(), "c".to_owned(), "f/x y.parquet".to_owned());
    let first = stores.locate("az://c/").unwrap().store;
    for url in [
        "abfss://c@acct.dfs.core.windows.net/f/x%20y.parquet",
        "abfs://c@ACCT.blob.core.windows.net/f/x y.parquet",
        "az://c/f/x%20y.parquet",
        "azure://c/f/x%20y.parquet",
        "abfss://c@acct/f/x%20y.parquet",
        "https://acct.blob.core.windows.net/c/f/x%20y.parquet",
        "https://acct.dfs.core.windows.net/c/f/x%20y.parquet",
    ] {
        assert_eq!(names(&stores, url), expected, "{url}");
        assert!(Arc::ptr_eq(&first, &stores.locate(url).unwrap().store), "{url}");
    }
}

#[tokio::test]
async fn every_scheme_has_canonical_names() {
    let stores = open(vec![
        settings("s3://", &[("skip_signature", "true"), ("endpoint", "http://127.0.0.1:5000")]),
        settings("gs://", &[("skip_signature", "true")]),
        settings("abfss://", &[("skip_signature", "true")]),
    ]);
    let stores = stores.unwrap();
    let cases = [
        ("s3://b/a/b", "s3://127.0.0.1:5000", "b", "a/b"),
        ("s3a://b/a/b/", "s3://127.0.0.1:5000", "b", "a/b"),
        ("gs://b", "gs://storage.googleapis.com", "b", ""),
        ("abfss://c@a.dfs.core.chinacloudapi.cn/p", "azure://a.core.chinacloudapi.cn", "c", "p"),
        ("http://127.0.0.1:80/a%25b", "http://127.0.0.1", "", "a%b"),
        ("https://host:8443/a/b", "https://host:8443", "", "a/b"),
        ("file:///tmp/%C3%A4", "file://", "", "tmp/ä"),
        ("/tmp/100%/ä", "file://", "", "tmp/100%/ä"),
    ];
    for (url, store, container, path) in cases {
        let found = names(&stores, url);
        assert_eq!(found, (store.to_owned(), container.to_owned(), path.to_owned()), "{url}");
        let (store, container) = (found.0, found.1);
        let id = ObjectId { store, container, path: found.2, etag: "\"e\"".into(), size: 1 };
        let again = stores.of_object(&id).unwrap();
        assert!(Arc::ptr_eq(&again, &stores.locate(url).unwrap().store), "{url}");
    }
}

#[test]
fn the_longest_prefix_wins() {
    let prefix = |url| Address::parse(url).unwrap();
    let url = prefix("abfss://c@a.dfs.core.windows.net/x/y");
    let prefixes = ["az://", "https://a.blob.core.windows.net", "az://c", "az://c/x"];
    let closeness: Vec<_> = prefixes.iter().map(|text| prefix(text).covers(&url)).collect();
    assert!(closeness.iter().all(Option::is_some) && closeness.is_sorted(), "{closeness:?}");
    for other in ["az://c/xx", "az://d", "s3://c", "https://b.blob.core.windows.net"] {
        assert_eq!(prefix(other).covers(&url), None, "{other}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_no_secret_is() {
    let stores = open(Vec::new()).unwrap();
    let url = format!("https://acct.blob.core.windows.net/c?{SAS}");
    for (url, named) in [
        ("hdfs://h/x", "hdfs"),
        ("s3://us:S3cr3t@b/x", "s3://us@b/x"),
        ("no url", "no url"),
        (url.as_str(), "acct"),
        ("file://host/x", "host"),
    ] {
        let error = stores.locate(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        assert!(error.message().contains(named), "{error}");
        assert!(!everything(&error).contains("S3cr3t"), "{error:?}");
    }
    let wrong = settings("s3://b", &[("acess_key", "S3cr3tValue")]);
    assert!(!format!("{wrong:?}").contains("S3cr3t"));
    let error = open(vec![wrong]).unwrap_err();
    assert!(error.message().contains("acess_key") && error.message().contains("s3://b"), "{error}");
    assert!(!everything(&error).contains("S3cr3t"));
    let stores =
        open(vec![settings("az://c", &[("account_name", "a"), ("account_key", "S3cr3t=")])]);
    let error = stores.unwrap().locate("az://c/x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!everything(&error).contains("S3cr3t"), "{error:?}");
}

/// Answers every request with `status` and a body that quotes the request.
async fn server(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let quoted = String::from_utf8_lossy(&request[..length]).into_owned();
            let body = format!("<Error><Code>Refused</Code><Message>{quoted}</Message></Error>");
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n");
            let answer = format!("{head}connection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn answers_of_the_origin_are_kinds_without_secrets() {
    for (status, kind, throttled) in [
        ("403 Forbidden", ErrorKind::Denied, 0),
        ("401 Unauthorized", ErrorKind::Denied, 0),
        ("404 Not Found", ErrorKind::NotFound, 0),
        ("500 Internal Server Error", ErrorKind::Unavailable, 0),
        ("503 Service Unavailable", ErrorKind::Unavailable, 1),
        ("429 Too Many Requests", ErrorKind::Unavailable, 1),
    ] {
        let endpoint = server(status).await;
        let options = [("account_name", "acct"), ("sas_token", SAS), ("endpoint", &endpoint)];
        let stores = Arc::new(open(vec![settings("az://c", &options)]).unwrap());
        let dataset =
            Dataset::new("d", "az://c/x/", std::time::Duration::ZERO, Arc::clone(&stores));
        let dataset = dataset.unwrap();
        let error = dataset.snapshot().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let shown = format!("{} {dataset:?} {stores:?}", everything(&error));
        assert!(!shown.contains("S3cr3t") && !shown.contains("sig="), "{shown}");
        let counts = stores.counters().snapshot();
        assert_eq!((counts.throttled, counts.errors, counts.metadata_requests), (throttled, 1, 1));
    }
}

#[tokio::test]
async fn an_origin_that_is_down_is_unavailable() {
    let stores = open(Vec::new());
    let Location { store, path, .. } = stores.unwrap().locate("http://127.0.0.1:1/x").unwrap();
    let error = store.head(&path, "http://127.0.0.1:1/x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_read_is_of_the_version_that_was_listed() {
    let world = World::new(impatient());
    let id = world.object("x", "0123456789").await;
    let store = world.stores.of_object(&id).unwrap();
    assert_eq!(store.read(&id, 2..5).await.unwrap(), "234");
    assert_eq!(store.read(&id, 0..10).await.unwrap(), "0123456789");
    let past = store.read(&ObjectId { size: 20, ..(*id).clone() }, 12..20).await.unwrap_err();
    assert_eq!(past.kind(), ErrorKind::Stale, "{past}");
    world.put("x", "abcdefghij").await;
    assert_eq!(store.read(&id, 2..5).await.unwrap_err().kind(), ErrorKind::Stale);
    world.memory.delete(&Path::from("x")).await.unwrap();
    let gone = store.read(&id, 2..5).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Stale);
    assert!(gone.message().contains("mem://bucket"), "{gone}");
    let counts = world.counts();
    assert_eq!((counts.requests, counts.bytes, counts.errors), (5, 13, 3));
}

#[test]
fn etags_have_one_spelling() {
    let store = |name: &str| Store {
        name: name.to_owned(),
        container: String::new(),
        inner: Arc::new(object_store::memory::InMemory::new()),
        secrets: Vec::new(),
        shared: Arc::new(Shared {
            origin: impatient(),
            counters: Arc::default(),
            limit: Slots::new(1),
        }),
        gatherer: Gatherer::default(),
    };
    let azure = store("azure://a");
    assert_eq!(azure.etag("0x8D"), "\"0x8D\"");
    assert_eq!(azure.etag("\"0x8D\""), "\"0x8D\"");
    assert_eq!(store("s3://h").etag("abc"), "abc");
    assert_eq!(azure.etag("W/\"0x8D\""), "W/\"0x8D\"");
}

#[tokio::test]
async fn what_has_no_strong_etag_is_read_and_told_apart_as_far_as_may_be() {
    let world = World::new(impatient());
    let id = world.object("x", "0123456789").await;
    let store = world.stores.of_object(&id).unwrap();
    let meta = |etag: Option<&str>, size, seconds| ObjectMeta {
        location: Path::from("x"),
        last_modified: std::time::SystemTime::UNIX_EPOCH
            .checked_add(std::time::Duration::from_secs(seconds))
            .unwrap()
            .into(),
        size,
        e_tag: etag.map(str::to_owned),
        version: None,
    };
    let object =
        |listed: Listed| ObjectId { etag: listed.etag, size: listed.size, ..(*id).clone() };
    for etag in [None, Some(""), Some("W/\"a\"")] {
        let listed = object(store.listed(meta(etag, 10, 7)));
        assert!(!listed.is_versioned(), "{listed:?}");
        assert!(store.is_version(&meta(etag, 10, 7), &listed));
        assert!(!store.is_version(&meta(etag, 11, 7), &listed));
        let later = store.is_version(&meta(etag, 10, 8), &listed);
        assert_eq!(later, etag.is_some_and(|etag| !etag.is_empty()));
        assert!(store.is_version(&meta(etag.map(|_| "\"a\""), 10, 7), &listed));
    }
    let weak = object(store.listed(meta(Some("W/\"a\""), 10, 7)));
    assert!(!store.is_version(&meta(Some("W/\"b\""), 10, 7), &weak));
    let strong = object(store.listed(meta(Some("\"a\""), 10, 7)));
    assert!(store.is_version(&meta(None, 10, 9), &strong));
    assert!(!store.is_version(&meta(Some("\"b\""), 10, 7), &strong));
}

#[tokio::test]
async fn ranges_wanted_together_are_one_request() {
    let world = World::new(impatient());
    let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let id = world.object("g", bytes.clone()).await;
    let store = world.stores.of_object(&id).unwrap();
    let ranges = [0..10_000, 20_000..30_000, 10_000..20_000, 9_000..11_000, 0..0, 30_000..30_001];
    let reads = ranges.clone().map(|range| store.gather(&id, range));
    let read = futures::future::try_join_all(reads).await.unwrap();
    for (range, read) in ranges.iter().zip(read) {
        assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    let counts = world.counts();
    assert_eq!((counts.requests, counts.bytes, counts.errors), (1, 30_001, 0));

    world.put("g", bytes).await;
    let reads = [0..10, 10..20].map(|range| store.gather(&id, range));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Stale);
    }
    assert_eq!(world.counts().requests, 2);
}

/// An object of which `server` sends the head and the first `sent` bytes, and then nothing until
/// the connection is closed, which it tells.
async fn stuck(sent: usize) -> (Arc<Store>, Arc<ObjectId>, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (closed, is_closed) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        let head = "HTTP/1.1 206 Partial Content\r\ncontent-length: 80\r\n\
                    content-range: bytes 0-79/100\r\netag: \"e\"\r\n\
                    last-modified: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; sent]).await.unwrap();
        while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
        closed.send(()).unwrap();
    });
    let stores = open(Vec::new()).unwrap();
    let Location { store, path, .. } = stores.locate(&url).unwrap();
    let (name, container) = (store.name().to_owned(), store.container().to_owned());
    let id = ObjectId { store: name, container, path, etag: "\"e\"".to_owned(), size: 100 };
    (store, Arc::new(id), is_closed)
}

#[tokio::test]
async fn a_request_whose_waiters_are_all_gone_is_stopped() {
    let (store, id, mut is_closed) = stuck(50).await;
    let read = |range| {
        tokio::spawn({
            let (store, id) = (Arc::clone(&store), Arc::clone(&id));
            async move { store.gather(&id, range).await }
        })
    };
    let [served, leaves, stays] = [0..50, 40..70, 60..80].map(read);
    assert_eq!(served.await.unwrap().unwrap().len(), 50);
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    assert!(is_closed.try_recv().is_err(), "somebody waits still");
    assert!(!stays.is_finished());
    stays.abort();
    is_closed.await.unwrap();
    let counts = store.shared.counters.snapshot();
    assert_eq!((counts.requests, counts.bytes, counts.errors), (1, 50, 0));
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_asked_for() {
    let world = World::new(impatient());
    let id = world.object("g", vec![7; 100]).await;
    let store = world.stores.of_object(&id).unwrap();
    drop(Box::pin(store.gather(&id, 0..10)).now_or_never());
    assert_eq!(store.gather(&id, 50..60).await.unwrap().len(), 10);
    let counts = world.counts();
    assert_eq!((counts.requests, counts.bytes), (1, 10));
}

//! Listings, and how datasets keep them.

use std::{sync::Arc, time::Duration};

use flightcache_cache::ErrorKind;
use object_store::{ObjectStoreExt, path::Path};

use super::*;
use crate::{
    Dataset,
    testing::{World, impatient, stores},
};

const FOREVER: Duration = Duration::from_hours(1);

fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.objects.iter().map(|object| object.id.path.as_str()).collect()
}

/// Names that survive only if nothing escapes or unescapes them on the way.
const ODD: [&str; 5] =
    ["a b.parquet", "a%20b.parquet", "100%.parquet", "ä ö/ü€.parquet", "+&='.pq"];

#[tokio::test]
async fn odd_names_survive_in_memory() {
    let world = World::new(impatient());
    for name in ODD {
        world.put(&format!("odd ü/{name}"), name.to_owned()).await;
    }
    let snapshot = world.list("mem://bucket/odd%20%C3%BC/").await;
    assert_eq!(snapshot.objects.len(), ODD.len());
    for name in ODD {
        let path = format!("odd ü/{name}");
        let object = snapshot.objects.iter().find(|object| object.id.path == path).unwrap();
        let store = world.stores.of_object(&object.id).unwrap();
        let bytes = store.read(&object.id, 0..object.id.size).await.unwrap();
        assert_eq!(bytes, name.as_bytes());
    }
}

#[tokio::test]
async fn odd_names_survive_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    for name in ODD {
        let path = folder.path().join("odd ü").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let stores = stores(impatient());
    let root = folder.path().to_str().unwrap();
    let bare = Dataset::new("d", format!("{root}/odd ü"), FOREVER, Arc::clone(&stores)).unwrap();
    let url = format!("file://{root}/odd%20%C3%BC/");
    let dataset = Dataset::new("d", url, FOREVER, Arc::clone(&stores)).unwrap();
    let snapshot = dataset.snapshot().await.unwrap();
    assert_eq!(snapshot.id, bare.snapshot().await.unwrap().id);
    assert_eq!(snapshot.objects.len(), ODD.len());
    for object in &snapshot.objects {
        let store = stores.of_object(&object.id).unwrap();
        let bytes = store.read(&object.id, 0..object.id.size).await.unwrap();
        assert!(object.id.path.ends_with(std::str::from_utf8(&bytes).unwrap()));
        assert!(object.last_modified_ms > 0 && object.id.is_versioned());
        let one = format!("/{}", object.id.path);
        let one = Dataset::new("one", one, FOREVER, Arc::clone(&stores)).unwrap();
        assert_eq!(one.snapshot().await.unwrap().objects[0].id, object.id);
    }
}

#[tokio::test]
async fn nested_folders_and_hidden_files() {
    let world = World::new(impatient());
    for path in ["t/b/c/2.parquet", "t/1.parquet", "t/z", "t/_part=1/x", "t2/other"] {
        world.put(path, "x").await;
    }
    for hidden in ["t/_SUCCESS", "t/_delta_log/0", "t/.x.crc", "t/b/_tmp/1/x", "t/q._COPYING_"] {
        world.put(hidden, "x").await;
    }
    world.put("t/b/c", "").await;
    world.put("t/empty.parquet", "").await;
    world.memory.delete(&Path::from("t/_part=1/x")).await.unwrap();
    let snapshot = world.list("mem://bucket/t").await;
    assert_eq!(paths(&snapshot), ["t/1.parquet", "t/b/c/2.parquet", "t/z"]);
    assert_eq!((snapshot.bytes, snapshot.partition_columns.len()), (3, 0));
    let one = world.list("mem://bucket/t/z").await;
    assert_eq!(paths(&one), ["t/z"]);
    let below = snapshot.restrict("t/b").unwrap();
    assert_eq!((paths(&below), &below.id, below.bytes), (vec!["t/b/c/2.parquet"], &snapshot.id, 1));
    assert_eq!(snapshot.restrict("t/1").unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn partition_folders_become_columns() {
    let world = World::new(impatient());
    world.put("p/_y=2024/m=a%2Fb%20c/1", "x").await;
    world.put("p/_y=__HIVE_DEFAULT_PARTITION__/m=ä/x=y.parquet", "x").await;
    let snapshot = world.list("mem://bucket/p").await;
    assert_eq!(snapshot.partition_columns, ["_y", "m"]);
    let values: Vec<_> = snapshot.objects.iter().map(|o| o.partition_values.clone()).collect();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(values, [[text("2024"), text("a/b c")], [None, text("ä")]]);
    world.put("p/m=1/_y=2/1", "x").await;
    let swapped = world.list("mem://bucket/p").await;
    assert_eq!(swapped.objects.len(), 3);
    let columns = &swapped.partition_columns;
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let object = swapped.objects.iter().find(|object| object.id.path == "p/m=1/_y=2/1").unwrap();
    assert_eq!(object.partition_values[at("_y")], text("2"));
    world.put("p/_y=1/other/1", "x").await;
    let dataset = world.dataset("mem://bucket/p", FOREVER);
    let error = dataset.snapshot().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("p/"), "{error}");
}

#[tokio::test]
async fn nothing_there_is_said() {
    let world = World::new(impatient());
    world.put("t/_SUCCESS", "x").await;
    for url in ["mem://bucket/t", "mem://bucket/none", "mem://bucket/none/"] {
        let error = world.dataset(url, FOREVER).snapshot().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.message(), format!("no objects under {url}"));
    }
    let missing = tempfile::tempdir().unwrap().path().join("gone");
    let missing = missing.to_str().unwrap();
    let dataset = Dataset::new("d", missing, FOREVER, stores(impatient())).unwrap();
    let error = dataset.snapshot().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(start_paused = true)]
async fn new_objects_show_within_the_bound_and_not_before() {
    let world = World::new(impatient());
    world.put("t/1", "x").await;
    let dataset = Arc::new(world.dataset("mem://bucket/t/", Duration::from_secs(5)));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let dataset = Arc::clone(&dataset);
            tokio::spawn(async move { dataset.snapshot().await.unwrap().id.clone() })
        })
        .collect();
    let mut ids = Vec::new();
    for caller in callers {
        ids.push(caller.await.unwrap());
    }
    ids.dedup();
    assert_eq!((ids.len(), world.counts().metadata_requests), (1, 1));
    world.put("t/2", "y").await;
    tokio::time::advance(Duration::from_millis(4900)).await;
    assert_eq!(dataset.snapshot().await.unwrap().id, ids[0]);
    tokio::time::advance(Duration::from_millis(200)).await;
    let newer = dataset.snapshot().await.unwrap();
    assert_eq!(newer.objects.len(), 2);
    assert_eq!(dataset.pinned(&ids[0]).await.unwrap().objects.len(), 1);
    assert_eq!(world.counts().metadata_requests, 2);
    world.put("t/2", "z").await;
    let refreshed = dataset.refresh().await.unwrap();
    assert_ne!(refreshed.id, newer.id);
    assert_eq!(dataset.snapshot().await.unwrap().id, refreshed.id);
    let error = dataset.pinned("0123").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.message().contains("0123") && error.message().contains("data"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn snapshots_nobody_asks_for_are_forgotten() {
    let world = World::new(impatient());
    let dataset = world.dataset("mem://bucket/t/", Duration::ZERO);
    let mut ids = Vec::new();
    for version in 0..20 {
        world.put("t/1", vec![b'x'; version + 1]).await;
        ids.push(dataset.snapshot().await.unwrap().id.clone());
    }
    assert_eq!(dataset.pinned(&ids[0]).await.unwrap_err().kind(), ErrorKind::Stale);
    assert!(dataset.pinned(&ids[10]).await.is_ok());
    tokio::time::advance(Duration::from_mins(59)).await;
    assert!(dataset.pinned(&ids[10]).await.is_ok());
    tokio::time::advance(Duration::from_mins(59)).await;
    assert!(dataset.pinned(&ids[10]).await.is_ok());
    assert_eq!(dataset.pinned(&ids[11]).await.unwrap_err().kind(), ErrorKind::Stale);
    assert!(dataset.pinned(&ids[19]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_began_too_early_is_not_joined() {
    // It takes a second for every object that it has found by then.
    let config = object_store::throttle::ThrottleConfig {
        wait_list_per_entry: Duration::from_secs(1),
        ..Default::default()
    };
    let memory = object_store::memory::InMemory::new();
    let slow = Arc::new(object_store::throttle::ThrottledStore::new(memory, config));
    let store = Arc::clone(&slow);
    let put = async |path: &str| store.put(&Path::from(path), "x".into()).await;
    put("t/1").await.unwrap();
    let stores = stores(impatient());
    stores.register("slow://bucket", Arc::clone(&slow) as _);
    let dataset = Dataset::new("d", "slow://bucket/t/", Duration::ZERO, stores).unwrap();
    let dataset = Arc::new(dataset);
    let ask = || {
        let dataset = Arc::clone(&dataset);
        tokio::spawn(async move { dataset.snapshot().await.unwrap().objects.len() })
    };
    let early = ask();
    tokio::time::sleep(Duration::from_millis(500)).await;
    put("t/2").await.unwrap();
    let late: Vec<_> = (0..8).map(|_| ask()).collect();
    for one in late {
        assert_eq!(one.await.unwrap(), 2);
    }
    assert_eq!(early.await.unwrap(), 1);
}

#[tokio::test]
async fn an_outdated_snapshot_is_listed_anew() {
    let world = World::new(impatient());
    world.put("t/1", "x").await;
    let dataset = world.dataset("mem://bucket/t/", FOREVER);
    let old = dataset.snapshot().await.unwrap();
    world.put("t/1", "y").await;
    dataset.outdated(|current| current.id == "another");
    assert_eq!(dataset.snapshot().await.unwrap().id, old.id);
    dataset.outdated(|current| current.id == old.id);
    let new = dataset.snapshot().await.unwrap();
    assert_ne!(new.id, old.id);
    dataset.outdated(|current| current.id == old.id);
    assert_eq!(dataset.snapshot().await.unwrap().id, new.id);
    assert_eq!(world.counts().metadata_requests, 2);
    assert_eq!(dataset.pinned(&old.id).await.unwrap().id, old.id);
}

#[tokio::test]
async fn the_same_objects_have_the_same_id() {
    let world = World::new(impatient());
    world.put("t/1", "x").await;
    let first = world.list("mem://bucket/t/").await;
    assert_eq!(first.id.len(), 32);
    assert_eq!(world.list("mem://bucket/t").await.id, first.id);
    world.put("t/1", "x").await;
    assert_ne!(world.list("mem://bucket/t/").await.id, first.id);
}

#[tokio::test]
async fn urls_inside_a_dataset() {
    let world = World::new(impatient());
    let dataset = world.dataset("mem://bucket/t/", FOREVER);
    let under = |url: &str| dataset.under(url);
    assert_eq!(under("mem://bucket/t"), Some("t".to_owned()));
    assert_eq!(under("mem://bucket/t/a%20b/"), Some("t/a b".to_owned()));
    for outside in ["mem://bucket/", "mem://bucket/tt", "file:///t", "nonsense"] {
        assert_eq!(under(outside), None, "{outside}");
    }
}

//! `flightcache.datasets` and `flightcache.objects`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray},
    datatypes::Field,
};
use flightcache_cache::Result;
use flightcache_connectors::Snapshot;
use futures::{StreamExt, stream};

use super::{BATCH_ROWS, count, signed, text, time};
use crate::{auth::Caller, node::Node};

/// Datasets that are looked at together.
const LISTED_AT_ONCE: usize = 8;

pub(super) fn fields() -> Vec<Field> {
    vec![
        text("dataset"),
        text("url"),
        text("snapshot").with_nullable(true),
        count("objects").with_nullable(true),
        count("bytes").with_nullable(true),
        count("rows").with_nullable(true),
        text("error").with_nullable(true),
    ]
}

/// One row a dataset; of one that cannot be read, why.
pub(super) async fn rows(node: Arc<Node>, caller: Caller) -> Result<Vec<Vec<ArrayRef>>> {
    let datasets = node.datasets.readable(&caller);
    let looked: Vec<_> = stream::iter(datasets.iter().cloned())
        .map(|dataset| {
            let node = Arc::clone(&node);
            async move {
                let snapshot = dataset.snapshot().await?;
                let rows = node.planner.table(&snapshot).await.map(|table| table.rows());
                Ok::<_, flightcache_cache::Error>((snapshot, rows))
            }
        })
        .buffered(LISTED_AT_ONCE)
        .collect()
        .await;
    let known = |figure: fn(&Snapshot) -> u64| -> Int64Array {
        let of = looked.iter().map(|one| one.as_ref().ok().map(|(snapshot, _)| figure(snapshot)));
        of.map(|figure| figure.map(signed)).collect()
    };
    let rows: Int64Array = looked
        .iter()
        .map(|one| one.as_ref().ok().and_then(|(_, rows)| rows.as_ref().ok()))
        .map(|rows| rows.map(|rows| signed(*rows)))
        .collect();
    let error = looked.iter().map(|one| match one {
        Err(error) | Ok((_, Err(error))) => Some(error.message().to_owned()),
        Ok(_) => None,
    });
    let snapshot =
        looked.iter().map(|one| one.as_ref().ok().map(|(snapshot, _)| snapshot.id.clone()));
    Ok(vec![vec![
        Arc::new(StringArray::from_iter_values(datasets.iter().map(|one| one.name()))),
        Arc::new(StringArray::from_iter_values(datasets.iter().map(|one| one.url()))),
        Arc::new(snapshot.collect::<StringArray>()),
        Arc::new(known(|snapshot| snapshot.objects.len() as u64)),
        Arc::new(known(|snapshot| snapshot.bytes)),
        Arc::new(rows),
        Arc::new(error.collect::<StringArray>()),
    ]])
}

pub(super) fn object_fields() -> Vec<Field> {
    vec![
        text("dataset"),
        text("snapshot"),
        text("path"),
        text("etag"),
        count("bytes"),
        time("modified"),
    ]
}

/// One row an object of each dataset's current snapshot; none of one that cannot be listed.
pub(super) async fn objects(node: Arc<Node>, caller: Caller) -> Result<Vec<Vec<ArrayRef>>> {
    let listed: Vec<_> = stream::iter(node.datasets.readable(&caller))
        .map(|dataset| async move {
            let snapshot = dataset.snapshot().await.ok()?;
            Some((dataset, snapshot))
        })
        .buffered(LISTED_AT_ONCE)
        .collect()
        .await;
    let mut batches = Vec::new();
    for (dataset, snapshot) in listed.into_iter().flatten() {
        for objects in snapshot.objects.chunks(BATCH_ROWS) {
            let same = |text: &str| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(objects.iter().map(|_| text)))
            };
            let ids = objects.iter().map(|object| &object.id);
            let modified = objects.iter().map(|object| object.last_modified_ms);
            let modified = TimestampMillisecondArray::from_iter_values(modified);
            batches.push(vec![
                same(dataset.name()),
                same(&snapshot.id),
                Arc::new(StringArray::from_iter_values(ids.clone().map(|id| &id.path))),
                Arc::new(StringArray::from_iter_values(ids.clone().map(|id| &id.etag))),
                Arc::new(Int64Array::from_iter_values(ids.map(|id| signed(id.size)))),
                Arc::new(modified.with_timezone("UTC")),
            ]);
        }
    }
    Ok(batches)
}

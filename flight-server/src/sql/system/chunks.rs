//! `flightcache.chunks`: what is cached, in which tier, how large and how hot.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    datatypes::Field,
};
use flightcache_cache::{ChunkKey, ObjectId, Part, Result};
use flightcache_connectors::Dataset;

use super::{BATCH_ROWS, count, signed, text};
use crate::{auth::Caller, node::Node};

/// Chunks of each tier that are shown at most: those on disk are looked up in their files.
const MAX_CHUNKS: usize = 100_000;

pub(super) fn fields() -> Vec<Field> {
    vec![
        text("dataset"),
        text("path"),
        text("etag"),
        text("kind"),
        count("row_group").with_nullable(true),
        count("column").with_nullable(true),
        text("tier"),
        count("bytes"),
        count("hits").with_nullable(true),
    ]
}

struct Row {
    dataset: Arc<Dataset>,
    key: Arc<ChunkKey>,
    tier: &'static str,
    bytes: u64,
    hits: Option<u64>,
}

/// One row for each chunk of a dataset that `caller` may read and each tier that has it, of the
/// innermost dataset where several cover it.
pub(super) async fn rows(node: Arc<Node>, caller: Caller) -> Result<Vec<Vec<ArrayRef>>> {
    let mut owners = Owners { datasets: node.datasets.readable(&caller), known: HashMap::new() };
    let mut rows = Vec::new();
    for held in node.stack.memory.entries().take(MAX_CHUNKS) {
        if let Some(dataset) = owners.of(&held.key.object) {
            let (key, bytes) = (held.key, held.bytes);
            rows.push(Row { dataset, key, tier: "memory", bytes, hits: Some(held.hits) });
        }
    }
    if let Some(disk) = &node.stack.disk {
        for (key, bytes) in disk.entries(MAX_CHUNKS).await {
            if let Some(dataset) = owners.of(&key.object) {
                let key = Arc::new(key);
                rows.push(Row { dataset, key, tier: "disk", bytes, hits: None });
            }
        }
    }
    Ok(rows.chunks(BATCH_ROWS).map(columns).collect())
}

/// Which dataset an object belongs to, looked up once.
struct Owners {
    datasets: Vec<Arc<Dataset>>,
    known: HashMap<Arc<ObjectId>, Option<Arc<Dataset>>>,
}

impl Owners {
    fn of(&mut self, object: &Arc<ObjectId>) -> Option<Arc<Dataset>> {
        if let Some(known) = self.known.get(object) {
            return known.clone();
        }
        let covering = self.datasets.iter().filter(|dataset| dataset.covers(object));
        let inner = covering.max_by_key(|dataset| dataset.location().path.len()).cloned();
        self.known.insert(Arc::clone(object), inner.clone());
        inner
    }
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let texts = |of: fn(&Row) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let counts = |of: fn(&Row) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).map(signed)).collect::<Int64Array>())
    };
    vec![
        texts(|row| row.dataset.name()),
        texts(|row| &row.key.object.path),
        texts(|row| &row.key.object.etag),
        texts(|row| match row.key.part {
            Part::Column { .. } => "column",
            Part::Footer => "footer",
            Part::Range { .. } => "range",
        }),
        counts(|row| match row.key.part {
            Part::Column { row_group, .. } => Some(u64::from(row_group)),
            _ => None,
        }),
        counts(|row| match row.key.part {
            Part::Column { column, .. } => Some(u64::from(column)),
            _ => None,
        }),
        texts(|row| row.tier),
        counts(|row| Some(row.bytes)),
        counts(|row| row.hits),
    ]
}

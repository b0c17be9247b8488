//! Tables kept while they are used.

use std::{sync::Arc, time::Duration};

use flightcache_cache::{Error, ObjectId, Result};
use flightcache_connectors::{Footers, Snapshot};
use moka::sync::Cache;
use tokio::sync::OnceCell;

use crate::table::DatasetTable;

/// Tables kept at most.
const MAX_TABLES: u64 = 256;
/// How long a table is kept after its last use.
const TIME_TO_IDLE: Duration = Duration::from_mins(10);

type Entry = Arc<OnceCell<Arc<DatasetTable>>>;

/// The tables of recent snapshots, each built once however many ask for it together.
#[derive(Debug)]
pub(crate) struct Tables {
    entries: Cache<(String, usize, Arc<ObjectId>, Arc<ObjectId>), Entry>,
}

impl Default for Tables {
    fn default() -> Self {
        let entries = Cache::builder().max_capacity(MAX_TABLES).time_to_idle(TIME_TO_IDLE).build();
        Self { entries }
    }
}

impl Tables {
    pub(crate) async fn get(
        &self,
        snapshot: &Arc<Snapshot>,
        footers: &Arc<Footers>,
    ) -> Result<Arc<DatasetTable>> {
        let first = snapshot.objects.first().ok_or_else(|| Error::not_found("empty snapshot"))?;
        let last = snapshot.objects.last().unwrap_or(first);
        // An id stays when a snapshot is restricted to a folder. First and last path tell those
        // apart, since paths are sorted and a folder's lie together; but for a file of the
        // folder's own name, which others may part from it: hence the number.
        let number = snapshot.objects.len();
        let key = (snapshot.id.clone(), number, Arc::clone(&first.id), Arc::clone(&last.id));
        let entry = self.entries.get_with(key, Entry::default);
        let table = entry
            .get_or_try_init(|| async {
                DatasetTable::build(Arc::clone(snapshot), footers).await.map(Arc::new)
            })
            .await?;
        Ok(Arc::clone(table))
    }
}

//! What one caller may name in a query.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use flightcache_cache::Result;
use flightcache_planner::{
    DatasetTable,
    sql::{Catalog, SystemTable},
};
use flightcache_protocol::ScanCommand;
use futures::{FutureExt, future::ready};

use crate::{auth::Caller, node::Node, service::at_snapshot};

/// The datasets that a caller may read, each at the snapshot that the query reads.
pub(super) struct Readable {
    node: Arc<Node>,
    caller: Caller,
    names: BTreeSet<String>,
    snapshots: BTreeMap<String, String>,
}

impl Readable {
    /// What `caller` may read, of `snapshots` at those.
    pub(super) fn new(
        node: &Arc<Node>,
        caller: &Caller,
        snapshots: BTreeMap<String, String>,
    ) -> Self {
        let names = node.datasets.names(caller).map(str::to_owned).collect();
        Self { node: Arc::clone(node), caller: caller.clone(), names, snapshots }
    }
}

impl fmt::Debug for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readable").field("names", &self.names).finish_non_exhaustive()
    }
}

#[async_trait]
impl Catalog for Readable {
    fn datasets(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    async fn dataset(&self, name: &str) -> Result<Option<Arc<DatasetTable>>> {
        // Asked even of a name that is not there, for the audit log.
        let known = self.node.datasets.get(&self.caller, name).is_ok();
        if !known || !self.names.contains(name) {
            return Ok(None);
        }
        let snapshot = self.snapshots.get(name).cloned();
        let command = ScanCommand { snapshot, ..ScanCommand::dataset(name) };
        let table =
            at_snapshot(&self.node, &self.caller, &command, |_, table| ready(Ok(table)).boxed());
        table.await.map(Some)
    }

    fn system(&self) -> Vec<Arc<dyn SystemTable>> {
        super::system_tables(&self.node, &self.caller)
    }
}

//! Row groups that are wanted at about the same time, asked for in one request.
//!
//! A scan begins the fragments of a split together, each a fetch of its own: one `GetFlightInfo`
//! for all of them costs what one for each would cost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flightcache_cache::{Column, ObjectId};
use tokio::sync::oneshot;

use super::{Scan, Wanted, node::Node, rows::Expected};

/// How long a first row group waits for others: little beside an answer.
const GATHER: Duration = Duration::from_millis(2);
/// Row groups of one request, at most.
const MOST: usize = 64;

/// A row group that somebody waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) expected: Expected,
    /// Dropped if the node does not give it.
    pub(super) done: oneshot::Sender<Vec<Column>>,
}

/// Gathers what is asked of one node. `Clone` shares it.
#[derive(Clone, Debug)]
pub(super) struct Gatherer {
    node: Arc<Node>,
    waiting: Arc<Mutex<HashMap<Scan, Vec<Waiting>>>>,
}

impl Gatherer {
    pub(super) fn new(node: Node) -> Self {
        Self { node: Arc::new(node), waiting: Arc::default() }
    }

    /// Whether it is worth asking the node for parts of `object`.
    pub(super) fn may_have(&self, object: &Arc<ObjectId>) -> bool {
        self.node.may_have(object)
    }

    /// The columns of a row group; `None` if the node does not give them. Dropping the future takes
    /// nothing from others.
    pub(super) async fn fetch(&self, wanted: Wanted) -> Option<Vec<Column>> {
        let Wanted { scan, expected } = wanted;
        let (done, arrived) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let of_scan = waiting.entry(scan.clone()).or_default();
            // Those who gave up, and those whose runtime ended before it asked for them.
            of_scan.retain(|waiting| !waiting.done.is_closed());
            of_scan.push(Waiting { expected, done });
            of_scan.len() == 1
        };
        if first {
            let gatherer = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                gatherer.send(&scan);
            });
        }
        arrived.await.ok()
    }

    /// Asks for everything that waits for `scan`.
    fn send(&self, scan: &Scan) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = waiting.remove(scan).unwrap_or_default();
        drop(waiting);
        wanted.retain(|waiting| !waiting.done.is_closed());
        // Neighbours in one request: what others want of the same row group as well.
        wanted.sort_by_key(|waiting| waiting.expected.ordinal);
        while !wanted.is_empty() {
            let rest = wanted.split_off(MOST.min(wanted.len()));
            let (node, scan) = (Arc::clone(&self.node), scan.clone());
            tokio::spawn(async move { node.ask(scan, wanted).await });
            wanted = rest;
        }
    }
}

//! Ends a query when the process outgrows its bounds: what some operators hold, such as window
//! functions and unnesting, no memory pool knows of.

use std::{
    fs,
    sync::Weak,
    time::{Duration, Instant},
};

use flightcache_cache::Error;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::Queries;
use crate::{config::Config, node::Node};

/// How often the process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an ended query has to give its memory back before the next one is ended.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a process needs beside its caches and its queries, in bytes.
const REST_BYTES: u64 = 256 << 20;

/// Looks after the memory of the process for as long as `node` lives.
pub async fn watch(node: Weak<Node>, config: &Config) {
    let mut watchdog = Watchdog::new(
        config.cache.memory.saturating_add(config.cache.headroom()),
        config.sql.memory(&config.cache).saturating_add(REST_BYTES),
    );
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        if let Some(held) = held_bytes() {
            watchdog.look(held, &node.sql.queries, Instant::now());
        }
    }
}

#[derive(Debug)]
struct Watchdog {
    /// What the caches may hold.
    caches: u64,
    /// What may come on top.
    room: u64,
    /// What was held when no query ran: memory that an allocator keeps is no query's.
    idle: u64,
    ended: Option<Instant>,
}

impl Watchdog {
    fn new(caches: u64, room: u64) -> Self {
        Self { caches, room, idle: 0, ended: None }
    }

    /// Ends a query if the process holds too much.
    fn look(&mut self, held: u64, queries: &Queries, now: Instant) {
        if queries.count() == 0 {
            self.idle = held;
            return;
        }
        let bound = self.caches.max(self.idle).saturating_add(self.room);
        let patient = self.ended.is_some_and(|ended| now.duration_since(ended) < PATIENCE);
        if held <= bound || patient {
            return;
        }
        let full = Error::exhausted(
            "the node is out of memory for queries: read less, or raise [sql] memory",
        );
        if queries.shed(full) {
            info!(held, bound, "a query was ended: the process holds too much memory");
            self.ended = Some(now);
        }
    }
}

/// Bytes of memory that the process holds, files it maps left out; `None` where no `/proc` tells.
fn held_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_process_is_seen_to_hold_memory() {
        let before = held_bytes().unwrap();
        let held = vec![1_u8; 64 << 20];
        assert!(held_bytes().unwrap() >= before + (32 << 20), "{}", held.len());
    }

    #[tokio::test]
    async fn too_much_memory_ends_one_query_at_a_time() {
        let mut watchdog = Watchdog::new(100, 50);
        let queries = Arc::new(Queries::default());
        let now = Instant::now();
        watchdog.look(1_000, &queries, now);
        let one = queries.begin("one", None, "").unwrap();
        let two = queries.begin("two", None, "").unwrap();
        let ended = || [&one, &two].map(|query| query.stopped().now_or_never().is_some());
        // What was there before any query is not theirs.
        watchdog.look(1_050, &queries, now);
        assert_eq!(ended(), [false, false]);
        watchdog.look(1_051, &queries, now);
        assert_eq!(ended(), [false, true]);
        watchdog.look(2_000, &queries, now + PATIENCE / 2);
        assert_eq!(ended(), [false, true]);
        watchdog.look(2_000, &queries, now + PATIENCE);
        assert_eq!(ended(), [true, true]);
    }
}

//! One measured scan: a row of the demo's table.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use flightcache_cache::Result;
use flightcache_protocol::Stats;
use futures::TryStreamExt;

use crate::{
    client::{Client, Plan},
    metrics::StatsSource,
    node::Node,
};

/// Endpoints read at a time, as a client with several threads would.
const ENDPOINTS_AT_ONCE: usize = 4;
/// Linux counts CPU time of processes in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a scan took.
#[derive(Debug)]
pub(super) struct Measured {
    what: &'static str,
    rows: u64,
    wall: Duration,
    cpu_seconds: f64,
    before: Stats,
    after: Stats,
}

impl Measured {
    /// The heads of the columns.
    pub(super) const HEADER: &'static str = "\n| scan                          |      rows |   wall |    CPU | origin GETs | origin MB | hit ratio |\
         \n|-------------------------------|-----------|--------|--------|-------------|-----------|-----------|";

    /// Reads what `plan` gives to its end through `client`.
    ///
    /// # Errors
    /// What the node answers.
    pub(super) async fn scan(
        what: &'static str,
        node: &Node,
        client: &Client,
        plan: impl Future<Output = Result<Plan>>,
    ) -> Result<Self> {
        let (before, cpu, start) = (node.stats(), cpu_seconds(), Instant::now());
        let plan = plan.await?;
        let mut batches = client.read_all(plan.info.endpoint, ENDPOINTS_AT_ONCE);
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows() as u64;
        }
        Ok(Self {
            what,
            rows,
            wall: start.elapsed(),
            cpu_seconds: cpu_seconds() - cpu,
            before,
            after: node.stats(),
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, rows, wall, cpu_seconds, before, after } = self;
        let wall = wall.as_secs_f64();
        let gets = after.origin.requests - before.origin.requests;
        let megabytes = (after.origin.bytes - before.origin.bytes) as f64 / 1e6;
        let hits = after.memory.hits - before.memory.hits;
        let others =
            after.memory.misses + after.memory.joined - before.memory.misses - before.memory.joined;
        let ratio = hits as f64 / ((hits + others) as f64).max(1.0);
        write!(
            f,
            "| {what:<29} | {rows:>9} | {wall:>4.2} s | {cpu_seconds:>4.2} s | {gets:>11} | \
             {megabytes:>9.1} | {ratio:>9.2} |"
        )
    }
}

/// CPU seconds of this process, user and system; 0 where Linux's `/proc` is not there.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The process name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

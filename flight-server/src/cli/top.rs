//! `flightcache top`: what changed in the last second, until ctrl-C.

use std::time::Duration;

use flightcache_cache::Result;
use flightcache_protocol::{Action, Stats};
use serde_json::json;
use tokio::time::Instant;

use super::{
    arguments::TopArgs,
    output::Output,
    units::{aligned, bytes, percent},
};
use crate::client::Client;

const PERIOD: Duration = Duration::from_secs(1);

/// Moves the cursor home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(args: &TopArgs, client: &Client, output: &mut Output) -> Result<()> {
    tokio::select! {
        watched = watch(args.once, client, output) => watched,
        // Without a handler for ctrl-C the signal ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(once: bool, client: &Client, output: &mut Output) -> Result<()> {
    let clear = if output.is_terminal() && !once { CLEAR } else { "" };
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.tick().await;
    let mut before: Stats = client.act_once(Action::Stats, &json!({})).await?;
    let mut at = Instant::now();
    loop {
        ticks.tick().await;
        let stats: Stats = client.act_once(Action::Stats, &json!({})).await?;
        let elapsed = at.elapsed();
        at = Instant::now();
        output.text(format_args!("{clear}{}", frame(&before, &stats, elapsed)))?;
        if once {
            return Ok(());
        }
        before = stats;
    }
}

/// Rates over `elapsed`, and where the node stands.
fn frame(before: &Stats, after: &Stats, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
    let rate = |before: u64, after: u64| (after.saturating_sub(before) as f64 / seconds) as u64;
    let tier = |name: &str, hits: [u64; 2], misses: [u64; 2], held: u64, capacity: u64| {
        let [hits, misses] = [hits, misses].map(|[before, after]| rate(before, after));
        let cells = [
            name.to_owned(),
            format!("{hits} hits/s"),
            format!("{misses} misses/s"),
            percent(hits, hits + misses),
            format!("{} of {}", bytes(held), bytes(capacity)),
        ];
        cells.to_vec()
    };
    let (memory, disk) = (&after.memory, &after.disk);
    // A chunk that joined another's fill was not in memory.
    let missed = |stats: &Stats| stats.memory.misses + stats.memory.joined;
    let mut text = aligned(&[
        tier(
            "memory",
            [before.memory.hits, memory.hits],
            [missed(before), missed(after)],
            memory.bytes,
            memory.capacity,
        ),
        tier(
            "disk",
            [before.disk.hits, disk.hits],
            [before.disk.misses, disk.misses],
            disk.bytes,
            disk.capacity,
        ),
    ]);
    let (origin, flight) = (&after.origin, &after.flight);
    text.push_str(&aligned(&[
        vec![
            "origin".to_owned(),
            format!("{} requests/s", rate(before.origin.requests, origin.requests)),
            format!("{}/s", bytes(rate(before.origin.bytes, origin.bytes))),
            format!("{} errors", origin.errors),
        ],
        vec![
            "flight".to_owned(),
            format!("{} streams/s", rate(before.flight.streams, flight.streams)),
            format!("{}/s", bytes(rate(before.flight.bytes, flight.bytes))),
            format!("{} open", flight.streams_open),
        ],
    ]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_rates_and_the_hit_ratio() {
        let before = Stats::default();
        let mut after = Stats::default();
        after.memory.hits = 180;
        after.memory.misses = 10;
        after.memory.joined = 10;
        after.memory.bytes = 1 << 30;
        after.memory.capacity = 4 << 30;
        after.origin.bytes = 8 << 20;
        after.flight.streams_open = 3;
        let text = frame(&before, &after, Duration::from_secs(2));
        for shown in
            ["90 hits/s", "10 misses/s", "90.0 %", "1.0 GiB of 4.0 GiB", "4.0 MiB/s", "3 open"]
        {
            assert!(text.contains(shown), "{shown}\n{text}");
        }
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}

//! When to fetch the columns that only the output needs later than those that the filter needs.
//!
//! ```text
//!  together   filter's columns and payload in one request: nothing is lost if some row passes
//!  late       filter's columns ── no row passes ──► payload is spared
//!                    └────────── some row does ──► payload in a second request
//! ```
//!
//! Row groups are fetched together until those of the same scan that are done say that most payload
//! is fetched for nothing, and that it is not in memory anyway.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use xxhash_rust::xxh3::xxh3_128;

use crate::table::DatasetTable;

/// Bytes that are read in the time that one more request costs: payload worth less is fetched along.
const REQUEST_BYTES: u64 = 256 << 10;
/// Row groups that must have been seen.
const LEAST_SEEN: u32 = 4;
/// Row groups that are remembered, about: what was seen long ago counts half as much.
const MOST_SEEN: u32 = 64;

/// Filters whose effect is remembered, at most, and for how long after their last use.
const MAX_FILTERS: u64 = 4096;
const TIME_TO_IDLE: Duration = Duration::from_mins(10);

/// What filters did to snapshots: the splits of one scan are read one by one, and each goes by what
/// those before it came to.
#[derive(Debug)]
pub(crate) struct Selectivities(Cache<u128, Arc<Selectivity>>);

impl Default for Selectivities {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_FILTERS).time_to_idle(TIME_TO_IDLE).build())
    }
}

impl Selectivities {
    /// Of `filter` over `table`.
    pub(crate) fn of(&self, table: &DatasetTable, filter: &str) -> Arc<Selectivity> {
        // Two filters of one digest would misjudge what pays, and nothing else.
        let key = xxh3_128(format!("{}\n{filter}", table.snapshot().id).as_bytes());
        self.0.get_with(key, Arc::default)
    }
}

/// What the filter of a scan did to the row groups that are done.
#[derive(Debug, Default)]
pub(crate) struct Selectivity(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Row groups that the filter was evaluated over.
    row_groups: u32,
    /// Of these, those in which some row passed.
    matched: u32,
    /// Row groups whose payload was fetched.
    fetched: u32,
    /// Of these, those of which something was not in memory.
    missed: u32,
}

/// How a row group's payload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// It did not.
    Spared,
    /// From memory.
    Held,
    /// From disk, another node or the origin.
    Missed,
}

impl Selectivity {
    /// Notes a row group that is done.
    pub(crate) fn note(&self, matched: bool, payload: Payload) {
        let mut seen = self.seen();
        if seen.row_groups >= MOST_SEEN {
            let Seen { row_groups, matched, fetched, missed } = *seen;
            *seen = Seen {
                row_groups: row_groups / 2,
                matched: matched / 2,
                fetched: fetched / 2,
                missed: missed / 2,
            };
        }
        seen.row_groups += 1;
        seen.matched += u32::from(matched);
        seen.fetched += u32::from(payload != Payload::Spared);
        seen.missed += u32::from(payload == Payload::Missed);
    }

    /// Whether a payload of so many stored bytes is to be fetched only once a row has passed.
    pub(crate) fn is_late(&self, payload_bytes: u64) -> bool {
        let Seen { row_groups, matched, fetched, missed } = *self.seen();
        let spared = u64::from(row_groups.saturating_sub(matched));
        let requests = u64::from(row_groups.saturating_add(matched));
        row_groups >= LEAST_SEEN
            && matched <= row_groups / 2
            && missed >= fetched.div_ceil(2)
            && spared.saturating_mul(payload_bytes) > requests.saturating_mul(REQUEST_BYTES)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: u64 = 1 << 20;

    fn after(seen: &[(u32, bool, Payload)]) -> Selectivity {
        let selectivity = Selectivity::default();
        for &(times, matched, payload) in seen {
            for _ in 0..times {
                selectivity.note(matched, payload);
            }
        }
        selectivity
    }

    #[test]
    fn late_pays_where_little_passes_and_much_is_not_in_memory() {
        use Payload::{Held, Missed, Spared};
        for (seen, bytes, late) in [
            (&[][..], LARGE, false),
            (&[(3, false, Missed)], LARGE, false),
            (&[(4, false, Missed)], LARGE, true),
            (&[(4, false, Missed)], REQUEST_BYTES, false),
            (&[(4, false, Missed)], REQUEST_BYTES + 1, true),
            (&[(4, true, Missed)], u64::MAX, false),
            (&[(2, true, Missed), (2, false, Missed)], LARGE, true),
            (&[(2, true, Missed), (2, false, Missed)], 3 * REQUEST_BYTES, false),
            (&[(3, true, Missed), (2, false, Missed)], u64::MAX, false),
            (&[(8, false, Held)], LARGE, false),
            (&[(3, false, Held), (3, false, Missed), (50, false, Spared)], LARGE, true),
            (&[(4, false, Missed), (60, false, Spared), (45, true, Missed)], LARGE, false),
            (&[(4, false, Missed), (60, false, Spared), (30, true, Held)], LARGE, false),
        ] {
            assert_eq!(after(seen).is_late(bytes), late, "{seen:?}, {bytes} bytes");
        }
    }
}

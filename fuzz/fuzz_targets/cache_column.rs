//! Columns in cache files, past the checksum: Arrow IPC that nobody wrote.

#![no_main]

use flightcache_cache::disk_testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: disk_testing::end_at_unguarded_panics(), |bytes: &[u8]| {
    disk_testing::column(bytes);
});

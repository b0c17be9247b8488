//! Columns in cache files, past the checksum: Arrow IPC that nobody wrote.

#![no_main]

use flightcache_cache::disk_testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| disk_testing::column(bytes));

//! Chunk keys: equal bytes are equal keys, and no others are read.

#![no_main]

use flightcache_cache::disk_testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| disk_testing::key(bytes));

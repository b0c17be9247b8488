//! Whole cache files: nothing but what was written for the key is read.

#![no_main]

use flightcache_cache::disk_testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: disk_testing::end_at_unguarded_panics(), |bytes: &[u8]| {
    disk_testing::file(bytes);
});

//! Scan commands: what is read is written back the same.

#![no_main]

use flightcache_protocol::testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testing::command(bytes));

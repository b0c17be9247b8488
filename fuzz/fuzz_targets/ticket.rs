//! Tickets: what was not sealed with the key is refused, and what was means what it says.

#![no_main]

use flightcache_protocol::testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testing::ticket(bytes));

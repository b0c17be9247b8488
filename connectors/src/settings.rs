//! What an operator says about stores, and the limits of reading from them.

use std::{collections::BTreeMap, fmt, time::Duration};

/// Credentials and endpoint for a URL prefix: one `[[store]]` entry.
///
/// Its `Debug` names the options and never their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// URL prefix, such as `abfss://container@account.dfs.core.windows.net`, `s3://bucket/folder`
    /// or `s3://` for every bucket. The longest prefix that covers a URL wins.
    pub prefix: String,
    /// Options in object_store's own names, such as `account_key` or `aws_endpoint`.
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings")
            .field("prefix", &crate::store::redact(&self.prefix))
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Limits of reading from origins. Plain data; `Default` is what a node uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginSettings {
    /// Data reads in flight over all stores; more wait their turn, first come first served. A store
    /// has at most three times as many as are left free.
    pub max_concurrent_requests: usize,
    /// Two wanted ranges at most this many bytes apart are read as one.
    pub coalesce_gap: u64,
    /// Bytes of one coalesced read; a wanted range that is larger is cut.
    pub coalesce_max: u64,
    /// Times a request is sent again after a connection error, a 5xx or a 429, with back-off and
    /// not before the store's `Retry-After`.
    pub max_retries: usize,
    /// No request is sent again later than this after its first attempt.
    pub retry_timeout: Duration,
    /// Longest time of one HTTP request, its body included.
    pub request_timeout: Duration,
    /// Longest time that a request may bring nothing, neither an answer nor more of its body.
    pub stall_timeout: Duration,
    /// Bytes of the first read of a footer, from the end of the object, at least; of large objects
    /// it is more. Objects that are not larger are read whole, once.
    pub footer_prefetch: u64,
    /// Decoded bytes of one fetch's columns of one row group; a single column stays below 2 GiB
    /// whatever this says.
    pub max_fragment_bytes: u64,
    /// Longest time to decode one column of one row group.
    pub decode_timeout: Duration,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self {
            max_concurrent_requests: 64,
            coalesce_gap: 128 << 10,
            coalesce_max: 48 << 20,
            max_retries: 8,
            retry_timeout: Duration::from_mins(1),
            request_timeout: Duration::from_mins(2),
            stall_timeout: Duration::from_secs(30),
            footer_prefetch: 64 << 10,
            max_fragment_bytes: 8 << 30,
            decode_timeout: Duration::from_mins(2),
        }
    }
}

//! What a scan came to, as `EXPLAIN ANALYZE` shows it.

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use flightcache_cache::Tallied;

/// The figures of one partition of a scan.
#[derive(Debug)]
pub(crate) struct ScanMetrics {
    hits: Count,
    misses: Count,
    joined: Count,
    disk_hits: Count,
    remote_chunks: Count,
    origin_requests: Count,
    origin_bytes: Count,
    row_groups_pruned: Count,
    payloads_spared: Count,
    rows_filtered: Count,
}

impl ScanMetrics {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            hits: count("cache_hits"),
            misses: count("cache_misses"),
            joined: count("cache_joined"),
            disk_hits: count("disk_hits"),
            remote_chunks: count("remote_chunks"),
            origin_requests: count("origin_requests"),
            origin_bytes: count("origin_bytes"),
            row_groups_pruned: count("row_groups_pruned"),
            payloads_spared: count("payloads_spared"),
            rows_filtered: count("rows_filtered"),
        }
    }

    /// Notes a fetch.
    pub(crate) fn fetched(&self, tallied: &Tallied) {
        let add = |count: &Count, number: u64| count.add(number as usize);
        add(&self.hits, tallied.hits);
        add(&self.misses, tallied.misses);
        add(&self.joined, tallied.joined);
        add(&self.disk_hits, tallied.disk_hits);
        add(&self.remote_chunks, tallied.remote);
        add(&self.origin_requests, tallied.origin_requests);
        add(&self.origin_bytes, tallied.origin_bytes);
    }

    /// Notes row groups that cannot hold a matching row.
    pub(crate) fn pruned(&self, row_groups: usize) {
        self.row_groups_pruned.add(row_groups);
    }

    /// Notes a row group of which no row passed, so that columns of the output alone were not fetched.
    pub(crate) fn payload_spared(&self) {
        self.payloads_spared.add(1);
    }

    /// Notes rows that do not match.
    pub(crate) fn filtered(&self, rows: usize) {
        self.rows_filtered.add(rows);
    }
}

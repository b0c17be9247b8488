//! `/metrics`: the figures of `flightcache.stats` and histograms of latency.
//!
//! The figures are not counted here: each scrape asks the [`StatsSource`] that `flightcache.stats`
//! asks, so both show the same by construction.

use std::{fmt, sync::Arc, time::Duration};

use flightcache_cache::{Error, Result};
use flightcache_protocol::Stats;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        counter::ConstCounter,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Whoever knows the figures of this node.
pub trait StatsSource: Send + Sync + 'static {
    /// The figures at this moment; cheap, and never blocks.
    fn stats(&self) -> Stats;
}

/// Histograms of latency, in seconds. `Clone` shares them.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From claiming missing chunks to having them.
    pub fill: Latency,
    /// Fetching chunks from an object store, retries and decoding included.
    pub origin_fetch: Latency,
    /// From the arrival of a `DoGet` to its first batch.
    pub first_batch: Latency,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { fill: Latency::new(), origin_fetch: Latency::new(), first_batch: Latency::new() }
    }
}

/// A histogram of durations from 0.5 ms to 65 s. `Clone` shares it.
#[derive(Clone, Debug)]
pub struct Latency(Histogram);

impl Latency {
    fn new() -> Self {
        Self(Histogram::new(exponential_buckets(0.0005, 2.0, 18)))
    }

    /// Counts one more duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// Everything that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Shows the figures of `source` and these histograms.
    pub fn new(source: Arc<dyn StatsSource>, latencies: &Latencies) -> Self {
        let mut registry = Registry::with_prefix("flightcache");
        registry.register_collector(Box::new(Figures(source)));
        for (name, help, latency) in [
            ("fill", "Time to fill missing chunks", &latencies.fill),
            (
                "origin_fetch",
                "Time to fetch and decode chunks from an object store",
                &latencies.origin_fetch,
            ),
            ("first_batch", "Time from DoGet to its first batch", &latencies.first_batch),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, latency.0.clone());
        }
        Self { registry }
    }

    /// The text that Prometheus scrapes, in the OpenMetrics format.
    ///
    /// # Errors
    /// `Internal` if a figure cannot be written as text.
    pub fn render(&self) -> Result<String> {
        let mut rendered = String::new();
        text::encode(&mut rendered, &self.registry)
            .map_err(|error| Error::internal("metrics cannot be rendered").with_source(error))?;
        Ok(rendered)
    }
}

/// Turns a snapshot of the figures into metrics at each scrape.
struct Figures(Arc<dyn StatsSource>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for figure in figures(&self.0.stats()) {
            match figure {
                Figure::Counter(name, help, value) => {
                    encode(&mut encoder, name, help, &ConstCounter::new(value))?;
                }
                Figure::Gauge(name, help, value) => {
                    let value = i64::try_from(value).unwrap_or(i64::MAX);
                    encode(&mut encoder, name, help, &ConstGauge::new(value))?;
                }
            }
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Name, help and value; the encoder ends a counter's name with `_total`.
enum Figure {
    Counter(&'static str, &'static str, u64),
    Gauge(&'static str, &'static str, u64),
}

fn figures(stats: &Stats) -> [Figure; 30] {
    use Figure::{Counter, Gauge};
    let Stats { memory, disk, origin, flight, sql } = stats;
    [
        Counter("memory_hits", "Chunks served from memory", memory.hits),
        Counter("memory_misses", "Chunks for which a fill was started", memory.misses),
        Counter("memory_joined", "Chunks that waited on another's fill", memory.joined),
        Counter("memory_evictions", "Chunks dropped from memory", memory.evictions),
        Gauge("memory_bytes", "Bytes cached in memory", memory.bytes),
        Gauge("memory_capacity_bytes", "Bytes that memory may cache", memory.capacity),
        Counter("disk_hits", "Chunks served from disk", disk.hits),
        Counter("disk_misses", "Chunks that were not on disk", disk.misses),
        Counter("disk_evictions", "Files dropped from disk", disk.evictions),
        Counter("disk_corrupt", "Files that failed verification", disk.corrupt),
        Counter("disk_write_errors", "Writes that failed", disk.write_errors),
        Counter("disk_writes_skipped", "Writes not tried", disk.writes_skipped),
        Counter("disk_writes_rejected", "Chunks read too rarely to write", disk.writes_rejected),
        Counter("disk_read_errors", "Files that could not be read", disk.read_errors),
        Counter("disk_leases", "Files handed out to be mapped", disk.leases),
        Gauge("disk_bytes", "Bytes cached on disk", disk.bytes),
        Gauge("disk_capacity_bytes", "Bytes that disk may cache", disk.capacity),
        Counter("origin_requests", "Data reads of object stores", origin.requests),
        Counter("origin_bytes", "Bytes that data reads returned", origin.bytes),
        Counter("origin_errors", "Requests that failed after all retries", origin.errors),
        Counter("origin_throttled", "Requests asked to slow down", origin.throttled),
        Counter("origin_metadata_requests", "Listings and HEADs", origin.metadata_requests),
        Gauge("flight_streams_open", "Streams open at this moment", flight.streams_open),
        Counter("flight_streams", "Streams opened", flight.streams),
        Counter("flight_bytes", "Bytes of messages sent to clients", flight.bytes),
        Gauge("sql_queries_running", "Reads of queries that run", sql.queries_running),
        Gauge("sql_queries_waiting", "Reads of queries that wait", sql.queries_waiting),
        Counter("sql_queries_refused", "Reads of queries that got no place", sql.queries_refused),
        Gauge("sql_memory_bytes", "Bytes that queries hold", sql.memory_bytes),
        Gauge("sql_spilled_bytes", "Bytes that queries have spilled", sql.spilled_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    struct Fixed(Stats);

    impl StatsSource for Fixed {
        fn stats(&self) -> Stats {
            self.0
        }
    }

    /// Stats in which every figure differs, so that a mixed-up name shows.
    fn distinct() -> (Map<String, Value>, Stats) {
        let mut json = serde_json::to_value(Stats::default()).unwrap();
        let mut next = 1000_u64;
        for section in json.as_object_mut().unwrap().values_mut() {
            for figure in section.as_object_mut().unwrap().values_mut() {
                *figure = next.into();
                next += 1;
            }
        }
        let stats = serde_json::from_value(json.clone()).unwrap();
        (json.as_object().unwrap().clone(), stats)
    }

    #[test]
    fn every_figure_of_the_json_stands_at_metrics() {
        let (json, stats) = distinct();
        let rendered =
            Metrics::new(Arc::new(Fixed(stats)), &Latencies::default()).render().unwrap();
        let lines: Vec<&str> = rendered.lines().collect();
        for (section, figures) in &json {
            for (name, value) in figures.as_object().unwrap() {
                let name = match name.as_str() {
                    "capacity" => "capacity_bytes",
                    name => name,
                };
                let counter = format!("flightcache_{section}_{name}_total {value}");
                let gauge = format!("flightcache_{section}_{name} {value}");
                let found = lines.contains(&counter.as_str()) || lines.contains(&gauge.as_str());
                assert!(found, "{counter}\n{rendered}");
            }
        }
        assert!(lines.contains(&"# TYPE flightcache_memory_bytes gauge"), "{rendered}");
        assert_eq!(lines.last(), Some(&"# EOF"));
    }

    #[test]
    fn latencies_are_histograms_in_seconds() {
        let latencies = Latencies::default();
        let metrics = Metrics::new(Arc::new(Fixed(Stats::default())), &latencies);
        latencies.fill.observe(Duration::from_millis(250));
        let rendered = metrics.render().unwrap();
        for line in [
            "flightcache_fill_seconds_sum 0.25",
            "flightcache_fill_seconds_count 1",
            "flightcache_origin_fetch_seconds_count 0",
            "flightcache_first_batch_seconds_count 0",
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line}\n{rendered}");
        }
    }
}

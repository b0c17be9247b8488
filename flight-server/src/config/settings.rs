//! The settings of a node by section: `[server]`, `[cache]`, `[origin]`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use flightcache_connectors::OriginSettings;
use url::Url;

use super::{
    auth::TlsConfig,
    section::{Place, Section},
    value::{self, Given, Reading},
};

/// Least memory a node can work with, in bytes.
pub const MIN_MEMORY: u64 = 16 << 20;

/// Least headroom that is taken by default, in bytes.
const MIN_HEADROOM: u64 = 64 << 20;

/// Disk capacity where a folder is named and no size, in bytes.
const DISK_WITH_DIR: u64 = 10 << 30;

/// `[server]`: addresses, shutdown and admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where Flight is served; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are served; port 0 picks a free one.
    pub admin_listen: SocketAddr,
    /// Certificates; absent: no TLS.
    pub tls: Option<TlsConfig>,
    /// What endpoints tell clients, as `grpc://HOST:PORT`, or `grpc+tls://` with TLS; absent: the bound address, or, where
    /// that is every address of the machine, whichever the client asked.
    pub advertise: Option<String>,
    /// How long open streams may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// How long a ticket is good.
    pub ticket_ttl: Duration,
    /// File of the keys that authenticate tickets; absent: a random key, good for one process.
    pub ticket_key_file: Option<PathBuf>,
    /// Streams open at once.
    pub max_streams: usize,
    /// Connections open at once; more are closed as soon as they come.
    pub max_connections: usize,
    /// Bytes that all streams together may hold outside the cache.
    pub stream_memory: u64,
    /// How long a caller waits for a budget before `Exhausted`.
    pub queue_timeout: Duration,
    /// How long a client may leave a stream unread before it is ended; while somebody has waited
    /// for a budget for a quarter of `queue_timeout`, and 5 s at least, no longer than that.
    pub stream_idle_timeout: Duration,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// URL prefixes that a scan command's `url` may name beside the datasets.
    pub allow_urls: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            advertise: None,
            drain_timeout: Duration::from_secs(30),
            ticket_ttl: Duration::from_hours(1),
            ticket_key_file: None,
            max_streams: 256,
            max_connections: 4096,
            stream_memory: 1 << 30,
            queue_timeout: Duration::from_secs(30),
            stream_idle_timeout: Duration::from_mins(5),
            request_timeout: Duration::from_mins(10),
            allow_urls: Vec::new(),
        }
    }
}

impl ServerConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let settings = Self {
            listen: section.setting("listen", default.listen, value::address),
            admin_listen: section.setting("admin_listen", default.admin_listen, value::address),
            tls: TlsConfig::read(section.table("tls", "server.tls")),
            advertise: section.setting("advertise", None, |given| advertised(given).map(Some)),
            drain_timeout: section.setting("drain_timeout", default.drain_timeout, value::duration),
            ticket_ttl: section.setting("ticket_ttl", default.ticket_ttl, some_time),
            ticket_key_file: section
                .setting("ticket_key_file", None, |given| value::path(given).map(Some)),
            max_streams: section.setting("max_streams", default.max_streams, value::count),
            max_connections: section.setting(
                "max_connections",
                default.max_connections,
                value::count,
            ),
            stream_memory: section.setting(
                "stream_memory",
                default.stream_memory,
                at_least_minimum,
            ),
            queue_timeout: section.setting("queue_timeout", default.queue_timeout, value::duration),
            stream_idle_timeout: section.setting(
                "stream_idle_timeout",
                default.stream_idle_timeout,
                some_time,
            ),
            request_timeout: section.setting("request_timeout", default.request_timeout, some_time),
            allow_urls: section.setting("allow_urls", Vec::new(), store_urls),
        };
        section.finish();
        settings
    }
}

/// `[cache]`: the tiers and the budgets of fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Capacity of the memory tier in bytes, at least [`MIN_MEMORY`].
    pub memory: u64,
    /// Capacity of the disk tier in bytes; 0: no disk tier.
    pub disk: u64,
    /// Folder of the disk tier; present if `disk` is not 0.
    pub dir: Option<PathBuf>,
    /// Fills in flight at once.
    pub max_fills: usize,
    /// Bytes beyond `memory`: fills in flight, evicted chunks that streams still hold, copies that
    /// filters make, and footers; absent: see [`headroom()`](Self::headroom).
    pub headroom: Option<u64>,
    /// Capacity for parsed footers, in bytes; absent: see [`footers()`](Self::footers).
    pub footers: Option<u64>,
    /// How long one fill may take.
    pub fill_timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            disk: 0,
            dir: None,
            max_fills: 64,
            headroom: None,
            footers: None,
            fill_timeout: Duration::from_mins(2),
        }
    }
}

impl CacheConfig {
    /// Bytes beyond `memory`: a quarter of it and at least 64 MiB, unless configured.
    pub fn headroom(&self) -> u64 {
        self.headroom.unwrap_or((self.memory / 4).max(MIN_HEADROOM))
    }

    /// Capacity for parsed footers: a 32nd of `memory`, between 16 and 128 MiB, unless configured.
    pub fn footers(&self) -> u64 {
        self.footers.unwrap_or((self.memory / 32).clamp(16 << 20, 128 << 20))
    }

    /// Bytes of batches under way that are no part of a chunk, as filters make them: a 16th of
    /// `memory`, between 32 MiB and 1 GiB.
    pub fn copies(&self) -> u64 {
        (self.memory / 16).clamp(32 << 20, 1 << 30)
    }

    /// What of the headroom is left for fills and evicted chunks: never less than 64 MiB of it.
    pub fn fill_headroom(&self) -> u64 {
        let all = self.headroom();
        all.saturating_sub(self.copies() + self.footers()).max(all.min(MIN_HEADROOM))
    }

    pub(super) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let dir = section.setting("dir", None, |given| value::path(given).map(Some));
        let disk_default = if dir.is_some() { DISK_WITH_DIR } else { 0 };
        let (disk, place) = section.located("disk", disk_default, value::size);
        if disk > 0 && dir.is_none() && !matches!(place, Place::Absent) {
            section
                .problem(&place, "`disk` without `dir`; set `dir` to the folder of the disk tier");
        }
        let settings = Self {
            memory: section.setting("memory", default.memory, at_least_minimum),
            disk,
            dir,
            max_fills: section.setting("max_fills", default.max_fills, value::count),
            headroom: section.setting("headroom", None, |given| at_least_minimum(given).map(Some)),
            footers: section.setting("footers", None, |given| value::size(given).map(Some)),
            fill_timeout: section.setting("fill_timeout", default.fill_timeout, some_time),
        };
        section.finish();
        settings
    }
}

/// `[origin]`: the limits of reading from object stores.
pub(super) fn read_origin(mut section: Section<'_>) -> OriginSettings {
    let default = OriginSettings::default();
    let settings = OriginSettings {
        max_concurrent_requests: section.setting(
            "max_concurrent_requests",
            default.max_concurrent_requests,
            value::count,
        ),
        coalesce_gap: section.setting("coalesce_gap", default.coalesce_gap, value::size),
        coalesce_max: section.setting("coalesce_max", default.coalesce_max, some_bytes),
        max_retries: section.setting("max_retries", default.max_retries, value::whole),
        retry_timeout: section.setting("retry_timeout", default.retry_timeout, value::duration),
        request_timeout: section.setting("request_timeout", default.request_timeout, some_time),
        stall_timeout: section.setting("stall_timeout", default.stall_timeout, some_time),
        footer_prefetch: section.setting("footer_prefetch", default.footer_prefetch, some_bytes),
        max_fragment_bytes: section.setting(
            "max_fragment_bytes",
            default.max_fragment_bytes,
            some_bytes,
        ),
        decode_timeout: section.setting("decode_timeout", default.decode_timeout, some_time),
    };
    section.finish();
    settings
}

fn at_least_minimum(given: Given<'_>) -> Reading<u64> {
    let bytes = value::size(given)?;
    if bytes < MIN_MEMORY {
        return Err(format!("{bytes} bytes are too few; give it at least 16MiB"));
    }
    Ok(bytes)
}

fn some_bytes(given: Given<'_>) -> Reading<u64> {
    let bytes = value::size(given)?;
    if bytes == 0 { Err("must not be 0; write it as 8MiB".to_owned()) } else { Ok(bytes) }
}

pub(super) fn some_time(given: Given<'_>) -> Reading<Duration> {
    let duration = value::duration(given)?;
    if duration.is_zero() { Err("must not be 0; write it as 30s".to_owned()) } else { Ok(duration) }
}

fn advertised(given: Given<'_>) -> Reading<String> {
    let text = value::text(given)?;
    let node = |url: &Url| matches!(url.scheme(), "grpc" | "grpc+tls") && url.port().is_some();
    let url = Url::parse(&text).ok().filter(node);
    if url.is_none() {
        let text = text.escape_debug();
        return Err(format!("`{text}` is no node's URL; write one as grpc://node-7:50051"));
    }
    Ok(text)
}

fn store_urls(given: Given<'_>) -> Reading<Vec<String>> {
    let urls = value::texts(given)?;
    for url in &urls {
        store_url(url)?;
    }
    Ok(urls)
}

/// Checks the URL of something in an object store.
///
/// Credentials in it are refused, because URLs stand in logs and answers.
pub(super) fn store_url(text: &str) -> Reading<Url> {
    const SCHEMES: [&str; 11] =
        ["abfss", "abfs", "az", "azure", "adl", "s3", "s3a", "gs", "file", "http", "https"];
    let Ok(url) = Url::parse(text) else {
        return Err(
            "not a URL; write one as abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH/, \
                    s3://BUCKET/PATH/ or file:///PATH/"
                .to_owned(),
        );
    };
    if !SCHEMES.contains(&url.scheme()) {
        let known = SCHEMES.join(", ");
        return Err(format!("unknown scheme `{}`; known: {known}", url.scheme()));
    }
    if url.password().is_some() || url.query().is_some() {
        return Err(
            "credentials or a query in a URL; put credentials into [[store]] options".to_owned()
        );
    }
    Ok(url)
}

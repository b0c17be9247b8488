//! Arguments of every command.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use flightcache_cache::{Error, Result};

use crate::{
    client::{ClientTls, Connection, DEFAULT_URL},
    config::{DatasetConfig, Environment, Flags, parse_address, parse_size},
};

/// Arguments of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where Flight is served; port 0 picks a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<String>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    admin_listen: Option<String>,
    /// Folder of the disk tier
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<String>,
    /// Capacity of the memory tier, such as 4GiB [default: 1GiB]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    memory: Option<String>,
    /// Capacity of the disk tier [default: 10GiB with a folder, else 0]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    disk: Option<String>,
    /// A dataset to serve; may be repeated
    #[arg(long = "dataset", value_name = "NAME=URL", value_parser = dataset)]
    datasets: Vec<(String, String)>,
}

impl ServeArgs {
    /// The settings that were given as flags.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        for (flag, setting, text) in [
            ("--listen", "server.listen", &self.listen),
            ("--admin-listen", "server.admin_listen", &self.admin_listen),
            ("--cache-dir", "cache.dir", &self.cache_dir),
            ("--memory", "cache.memory", &self.memory),
            ("--disk", "cache.disk", &self.disk),
        ] {
            if let Some(text) = text {
                flags.set(flag, setting, text);
            }
        }
        for (name, url) in &self.datasets {
            flags.dataset(name, url);
        }
        flags
    }
}

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// TPC-H scale factor of the generated data; 1 is about 6 million rows
    #[arg(long, default_value_t = 0.1, value_name = "FACTOR", value_parser = scale)]
    pub scale: f64,
    /// Imitated time to the first byte of every request to the store, in milliseconds
    #[arg(long, default_value_t = 30, value_name = "MS")]
    pub latency_ms: u64,
    /// Stay up afterwards and print how to connect
    #[arg(long)]
    pub keep: bool,
    /// Where Flight is served; port 0 picks a free one [default: a free one, with --keep 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub listen: Option<SocketAddr>,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What is done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Name every bad key of a file with its line
    Check {
        /// Configuration file (TOML)
        file: PathBuf,
    },
}

/// Which node is asked; `Debug` hides the token.
#[derive(Args)]
pub struct ConnectionArgs {
    /// The node [env: FLIGHTCACHE_URL] [default: grpc://127.0.0.1:50051]
    #[arg(long, value_parser = node_url)]
    url: Option<String>,
    /// Token to show it [env: FLIGHTCACHE_TOKEN]
    #[arg(long)]
    token: Option<String>,
    /// Authorities (PEM) that sign its certificate [env: FLIGHTCACHE_CA] [default: the machine's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate (PEM) to show it [env: FLIGHTCACHE_CERT]
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate [env: FLIGHTCACHE_KEY]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The flags, else the environment, else the node of this machine.
    ///
    /// # Errors
    /// `Invalid` for what is no URL of a node, and for a certificate without its key.
    pub fn connection(&self, environment: &Environment) -> Result<Connection> {
        let url = self.url.as_deref().or_else(|| environment.url()).unwrap_or(DEFAULT_URL);
        let token = self.token.as_deref().or_else(|| environment.token());
        let file = |flag: &Option<PathBuf>, variable: Option<&str>| {
            flag.clone().or_else(|| variable.map(PathBuf::from))
        };
        let identity =
            match (file(&self.cert, environment.cert()), file(&self.key, environment.key())) {
                (Some(cert), Some(key)) => Some((cert, key)),
                (None, None) => None,
                _ => return Err(Error::invalid("--cert and --key belong together; give both")),
            };
        let files = ClientTls { ca: file(&self.ca, environment.ca()), identity };
        Ok(Connection::new(url, token.map(str::to_owned))?.with_tls(files))
    }
}

impl fmt::Debug for ConnectionArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionArgs").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Arguments of a command about the node as a whole.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of a command about one dataset.
#[derive(Debug, Args)]
pub struct DatasetArgs {
    /// Name of the dataset
    pub dataset: String,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How many rows are written, and how.
#[derive(Debug, Args)]
pub struct RowsArgs {
    /// Rows at most; a table shows 100 unless this says more
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// What is written [default: by the name of the output file, else table]
    #[arg(long)]
    format: Option<Format>,
    /// File to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl RowsArgs {
    /// The format asked for, or the one that the output file's name tells.
    pub fn format(&self) -> Format {
        self.format.or_else(|| Format::of_file(self.output.as_deref()?)).unwrap_or(Format::Table)
    }
}

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Name of the dataset
    pub dataset: String,
    /// Columns, in this order [default: all]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub columns: Option<Vec<String>>,
    /// SQL boolean expression; rows for which it is not true are left out
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// How they are written.
    #[command(flatten)]
    pub rows: RowsArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The query; `-` reads it from standard input
    pub query: String,
    /// How they are written.
    #[command(flatten)]
    pub rows: RowsArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table to look at, of the first rows
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One JSON object a line
    Json,
    /// Arrow IPC: a file with --output, else a stream
    Arrow,
    /// Parquet
    Parquet,
}

impl Format {
    /// Whether it would garble a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }

    fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Arguments of `warm`.
#[derive(Debug, Args)]
pub struct WarmArgs {
    /// Name of the dataset
    pub dataset: String,
    /// Columns to fill [default: all]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub columns: Option<Vec<String>>,
    /// SQL boolean expression; row groups that cannot match are left out
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// A table to look at
    Table,
    /// As the node answers
    Json,
}

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// What is written [default: table on a terminal, else json]
    #[arg(long)]
    pub format: Option<ReportFormat>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Show one second and end
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

fn address(text: &str) -> std::result::Result<String, String> {
    parse_address(text).map(|_| text.to_owned())
}

fn size(text: &str) -> std::result::Result<String, String> {
    parse_size(text).map(|_| text.to_owned())
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    let scale = text.parse().ok().filter(|scale: &f64| *scale > 0.0 && *scale <= 1000.0);
    scale.ok_or_else(|| "write a number above 0, such as 0.1".to_owned())
}

fn node_url(text: &str) -> std::result::Result<String, String> {
    Connection::new(text, None).map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

fn dataset(text: &str) -> std::result::Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("write NAME=URL")?;
    DatasetConfig::new(name, url).map(|_| (name.to_owned(), url.to_owned()))
}

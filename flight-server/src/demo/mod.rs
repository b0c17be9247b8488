//! `flightcache demo`: a node over generated data, read cold and warm, and what that cost.

mod data;
mod measure;

use std::{net::SocketAddr, time::Duration};

use flightcache_cache::Result;
use flightcache_protocol::ScanCommand;

use crate::{
    cli::{DemoArgs, Output},
    client::{Client, Connection},
    config::{Config, DatasetConfig, DatasetFormat},
    serve::{Embedded, Running, cpu_runtime, io_runtime, stop_signal},
};

use measure::Measured;

/// Where the embedded store is mounted; it exists in this process alone.
const PREFIX: &str = "demo://lineitem-store";
/// Decoded bytes of lineitem at scale 1, rounded up.
const DECODED_BYTES_AT_SCALE_1: f64 = 1.5e9;

/// Generates data, serves it, reads it cold and warm and prints what that took; stays up if asked.
///
/// # Errors
/// `Invalid` for an address that is taken; what reading gives.
pub fn run(args: &DemoArgs, output: &mut Output) -> Result<()> {
    let io = io_runtime()?;
    let cpu = cpu_runtime()?;
    let done = io.block_on(async {
        let latency = Duration::from_millis(args.latency_ms);
        output.line(format!("generating TPC-H lineitem at scale {}", args.scale))?;
        let data = data::generate(args.scale, latency).await?;
        output.line(format!(
            "{:.1} MB of Parquet in an embedded store that imitates Blob storage: every request \
             waits {} ms, then streams 60 MB/s. Times are those of the imitation, not of a cloud.",
            data.bytes as f64 / 1e6,
            args.latency_ms
        ))?;
        let config = config(args);
        let embedded = Embedded { prefix: PREFIX.to_owned(), store: data.store };
        let running = Running::start(&config, Some(embedded), io.handle(), cpu.handle()).await?;
        let connection = Connection::new(&format!("grpc://{}", running.flight), None)?;
        let client = Client::open(&connection).await?;
        measure(&running, &client, output).await?;
        if args.keep {
            how_to_connect(&running, output)?;
            stop_signal().await?;
        }
        running.stop(&config).await
    });
    cpu.shutdown_background();
    io.shutdown_background();
    done
}

fn config(args: &DemoArgs) -> Config {
    let mut config = Config::default();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    if !args.keep {
        config.server.listen = any_port;
        config.server.admin_listen = any_port;
    }
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    let decoded = (DECODED_BYTES_AT_SCALE_1 * args.scale * 1.25) as u64;
    config.cache.memory = config.cache.memory.max(decoded);
    config.datasets.push(DatasetConfig {
        name: "lineitem".to_owned(),
        url: format!("{PREFIX}/lineitem/"),
        format: DatasetFormat::Parquet,
        revalidate_after: Duration::from_secs(5),
    });
    config
}

/// Reads 6 of the 16 columns.
const BY_FLAG: &str = "SELECT l_returnflag, l_linestatus, sum(l_quantity), avg(l_discount), \
                       sum(l_extendedprice * (1 - l_discount)) FROM lineitem \
                       WHERE l_shipdate <= DATE '1998-09-02' GROUP BY 1, 2 ORDER BY 1, 2";

async fn measure(running: &Running, client: &Client, output: &mut Output) -> Result<()> {
    let columns = ["l_orderkey", "l_quantity", "l_extendedprice"].map(str::to_owned).to_vec();
    let all = ScanCommand::dataset("lineitem");
    let three = ScanCommand { columns: Some(columns), ..all.clone() };
    let day = "l_shipdate = DATE '1995-03-15'".to_owned();
    let filtered = ScanCommand { filter: Some(day), ..all.clone() };
    output.line(Measured::HEADER)?;
    for (what, command) in [
        ("cold, 3 of 16 columns", &three),
        ("cold, the other 13 with them", &all),
        ("warm, all columns", &all),
        ("warm, 3 of 16 columns", &three),
        ("warm, one day of seven years", &filtered),
    ] {
        let measured = Measured::scan(what, &running.node, client, client.plan(command)).await?;
        output.line(measured)?;
    }
    let sql = client.plan_sql(BY_FLAG);
    output.line(Measured::scan("warm, grouped by SQL", &running.node, client, sql).await?)?;
    output.line("CPU is of server and client together; hit ratio is of chunks in memory.")
}

fn how_to_connect(running: &Running, output: &mut Output) -> Result<()> {
    let url = format!("grpc://{}", running.flight);
    let jdbc = format!("jdbc:arrow-flight-sql://{}?useEncryption=false", running.flight);
    output.line(running.ready_line())?;
    output.line(format!(
        "\nfrom Python (pip install pyarrow):\n\
         \n  import pyarrow.flight as fl\
         \n  client = fl.connect(\"{url}\")\
         \n  info = client.get_flight_info(fl.FlightDescriptor.for_path(\"lineitem\"))\
         \n  tables = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]\n\
         \nin SQL (pip install adbc-driver-flightsql pyarrow), or by JDBC at {jdbc}:\n\
         \n  import adbc_driver_flightsql.dbapi as adbc\
         \n  cursor = adbc.connect(\"{url}\", autocommit=True).cursor()\
         \n  cursor.execute(\"SELECT l_returnflag, sum(l_quantity) FROM lineitem GROUP BY 1\")\
         \n  print(cursor.fetch_arrow_table())\n\
         \nfrom a shell:\n\
         \n  flightcache scan lineitem --url {url} --limit 5\
         \n  flightcache sql \"SELECT count(*) FROM lineitem\" --url {url}\
         \n  flightcache top --url {url}\n\
         \nstop with Ctrl-C"
    ))
}

//! `flightcache scan`: rows of a dataset, in the order of its endpoints.

use flightcache_cache::Result;
use flightcache_protocol::ScanCommand;

use super::{arguments::ScanArgs, output::Output, rows::Rows};
use crate::client::Client;

pub(super) async fn run(args: &ScanArgs, client: &Client, output: &mut Output) -> Result<()> {
    let rows = Rows::of(&args.rows);
    let command = ScanCommand {
        columns: args.columns.clone(),
        filter: args.filter.clone(),
        limit: rows.asked(),
        ..ScanCommand::dataset(&args.dataset)
    };
    rows.write(client.plan(&command), client, output).await
}

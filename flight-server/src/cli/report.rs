//! `flightcache datasets`, `refresh`, `evict` and `stats`: one question, one answer.

use arrow_flight::FlightInfo;
use flightcache_cache::{Error, Result};
use flightcache_protocol::{Action, DatasetRequest, EvictReply, RefreshReply, ScanMetadata, Stats};
use serde_json::{Value, json};

use super::{
    arguments::{DatasetArgs, ReportFormat, StatsArgs},
    output::Output,
    units::{aligned, bytes, known},
};
use crate::client::Client;

pub(super) async fn datasets(client: &Client, output: &mut Output) -> Result<()> {
    let mut rows =
        vec![["dataset", "rows", "size", "stored", "objects"].map(str::to_owned).to_vec()];
    rows.extend(client.datasets().await?.iter().map(dataset_row));
    output.text(aligned(&rows))
}

/// Name, rows, bytes, bytes as stored and objects; `?` for what the node does not know yet.
fn dataset_row(info: &FlightInfo) -> Vec<String> {
    let path = info.flight_descriptor.as_ref().map(|descriptor| descriptor.path.join("/"));
    let metadata: Option<ScanMetadata> = serde_json::from_slice(&info.app_metadata).ok();
    let unknown = || "?".to_owned();
    vec![
        path.unwrap_or_else(unknown),
        known(info.total_records, |rows| rows.to_string()),
        known(info.total_bytes, bytes),
        metadata.as_ref().map_or_else(unknown, |metadata| bytes(metadata.bytes)),
        metadata.as_ref().map_or_else(unknown, |metadata| metadata.objects.to_string()),
    ]
}

pub(super) async fn refresh(
    args: &DatasetArgs,
    client: &Client,
    output: &mut Output,
) -> Result<()> {
    let request = DatasetRequest { dataset: args.dataset.clone() };
    let reply: RefreshReply = client.act_once(Action::Refresh, &request).await?;
    let RefreshReply { snapshot, objects, bytes: stored } = reply;
    output.line(format!(
        "refreshed {}: snapshot {snapshot}, {objects} objects, {}",
        args.dataset,
        bytes(stored)
    ))
}

pub(super) async fn evict(args: &DatasetArgs, client: &Client, output: &mut Output) -> Result<()> {
    let request = DatasetRequest { dataset: args.dataset.clone() };
    let reply: EvictReply = client.act_once(Action::Evict, &request).await?;
    output.line(format!(
        "evicted {}: {} from memory, {} from disk",
        args.dataset,
        bytes(reply.memory_bytes),
        bytes(reply.disk_bytes)
    ))
}

pub(super) async fn stats(args: &StatsArgs, client: &Client, output: &mut Output) -> Result<()> {
    let stats: Stats = client.act_once(Action::Stats, &json!({})).await?;
    let json = serde_json::to_value(stats)
        .map_err(|error| Error::internal("stats are no JSON").with_source(error))?;
    let by_default = if output.is_terminal() { ReportFormat::Table } else { ReportFormat::Json };
    match args.format.unwrap_or(by_default) {
        ReportFormat::Json => output.line(format_args!("{json:#}")),
        ReportFormat::Table => output.text(stats_table(&json)),
    }
}

/// Every figure of the JSON under its own name, bytes as people read them.
fn stats_table(json: &Value) -> String {
    let mut rows = Vec::new();
    for (section, figures) in json.as_object().into_iter().flatten() {
        for (name, figure) in figures.as_object().into_iter().flatten() {
            let figure = figure.as_u64().unwrap_or_default();
            let sized = name == "capacity" || name.ends_with("bytes");
            let shown = if sized { bytes(figure) } else { figure.to_string() };
            rows.push(vec![format!("{section} {}", name.replace('_', " ")), shown]);
        }
    }
    aligned(&rows)
}

#[cfg(test)]
mod tests {
    use arrow_flight::FlightDescriptor;

    use super::*;

    #[test]
    fn datasets_show_what_is_known() {
        let metadata = ScanMetadata {
            snapshot: "s".to_owned(),
            bytes: 2048,
            objects: 3,
            ..Default::default()
        };
        let known = FlightInfo::new()
            .with_descriptor(FlightDescriptor::new_path(vec!["lineitem".to_owned()]))
            .with_total_records(6)
            .with_total_bytes(1024)
            .with_app_metadata(serde_json::to_vec(&metadata).unwrap());
        assert_eq!(dataset_row(&known), ["lineitem", "6", "1.0 KiB", "2.0 KiB", "3"]);
        let unknown =
            FlightInfo::new().with_descriptor(FlightDescriptor::new_path(vec!["a".to_owned()]));
        assert_eq!(dataset_row(&unknown), ["a", "?", "?", "?", "?"]);
    }

    #[test]
    fn the_table_of_stats_has_every_figure() {
        let table = stats_table(&serde_json::to_value(Stats::default()).unwrap());
        assert_eq!(table.lines().count(), 30, "{table}");
        assert!(table.contains("memory hits"), "{table}");
        for sized in ["disk capacity", "sql memory bytes"] {
            let shown = table.lines().find(|line| line.starts_with(sized));
            assert!(shown.is_some_and(|line| line.ends_with("0 B")), "{sized}: {table}");
        }
    }
}

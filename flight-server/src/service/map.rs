//! `flightcache.map`: where the columns of a ticket lie on disk, for a client on the same machine.
//!
//! Who may read the ticket is asked as for `DoGet`, by the same code. Names of files are all that is
//! given: whether they can be opened is for the file system to say.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use flightcache_cache::{DiskStore, Error, Leased, LeasedFile, Result};
use flightcache_planner::PlainRowGroup;
use flightcache_protocol::{
    Action, MapReply, MapRequest, MappedFile, MappedRowGroup, is_sql_ticket,
};
use tokio::sync::OwnedSemaphorePermit;

use super::read;
use crate::{
    auth::Caller,
    node::{Node, now_ms},
};

/// Files that one answer names at most.
const MAX_FILES: usize = 8192;

/// Where the rows of a ticket lie, or why they are to be streamed.
///
/// # Errors
/// As a `DoGet` of the ticket, but that it waits for no stream; `Invalid` for what is no base64.
pub(super) async fn map(
    node: &Arc<Node>,
    caller: &Caller,
    request: &MapRequest,
) -> Result<MapReply> {
    let sealed = BASE64_STANDARD.decode(&request.ticket).map_err(|error| {
        Error::invalid(format!("{}: `ticket` is no base64: {error}", Action::Map.name()))
    })?;
    if is_sql_ticket(&sealed) {
        return Ok(streamed("a query's rows are computed"));
    }
    let ticket = node.ticket_keys.get().open(&sealed, now_ms())?;
    caller.must_own(ticket.principal.as_deref())?;
    // Files are read to be verified, which is work as a stream's is, and is bounded with it.
    let Ok(place) = Arc::clone(&node.streams).try_acquire_owned() else {
        return Ok(streamed("all streams of the node are taken"));
    };
    let table = read::table(node, caller, &ticket).await?;
    let (Some(split), None) = (ticket.split.clone(), ticket.limit) else {
        return Ok(streamed("its rows are limited"));
    };
    let Some(disk) = node.stack.disk.clone() else {
        return Ok(streamed("the node has no cache folder"));
    };
    let planning = Arc::clone(node);
    let plain = async move { planning.planner.plain(&table, &ticket.command, &split).await };
    match node.on_cpu(plain).await? {
        Some(row_groups) => lease((node, place), disk, row_groups).await,
        None => Ok(streamed("its rows are not the columns of a file as they are cached")),
    }
}

fn streamed(why: &str) -> MapReply {
    MapReply::Streamed(why.to_owned())
}

async fn lease(
    (node, place): (&Node, OwnedSemaphorePermit),
    disk: DiskStore,
    row_groups: Vec<PlainRowGroup>,
) -> Result<MapReply> {
    let files = row_groups.iter().map(|row_group| row_group.chunks.parts.len()).sum::<usize>();
    if files > MAX_FILES {
        return Ok(streamed("it has too many files"));
    }
    let keys = row_groups.iter().flat_map(|row_group| row_group.chunks.keys()).collect();
    // Goes on without its caller, and so keeps its place until it is done.
    let leasing = disk.clone();
    let leased = tokio::spawn(async move {
        let _place = place;
        leasing.lease(keys).await
    });
    let leased = match leased.await.unwrap_or(Leased::Absent) {
        Leased::Files(files) => files,
        Leased::Absent => {
            // What memory holds was not written if too much was; the next to ask should find it.
            for row_group in &row_groups {
                for (key, chunk) in node.stack.memory.held(&row_group.chunks) {
                    disk.offer(key, chunk);
                }
            }
            return Ok(streamed("not all of it is on disk"));
        }
        Leased::Full => return Ok(streamed("too many files are leased")),
    };
    let mut leased = leased.iter();
    let mapped = row_groups.iter().map(|row_group| {
        let files = leased.by_ref().take(row_group.chunks.parts.len());
        Some(MappedRowGroup {
            row_group: row_group.row_group,
            first_row: row_group.first_row,
            rows: row_group.rows,
            columns: files.map(file).collect::<Option<_>>()?,
        })
    });
    let mapped: Option<Vec<_>> = mapped.collect();
    Ok(mapped.map_or_else(|| streamed("its cache folder has no name to give"), MapReply::RowGroups))
}

fn file(leased: &LeasedFile) -> Option<MappedFile> {
    Some(MappedFile {
        path: leased.path.to_str()?.to_owned(),
        bytes: leased.bytes,
        // Little endian in the file, whose bytes are told in their order.
        checksum: format!("{:032x}", leased.checksum.swap_bytes()),
    })
}

//! Properties of what clients send, over random values, the kept corpus of the fuzz targets and
//! the golden vectors that clients in other languages are tested with.

use std::{collections::HashSet, fs, path::Path};

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    BatchMetadata, Int96Path, MapReply, ScanCommand, ScanMetadata, SplitMetadata, SqlQuery,
    SqlRequest, SqlStatement, SqlTicket, Ticket, TicketKey, TicketSplit, int96_text, testing,
};

/// Each line is what we write for what we read from it.
fn golden<T: Serialize + DeserializeOwned>(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let text = fs::read_to_string(path).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        let value: T = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), line);
    }
}

#[test]
fn golden_vectors_are_what_we_write() {
    golden::<ScanCommand>("commands.jsonl");
    golden::<ScanMetadata>("plan.json");
    golden::<SplitMetadata>("split.json");
    golden::<BatchMetadata>("batch.json");
    golden::<Vec<Int96Path>>("int96.json");
    golden::<MapReply>("map.jsonl");
}

#[test]
fn int96_columns_are_told_as_the_golden_vector_has_them() {
    let told = include_str!("../testdata/int96.json");
    assert_eq!(int96_text(&serde_json::from_str::<Vec<Int96Path>>(told).unwrap()), told);
}

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "the corpus of {target} is missing");
    for input in inputs {
        let bytes = fs::read(input).unwrap();
        check(&bytes);
        // What is near an input that was worth keeping.
        for at in 0..bytes.len() {
            let mut turned = bytes.clone();
            turned[at] ^= 0x20;
            check(&turned);
            check(&bytes[..at]);
        }
    }
}

#[test]
fn the_corpus_of_tickets_holds() {
    replay("ticket", testing::ticket);
}

#[test]
fn the_corpus_of_commands_holds() {
    replay("command", testing::command);
}

fn commands() -> impl Strategy<Value = ScanCommand> {
    let text = || proptest::option::of(".{0,12}");
    let columns = proptest::option::of(proptest::collection::vec(".{0,8}", 0..4));
    let rest = (columns, text(), text(), text(), proptest::option::of(any::<u64>()), text());
    let row_groups = proptest::option::of(proptest::collection::vec(any::<u32>(), 0..4));
    let whole = proptest::option::of(proptest::collection::vec(".{0,8}", 0..4));
    (".{0,12}", any::<bool>(), rest, row_groups, whole).prop_map(
        |(name, by_url, rest, row_groups, whole)| {
            let (columns, filter, prune, prefilter, limit, snapshot) = rest;
            let limit = limit.filter(|_| prefilter.is_none());
            let (dataset, url) = if by_url { (None, Some(name)) } else { (Some(name), None) };
            // In any order, and none twice.
            let row_groups = row_groups.map(|ordinals| {
                let mut seen = HashSet::new();
                ordinals.into_iter().filter(|ordinal| seen.insert(*ordinal)).collect()
            });
            let row_groups = row_groups.filter(|_| by_url);
            let command = ScanCommand { dataset, url, columns, snapshot, ..ScanCommand::default() };
            if whole.is_some() {
                return ScanCommand { statistics: whole, ..command };
            }
            ScanCommand { filter, prune, prefilter, limit, row_groups, ..command }
        },
    )
}

fn tickets() -> impl Strategy<Value = Ticket> {
    let split = (".{0,20}", ".{0,20}", any::<u64>(), any::<u32>(), any::<u32>());
    let split =
        proptest::option::of(split.prop_map(|(path, etag, size, start, end)| TicketSplit {
            path,
            etag,
            size,
            start,
            end,
        }));
    let limit = proptest::option::of(any::<u64>());
    let principal = proptest::option::of(".{0,20}");
    (commands(), principal, split, limit, any::<u64>(), 1..u64::MAX).prop_map(
        |(command, principal, split, limit, schema, expires_ms)| Ticket {
            command,
            principal,
            split,
            limit,
            schema,
            expires_ms,
        },
    )
}

fn sql_tickets() -> impl Strategy<Value = SqlTicket> {
    let split =
        proptest::option::of((".{0,20}", ".{0,20}", any::<u64>(), any::<u32>()).prop_map(
            |(path, etag, size, start)| TicketSplit { path, etag, size, start, end: start },
        ));
    let statement = (".{0,40}", proptest::option::of(".{0,20}"))
        .prop_map(|(sql, parameters)| SqlStatement { sql, parameters });
    let snapshots = proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..3);
    let query = (".{0,12}", statement.clone(), snapshots, split, any::<u64>()).prop_map(
        |(id, statement, snapshots, split, schema)| {
            SqlRequest::Query(SqlQuery { id, statement, snapshots, split, schema })
        },
    );
    let request = prop_oneof![
        query,
        statement.prop_map(SqlRequest::Statement),
        ".{0,40}".prop_map(SqlRequest::Metadata)
    ];
    (request, proptest::option::of(".{0,20}"), 1..u64::MAX)
        .prop_map(|(request, principal, expires_ms)| SqlTicket { request, principal, expires_ms })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_command_survives_the_wire(command in commands()) {
        let written = serde_json::to_vec(&command).unwrap();
        prop_assert_eq!(ScanCommand::parse(&written).unwrap(), command);
        testing::command(&written);
    }

    #[test]
    fn any_ticket_opens_as_it_was_and_no_other(ticket in tickets(), at in any::<usize>(), bit in 0..8_u32) {
        testing::ticket(&serde_json::to_vec(&ticket).unwrap());
        let key = TicketKey::derive(b"secret");
        let mut sealed = key.seal(&ticket).unwrap();
        prop_assert_eq!(&key.open(&sealed, 0).unwrap(), &ticket);
        let at = at % sealed.len();
        sealed[at] ^= 1_u8 << bit;
        prop_assert!(key.open(&sealed, 0).is_err());
    }

    #[test]
    fn any_sql_ticket_opens_as_it_was_and_no_other(ticket in sql_tickets(), at in any::<usize>(), bit in 0..8_u32) {
        let key = TicketKey::derive(b"secret");
        let mut sealed = key.seal_sql(&ticket).unwrap();
        prop_assert_eq!(&key.open_sql(&sealed, 0).unwrap(), &ticket);
        prop_assert!(key.open(&sealed, 0).is_err());
        let at = at % sealed.len();
        sealed[at] ^= 1_u8 << bit;
        prop_assert!(key.open_sql(&sealed, 0).is_err());
    }

    #[test]
    fn any_bytes_are_no_ticket_and_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        testing::ticket(&bytes);
        testing::command(&bytes);
    }
}

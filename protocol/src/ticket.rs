//! Tickets: what one endpoint serves, sealed by a MAC so that no server has to remember it.
//!
//! ```text
//!  kind (1 byte) | MAC (32 bytes, keyed BLAKE3 of all that follows) | body (JSON)
//! ```
//!
//! The MAC is checked in constant time before one byte of the body is read, with a key of its own
//! for each kind, so that none passes for another. Any node that holds the key can serve the ticket;
//! a ticket binds everything that decides which rows come back.

use std::fmt;

use flightcache_cache::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ScanCommand, SqlTicket};

const SCAN: u8 = 1;
const SQL: u8 = 2;
const MAC_BYTES: usize = 32;
const MAX_TICKET_BYTES: usize = 2 << 20;
const KEY_CONTEXT: &str = "flightcache 2026-11 ticket MAC";
const SQL_KEY_CONTEXT: &str = "flightcache 2026-11 SQL ticket MAC";

/// Whether `bytes` claim to be a ticket of SQL rather than of a scan; opening it tells.
pub fn is_sql_ticket(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SQL)
}

/// What one endpoint serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The scan, with its snapshot fixed.
    pub command: ScanCommand,
    /// Whom it was made for; absent where the node that made it asks nobody who he is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The split to read; absent where one endpoint serves the whole scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<TicketSplit>,
    /// Rows to return at most from this endpoint; the command's own limit is for all endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Digest of the schema that the command was planned against: where the snapshot is no longer
    /// known, the split may be read at another one of the same schema that has its object version.
    pub schema: u64,
    /// When the ticket ends, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// The split of a ticket: row groups of one object version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketSplit {
    /// Path of the object inside the container.
    pub path: String,
    /// Its ETag.
    pub etag: String,
    /// Its size in bytes.
    pub size: u64,
    /// First row group.
    pub start: u32,
    /// One past the last row group.
    pub end: u32,
}

/// The secret that seals tickets; every node of a cluster has the same one.
#[derive(Clone)]
pub struct TicketKey {
    scan: [u8; 32],
    sql: [u8; 32],
}

impl TicketKey {
    /// A key derived from any secret bytes, such as the content of a key file.
    pub fn derive(secret: &[u8]) -> Self {
        let derived = |context| blake3::derive_key(context, secret);
        Self { scan: derived(KEY_CONTEXT), sql: derived(SQL_KEY_CONTEXT) }
    }

    /// Seals `ticket`.
    ///
    /// # Errors
    /// `Invalid` if the command in it is too long for a ticket.
    pub fn seal(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        self.sealed(SCAN, ticket)
    }

    /// Seals a ticket or handle of SQL.
    ///
    /// # Errors
    /// `Invalid` if the statement and its parameters are too long for a ticket.
    pub fn seal_sql(&self, ticket: &SqlTicket) -> Result<Vec<u8>> {
        self.sealed(SQL, ticket)
    }

    /// Opens a sealed ticket at the time `now_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `Invalid` if the ticket was not sealed with this key or has been altered or cut; `Stale`
    /// if it has expired.
    pub fn open(&self, bytes: &[u8], now_ms: u64) -> Result<Ticket> {
        read(self.unsealed(SCAN, bytes), now_ms)
    }

    /// As [`TicketKey::open`], of what [`TicketKey::seal_sql`] sealed.
    ///
    /// # Errors
    /// As [`TicketKey::open`].
    pub fn open_sql(&self, bytes: &[u8], now_ms: u64) -> Result<SqlTicket> {
        read(self.unsealed(SQL, bytes), now_ms)
    }

    fn mac(&self, kind: u8, body: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(if kind == SQL { &self.sql } else { &self.scan }, body)
    }

    fn sealed(&self, kind: u8, ticket: &impl Serialize) -> Result<Vec<u8>> {
        let body = serde_json::to_vec(ticket)
            .map_err(|error| Error::internal("ticket cannot be written").with_source(error))?;
        if body.len() + MAC_BYTES + 1 > MAX_TICKET_BYTES {
            let what = if kind == SQL { "statement with its parameters" } else { "scan command" };
            return Err(Error::invalid(format!("{what} is too long for a ticket")));
        }
        let mut bytes = vec![kind];
        bytes.extend_from_slice(self.mac(kind, &body).as_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// The body of a ticket of that kind that this key sealed.
    fn unsealed<'a>(&self, kind: u8, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if bytes.len() > MAX_TICKET_BYTES {
            return None;
        }
        let (&[claimed], rest) = bytes.split_first_chunk::<1>()?;
        let (mac, body) = rest.split_first_chunk::<MAC_BYTES>()?;
        // `blake3::Hash` compares in constant time.
        let genuine = self.mac(kind, body) == blake3::Hash::from(*mac);
        (claimed == kind && genuine).then_some(body)
    }
}

/// What ends.
trait Expires {
    fn expires_ms(&self) -> u64;
}

impl Expires for Ticket {
    fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

impl Expires for SqlTicket {
    fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

/// The ticket in the body of a sealed one, at the time `now_ms`.
fn read<T: DeserializeOwned + Expires>(body: Option<&[u8]>, now_ms: u64) -> Result<T> {
    let body = body.ok_or_else(|| {
        Error::invalid("ticket is not one of this server's: get a new one by GetFlightInfo")
    })?;
    let ticket: T = serde_json::from_slice(body)
        .map_err(|error| Error::invalid("ticket of another version").with_source(error))?;
    if ticket.expires_ms() <= now_ms {
        return Err(Error::stale("ticket has expired: get a new one by GetFlightInfo"));
    }
    Ok(ticket)
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

/// The keys of a node: tickets are sealed with the newest and opened with any, so that a new key
/// does not end the tickets of the one before.
///
/// To rotate: add the new key as an older one on every node, then put it first on every node, then
/// remove the old one when its last ticket has expired.
#[derive(Clone, Debug)]
pub struct TicketKeys {
    newest: TicketKey,
    older: Vec<TicketKey>,
}

impl TicketKeys {
    /// Seals with `newest`, opens with any.
    pub fn new(newest: TicketKey, older: Vec<TicketKey>) -> Self {
        Self { newest, older }
    }

    /// As [`TicketKey::seal`], with the newest key.
    ///
    /// # Errors
    /// As [`TicketKey::seal`].
    pub fn seal(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        self.newest.seal(ticket)
    }

    /// As [`TicketKey::seal_sql`], with the newest key.
    ///
    /// # Errors
    /// As [`TicketKey::seal_sql`].
    pub fn seal_sql(&self, ticket: &SqlTicket) -> Result<Vec<u8>> {
        self.newest.seal_sql(ticket)
    }

    /// As [`TicketKey::open`], with whichever key sealed it.
    ///
    /// # Errors
    /// As [`TicketKey::open`].
    pub fn open(&self, bytes: &[u8], now_ms: u64) -> Result<Ticket> {
        read(self.unsealed(SCAN, bytes), now_ms)
    }

    /// As [`TicketKey::open_sql`], with whichever key sealed it.
    ///
    /// # Errors
    /// As [`TicketKey::open`].
    pub fn open_sql(&self, bytes: &[u8], now_ms: u64) -> Result<SqlTicket> {
        read(self.unsealed(SQL, bytes), now_ms)
    }

    fn unsealed<'a>(&self, kind: u8, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let mut keys = std::iter::once(&self.newest).chain(&self.older);
        keys.find_map(|key| key.unsealed(kind, bytes))
    }
}

#[cfg(test)]
mod tests {
    use flightcache_cache::ErrorKind;

    use super::*;
    use crate::{SqlQuery, SqlRequest, SqlStatement};

    fn ticket() -> Ticket {
        let split = TicketSplit {
            path: "a b/ü%20.parquet".into(),
            etag: "\"0x8D\"".into(),
            size: 9,
            start: 1,
            end: 3,
        };
        let command = ScanCommand::dataset("lineitem");
        let principal = Some("spark-1".to_owned());
        Ticket {
            command,
            principal,
            split: Some(split),
            limit: Some(5),
            schema: 7,
            expires_ms: 1_000,
        }
    }

    #[test]
    fn a_ticket_opens_only_with_its_key_unaltered_and_in_time() {
        let key = TicketKey::derive(b"secret");
        let sealed = key.seal(&ticket()).unwrap();
        assert_eq!(key.open(&sealed, 999).unwrap(), ticket());
        assert_eq!(key.open(&sealed, 1_000).unwrap_err().kind(), ErrorKind::Stale);
        let other = TicketKey::derive(b"other");
        assert_eq!(other.open(&sealed, 0).unwrap_err().kind(), ErrorKind::Invalid);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(key.open(&altered, 0).is_err(), "byte {index}");
            assert!(key.open(&sealed[..index], 0).is_err(), "cut at {index}");
        }
        assert!(!format!("{key:?}").contains("secret"));
    }

    fn sql_ticket() -> SqlTicket {
        let statement = SqlStatement { sql: "SELECT 1".into(), parameters: None };
        let query = SqlQuery {
            id: "1f".into(),
            statement,
            snapshots: [("t".to_owned(), "s1".to_owned())].into(),
            split: None,
            schema: 7,
        };
        SqlTicket { request: SqlRequest::Query(query), principal: None, expires_ms: 1_000 }
    }

    #[test]
    fn no_kind_of_ticket_passes_for_another() {
        let key = TicketKey::derive(b"secret");
        let (scan, sql) = (key.seal(&ticket()).unwrap(), key.seal_sql(&sql_ticket()).unwrap());
        assert!(is_sql_ticket(&sql) && !is_sql_ticket(&scan) && !is_sql_ticket(b""));
        assert_eq!(key.open_sql(&sql, 999).unwrap(), sql_ticket());
        assert_eq!(key.open_sql(&sql, 1_000).unwrap_err().kind(), ErrorKind::Stale);
        for (mut bytes, kind) in [(scan, SQL), (sql, SCAN)] {
            assert!(key.open(&bytes, 0).is_ok() != key.open_sql(&bytes, 0).is_ok());
            bytes[0] = kind;
            assert!(key.open(&bytes, 0).is_err() && key.open_sql(&bytes, 0).is_err());
        }
    }

    /// Nodes of several versions share tickets while they are replaced one by one.
    #[test]
    fn a_sql_ticket_is_written_as_ever() {
        let sealed = TicketKey::derive(b"secret").seal_sql(&sql_ticket()).unwrap();
        let (head, body) = sealed.split_at(33);
        let written = r#"{"request":{"query":{"id":"1f","statement":{"sql":"SELECT 1"},"snapshots":{"t":"s1"},"schema":7}},"expires_ms":1000}"#;
        assert_eq!(std::str::from_utf8(body).unwrap(), written);
        assert_eq!(head[0], 2);
        let mac = blake3::Hash::from_bytes(head[1..].try_into().unwrap()).to_hex();
        assert_eq!(
            mac.as_str(),
            "a4d7fdfdbeebabe1c6fd4a92a11e266390fe724fda070961e9309176fb55095f"
        );
    }

    #[test]
    fn what_is_too_long_for_a_ticket_is_refused() {
        let statement = SqlStatement { sql: "x".repeat(MAX_TICKET_BYTES), parameters: None };
        let request = SqlRequest::Statement(statement);
        let ticket = SqlTicket { request, principal: None, expires_ms: 1 };
        let refused = TicketKey::derive(b"secret").seal_sql(&ticket).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
}

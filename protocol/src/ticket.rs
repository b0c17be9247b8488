//! Tickets: what one endpoint serves, sealed by a MAC so that no server has to remember it.
//!
//! ```text
//!  version (1 byte) | MAC (32 bytes, keyed BLAKE3 of all that follows) | body (JSON)
//! ```
//!
//! The MAC is checked in constant time before one byte of the body is read. Any node that holds
//! the key can serve the ticket; a ticket binds everything that decides which rows come back.

use std::fmt;

use flightcache_cache::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::ScanCommand;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;
const MAX_TICKET_BYTES: usize = 2 << 20;
const KEY_CONTEXT: &str = "flightcache 2026-11 ticket MAC";

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
pub struct TicketKey([u8; 32]);

impl TicketKey {
    /// A key derived from any secret bytes, such as the content of a key file.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(KEY_CONTEXT, secret))
    }

    /// Seals `ticket`.
    ///
    /// # Errors
    /// `Invalid` if the command in it is too long for a ticket.
    pub fn seal(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        let body = serde_json::to_vec(ticket)
            .map_err(|error| Error::internal("ticket cannot be written").with_source(error))?;
        if body.len() + MAC_BYTES + 1 > MAX_TICKET_BYTES {
            return Err(Error::invalid("scan command is too long for a ticket"));
        }
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(blake3::keyed_hash(&self.0, &body).as_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Opens a sealed ticket at the time `now_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `Invalid` if the ticket was not sealed with this key or has been altered or cut; `Stale`
    /// if it has expired.
    pub fn open(&self, bytes: &[u8], now_ms: u64) -> Result<Ticket> {
        read(self.unsealed(bytes), now_ms)
    }

    /// The body of a ticket that this key sealed.
    fn unsealed<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if bytes.len() > MAX_TICKET_BYTES {
            return None;
        }
        let (&[version], rest) = bytes.split_first_chunk::<1>()?;
        let (mac, body) = rest.split_first_chunk::<MAC_BYTES>()?;
        // `blake3::Hash` compares in constant time.
        let genuine = blake3::keyed_hash(&self.0, body) == blake3::Hash::from(*mac);
        (version == VERSION && genuine).then_some(body)
    }
}

/// The ticket in the body of a sealed one, at the time `now_ms`.
fn read(body: Option<&[u8]>, now_ms: u64) -> Result<Ticket> {
    let body = body.ok_or_else(|| {
        Error::invalid("ticket is not one of this server's: get a new one by GetFlightInfo")
    })?;
    let ticket: Ticket = serde_json::from_slice(body)
        .map_err(|error| Error::invalid("ticket of another version").with_source(error))?;
    if ticket.expires_ms <= now_ms {
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

    /// As [`TicketKey::open`], with whichever key sealed it.
    ///
    /// # Errors
    /// As [`TicketKey::open`].
    pub fn open(&self, bytes: &[u8], now_ms: u64) -> Result<Ticket> {
        let mut keys = std::iter::once(&self.newest).chain(&self.older);
        read(keys.find_map(|key| key.unsealed(bytes)), now_ms)
    }
}

#[cfg(test)]
mod tests {
    use flightcache_cache::ErrorKind;

    use super::*;

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
}

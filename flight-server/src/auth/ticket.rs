//! The keys of tickets from a file, one a line.

use std::sync::Arc;

use flightcache_cache::{Error, Result};
use flightcache_protocol::{TicketKey, TicketKeys};

use super::Watched;
use crate::config::ServerConfig;

/// Shortest secret of a key, in bytes.
const MIN_SECRET_BYTES: usize = 16;
/// Most keys that are good at once.
const MAX_KEYS: usize = 16;

/// The keys of the node: those of its `ticket_key_file`, which is followed from then on, or a
/// random one.
///
/// # Errors
/// `Invalid` naming the file and what is wrong with it, `Internal` without random bytes.
pub(crate) fn ticket_keys(settings: &ServerConfig) -> Result<Arc<Watched<TicketKeys>>> {
    let Some(path) = &settings.ticket_key_file else {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::internal(format!("no random bytes for a key: {error}")))?;
        let keys = TicketKeys::new(TicketKey::derive(&secret), Vec::new());
        return Ok(Arc::new(Watched::fixed(keys)));
    };
    let keys = Arc::new(Watched::open("ticket_key_file", path, parse)?);
    keys.follow();
    Ok(keys)
}

/// One secret a line, the newest first; what is no text is one secret.
fn parse(file: &[u8]) -> Result<TicketKeys> {
    let secrets: Vec<&[u8]> = match std::str::from_utf8(file) {
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::as_bytes).collect()
        }
        Err(_) => vec![file],
    };
    if let Some(short) = secrets.iter().position(|secret| secret.len() < MIN_SECRET_BYTES) {
        let key = short + 1;
        return Err(Error::invalid(format!(
            "key {key} is short: give it at least 16 random bytes"
        )));
    }
    if secrets.len() > MAX_KEYS {
        return Err(Error::invalid(format!("holds more than {MAX_KEYS} keys: remove old ones")));
    }
    let mut keys = secrets.into_iter().map(TicketKey::derive);
    let newest = keys.next().ok_or_else(|| Error::invalid("holds no key: write one a line"))?;
    Ok(TicketKeys::new(newest, keys.collect()))
}

#[cfg(test)]
mod tests {
    use flightcache_protocol::{ScanCommand, Ticket};

    use super::*;

    const OLD: &str = "0123456789abcdef";
    const NEW: &str = "fedcba9876543210";

    #[test]
    fn the_first_key_seals_and_all_open() {
        let ticket = Ticket {
            command: ScanCommand::dataset("d"),
            principal: None,
            split: None,
            limit: None,
            schema: 0,
            expires_ms: 1,
        };
        let opens = |by: &str, sealed: &[u8]| parse(by.as_bytes()).unwrap().open(sealed, 0).is_ok();
        let old = parse(OLD.as_bytes()).unwrap().seal(&ticket).unwrap();
        let both = format!("{NEW}\n{OLD}\r\n\n");
        let new = parse(both.as_bytes()).unwrap().seal(&ticket).unwrap();
        assert!(opens(&both, &old) && opens(&both, &new));
        assert!(opens(NEW, &new) && !opens(OLD, &new) && !opens(NEW, &old));
        assert!(opens(&format!("{OLD}\n{NEW}"), &new));
    }

    #[test]
    fn short_and_missing_keys_are_refused_and_any_bytes_are_a_key() {
        assert!(parse(&[0xff; 32]).is_ok());
        for (file, what) in [
            (&b""[..], "no key"),
            (b"\n\n", "no key"),
            (b"0123456789abcdef\ns3cr3t", "key 2 is short"),
            (&[0xff; 15], "key 1 is short"),
            (&[&b"0123456789abcdef\n"[..]; 17].concat(), "more than 16"),
        ] {
            let error = parse(file).unwrap_err();
            assert!(error.message().contains(what) && !error.message().contains("s3cr3t"));
        }
    }
}

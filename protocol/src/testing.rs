//! What must hold of any bytes, for property tests, fuzz targets and the replay of their corpus.
//!
//! Each check panics if it does not hold.

use crate::{ScanCommand, Ticket, TicketKey};

/// No bytes but those that the key sealed open as a ticket; a body that reads as a ticket opens as
/// the same one once it is sealed.
///
/// # Panics
/// If it does not hold of `bytes`.
pub fn ticket(bytes: &[u8]) {
    let key = TicketKey::derive(b"a key");
    assert!(key.open(bytes, 0).is_err(), "opened what was not sealed");
    assert!(key.open_sql(bytes, 0).is_err(), "opened what was not sealed");
    let Ok(ticket) = serde_json::from_slice::<Ticket>(bytes) else { return };
    let Ok(sealed) = key.seal(&ticket) else { return };
    let Some(before) = ticket.expires_ms.checked_sub(1) else { return };
    assert_eq!(key.open(&sealed, before).ok().as_ref(), Some(&ticket));
    assert!(key.open(&sealed, ticket.expires_ms).is_err(), "opened after its end");
    let mut altered = sealed;
    if let Some(byte) = altered.get_mut(bytes.len() % 64) {
        *byte ^= 1;
    }
    assert!(key.open(&altered, before).is_err(), "opened what was altered");
}

/// A command that is read is read again from what it is written as.
///
/// # Panics
/// If it does not hold of `bytes`.
pub fn command(bytes: &[u8]) {
    let Ok(command) = ScanCommand::parse(bytes) else { return };
    let written = serde_json::to_vec(&command).unwrap_or_default();
    assert_eq!(ScanCommand::parse(&written).ok().as_ref(), Some(&command));
}

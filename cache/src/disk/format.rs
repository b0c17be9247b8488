//! The bytes of a cache file.
//!
//! ```text
//!  0        8               24  26 27 28    32       40           64
//!  ┌────────┬───────────────┬───┬──┬──┬─────┬────────┬────────────┬─────┬─────┬─────────┐
//!  │ magic  │ checksum      │ver│kd│ 0│ key │ payload│ zeros      │ key │zeros│ payload │
//!  │        │ xxh3-128      │   │  │  │ len │ len    │            │     │ →64 │         │
//!  └────────┴───────────────┴───┴──┴──┴─────┴────────┴────────────┴─────┴─────┴─────────┘
//! ```
//!
//! Integers are little-endian. The checksum covers every byte after itself, so that no bit of a
//! file but the magic's, which is compared, escapes it. The payload starts at a multiple of 64 bytes,
//! so that a mapped Arrow IPC stream is aligned as it lies.

use std::ops::Range;

use arrow_buffer::Buffer;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::{ENCODING_VERSION, Error, Result};

/// Files must stay below 2 GiB, so that any process may map them.
pub(super) const MAX_FILE_BYTES: u64 = (1 << 31) - 1;

/// Bytes of the fixed header.
pub(super) const HEADER_BYTES: usize = 64;

/// No key is longer: paths end at a few KiB in every store.
const MAX_KEY_BYTES: usize = 1 << 20;

const MAGIC: [u8; 8] = *b"FLTCACHE";
const COVERED_FROM: usize = 24;

/// Where things are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// What the payload is; see `payload`.
    pub(super) kind: u8,
    /// The bytes of the chunk's key.
    pub(super) key: Range<usize>,
    /// The payload, which ends the file.
    pub(super) payload: Range<usize>,
    /// What `verify` compares.
    pub(super) checksum: u128,
}

impl Layout {
    /// Reads a header, which is all it looks at.
    ///
    /// # Errors
    /// `Data` if it is cut, of another format, or gives impossible lengths.
    pub(super) fn parse(file: &[u8]) -> Result<Self> {
        let mut rest = file.get(..HEADER_BYTES).ok_or_else(|| Error::data("header is cut"))?;
        if take(&mut rest)? != MAGIC {
            return Err(Error::data("not a cache file"));
        }
        let checksum = u128::from_le_bytes(take(&mut rest)?);
        let version = u16::from_le_bytes(take(&mut rest)?);
        let [kind, _zero] = take(&mut rest)?;
        let key_length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let payload_length = u64::from_le_bytes(take(&mut rest)?);
        if version != ENCODING_VERSION {
            return Err(Error::data(format!("cache file of encoding version {version}")));
        }
        if key_length > MAX_KEY_BYTES || payload_length > MAX_FILE_BYTES {
            return Err(Error::data("cache file gives impossible lengths"));
        }
        let key = HEADER_BYTES..HEADER_BYTES + key_length;
        let start = key.end.next_multiple_of(64);
        Ok(Self { kind, key, payload: start..start + payload_length as usize, checksum })
    }

    /// The file's key bytes, once its length and checksum hold.
    ///
    /// # Errors
    /// `Data` if they do not.
    pub(super) fn verify<'a>(&self, file: &'a [u8]) -> Result<&'a [u8]> {
        if file.len() != self.payload.end {
            return Err(Error::data("cache file has another length than its header says"));
        }
        let covered = file.get(COVERED_FROM..).unwrap_or_default();
        if xxh3_128(covered) != self.checksum {
            return Err(Error::data("cache file fails its checksum"));
        }
        file.get(self.key.clone()).ok_or_else(|| Error::data("key is cut"))
    }
}

/// Everything before the payload: header, key and padding. `None` if the file would be too large.
pub(super) fn head(key: &[u8], kind: u8, payload: &[Buffer]) -> Option<Vec<u8>> {
    let payload_length: u64 = payload.iter().map(|buffer| buffer.len() as u64).sum();
    let start = (HEADER_BYTES + key.len()).next_multiple_of(64);
    if key.len() > MAX_KEY_BYTES || start as u64 + payload_length > MAX_FILE_BYTES {
        return None;
    }
    let mut covered = Vec::with_capacity(start);
    covered.extend_from_slice(&ENCODING_VERSION.to_le_bytes());
    covered.extend_from_slice(&[kind, 0]);
    covered.extend_from_slice(&u32::try_from(key.len()).ok()?.to_le_bytes());
    covered.extend_from_slice(&payload_length.to_le_bytes());
    covered.resize(HEADER_BYTES - COVERED_FROM, 0);
    covered.extend_from_slice(key);
    covered.resize(start - COVERED_FROM, 0);

    let mut hasher = Xxh3::new();
    hasher.update(&covered);
    for buffer in payload {
        hasher.update(buffer);
    }
    Some([&MAGIC[..], &hasher.digest128().to_le_bytes(), &covered].concat())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| Error::data("header is cut"))?;
    *rest = tail;
    Ok(*head)
}

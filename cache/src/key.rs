//! What a chunk is called: a version of an object, a part of it, and the version of our encoding.
//!
//! A key names immutable bytes. An overwritten object has another ETag and so another key; nothing
//! is ever invalidated because it might be old.

use std::{fmt, sync::Arc};

use xxhash_rust::xxh3::xxh3_128;

use crate::{Error, Result};

/// Version of the way values are decoded and laid out; part of every key.
///
/// Raise it whenever the same object would be decoded to other bytes, or a file on disk would be
/// laid out otherwise: what older versions wrote then simply misses.
pub const ENCODING_VERSION: u16 = 2;

/// One version of one object in an object store.
///
/// Two equal ids name the same bytes for ever: `etag` is what the store answered for that version.
/// Where a store gives none that is strong, `etag` is empty or begins with `W/`: then equal ids may
/// name different bytes, and the object is read, but never cached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Store: scheme and authority without the container, such as `azure://account`.
    pub store: String,
    /// Container or bucket; empty where a store has none.
    pub container: String,
    /// Path inside the container, unescaped, without a leading slash.
    pub path: String,
    /// The store's ETag, as it gave it; a weak one may be made up of what else it said.
    pub etag: String,
    /// Size of the object in bytes.
    pub size: u64,
}

impl ObjectId {
    /// Whether the id names one version for ever. Objects without a strong ETag are never cached.
    pub fn is_versioned(&self) -> bool {
        !self.etag.is_empty() && !self.etag.starts_with("W/")
    }

    /// Appends this id's canonical bytes: every field with its length before it, so that no two
    /// different ids give the same bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [&self.store, &self.container, &self.path, &self.etag] {
            out.extend_from_slice(&(field.len() as u64).to_le_bytes());
            out.extend_from_slice(field.as_bytes());
        }
        out.extend_from_slice(&self.size.to_le_bytes());
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.container.is_empty() { "" } else { "/" };
        write!(f, "{}/{}{separator}{}", self.store, self.container, self.path)
    }
}

/// A part of an object that is cached on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// One top-level column of one row group, decoded.
    Column {
        /// Ordinal of the row group in its file.
        row_group: u32,
        /// Ordinal of the top-level column in the file's schema.
        column: u32,
    },
    /// The file's footer, as stored.
    Footer,
    /// Bytes `start..end` of the object, as stored.
    Range {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
}

/// The key of a chunk. `Clone` is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// The object version.
    pub object: Arc<ObjectId>,
    /// The part of it.
    pub part: Part,
}

impl ChunkKey {
    /// The key of `part` of `object`.
    pub fn new(object: Arc<ObjectId>, part: Part) -> Self {
        Self { object, part }
    }

    /// The key's canonical bytes, injective: equal bytes mean equal keys of one encoding version.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&ENCODING_VERSION.to_le_bytes());
        self.object.encode(&mut out);
        let (tag, a, b) = match self.part {
            Part::Column { row_group, column } => (0u8, u64::from(row_group), u64::from(column)),
            Part::Footer => (1, 0, 0),
            Part::Range { start, end } => (2, start, end),
        };
        out.push(tag);
        out.extend_from_slice(&a.to_le_bytes());
        out.extend_from_slice(&b.to_le_bytes());
        out
    }

    /// Reads back what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// `Data` if the bytes are cut, have a rest, are of another encoding version or not UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if u16::from_le_bytes(reader.array()?) != ENCODING_VERSION {
            return Err(Error::data("chunk key of another encoding version"));
        }
        let object = ObjectId {
            store: reader.text()?,
            container: reader.text()?,
            path: reader.text()?,
            etag: reader.text()?,
            size: u64::from_le_bytes(reader.array()?),
        };
        let [tag] = reader.array()?;
        let a = u64::from_le_bytes(reader.array()?);
        let b = u64::from_le_bytes(reader.array()?);
        let part = match (tag, u32::try_from(a), u32::try_from(b)) {
            (0, Ok(row_group), Ok(column)) => Part::Column { row_group, column },
            (1, Ok(0), Ok(0)) => Part::Footer,
            (2, _, _) => Part::Range { start: a, end: b },
            _ => return Err(Error::data("chunk key names no known part")),
        };
        if !reader.0.is_empty() {
            return Err(Error::data("chunk key has trailing bytes"));
        }
        Ok(Self { object: Arc::new(object), part })
    }

    /// A 128-bit digest (xxh3) of the canonical bytes: names the chunk's file on disk.
    ///
    /// Collisions are not assumed away: the file repeats the whole key, which is compared on read.
    pub fn digest(&self) -> u128 {
        xxh3_128(&self.encode())
    }
}

impl fmt::Display for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Column { row_group, column } => {
                write!(f, "{} row group {row_group} column {column}", self.object)
            }
            Part::Footer => write!(f, "{} footer", self.object),
            Part::Range { start, end } => write!(f, "{} bytes {start}..{end}", self.object),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| Error::data("chunk key is cut"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&mut self) -> Result<String> {
        let length = u64::from_le_bytes(self.array()?);
        let (head, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or_else(|| Error::data("chunk key is cut"))?;
        self.0 = rest;
        String::from_utf8(head.to_vec())
            .map_err(|error| Error::data("chunk key is not UTF-8").with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(store: &str, container: &str, path: &str, etag: &str, part: Part) -> ChunkKey {
        let [store, container, path, etag] = [store, container, path, etag].map(str::to_owned);
        ChunkKey::new(Arc::new(ObjectId { store, container, path, etag, size: 7 }), part)
    }

    #[test]
    fn fields_that_concatenate_alike_are_different_keys() {
        let footer = Part::Footer;
        let keys = [
            key("a", "bc", "d", "e", footer),
            key("ab", "c", "d", "e", footer),
            key("a", "b", "cd", "e", footer),
            key("a", "b", "c", "de", footer),
            key("a", "b", "c", "de", Part::Column { row_group: 0, column: 0 }),
            key("a", "b", "c", "de", Part::Column { row_group: 1, column: 0 }),
            key("a", "b", "c", "de", Part::Column { row_group: 0, column: 1 }),
            key("a", "b", "c", "de", Part::Range { start: 0, end: 1 }),
            key("a", "b", "c", "de", Part::Range { start: 0, end: 0 }),
        ];
        let encoded: std::collections::HashSet<_> = keys.iter().map(ChunkKey::encode).collect();
        assert_eq!(encoded.len(), keys.len());
        for key in &keys {
            assert_eq!(&ChunkKey::decode(&key.encode()).unwrap(), key);
        }
    }

    #[test]
    fn cut_and_padded_keys_are_refused() {
        let bytes = key("s", "c", "päth", "\"0x8D\"", Part::Footer).encode();
        for length in 0..bytes.len() {
            assert!(ChunkKey::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let padded = [&bytes[..], b"x"].concat();
        assert!(ChunkKey::decode(&padded).is_err());
    }
}

//! How deep a footer's schema nests, before anything follows it down.
//!
//! Parquet's own parser recurses once a level, and a stack that overflows ends the process, which
//! nothing catches. So the list of schema elements is walked here first, without recursion. The
//! encoding is Thrift's compact protocol:
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use std::ops::ControlFlow;

/// Levels of nesting that are followed.
pub(crate) const MAX_DEPTH: usize = 128;

/// Levels of Thrift structs inside a schema element; the format has three.
const MAX_STRUCTS: usize = 16;

/// Number of `FileMetaData.schema`, and of `SchemaElement.num_children`.
const SCHEMA: i64 = 2;
const NUM_CHILDREN: i64 = 5;

/// Whether the schema in `metadata`, a serialised `FileMetaData`, nests deeper than
/// [`MAX_DEPTH`]. What cannot be read is not deep: the parser refuses it with a better message.
pub(crate) fn is_too_deep(metadata: &[u8]) -> bool {
    let mut thrift = Thrift(metadata);
    let found = thrift.fields(0, |thrift, id, kind| {
        (id == SCHEMA && kind == Kind::LIST).then(|| thrift.is_deep_list().unwrap_or(false))
    });
    found.is_some_and(|flow| flow == ControlFlow::Break(true))
}

struct Kind;

impl Kind {
    const STOP: u8 = 0;
    const FALSE: u8 = 2;
    const BYTE: u8 = 3;
    const I16: u8 = 4;
    const I64: u8 = 6;
    const DOUBLE: u8 = 7;
    const BINARY: u8 = 8;
    const LIST: u8 = 9;
    const SET: u8 = 10;
    const STRUCT: u8 = 12;
}

/// A reader; `None` is the end, or nonsense.
struct Thrift<'a>(&'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Some((size, head & 15))
    }

    /// Goes over the fields of a struct: `visit` reads a field and ends the walk, or leaves it.
    fn fields<T>(
        &mut self,
        level: usize,
        mut visit: impl FnMut(&mut Self, i64, u8) -> Option<T>,
    ) -> Option<ControlFlow<T>> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == Kind::STOP {
                return Some(ControlFlow::Continue(()));
            }
            id = if head >> 4 == 0 { self.zigzag()? } else { id + i64::from(head >> 4) };
            if let Some(found) = visit(self, id, kind) {
                return Some(ControlFlow::Break(found));
            }
            self.skip(kind, level)?;
        }
    }

    fn skip(&mut self, kind: u8, level: usize) -> Option<()> {
        match kind {
            Kind::STOP..=Kind::FALSE => Some(()),
            Kind::BYTE => self.byte().map(drop),
            Kind::I16..=Kind::I64 => self.varint().map(drop),
            Kind::DOUBLE => self.take(8),
            Kind::BINARY => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)
            }
            Kind::LIST | Kind::SET if level < MAX_STRUCTS => {
                let (size, kind) = self.list()?;
                // Elements that are booleans take a byte each in a list.
                let kind = if kind <= Kind::FALSE { Kind::BYTE } else { kind };
                (0..size).try_for_each(|_| self.skip(kind, level + 1))
            }
            Kind::STRUCT if level < MAX_STRUCTS => {
                self.fields(level + 1, |_, _, _| None::<()>).map(drop)
            }
            _ => None,
        }
    }

    fn take(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    /// Goes over the schema elements, which stand in depth-first order.
    fn is_deep_list(&mut self) -> Option<bool> {
        let (size, _) = self.list()?;
        // Children that each open level still expects.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..size {
            let mut children = 0;
            let _: ControlFlow<()> = self.fields(0, |thrift, id, kind| {
                if id == NUM_CHILDREN && (Kind::BYTE..=Kind::I64).contains(&kind) {
                    // A look ahead: the field itself is skipped by the walk.
                    children = Thrift(thrift.0).zigzag().unwrap_or(0);
                }
                None
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            if open.len() > MAX_DEPTH {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// `FileMetaData` whose schema nests `depth` levels.
#[cfg(test)]
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x15, 4, 0x19, 0xFC];
    let mut size = depth as u64 + 1;
    while size > 127 {
        bytes.push(size as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    for _ in 0..depth {
        bytes.extend([0x35, 0, 0x18, 1, b'a', 0x15, 2, 0]);
    }
    bytes.extend([0x15, 2, 0x25, 0, 0x18, 1, b'b', 0]);
    bytes.extend([0x16, 0, 0x19, 0x0C, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted() {
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(is_too_deep(&nested(1_000_000)));
        let deep = nested(MAX_DEPTH + 1);
        for length in 0..200 {
            assert!(!is_too_deep(&deep[..length]));
        }
        assert!(!is_too_deep(&vec![0x1C; 100_000]));
    }
}

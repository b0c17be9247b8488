//! How deep a footer's schema nests, before anything follows it down.
//!
//! Parquet's own parser recurses once a level, and a stack that overflows ends the process, which
//! nothing catches. So the list of schema elements is walked here first, without recursion.

use std::ops::ControlFlow;

use super::thrift::{Kind, Thrift};

/// Levels of nesting that are followed.
pub(crate) const MAX_DEPTH: usize = 128;

/// Number of `FileMetaData.schema`, and of `SchemaElement.num_children`.
const SCHEMA: i64 = 2;
const NUM_CHILDREN: i64 = 5;

/// Whether the schema in `metadata`, a serialised `FileMetaData`, nests deeper than
/// [`MAX_DEPTH`]. What cannot be read is not deep: the parser refuses it with a better message.
pub(crate) fn is_too_deep(metadata: &[u8]) -> bool {
    let mut thrift = Thrift::new(metadata);
    let found = thrift.fields(0, |thrift, id, kind| {
        (id == SCHEMA && kind == Kind::LIST).then(|| is_deep_list(thrift).unwrap_or(false))
    });
    found.is_some_and(|flow| flow == ControlFlow::Break(true))
}

/// Goes over the schema elements, which stand in depth-first order.
fn is_deep_list(thrift: &mut Thrift<'_>) -> Option<bool> {
    let (size, _) = thrift.list()?;
    // Children that each open level still expects.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..size {
        let mut children = 0;
        let _: ControlFlow<()> = thrift.fields(0, |thrift, id, kind| {
            if id == NUM_CHILDREN && (Kind::BYTE..=Kind::I64).contains(&kind) {
                // A look ahead: the field itself is skipped by the walk.
                children = thrift.clone().zigzag().unwrap_or(0);
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

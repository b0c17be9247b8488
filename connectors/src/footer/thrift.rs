//! As much of Thrift's compact protocol as it takes to look at a struct before the parquet crate
//! does: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use std::ops::ControlFlow;

/// Levels of structs and lists that are followed; the structs of the format have four.
const MAX_STRUCTS: usize = 16;

/// What type a field or an element has.
pub(crate) struct Kind;

impl Kind {
    pub(crate) const STOP: u8 = 0;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const BYTE: u8 = 3;
    pub(crate) const I16: u8 = 4;
    pub(crate) const I32: u8 = 5;
    pub(crate) const I64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const SET: u8 = 10;
    pub(crate) const STRUCT: u8 = 12;
}

/// A reader; `None` is the end, or nonsense. `Clone` is a look ahead.
#[derive(Clone, Debug)]
pub(crate) struct Thrift<'a>(&'a [u8]);

impl<'a> Thrift<'a> {
    /// A reader of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that were not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.0.len()
    }

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

    /// A signed integer.
    pub(crate) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Number and type of the elements of a list, which follow.
    pub(crate) fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Some((size, head & 15))
    }

    /// Goes over the fields of a struct: `visit` reads a field and ends the walk, or leaves it.
    pub(crate) fn fields<T>(
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
}

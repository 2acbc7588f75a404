//! As much of Thrift's compact protocol as it takes to look at a header before a trusting reader does
//! (thrift/doc/specs/thrift-compact-protocol.md).

use std::io::{Error, Read, Result};

/// Types of fields, as they are numbered on the wire.
pub const TRUE: u8 = 1;
pub const FALSE: u8 = 2;
pub const I32: u8 = 5;
pub const BINARY: u8 = 8;
pub const LIST: u8 = 9;
pub const STRUCT: u8 = 12;

/// How deep structs may lie in one another.
const DEEPEST: u32 = 32;

/// Reads values one after the other, and no more than so many bytes of them.
pub struct Values<R> {
    reader: R,
    left: u64,
    /// Bytes read.
    pub read: u64,
}

/// A field of a struct.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its number.
    pub id: i16,
    /// The type of its value, which follows; truth values have two and no value.
    pub kind: u8,
}

impl<R: Read> Values<R> {
    /// At most `most` bytes of what `reader` gives.
    pub fn new(reader: R, most: u64) -> Self {
        Self { reader, left: most, read: 0 }
    }

    /// The next field of a struct, after that of the number `last`; nothing at its end.
    pub fn field(&mut self, last: i16) -> Result<Option<Field>> {
        let byte = self.byte()?;
        let kind = byte & 15;
        if kind == 0 {
            return Ok(None);
        }
        let id = match byte >> 4 {
            0 => i16::try_from(self.number()?).ok(),
            further => last.checked_add(i16::from(further)),
        };
        let id = id.ok_or_else(|| Error::other("the number of a field is impossible"))?;
        Ok(Some(Field { id, kind }))
    }

    /// Type and number of a list's values.
    pub fn list(&mut self) -> Result<(u8, u64)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        Ok((byte & 15, count))
    }

    /// A whole number.
    pub fn number(&mut self) -> Result<i64> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Passes over a field's value.
    pub fn skip(&mut self, kind: u8) -> Result<()> {
        self.skip_within(kind, DEEPEST)
    }

    fn skip_within(&mut self, kind: u8, deepest: u32) -> Result<()> {
        let deeper = || deepest.checked_sub(1).ok_or_else(|| Error::other("structs lie too deep in one another"));
        match kind {
            TRUE | FALSE => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    // In a list, a truth value is a byte.
                    self.skip_within(if matches!(kind, TRUE | FALSE) { 3 } else { kind }, deeper()?)?;
                }
                Ok(())
            }
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    self.skip_within(field.kind, deeper()?)?;
                    last = field.id;
                }
                Ok(())
            }
            other => Err(Error::other(format!("a field has the unknown type {other}"))),
        }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Error::other("a number has too many digits"))
    }

    fn byte(&mut self) -> Result<u8> {
        self.count(1)?;
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn pass(&mut self, length: u64) -> Result<()> {
        self.count(length)?;
        let passed = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        if passed == length { Ok(()) } else { Err(Error::other("it ends in the middle")) }
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Error::other("it ends in the middle"))?;
        self.read += bytes;
        Ok(())
    }
}

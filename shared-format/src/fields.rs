//! Reads the fields of a postcard record one after another.
//!
//! Postcard's own `Deserialize` compiles to a reader for every type; a model has a dozen types of record and a
//! microcontroller a few kilobytes for all of them. Here each kind of field has one function, and a record that breaks a
//! rule is found out at its end: until then its fields read as 0.

/// The rest of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(record: &'a [u8]) -> Self {
        Self { rest: record, broken: false }
    }

    /// What has not been read, `None` where a field broke a rule.
    pub(crate) fn rest(&self) -> Option<&'a [u8]> {
        (!self.broken).then_some(self.rest)
    }

    /// True where all fields were as they must be and nothing follows them.
    pub(crate) fn end(&self) -> bool {
        !self.broken && self.rest.is_empty()
    }

    /// A u8: a byte as it is.
    #[inline(never)]
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            self.broken = true;
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// A bool, or whether an option holds something: a byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> bool {
        let byte = self.byte();
        self.broken |= byte > 1;
        byte == 1
    }

    /// A u32: seven bits a byte, the lowest first, the uppermost bit set in all bytes but the last.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> u32 {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte();
            value |= u32::from(byte & 127) << shift;
            if byte < 128 {
                // Of the fifth byte only four bits have room.
                self.broken |= shift == 28 && byte > 15;
                return value;
            }
        }
        self.broken = true;
        0
    }

    /// A u16, written as a u32 is.
    #[inline(never)]
    pub(crate) fn short(&mut self) -> u16 {
        let number = self.number();
        self.broken |= number > u32::from(u16::MAX);
        number as u16
    }

    /// A byte string: its length, then the bytes.
    #[inline(never)]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.number();
        let Some((bytes, rest)) = self.rest.split_at_checked(length as usize) else {
            self.broken = true;
            return &[];
        };
        self.rest = rest;
        bytes
    }

    /// A text: a byte string of UTF-8.
    #[inline(never)]
    pub(crate) fn text(&mut self) -> &'a str {
        core::str::from_utf8(self.bytes()).unwrap_or_else(|_| {
            self.broken = true;
            ""
        })
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_postcard_writes(a: u32, b: u16, c: u8, d: bool, e: Vec<u8>, f: String) {
            let record = postcard::to_allocvec(&(a, b, c, d, &e[..], f.as_str())).unwrap();
            let mut fields = Fields::new(&record);
            prop_assert_eq!((fields.number(), fields.short(), fields.byte(), fields.flag()), (a, b, c, d));
            // postcard writes a byte string as a list of bytes, which is the same.
            prop_assert_eq!((fields.bytes(), fields.text()), (&e[..], f.as_str()));
            prop_assert!(fields.end());
            for length in 0..record.len() {
                let mut fields = Fields::new(&record[..length]);
                fields.number();
                fields.short();
                fields.byte();
                fields.flag();
                fields.bytes();
                fields.text();
                prop_assert!(fields.rest().is_none());
            }
        }

        #[test]
        fn refuses_what_postcard_refuses(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut fields = Fields::new(&bytes);
            let number = fields.number();
            let found = fields.rest().map(|rest| (number, rest));
            prop_assert_eq!(found, postcard::take_from_bytes::<u32>(&bytes).ok());
            let mut fields = Fields::new(&bytes);
            let flag = fields.flag();
            let found = fields.rest().map(|rest| (flag, rest));
            prop_assert_eq!(found, postcard::take_from_bytes::<bool>(&bytes).ok());
        }
    }
}

//! Exponents of a matrix: one int8 per group, stored plainly or as offsets from a base per row.

use crate::layout::Records;

/// How a matrix's exponents are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExponentEncoding {
    /// One int8 per group, row after row.
    Int8,
    /// One int8 base per row, all rows first; then per row ⌈R/2⌉ bytes of 4-bit offsets, the low nibble first.
    Offset4,
    /// One int8 base per row; the offsets, a byte each, stand in front of their groups' trits
    /// ([`Layout::Groups`](crate::Layout::Groups), which has no other encoding).
    Offset8,
}

impl ExponentEncoding {
    /// The encoding with this code in a file.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Int8),
            1 => Some(Self::Offset4),
            2 => Some(Self::Offset8),
            _ => None,
        }
    }

    /// The code in a file.
    #[cfg(feature = "alloc")]
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Int8 => 0,
            Self::Offset4 => 1,
            Self::Offset8 => 2,
        }
    }

    /// Bytes of a matrix's exponents, without what stands among the trits: `rows` rows of `groups` groups; `None` where
    /// u64 overflows.
    pub const fn bytes(self, rows: u64, groups: u64) -> Option<u64> {
        match self {
            Self::Int8 => rows.checked_mul(groups),
            Self::Offset4 => rows.checked_mul(1 + groups.div_ceil(2)),
            Self::Offset8 => Some(rows),
        }
    }

    /// Widest window (largest minus smallest exponent of a row) the encoding holds.
    pub const fn window(self) -> u32 {
        match self {
            Self::Int8 | Self::Offset8 => 255,
            Self::Offset4 => 15,
        }
    }
}

impl core::fmt::Display for ExponentEncoding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::Offset4 => "4-bit offset",
            Self::Offset8 => "8-bit offset",
        })
    }
}

/// The exponents of one row, one for each group; iterates over them.
#[derive(Clone, Copy, Debug)]
pub struct RowExponents<'a> {
    pub(crate) encoding: ExponentEncoding,
    pub(crate) base: i8,
    /// Of this row; of the whole matrix where they stand among the trits.
    pub(crate) bytes: &'a [u8],
    pub(crate) records: Records,
    pub(crate) groups: usize,
    pub(crate) next: usize,
}

impl RowExponents<'_> {
    /// The row's smallest exponent; 0 for a row without groups.
    pub fn smallest(&self) -> i32 {
        match self.encoding {
            // The base is the smallest: `Model::parse` refuses a row where it is not.
            ExponentEncoding::Offset4 | ExponentEncoding::Offset8 => i32::from(self.base),
            ExponentEncoding::Int8 => self.bytes.iter().map(|e| i32::from(*e as i8)).min().unwrap_or(0),
        }
    }
}

impl RowExponents<'_> {
    /// The smallest and the largest exponent, by what the bytes hold; (0, 0) for a row without groups.
    pub(crate) fn extremes(&self) -> (i32, i32) {
        let widen = |(low, high): (i32, i32), e: i32| (low.min(e), high.max(e));
        let none = (i32::MAX, i32::MIN);
        let (low, high) = match self.encoding {
            ExponentEncoding::Int8 => self.bytes.iter().map(|e| i32::from(*e as i8)).fold(none, widen),
            ExponentEncoding::Offset4 => {
                let (pairs, single) = self.bytes.split_at_checked(self.groups / 2).unwrap_or_default();
                let both = |limits, pair: &u8| widen(widen(limits, i32::from(pair & 15)), i32::from(pair >> 4));
                let limits = pairs.iter().fold(none, both);
                let (low, high) = single.iter().map(|pair| i32::from(pair & 15)).fold(limits, widen);
                let base = i32::from(self.base);
                (low.saturating_add(base), high.saturating_add(base))
            }
            ExponentEncoding::Offset8 => (*self).fold(none, widen),
        };
        if low <= high { (low, high) } else { (0, 0) }
    }
}

impl Iterator for RowExponents<'_> {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        if self.next == self.groups {
            return None;
        }
        let group = self.next;
        self.next += 1;
        match self.encoding {
            ExponentEncoding::Int8 => self.bytes.get(group).map(|e| i32::from(*e as i8)),
            ExponentEncoding::Offset4 => {
                let pair = *self.bytes.get(group / 2)?;
                let offset = if group.is_multiple_of(2) { pair & 15 } else { pair >> 4 };
                Some(i32::from(self.base) + i32::from(offset))
            }
            ExponentEncoding::Offset8 => {
                let offset = self.bytes.get(self.records.range(group).start)?;
                Some(i32::from(self.base) + i32::from(*offset))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.groups - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for RowExponents<'_> {}

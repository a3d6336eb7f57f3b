//! Exponents of a matrix: one int8 per group, stored plainly or as offsets from a base per row.

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

    /// Bytes of a matrix's exponents, without what stands among the trits: `rows` rows of `groups` groups; `None` for more
    /// than this machine can address.
    pub const fn bytes(self, rows: usize, groups: usize) -> Option<usize> {
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

//! Orders of a matrix's trit bytes: what is next to a group's bytes.

use crate::group::GroupSize;
use crate::trits::PER_BYTE;
use core::ops::Range;

/// The order of a matrix's trit bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row after row, exponents apart. For every reader that can hold a row.
    #[default]
    Rows,
    /// Group after group, and in each group row after row: a *record* of the group's exponent, as a byte above the row's
    /// base, and its trit bytes. For small cores, which prepare a group's inputs once and then take all rows through it.
    Groups,
}

impl Layout {
    /// The layout with this code in a file.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Rows),
            1 => Some(Self::Groups),
            _ => None,
        }
    }

    /// The code in a file.
    #[cfg(feature = "alloc")]
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Rows => 0,
            Self::Groups => 1,
        }
    }

    /// Bytes in front of each group's trits.
    pub(crate) const fn prefix(self) -> usize {
        match self {
            Self::Rows => 0,
            Self::Groups => 1,
        }
    }
}

impl core::fmt::Display for Layout {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Rows => "rows",
            Self::Groups => "groups",
        })
    }
}

/// Where the records of one row lie in [`Layout::Groups`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records {
    pub(crate) row: usize,
    pub(crate) group: GroupSize,
    pub(crate) columns: usize,
    /// Bytes of a full group, all rows.
    pub(crate) block: usize,
}

impl Records {
    /// The place of the group's record; its first byte is the offset of the exponent.
    pub(crate) const fn range(&self, group: usize) -> Range<usize> {
        let left = self.columns - group * self.group.get();
        let columns = if left < self.group.get() { left } else { self.group.get() };
        let bytes = 1 + columns.div_ceil(PER_BYTE);
        let start = group * self.block + self.row * bytes;
        start..start + bytes
    }
}

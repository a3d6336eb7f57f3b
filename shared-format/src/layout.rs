//! Orders of a matrix's trit bytes: what is next to a group's bytes.

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

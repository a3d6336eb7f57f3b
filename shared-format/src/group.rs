//! Group sizes: how many neighbouring columns of a row share one exponent.

/// A group size the format knows: 4, 6, 8, 16, 32, 64 and 96, and the multiples of five 20, 40 and 80, whose trits
/// fill their bytes completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupSize(core::num::NonZeroU8);

crate::sentences! {
    /// The number given is not a group size of the format.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    pub struct UnknownGroupSize(pub size: u32) => "group size {size} is not one of 4, 6, 8, 16, 20, 32, 40, 64, 80, 96"
}

/// A size that is not 0, which the compiler then knows: rows are cut into groups without a path that could panic.
const fn size(size: u8) -> GroupSize {
    GroupSize(match core::num::NonZeroU8::new(size) {
        Some(size) => size,
        None => core::num::NonZeroU8::MIN,
    })
}

impl GroupSize {
    /// Every group size, ascending.
    pub const ALL: [Self; 10] =
        [size(4), size(6), size(8), size(16), size(20), size(32), size(40), size(64), size(80), size(96)];

    /// The largest group size.
    pub const MAX: usize = 96;

    /// The group size of `size` columns.
    ///
    /// # Errors
    /// [`UnknownGroupSize`] where the format has no such group.
    pub const fn new(size: u32) -> Result<Self, UnknownGroupSize> {
        match size {
            4 | 6 | 8 | 16 | 20 | 32 | 40 | 64 | 80 | 96 => Ok(self::size(size as u8)),
            _ => Err(UnknownGroupSize(size)),
        }
    }

    /// Columns in a full group.
    pub const fn get(self) -> usize {
        self.0.get() as usize
    }

    /// Bytes that hold a full group's trits: ⌈G/5⌉.
    #[allow(clippy::manual_div_ceil, reason = "of this the compiler sees that it is not 0, and leaves out a panic")]
    pub const fn bytes(self) -> usize {
        (self.get() + crate::trits::PER_BYTE - 1) / crate::trits::PER_BYTE
    }

    /// Groups in a row of `columns`: ⌈K/G⌉; the last one may be short.
    pub const fn count(self, columns: usize) -> usize {
        columns.div_ceil(self.get())
    }

    /// Bytes that hold a row's trits, each group starting on a byte.
    pub const fn row_bytes(self, columns: usize) -> usize {
        let full = columns / self.get();
        let rest = columns % self.get();
        full * self.bytes() + rest.div_ceil(crate::trits::PER_BYTE)
    }
}

impl TryFrom<u32> for GroupSize {
    type Error = UnknownGroupSize;

    fn try_from(size: u32) -> Result<Self, Self::Error> {
        Self::new(size)
    }
}

impl core::fmt::Display for GroupSize {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_the_list_are_refused() {
        for size in 0..200 {
            let known = GroupSize::ALL.iter().any(|g| g.get() == size as usize);
            assert_eq!(GroupSize::new(size).is_ok(), known, "{size}");
        }
    }

    #[test]
    fn rows_count_their_bytes() {
        let g32 = GroupSize::new(32).unwrap();
        assert_eq!((g32.bytes(), g32.count(784), g32.row_bytes(784)), (7, 25, 24 * 7 + 4));
        let g40 = GroupSize::new(40).unwrap();
        assert_eq!((g40.bytes(), g40.count(784), g40.row_bytes(784)), (8, 20, 19 * 8 + 5));
        assert_eq!(GroupSize::new(4).unwrap().row_bytes(1), 1);
    }
}

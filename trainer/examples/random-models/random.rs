//! Numbers for models and samples.

use crate::graph::BASE;

/// Numbers that look random and follow from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// A third of the trits is 0; every seventh row is all +1, and its successor all 0.
    pub(crate) fn trits(&mut self, rows: usize, columns: usize) -> Vec<i8> {
        let trit = |index: usize, random: &mut Self| match index / columns % 7 {
            3 => 1,
            4 => 0,
            _ => random.between(-1, 1) as i8,
        };
        (0..rows * columns).map(|index| trit(index, self)).collect()
    }

    pub(crate) fn exponents(&mut self, count: usize, window: i64) -> Vec<i8> {
        (0..count).map(|_| BASE + self.between(0, window) as i8).collect()
    }

    /// Every third one is one extreme throughout.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<i8> {
        match self.between(0, 5) {
            0 => vec![i8::MIN; len],
            1 => vec![i8::MAX; len],
            _ => (0..len).map(|_| self.next() as i8).collect(),
        }
    }
}

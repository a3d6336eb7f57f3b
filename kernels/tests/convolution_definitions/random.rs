//! Numbers for cases.

/// Numbers that are the same on every machine (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + (self.next() % (high - low + 1) as u64) as i32
    }

    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.next() as usize % values.len()]
    }

    /// Activations, or weights: mostly anything, now and then one extreme throughout.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<i8> {
        match self.between(0, 7) {
            0 => vec![i8::MIN; len],
            1 => vec![i8::MAX; len],
            _ => (0..len).map(|_| self.next() as i8).collect(),
        }
    }
}

//! Cases from a generator of the tests' own: the same on every machine, under emulators too.
#![allow(dead_code, reason = "each test binary uses a part")]

/// Numbers that are the same on every machine (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Activations, or int8 weights: mostly anything, now and then one extreme throughout.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<i8> {
        match self.below(8) {
            0 => vec![i8::MIN; len],
            1 => vec![i8::MAX; len],
            _ => (0..len).map(|_| self.next() as i8).collect(),
        }
    }
}

/// What the trits of a matrix are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trits {
    Random,
    AllOne,
    AllZero,
    /// One in 64 is not 0: what wide windows of exponents need, and what leaves groups and rows without a trit.
    Sparse,
}

impl Trits {
    pub(crate) fn draw(self, random: &mut Random, count: usize) -> Vec<i8> {
        let trit = |random: &mut Random| match self {
            Self::Random => random.below(3) as i8 - 1,
            Self::AllOne => 1,
            Self::AllZero => 0,
            Self::Sparse => [1, -1].get(random.below(128)).copied().unwrap_or(0),
        };
        (0..count).map(|_| trit(random)).collect()
    }
}

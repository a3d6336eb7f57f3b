//! Numbers that look random and follow from a seed (splitmix64).

/// The generator.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.word() % (high - low + 1) as u64) as i64
    }

    /// Activations: mostly anything, every fourth time one extreme throughout.
    pub fn activations(&mut self, len: usize) -> Vec<i8> {
        match self.between(0, 7) {
            0 => vec![i8::MIN; len],
            1 => vec![i8::MAX; len],
            _ => (0..len).map(|_| self.word() as i8).collect(),
        }
    }

    /// int32 of any magnitude, the largest ones too.
    pub fn accumulators(&mut self, len: usize) -> Vec<i32> {
        let bits = self.between(0, 31) as u32;
        let value = |random: &mut Self| match random.between(0, 11) {
            0 if bits > 20 => i32::MIN,
            1 if bits > 20 => i32::MAX,
            2 => 0,
            _ => (random.word() as i32) >> (31 - bits),
        };
        (0..len).map(|_| value(self)).collect()
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }
}

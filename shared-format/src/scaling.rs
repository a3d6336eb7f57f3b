//! How raw values become the network's int8 input.
//!
//! A raw value v (a pixel, a sensor reading, a column of a table) enters the network as
//! `q = sat8(⌊(v − zero)·2^shift + ½⌋)`, with `zero` a dyadic rational `mantissa·2^exponent`. A model holds one such
//! record for all features, or one per feature. Integers in, integers out: [`InputScale::quantize_i32`] needs no
//! floating point.

/// One input scaling record: `q = sat8(⌊(v − zero_mantissa·2^zero_exponent)·2^shift + ½⌋)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputScale {
    /// Mantissa of the raw value that maps to 0; |mantissa| < 2^24, so that it is exact in f32.
    pub zero_mantissa: i32,
    /// Power of two of the raw value that maps to 0, in −100..=100.
    pub zero_exponent: i8,
    /// The raw distance from zero is multiplied by 2^shift; in −100..=100.
    pub shift: i8,
}

impl InputScale {
    /// Bytes of one record in a file: mantissa (little-endian i32), exponent, shift.
    pub const BYTES: usize = 6;

    /// Largest magnitude of either exponent.
    pub const EXPONENT_LIMIT: i8 = 100;

    /// Values that are int8 already: zero 0, shift 0.
    pub const IDENTITY: Self = Self { zero_mantissa: 0, zero_exponent: 0, shift: 0 };

    /// True where every field is in the range its documentation gives.
    pub const fn is_valid(&self) -> bool {
        -(1 << 24) < self.zero_mantissa
            && self.zero_mantissa < (1 << 24)
            && -Self::EXPONENT_LIMIT <= self.zero_exponent
            && self.zero_exponent <= Self::EXPONENT_LIMIT
            && -Self::EXPONENT_LIMIT <= self.shift
            && self.shift <= Self::EXPONENT_LIMIT
    }

    /// The record as it is stored.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let m = self.zero_mantissa.to_le_bytes();
        [m[0], m[1], m[2], m[3], self.zero_exponent as u8, self.shift as u8]
    }

    /// The record stored in `bytes`; ranges are not checked.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, zero_exponent, shift] = bytes;
        Self { zero_mantissa: i32::from_le_bytes([a, b, c, d]), zero_exponent: zero_exponent as i8, shift: shift as i8 }
    }

    /// Quantises a raw integer (a pixel, an ADC reading) by integer arithmetic alone, exactly as the definition says.
    pub fn quantize_i32(&self, value: i32) -> i8 {
        self.quantize_narrow(value).unwrap_or_else(|| self.quantize_wide(value))
    }

    /// The same in 32 bits, where they are enough: 16-bit values, and a zero with up to 14 bits of fraction. On a small core
    /// that is ten times as fast.
    #[inline]
    fn quantize_narrow(&self, value: i32) -> Option<i8> {
        let fraction = self.zero_exponent.checked_neg().filter(|fraction| (0..=14).contains(fraction))?;
        if value.unsigned_abs() > 1 << 16 || self.zero_mantissa.unsigned_abs() > 1 << 24 {
            return None;
        }
        let distance = (value << fraction) - self.zero_mantissa;
        let shift = i32::from(self.shift) - i32::from(fraction);
        let shifted = match shift {
            // Magnitudes from 256 on saturate whatever the shift.
            0.. => distance.clamp(-256, 256) << shift.min(16),
            -31..0 => (distance >> -shift) + ((distance >> (-shift - 1)) & 1),
            // The distance is below 2^31, so that it is less than half of 2^32.
            _ => 0,
        };
        Some(shifted.clamp(-128, 127) as i8)
    }

    fn quantize_wide(&self, value: i32) -> i8 {
        // (v − m·2^z)·2^s + ½ = (v·2^(−z) − m)·2^(z+s) + ½ where z < 0, and (v − m·2^z)·2^s + ½ otherwise.
        let (distance, shift) = if self.zero_exponent < 0 {
            let fraction = u32::from(self.zero_exponent.unsigned_abs());
            let zero = i128::from(self.zero_mantissa);
            // 2^31·2^fraction stays inside i128 for fraction ≤ 95. Beyond, beside a value of at least 1 the zero is so
            // small that its sign alone can decide the rounding.
            let (fraction, zero) = if fraction <= 95 || value == 0 { (fraction, zero) } else { (95, zero.signum()) };
            ((i128::from(value) << fraction) - zero, i32::from(self.shift) - fraction as i32)
        } else {
            let zero = i128::from(self.zero_mantissa) << u32::from(self.zero_exponent.unsigned_abs());
            (i128::from(value) - zero, i32::from(self.shift))
        };
        rounding_shift(distance, shift).clamp(-128, 127) as i8
    }

    /// Quantises a raw real number in f32 arithmetic; not-a-number becomes 0.
    #[cfg(any(feature = "float", test))]
    pub fn quantize_f32(&self, value: f32) -> i8 {
        let zero = self.zero_mantissa as f32 * power_of_two(self.zero_exponent);
        let shifted = (value - zero) * power_of_two(self.shift) + 0.5;
        // Saturating float-to-int conversion; floor by hand, because core has none.
        let truncated = shifted as i32;
        let floor = if (truncated as f32) > shifted { truncated.saturating_sub(1) } else { truncated };
        floor.clamp(-128, 127) as i8
    }
}

/// ⌊v·2^shift + ½⌋, saturated far outside int8.
fn rounding_shift(value: i128, shift: i32) -> i128 {
    if shift >= 0 {
        let limit = 1i128 << 20;
        // Any |v| ≥ 2^20 saturates int8 whatever the shift, so clamping first cannot change the answer.
        value.clamp(-limit, limit) << shift.min(100)
    } else {
        let right = shift.unsigned_abs();
        // No caller's value reaches 2^127, so it is below half of 2^right.
        if right > 127 {
            return 0;
        }
        (value >> right) + ((value >> (right - 1)) & 1)
    }
}

/// 2^exponent as f32, by building its bits; exact for −126..=127.
#[cfg(any(feature = "float", test))]
fn power_of_two(exponent: i8) -> f32 {
    f32::from_bits(((i32::from(exponent) + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_match_the_recipe() {
        // MNIST: (u8 − 33 + 1) >> 1.
        let scale = InputScale { zero_mantissa: 33, zero_exponent: 0, shift: -1 };
        for pixel in 0..=255i32 {
            let expected = ((pixel - 33 + 1) >> 1).clamp(-128, 127) as i8;
            assert_eq!(scale.quantize_i32(pixel), expected);
            assert_eq!(scale.quantize_f32(pixel as f32), expected);
        }
    }

    #[test]
    fn integer_and_real_paths_agree() {
        for zero_mantissa in [-77, -1, 0, 3, 12345] {
            for zero_exponent in [-7, -1, 0, 2] {
                for shift in [-9, -1, 0, 1, 5] {
                    let scale = InputScale { zero_mantissa, zero_exponent, shift };
                    for value in (-3000..3000).step_by(7) {
                        assert_eq!(scale.quantize_i32(value), scale.quantize_f32(value as f32), "{scale:?} {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn narrow_arithmetic_equals_wide() {
        let mut narrow = 0;
        for zero_mantissa in [-(1 << 24) + 1, -12_345, -1, 0, 1, 77, (1 << 24) - 1] {
            for zero_exponent in -16..=2 {
                for shift in [-100, -32, -31, -30, -18, -17, -16, -9, -3, -1, 0, 1, 8, 14, 15, 16, 30, 31, 32, 100] {
                    let scale = InputScale { zero_mantissa, zero_exponent, shift };
                    for value in (-65_536..=65_536).step_by(1_111).chain([-1, 0, 1, 65_535, 65_536, 65_537, i32::MIN]) {
                        if let Some(found) = scale.quantize_narrow(value) {
                            assert_eq!(found, scale.quantize_wide(value), "{scale:?} {value}");
                            narrow += 1;
                        }
                    }
                }
            }
        }
        // All but the last two values, and 15 of 19 exponents.
        assert_eq!(narrow, 7 * 15 * 20 * (118 + 5));
    }

    #[test]
    fn zeros_of_the_finest_fractions_are_exact() {
        // q ≥ k where (v − m·2^−f)·2^s + ½ ≥ k, that is v·2^(s+1) − m·2^(s+1−f) ≥ 2k − 1; times 2^d all are integers.
        let reference = |scale: &InputScale, value: i32| {
            let fraction = i32::from(scale.zero_exponent.unsigned_abs());
            let shift = i32::from(scale.shift) + 1;
            let d = (fraction - shift).max(0);
            let left = (i128::from(value) << (shift + d)) - (i128::from(scale.zero_mantissa) << (shift + d - fraction));
            (-127..=127).take_while(|k| left >= i128::from(2 * k - 1) << d).last().unwrap_or(-128) as i8
        };
        for zero_mantissa in [-(1 << 24) + 1, -77, -1, 0, 1, 31, 32, 12345] {
            for zero_exponent in -100..=-90 {
                for shift in 0..=100 {
                    let scale = InputScale { zero_mantissa, zero_exponent, shift };
                    for value in [-70_000, -128, -1, 0, 1, 127] {
                        assert_eq!(scale.quantize_i32(value), reference(&scale, value), "{scale:?} {value}");
                    }
                }
            }
        }
        // A tie falls to the side on which the zero lies, however near it is.
        let half = |zero_mantissa| InputScale { zero_mantissa, zero_exponent: -100, shift: -1 }.quantize_i32(1);
        assert_eq!([-1, 0, 1].map(half), [1, 1, 0]);
        // The longest way to the right: −2^31·2^−32 is −½, and the zero lies on either side of 0, 2^95 times finer.
        let half = |zero_mantissa| InputScale { zero_mantissa, zero_exponent: -95, shift: -32 }.quantize_i32(i32::MIN);
        assert_eq!([-1, 0, 1].map(half), [0, 0, -1]);
    }

    #[test]
    fn extremes_saturate() {
        let scale = InputScale { zero_mantissa: 0, zero_exponent: 0, shift: 100 };
        assert_eq!(scale.quantize_i32(1), 127);
        assert_eq!(scale.quantize_i32(-1), -128);
        assert_eq!(scale.quantize_f32(f32::INFINITY), 127);
        assert_eq!(scale.quantize_f32(f32::NAN), 0);
        let fine = InputScale { zero_mantissa: 1, zero_exponent: -100, shift: -100 };
        assert_eq!(fine.quantize_i32(i32::MAX), 0);
        assert_eq!(fine.quantize_i32(i32::MIN), 0);
    }
}

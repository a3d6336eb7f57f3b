//! Logarithms to base 2, in integers: a slow one for what is computed once, a fast one for every feature.
//!
//! The slow one finds a bit of the fraction with every squaring, and is right to its last bit but for a floor. The fast one
//! goes by a table of 32 steps an octave and a straight line between neighbours: at most 0.0002 octaves too low.

/// Fraction bits of [`log2`].
pub(super) const FINE_BITS: u32 = 24;

/// ⌊log₂ x · 2^24⌋, with the fraction's bits found one by one; 0 for 0.
pub(super) const fn log2(x: u32) -> u32 {
    if x == 0 {
        return 0;
    }
    // From 2^31 to 2^32: 1 to 2.
    let mut mantissa = (x << x.leading_zeros()) as u64;
    let mut log = 31 - x.leading_zeros();
    let mut bit = 0;
    while bit < FINE_BITS {
        mantissa = (mantissa * mantissa) >> 31;
        let carry = (mantissa >> 32) as u32;
        mantissa >>= carry;
        log = log << 1 | carry;
        bit += 1;
    }
    log
}

/// Fraction bits of [`log2_by_table`].
pub(super) const TABLE_BITS: u32 = 15;

/// Steps of an octave, as a power of two.
const STEP_BITS: u32 = 5;

/// 2^15·log₂(1 + i/32), rounded, for i = 0 ..= 32.
static LOGARITHMS: [u16; (1 << STEP_BITS) + 1] = {
    let mut logarithms = [0; (1 << STEP_BITS) + 1];
    let mut i = 0;
    while i < logarithms.len() {
        let fraction = log2((1 << STEP_BITS) + i as u32) - (STEP_BITS << FINE_BITS);
        let dropped = FINE_BITS - TABLE_BITS;
        logarithms[i] = ((fraction + (1 << (dropped - 1))) >> dropped) as u16;
        i += 1;
    }
    logarithms
};

/// log₂ x in units of 2^−15; 0 for 0.
#[inline]
pub(super) fn log2_by_table(x: u64) -> u32 {
    if x == 0 {
        return 0;
    }
    let zeros = x.leading_zeros();
    // The bits behind the leading one: five choose the step, fifteen the place in it.
    let mantissa = ((x << zeros) >> 32) as u32;
    let step = (mantissa >> (31 - STEP_BITS)) & ((1 << STEP_BITS) - 1);
    let place = (mantissa >> (31 - STEP_BITS - TABLE_BITS)) & ((1 << TABLE_BITS) - 1);
    let [lower, upper] = match LOGARITHMS.get(step as usize..) {
        Some([lower, upper, ..]) => [u32::from(*lower), u32::from(*upper)],
        _ => [0; 2],
    };
    ((63 - zeros) << TABLE_BITS) + lower + (((upper - lower) * place) >> TABLE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_floating_point() {
        for x in (1..5000).chain((0..3000).map(|i| u32::MAX - i * 1_000_003)) {
            let exact = f64::from(x).log2() * f64::from(1 << FINE_BITS);
            let error = exact - f64::from(log2(x));
            assert!((-1e-6..1.01).contains(&error), "{x}: {error}");
        }
        assert_eq!([0, 1, 2, 3, 1 << 31].map(log2), [0, 0, 1 << 24, 26_591_258, 31 << 24]);
    }

    #[test]
    fn the_table_holds_logarithms() {
        for (i, logarithm) in LOGARITHMS.iter().enumerate() {
            assert_eq!(f64::from(*logarithm), ((1.0 + i as f64 / 32.0).log2() * 32_768.0).round(), "{i}");
        }
    }

    #[test]
    fn lines_between_its_entries_are_near_enough() {
        let mut worst = [0.0f64; 2];
        let mut x = 1u64;
        while x < 1 << 62 {
            let error = f64::from(log2_by_table(x)) / 32_768.0 - (x as f64).log2();
            worst = [worst[0].min(error), worst[1].max(error)];
            x += (x >> 12) + 1;
        }
        assert!(worst[0] > -0.0002 - 1.5 / 32_768.0 && worst[1] < 0.5 / 32_768.0, "{worst:?}");
        // A table of half as many steps would not do.
        assert!(worst[0] < -0.00015, "{worst:?}");
        assert_eq!([0, 1, 1 << 33, u64::MAX].map(log2_by_table), [0, 0, 33 << 15, (64 << 15) - 1]);
    }
}

//! Sines and cosines of the transform: a quarter of a turn, in the order in which the transform asks for them.
//!
//! The transform leaves its output in bit-reversed order, so every pass over it, and the last step to the spectrum of real
//! samples, reads [`QUARTER`] from its first entry on, whatever the length: a shorter transform reads a shorter beginning.

/// Steps of a turn, as a power of two: those of the longest transform.
const TURN_BITS: u32 = 10;
const TURN: usize = 1 << TURN_BITS;

/// 1 in units of the tables.
pub(super) const ONE_BITS: u32 = 14;

/// [cos, sin] of an angle, times 2^14: the factor cos − i·sin.
pub(super) type Twiddle = [i16; 2];

/// [cos, sin]·2^14 of the angles 2π·r/1024, rounded; entry h has r, the eight bits of h in reverse order.
pub(super) static QUARTER: [Twiddle; TURN / 4] = {
    let mut table = [[0; 2]; TURN / 4];
    let mut h = 0;
    while h < table.len() {
        table[h] = [cosine(reverse(h, TURN_BITS - 2)), sine(reverse(h, TURN_BITS - 2))];
        h += 1;
    }
    table
};

/// The same of three times the angles, for the first half of the entries.
pub(super) static TRIPLE: [Twiddle; TURN / 8] = {
    let mut table = [[0; 2]; TURN / 8];
    let mut h = 0;
    while h < table.len() {
        table[h] = [cosine(3 * reverse(h, TURN_BITS - 2)), sine(3 * reverse(h, TURN_BITS - 2))];
        h += 1;
    }
    table
};

/// 2^14·cos(2π·step/1024), rounded, by the table.
pub(super) fn cosine_by_table(step: u32) -> i32 {
    let quarter = (step as u8).reverse_bits();
    let [cos, sin] = QUARTER[usize::from(quarter)].map(i32::from);
    match step >> (TURN_BITS - 2) & 3 {
        0 => cos,
        1 => -sin,
        2 => -cos,
        _ => sin,
    }
}

const fn reverse(value: usize, bits: u32) -> usize {
    value.reverse_bits() >> (usize::BITS - bits)
}

const fn cosine(step: usize) -> i16 {
    let quarter = WAVE[step % (TURN / 4)];
    match step / (TURN / 4) % 4 {
        0 => rounded(quarter[0]),
        1 => -rounded(quarter[1]),
        2 => -rounded(quarter[0]),
        _ => rounded(quarter[1]),
    }
}

const fn sine(step: usize) -> i16 {
    cosine(step + 3 * TURN / 4)
}

/// From units of 2^−60.
const fn rounded(value: i64) -> i16 {
    ((value + (1 << (59 - ONE_BITS))) >> (60 - ONE_BITS)) as i16
}

/// [cos, sin] of the first quarter's steps in units of 2^−60, each by a rotation of the one before.
const WAVE: [[i64; 2]; TURN / 4] = {
    // A quarter of a turn halved eight times: cos(a/2) = √((1 + cos a)/2), sin(a/2) = √((1 − cos a)/2).
    const ONE: i128 = 1 << 60;
    let (mut cos, mut sin) = (0i128, ONE);
    let mut halving = 2;
    while halving < TURN_BITS {
        sin = (((ONE - cos) as u128) << 59).isqrt() as i128;
        cos = (((ONE + cos) as u128) << 59).isqrt() as i128;
        halving += 1;
    }
    let mut wave = [[0; 2]; TURN / 4];
    let (mut x, mut y) = (ONE, 0);
    let mut step = 0;
    while step < wave.len() {
        wave[step] = [x as i64, y as i64];
        (x, y) = ((x * cos - y * sin) >> 60, (x * sin + y * cos) >> 60);
        step += 1;
    }
    wave
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::sine::sin_cos;

    fn exact(step: usize) -> Twiddle {
        let (sin, cos) = sin_cos(step as f64 / TURN as f64);
        [cos, sin].map(|value| (value * f64::from(1 << ONE_BITS)).round() as i16)
    }

    #[test]
    fn tables_hold_sines_and_cosines() {
        for (h, twiddle) in QUARTER.iter().enumerate() {
            assert_eq!(*twiddle, exact((h as u8).reverse_bits().into()), "{h}");
        }
        for (h, twiddle) in TRIPLE.iter().enumerate() {
            assert_eq!(*twiddle, exact(3 * usize::from((h as u8).reverse_bits())), "{h}");
        }
        for step in 0..TURN {
            assert_eq!(cosine_by_table(step as u32), i32::from(exact(step)[0]), "{step}");
        }
    }
}

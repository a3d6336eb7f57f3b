//! What operators without weights compute, after `docs/format.md`: one number after another, in 128-bit integers.
//!
//! The engine's tests and the fuzzer's interpreter stand on it. Nothing here is shared with the kernels.

pub(crate) fn saturate(value: i128, relu: bool) -> i128 {
    value.clamp(if relu { 0 } else { -128 }, 127)
}

/// ⌊value·2^−shift + ½⌋; 0 for shifts above 31.
pub(crate) fn rounding_shift(value: i128, shift: i32) -> i128 {
    match shift {
        0 => value,
        1..=31 => (value + (1 << (shift - 1))) >> shift,
        32.. => 0,
        _ => unreachable!("the output's exponent is the larger one"),
    }
}

pub(crate) fn requantize(value: i128, shift: i32, relu: bool) -> i128 {
    // From 2^60 on every value but 0 saturates.
    saturate(if shift >= 1 { rounding_shift(value, shift) } else { value << (-shift).min(60) }, relu)
}

pub(crate) fn shift_norm(sample: &[i128], relu: bool) -> Vec<i128> {
    let sum: i128 = sample.iter().map(|value| value.abs()).sum();
    if sum == 0 {
        return vec![0; sample.len()];
    }
    let target = 27 * sample.len() as i128;
    let fits = |r: &i32| if *r >= 0 { sum << *r <= target } else { sum <= target << -r };
    let r = (-60..60).rev().find(fits).unwrap_or(-60);
    let scaled = |a: i128| if r >= 0 { a << r } else { (a + (1 << (-r - 1))) >> -r };
    sample.iter().map(|value| saturate(scaled(*value), relu)).collect()
}

/// Length in bits.
fn len(value: i128) -> i32 {
    128 - value.leading_zeros() as i32
}

pub(crate) fn rms_norm(sample: &[i128], one: i32, relu: bool) -> Vec<i128> {
    let largest = sample.iter().map(|value| value.abs()).max().unwrap_or(0);
    if largest == 0 {
        return vec![0; sample.len()];
    }
    let p = (len(largest) - 15).max(0);
    let kept: Vec<i128> = sample.iter().map(|value| rounding_shift(*value, p)).collect();
    let sum: i128 = kept.iter().map(|b| b * b).sum();
    let s = (0..63).filter(|s| s % 2 == 0 && sum << s < 1 << 63).max().unwrap_or(0);
    let root = ((sum << s) / sample.len() as i128).isqrt();
    let t = len(root) + 16;
    let reciprocal = (1 << t) / root;
    let shift = t - one - s / 2;
    let scaled = |value: i128| match shift {
        63.. => 0,
        1.. => (value + (1 << (shift - 1))) >> shift,
        _ => value << (-shift).min(60),
    };
    kept.iter().map(|b| saturate(scaled(b * reciprocal), relu)).collect()
}

pub(crate) fn softmax(sample: &[i128], from: i32, to: i32) -> Vec<i128> {
    let table = |j: i128| ((30.0 - j as f64 / 64.0).exp2()).round() as i128;
    let largest = sample.iter().max().copied().unwrap_or(0);
    let term = |value: &i128| {
        let product = (largest - value) * 94_548;
        let z = match from {
            ..=-64 => 0,
            -63..0 => product >> -from,
            _ => (product << from.min(64)).min(u64::MAX.into()),
        };
        let (n, j, w) = (z >> 16, (z >> 10) & 63, z & 1023);
        if n > 30 { 0 } else { (table(j) - (((table(j) - table(j + 1)) * w) >> 10)) >> n }
    };
    let terms: Vec<i128> = sample.iter().map(term).collect();
    let reciprocal = (1 << 62) / terms.iter().sum::<i128>();
    terms.iter().map(|term| (term * reciprocal + (1 << (61 + to))) >> (62 + to)).collect()
}

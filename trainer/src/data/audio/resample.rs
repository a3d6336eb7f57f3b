//! From one rate to another: a windowed sinc, in integers.
//!
//! An output sample is a sum of the input samples around its place, each times the value of a low-pass filter at its
//! distance: a sinc under Kaiser's window. Places repeat, so the filter is kept as one row of coefficients for each of the
//! places between two input samples that occur. Coefficients are whole numbers that sum to 2^22 in every row, products are
//! summed in 64 bits: constants stay what they are, and every machine gives the same samples. (Libraries for the purpose
//! take whatever vector unit is there, whose sums differ in their last bits.)
//!
//! The filter passes what both rates can carry up to 84 % of the lower one's half, falls from there to that half, and
//! leaves less than 1/10,000 of what lies above it.

/// Zeros of the sinc on each side of its middle.
const ZEROS: f64 = 32.0;

/// Where the filter has fallen to half, as a share of half of the lower rate.
const CUTOFF: f64 = 0.92;

/// Kaiser's β: about 80 dB.
const BETA: f64 = 8.0;

/// Bits of a coefficient.
const COEFFICIENT_BITS: u32 = 22;

/// A filter from one rate to another.
#[derive(Debug)]
pub(super) struct Resampler {
    /// Input samples in `up` output samples.
    down: u64,
    /// Places between two input samples.
    up: u64,
    /// Coefficients of a place.
    taps: usize,
    /// Those of the places that occur, place after place; the middle of a place's is its coefficient `taps/2 − 1`.
    coefficients: Vec<i32>,
}

impl Resampler {
    /// From `from` to `to` samples a second, or any other two numbers in that ratio, neither of them 0; for recordings of
    /// up to `samples` samples, which bounds the memory it takes.
    pub(super) fn new(from: u32, to: u32, samples: usize) -> Self {
        let divisor = greatest_common_divisor(from.max(1), to.max(1));
        let (down, up) = (u64::from(from.max(1) / divisor), u64::from(to.max(1) / divisor));
        // The share of the input's half rate that is passed.
        let share = CUTOFF * (up as f64 / down as f64).min(1.0);
        let half = (ZEROS / share).ceil() as usize;
        let taps = 2 * half;
        let places = up.min(outputs(samples, down, up) as u64);
        let mut coefficients = Vec::with_capacity(places as usize * taps);
        for output in 0..places {
            let offset = (output * down % up) as f64 / up as f64;
            coefficients.extend(row(share, half, offset));
        }
        Self { down, up, taps, coefficients }
    }

    /// The samples at the other rate: ⌈n · to / from⌉ of n, the first one at the same instant. The input is taken to be
    /// zero before its beginning and behind its end.
    pub(super) fn resample(&self, samples: &[i32]) -> Vec<i32> {
        let half = self.taps as i64 / 2;
        let output = |number: usize| {
            let place = number as u64 * self.down / self.up;
            let start = place as i64 - half + 1;
            let row = number % self.up as usize * self.taps;
            let row = self.coefficients.get(row..row + self.taps).unwrap_or(&[]);
            let skipped = usize::try_from(-start).unwrap_or(0).min(self.taps);
            let inputs = samples.get(start.max(0) as usize..).unwrap_or_default();
            let products = row.iter().skip(skipped).zip(inputs).map(|(c, x)| i64::from(*c) * i64::from(*x));
            let sum = products.sum::<i64>() + (1 << (COEFFICIENT_BITS - 1));
            (sum >> COEFFICIENT_BITS).clamp(i32::MIN.into(), i32::MAX.into()) as i32
        };
        (0..outputs(samples.len(), self.down, self.up)).map(output).collect()
    }
}

/// Output samples of so many input samples.
fn outputs(samples: usize, down: u64, up: u64) -> usize {
    (samples as u64 * up).div_ceil(down) as usize
}

/// The coefficients of a place, `offset` behind an input sample: those of the input samples from half − 1 before that one
/// to `half` behind it.
fn row(share: f64, half: usize, offset: f64) -> Vec<i32> {
    let value = |tap: usize| {
        let distance = tap as f64 - (half as f64 - 1.0) - offset;
        let angle = std::f64::consts::PI * share * distance;
        let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
        sinc * kaiser(distance / half as f64)
    };
    let values: Vec<f64> = (0..2 * half).map(value).collect();
    let unit = f64::from(1 << COEFFICIENT_BITS) / values.iter().sum::<f64>();
    let mut row: Vec<i32> = values.iter().map(|value| (value * unit).round() as i32).collect();
    // What rounding has left over, so that the sum is exact.
    let missing = (1 << COEFFICIENT_BITS) - row.iter().sum::<i32>();
    if let Some(middle) = row.get_mut(half - 1 + usize::from(offset > 0.5)) {
        *middle += missing;
    }
    row
}

/// Kaiser's window at a place from −1 to 1, but for a factor.
fn kaiser(place: f64) -> f64 {
    bessel(BETA * (1.0 - place * place).max(0.0).sqrt())
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)) * (x / 2.0 / f64::from(k));
        sum += term;
    }
    sum
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(frequency: f64, rate: u32, samples: usize) -> Vec<i32> {
        let angle = |n: usize| 2.0 * std::f64::consts::PI * frequency * n as f64 / f64::from(rate);
        (0..samples).map(|n| (angle(n).sin() * f64::from(1 << 22)).round() as i32).collect()
    }

    fn resampled(from: u32, to: u32, samples: &[i32]) -> Vec<i32> {
        Resampler::new(from, to, samples.len()).resample(samples)
    }

    /// The largest magnitude away from both ends.
    fn largest(samples: &[i32]) -> f64 {
        let edge = samples.len() / 4;
        f64::from(samples[edge..samples.len() - edge].iter().map(|sample| sample.abs()).max().unwrap_or(0))
    }

    #[test]
    fn tones_that_both_rates_carry_are_kept() {
        for (from, to) in
            [(44_100, 8_000), (48_000, 16_000), (8_000, 16_000), (22_050, 8_000), (8_000, 8_000), (11, 10)]
        {
            let frequency = 0.3 * f64::from(from.min(to)) / 2.0;
            let found = resampled(from, to, &tone(frequency, from, from.max(4000) as usize / 4));
            let expected = tone(frequency, to, found.len());
            let differences: Vec<i32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(largest(&differences) < 0.001 * largest(&expected), "{from} {to}: {}", largest(&differences));
        }
    }

    #[test]
    fn tones_that_the_lower_rate_cannot_carry_are_gone() {
        for (from, to, frequency) in [(44_100, 8_000, 4_010.0), (16_000, 8_000, 4_100.0), (48_000, 16_000, 9_000.0)] {
            let found = resampled(from, to, &tone(frequency, from, from as usize / 2));
            assert!(largest(&found) < 0.000_2 * f64::from(1 << 22), "{from} {to}: {}", largest(&found));
        }
    }

    #[test]
    fn constants_are_kept_exactly() {
        for (from, to) in [(44_100, 8_000), (7_999, 8_000), (3, 2)] {
            let found = resampled(from, to, &vec![-(1 << 23); 4000]);
            let edge = found.len() / 4;
            assert!(found[edge..found.len() - edge].iter().all(|sample| *sample == -(1 << 23)), "{from} {to}");
        }
    }

    /// Computed by another program from the definition; a change here changes what networks are trained on.
    #[test]
    fn samples_never_change() {
        let input: Vec<i32> = (0..40).map(|n| (n * n * 7919) % 1_000_003 - 500_000).collect();
        let found = resampled(3, 2, &input);
        assert_eq!((found.len(), &found[10..14]), (27, &[163_122, -460_533, 219_724, -49_827][..]));
    }

    proptest! {
        #[test]
        fn lengths_follow_the_ratio(from in 1u32..500, to in 1u32..500, samples in 0usize..300) {
            let found = resampled(from, to, &vec![1000; samples]);
            prop_assert_eq!(found.len() as u64, (samples as u64 * u64::from(to)).div_ceil(u64::from(from)));
        }

        #[test]
        fn a_filter_for_longer_recordings_is_the_same(samples in prop::collection::vec(-9000i32..9000, 1..60)) {
            prop_assert_eq!(Resampler::new(44_100, 8_000, 1 << 16).resample(&samples), resampled(44_100, 8_000, &samples));
        }
    }
}

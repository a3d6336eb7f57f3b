//! The window: a raised cosine over the frame, and the frame's exponent.
//!
//! A frame's products of 16-bit samples and 15-bit weights are rounded to the 15 bits that the transform takes, but not all
//! frames alike: the loudest product decides by how many bits. So a whisper keeps as many bits as a shout.

use super::twiddles;

/// Magnitudes of a normalised frame are at most this. A complex number of two such components is at most 32,668 in
/// magnitude, which the transform's rounding may exceed by some tens before it leaves 16 bits.
pub(super) const LARGEST: i32 = 23_100;

/// Hann's window: entry n of W is 32767·sin²(π·(n + ½)/W), by the table of cosines.
///
/// p = ⌊(2n + 1)·2^15 / W⌋ is the angle of the cosine in units of 2π/65536; the cosine is that of a straight line between
/// the table's entries p >> 6 and (p >> 6) + 1, in units of 2^−20; the entry is 32767·(2^20 − cosine)/2^21, rounded.
pub(super) fn fill(window: &mut [i16]) {
    let length = window.len().max(1) as u32;
    for (n, weight) in (0u32..).zip(window) {
        // A window has 1024 samples at most.
        let angle = ((2 * n + 1) << 15) / length;
        let (step, place) = (angle >> 6, (angle & 63) as i32);
        let [lower, upper] = [step, step + 1].map(twiddles::cosine_by_table);
        let cosine = lower * (64 - place) + upper * place;
        *weight = ((32_767 * i64::from((1 << 20) - cosine) + (1 << 20)) >> 21) as i16;
    }
}

/// The frame under the window, normalised: v = (x·w + half) >> r, the rest of `frame` zeros. Each part is samples and their
/// weights. Returns r, the smallest number of bits, 0 ..= 16, for which no v exceeds [`LARGEST`].
pub(super) fn apply(parts: [(&[i16], &[i16]); 2], frame: &mut [i16]) -> u32 {
    let mut largest = 0;
    for (samples, weights) in parts {
        let ((samples, last_samples), (weights, last_weights)) = (samples.as_chunks::<4>(), weights.as_chunks::<4>());
        for ([a, b, c, d], [p, q, r, s]) in samples.iter().zip(weights) {
            largest = largest.max(size(product(a, p))).max(size(product(b, q)));
            largest = largest.max(size(product(c, r))).max(size(product(d, s)));
        }
        for (sample, weight) in last_samples.iter().zip(last_weights) {
            largest = largest.max(size(product(sample, weight)));
        }
    }
    let mut shift = 0;
    while largest >> shift >= LARGEST {
        shift += 1;
    }
    let half = (1 << shift) >> 1;
    let rounded = |sample, weight| ((product(sample, weight) + half) >> shift) as i16;
    let mut rest = frame;
    for (samples, weights) in parts {
        let Some((frame, behind)) = rest.split_at_mut_checked(samples.len()) else { return shift };
        rest = behind;
        let ((samples, last_samples), (weights, last_weights)) = (samples.as_chunks::<4>(), weights.as_chunks::<4>());
        let (frame, last) = frame.as_chunks_mut();
        for ((values, [a, b, c, d]), [p, q, r, s]) in frame.iter_mut().zip(samples).zip(weights) {
            *values = [rounded(a, p), rounded(b, q), rounded(c, r), rounded(d, s)];
        }
        for ((value, sample), weight) in last.iter_mut().zip(last_samples).zip(last_weights) {
            *value = rounded(sample, weight);
        }
    }
    rest.fill(0);
    shift
}

#[inline(always)]
fn product(sample: &i16, weight: &i16) -> i32 {
    i32::from(*sample) * i32::from(*weight)
}

/// A product's magnitude, or one less where it is negative.
#[inline(always)]
fn size(product: i32) -> i32 {
    product ^ (product >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::sine::sin;

    #[test]
    fn windows_are_raised_cosines() {
        for length in 33..=1024 {
            let mut window = [0; 1024];
            fill(&mut window[..length]);
            for (n, weight) in window[..length].iter().enumerate() {
                let exact = 32_767.0 * sin((n as f64 + 0.5) / (2 * length) as f64).powi(2);
                let error = f64::from(*weight) - exact;
                assert!(error.abs() < 3.5, "{n} of {length}: {weight} instead of {exact}");
            }
        }
    }

    #[test]
    fn frames_use_the_bits_there_are() {
        let (weights, silence) = ([32_767; 4], [0; 4]);
        for sample in (-32_768..=32_767).step_by(7).chain([-1, 1, 32_767]) {
            let (samples, mut frame) = ([sample, 0, -sample.clamp(-32_767, 32_767), 0], [9; 10]);
            let parts = [(&samples[..], &weights[..]), (&silence[..], &weights[..])];
            let shift = apply(parts, &mut frame);
            let exact = f64::from(sample) * 32_767.0 / f64::from(1 << shift);
            assert!((f64::from(frame[0]) - exact).abs() <= 0.5, "{sample}");
            assert!((LARGEST / 2 - 1..=LARGEST).contains(&i32::from(frame[0]).abs()) || shift == 0, "{sample} {shift}");
            assert_eq!(frame[4..], [0; 6]);
        }
        assert_eq!(apply([(&silence, &weights); 2], &mut [9; 10]), 0);
    }
}

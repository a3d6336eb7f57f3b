//! Recordings of any length as windows of one length.
//!
//! What is shorter than the window lies in its middle, between zeros. Of what is longer the loudest stretch is kept: the
//! one with the largest sum of squares, the first of equals. A word is found that way, wherever its recording begins.

/// The `length` samples that a clip is judged by, `shift` samples later than it would be by itself; zeros where the clip
/// has none.
pub(super) fn fit(samples: &[i16], length: usize, shift: i64) -> Vec<i16> {
    let start = match samples.len().checked_sub(length) {
        Some(_) => loudest(samples, length) as i64,
        None => -(((length - samples.len()) / 2) as i64),
    };
    let start = start - shift;
    let sample = |place: i64| usize::try_from(place).ok().and_then(|place| samples.get(place)).copied();
    (0..length as i64).map(|place| sample(start + place).unwrap_or(0)).collect()
}

/// Where the loudest stretch of this length begins, which is at most that of the clip.
fn loudest(samples: &[i16], length: usize) -> usize {
    stretches(samples, length)
        .fold((0, None), |(best, most), (start, energy)| match most {
            Some(most) if energy <= most => (best, Some(most)),
            _ => (start, Some(energy)),
        })
        .0
}

/// Where the quietest stretch of this length begins, the first of equals.
pub(super) fn quietest(samples: &[i16], length: usize) -> usize {
    stretches(samples, length).min_by_key(|(_, energy)| *energy).map_or(0, |(start, _)| start)
}

/// Every stretch of this length: where it begins, and its sum of squares.
fn stretches(samples: &[i16], length: usize) -> impl Iterator<Item = (usize, u64)> {
    let square = |sample: &i16| u64::from(sample.unsigned_abs()).pow(2);
    let first = samples.iter().take(length).map(square).sum::<u64>();
    let steps = samples.iter().zip(samples.iter().skip(length)).enumerate();
    let later = steps.scan(first, move |energy, (start, (leaves, enters))| {
        *energy = *energy + square(enters) - square(leaves);
        Some((start + 1, *energy))
    });
    std::iter::once((0, first)).chain(later)
}

/// Root mean square of the samples; 0 of none.
pub(super) fn root_mean_square(samples: &[i16]) -> f64 {
    let sum: u64 = samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    (sum as f64 / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_clips_lie_in_the_middle() {
        assert_eq!(fit(&[1, 2, 3], 3, 0), [1, 2, 3]);
        assert_eq!(fit(&[1, 2, 3], 6, 0), [0, 1, 2, 3, 0, 0]);
        assert_eq!(fit(&[1, 2, 3], 6, 2), [0, 0, 0, 1, 2, 3]);
        assert_eq!(fit(&[1, 2, 3], 6, -2), [2, 3, 0, 0, 0, 0]);
        assert_eq!(fit(&[], 2, 0), [0, 0]);
        assert_eq!(fit(&[1], 2, i64::from(i32::MAX)), [0, 0]);
    }

    #[test]
    fn the_loudest_stretch_of_long_clips_is_kept() {
        assert_eq!(fit(&[0, 1, -5, 4, 1, 0], 2, 0), [-5, 4]);
        assert_eq!(fit(&[3, 0, 3, 0, 3], 2, 0), [3, 0]);
        assert_eq!(fit(&[0, 0, i16::MIN], 2, 0), [0, i16::MIN]);
        assert_eq!(fit(&[0, 1, -5, 4, 1, 0], 2, 1), [1, -5]);
        assert_eq!((quietest(&[9, 1, 0, 1, 9], 2), quietest(&[9], 2)), (1, 0));
    }

    #[test]
    fn loudness_is_a_root_mean_square() {
        assert_eq!(root_mean_square(&[3, -4, 0, 0]), 2.5);
        assert_eq!(root_mean_square(&[]), 0.0);
    }
}

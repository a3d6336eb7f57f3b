//! The first state of a ternary matrix, from normal numbers.
//!
//! `w ~ N(0, σ²)`, `T = sgn(w)·[|w| > θ']`, E the logarithm of a group's mean |w|. Who draws the numbers is not decided
//! here; the same numbers give the same integers everywhere.

use super::{Convention, Shape, TernaryError, TernaryState};

/// θ, the threshold on |w| above which a trit is not 0, unless σ/2 is smaller.
const THRESHOLD: f32 = 0.05;

/// σ = min(0.1, K^−½), the standard deviation of initial weights unless another is given.
pub fn deviation(columns: usize) -> f32 {
    (columns as f32).powf(-0.5).min(0.1)
}

/// θ' = min(0.05, σ/2), the threshold on |w|.
pub fn threshold(deviation: f32) -> f32 {
    THRESHOLD.min(deviation / 2.0)
}

/// T = sgn(w)·[|w| > threshold].
pub fn trits(weights: &[f32], threshold: f32) -> Vec<i8> {
    weights.iter().map(|w| if *w > threshold { 1 } else { -i8::from(*w < -threshold) }).collect()
}

/// E of every group of `weights` [N, K]: log2 of the mean |w|, within int8; 0 where the mean is 0.
///
/// [`Convention::Standard`] rounds halves to even and divides by the weights there are; [`Convention::Compatible`]
/// truncates toward 0 and divides by G even where the last group is short.
pub fn exponents(shape: &Shape, weights: &[f32], convention: Convention) -> Vec<i8> {
    let groups = weights.chunks(shape.columns()).flat_map(|row| row.chunks(shape.group().get()));
    groups.map(|group| exponent(group.iter().map(|w| w.abs()), shape.group().get(), convention)).collect()
}

/// E of one group of magnitudes.
pub(super) fn exponent(magnitudes: impl ExactSizeIterator<Item = f32>, full: usize, convention: Convention) -> i8 {
    let count = match convention {
        Convention::Standard => magnitudes.len(),
        Convention::Compatible => full,
    };
    let mean = magnitudes.map(f64::from).sum::<f64>() / count.max(1) as f64;
    if mean <= 0.0 {
        return 0;
    }
    // Float to integer conversions saturate.
    match convention {
        Convention::Standard => mean.log2().round_ties_even() as i8,
        // In f32, which decides on which side of a power of two a mean falls.
        Convention::Compatible => f64::from(mean as f32).log2() as f32 as i8,
    }
}

impl TernaryState {
    /// A fresh state from standard normal numbers [N, K]: w = normal·`deviation`.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub fn from_normals(
        shape: Shape,
        normals: &[f32],
        deviation: f32,
        threshold: f32,
        convention: Convention,
    ) -> Result<Self, TernaryError> {
        TernaryError::check("normal numbers", shape.weights(), normals.len())?;
        let weights: Vec<f32> = normals.iter().map(|normal| normal * deviation).collect();
        Self::new(shape, trits(&weights, threshold), exponents(&shape, &weights, convention))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    #[test]
    fn deviations_and_thresholds_have_their_limits() {
        assert_eq!((deviation(1), deviation(100), deviation(400)), (0.1, 0.1, 0.05));
        assert_eq!((threshold(0.1), threshold(1.0), threshold(0.05)), (0.05, 0.05, 0.025));
    }

    #[test]
    fn conventions_differ_in_short_groups_and_rounding() {
        let shape = Shape::new(1, 6, GroupSize::new(4).unwrap()).unwrap();
        // Means: 3/32 (log2 −3.4); of two weights 0.375 (log2 −1.4), of four 0.1875 (log2 −2.4).
        let weights = [0.09375, -0.09375, 0.09375, 0.09375, 0.375, -0.375];
        assert_eq!(exponents(&shape, &weights, Convention::Standard), [-3, -1]);
        assert_eq!(exponents(&shape, &weights, Convention::Compatible), [-3, -2]);
        // log2 0.7 = −0.51: nearest −1, toward zero 0. Nothing but zeros: 0.
        let weights = [0.7, 0.7, 0.7, 0.7, 0.0, -0.0];
        assert_eq!(exponents(&shape, &weights, Convention::Standard), [-1, 0]);
        assert_eq!(exponents(&shape, &weights, Convention::Compatible), [0, 0]);
    }

    #[test]
    fn exponents_stay_within_int8() {
        let shape = Shape::new(2, 1, GroupSize::new(4).unwrap()).unwrap();
        let weights = [f32::MIN_POSITIVE / 1024.0, f32::MAX];
        assert_eq!(exponents(&shape, &weights, Convention::Standard), [-128, 127]);
        // A quarter of the means, for three of four weights are missing.
        assert_eq!(exponents(&shape, &weights, Convention::Compatible), [-128, 126]);
    }

    proptest! {
        /// Against the definition: 2^E is the power of two nearest, in logarithms, to the mean of what is there.
        #[test]
        fn standard_exponents_are_nearest(
            normals in proptest::collection::vec(-3.0f32..3.0, 1..60),
            group in 0..GroupSize::ALL.len(),
        ) {
            let shape = Shape::new(1, normals.len(), GroupSize::ALL[group]).unwrap();
            let state = TernaryState::from_normals(shape, &normals, 0.1, 0.05, Convention::Standard).unwrap();
            for (index, normals) in normals.chunks(shape.group().get()).enumerate() {
                let mean = normals.iter().map(|n| f64::from((n * 0.1).abs())).sum::<f64>() / normals.len() as f64;
                if mean > 0.0 {
                    let exponent = f64::from(state.exponents()[index]);
                    prop_assert!((mean.log2() - exponent).abs() <= 0.5 + 1e-9);
                }
            }
            for (trit, normal) in state.trits().iter().zip(&normals) {
                prop_assert_eq!(i32::from(*trit), i32::from(normal * 0.1 > 0.05) - i32::from(normal * 0.1 < -0.05));
            }
        }
    }
}

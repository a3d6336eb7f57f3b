//! What the state means: effective exponents, and the weights of a forward pass in three precisions.
//!
//! The effective exponent is computed in f64 and 2^e rounded once to f32, so integer exponents give exact powers of
//! two. A trit of 0 is a weight of 0, even where 2^e is not finite.

use super::TernaryState;
use half::{bf16, f16};
use ndarray::{Array2, ArrayView2, CowArray, Ix2};
use rayon::prelude::*;

/// Effective exponents of the 16-bit paths: 2^e is a normal f16.
pub const HALF_EXPONENTS: (f64, f64) = (-14.0, 15.0);

/// A type of inputs and weights: f32, f16 or bf16. Products are always accumulated in f32.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + private::Sealed + 'static {
    /// T·2^e as the forward pass uses it: f32 as it is; the 16-bit types with e clamped to −14…15 and the product
    /// rounded to the type, halves to even. Returned in f32, which holds it exactly.
    fn weight(trit: i8, exponent: f64) -> f32;

    /// The values in f32, exactly; copied only where they are not f32 already.
    fn widen<'a>(values: &ArrayView2<'a, Self>) -> CowArray<'a, f32, Ix2>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}

impl Element for f32 {
    fn weight(trit: i8, exponent: f64) -> f32 {
        if trit == 0 { 0.0 } else { Self::from(trit) * exponent.exp2() as Self }
    }

    fn widen<'a>(values: &ArrayView2<'a, Self>) -> CowArray<'a, Self, Ix2> {
        CowArray::from(*values)
    }
}

impl Element for f16 {
    fn weight(trit: i8, exponent: f64) -> f32 {
        Self::from_f32(clamped(trit, exponent)).to_f32()
    }

    fn widen<'a>(values: &ArrayView2<'a, Self>) -> CowArray<'a, f32, Ix2> {
        CowArray::from(values.mapv(Self::to_f32))
    }
}

impl Element for bf16 {
    fn weight(trit: i8, exponent: f64) -> f32 {
        Self::from_f32(clamped(trit, exponent)).to_f32()
    }

    fn widen<'a>(values: &ArrayView2<'a, Self>) -> CowArray<'a, f32, Ix2> {
        CowArray::from(values.mapv(Self::to_f32))
    }
}

fn clamped(trit: i8, exponent: f64) -> f32 {
    <f32 as Element>::weight(trit, exponent.clamp(HALF_EXPONENTS.0, HALF_EXPONENTS.1))
}

impl TernaryState {
    /// e = E + corr/max(step·G, 1)·S of one group (counted over the matrix, row by row); E at step 0, whatever corr is.
    /// `None` where there is no such group.
    pub fn effective_exponent(&self, group: usize, strength: f64) -> Option<f64> {
        let (exponent, corr) = (*self.exponents.get(group)?, *self.corr.get(group)?);
        Some(self.effective(exponent, corr, strength))
    }

    pub(super) fn effective(&self, exponent: i8, corr: i64, strength: f64) -> f64 {
        if self.step == 0 {
            return f64::from(exponent);
        }
        f64::from(exponent) + corr as f64 / self.votes_of_a_group() * strength
    }

    /// max(step·G, 1).
    pub(super) fn votes_of_a_group(&self) -> f64 {
        (self.step as f64 * self.shape.group().get() as f64).max(1.0)
    }

    /// The weights W = T·2^e [N, K] of a forward pass over elements of this type, in f32.
    pub fn weights<E: Element>(&self, strength: f64) -> Array2<f32> {
        let (columns, group) = (self.shape.columns(), self.shape.group().get());
        let mut weights = Array2::zeros((self.shape.rows(), columns));
        if let Some(weights) = weights.as_slice_mut() {
            let rows = weights.par_chunks_mut(columns).zip(self.trits.par_chunks(columns)).enumerate();
            rows.for_each(|(row, (weights, trits))| {
                let groups = row * self.shape.row_groups()..(row + 1) * self.shape.row_groups();
                let exponents = self.exponents[groups.clone()].iter().zip(&self.corr[groups]);
                let groups = weights.chunks_mut(group).zip(trits.chunks(group)).zip(exponents);
                for ((weights, trits), (exponent, corr)) in groups {
                    let values = [-1, 0, 1].map(|trit| E::weight(trit, self.effective(*exponent, *corr, strength)));
                    for (weight, trit) in weights.iter_mut().zip(trits) {
                        *weight = values[(trit + 1) as usize];
                    }
                }
            });
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use crate::ternary::Shape;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn single(exponent: i8, corr: i64, step: i64) -> TernaryState {
        let shape = Shape::new(1, 3, GroupSize::new(4).unwrap()).unwrap();
        let state = TernaryState::new(shape, vec![1, 0, -1], vec![exponent]).unwrap();
        state.with_correlation(vec![corr], step).unwrap()
    }

    #[test]
    fn correlations_count_from_the_first_step_on() {
        assert_eq!(single(-3, 1_000_000, 0).effective_exponent(0, 4.0), Some(-3.0));
        // 2/(2·4)·S.
        assert_eq!(single(-3, 2, 2).effective_exponent(0, 4.0), Some(-2.0));
        assert_eq!(single(-3, 2, 2).effective_exponent(0, 16.0), Some(1.0));
        assert_eq!(single(-3, 2, 2).effective_exponent(0, 0.0), Some(-3.0));
        assert_eq!(single(0, i64::MIN, i64::MAX).effective_exponent(0, 4.0), Some(-1.0));
        assert_eq!(single(0, 0, 0).effective_exponent(1, 4.0), None);
    }

    #[test]
    fn f32_is_not_clamped_and_zeros_stay_zeros() {
        assert_eq!(
            single(-128, 0, 0).weights::<f32>(4.0).as_slice().unwrap(),
            [2f32.powi(-128), 0.0, -2f32.powi(-128)]
        );
        // e = 4·10^9: 2^e is infinite.
        let far = single(0, 4_000_000_000, 1);
        assert_eq!(far.weights::<f32>(4.0).as_slice().unwrap(), [f32::INFINITY, 0.0, f32::NEG_INFINITY]);
        assert_eq!(far.weights::<f16>(4.0).as_slice().unwrap(), [32768.0, 0.0, -32768.0]);
    }

    #[test]
    fn sixteen_bits_clamp_and_round() {
        let smallest = 2f32.powi(-14);
        for exponent in [-128, -20, -14] {
            assert_eq!(single(exponent, 0, 0).weights::<f16>(4.0).as_slice().unwrap(), [smallest, 0.0, -smallest]);
            assert_eq!(single(exponent, 0, 0).weights::<bf16>(4.0).as_slice().unwrap(), [smallest, 0.0, -smallest]);
        }
        assert_eq!(single(127, 0, 0).weights::<bf16>(4.0)[[0, 0]], 32768.0);
        // √2 = 1.41421356 has 10 and 7 bits of fraction: 1448/1024 and 181/128.
        let root = single(0, 1, 2);
        assert_eq!(root.effective_exponent(0, 4.0), Some(0.5));
        assert_eq!(root.weights::<f32>(4.0)[[0, 0]], std::f32::consts::SQRT_2);
        assert_eq!(root.weights::<f16>(4.0)[[0, 0]], 1448.0 / 1024.0);
        assert_eq!(root.weights::<bf16>(4.0)[[0, 2]], -181.0 / 128.0);
    }

    proptest! {
        #[test]
        fn weights_follow_the_definition(case in naive::case(), strength in 0.25f64..20.0) {
            let state = &case.state;
            let weights = state.weights::<f32>(strength);
            for ((row, column), weight) in weights.indexed_iter() {
                // Beyond f32's range as f32 has it: infinite, or 0.
                let expected = naive::weight(state, row, column, strength) as f32;
                prop_assert!(*weight == expected || (weight - expected).abs() <= 1e-6 * expected.abs());
            }
        }
    }
}

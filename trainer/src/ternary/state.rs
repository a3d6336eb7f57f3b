//! The state of one ternary matrix: integers, and nothing else.
//!
//! Trits lie one to a byte in memory and five to a byte wherever they are stored ([`TernaryState::packed`]). What each
//! array holds is decided once, when the state is made: lengths fit the shape and trits are trits, so that no later
//! reader has to check.

use super::{Shape, TernaryError};
use trishift_format::trits;

/// A ternary matrix under training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TernaryState {
    pub(super) shape: Shape,
    pub(super) trits: Vec<i8>,
    pub(super) exponents: Vec<i8>,
    pub(super) corr: Vec<i64>,
    pub(super) step: i64,
    pub(super) exponent_accumulators: Option<Vec<i8>>,
    pub(super) trit_accumulators: Option<Vec<i8>>,
}

impl TernaryState {
    /// A state of these trits [N, K] and exponents [N, R], row by row; corr and step are 0, accumulators absent.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`TernaryError::Trit`].
    pub fn new(shape: Shape, trits: Vec<i8>, exponents: Vec<i8>) -> Result<Self, TernaryError> {
        TernaryError::check("trits", shape.weights(), trits.len())?;
        TernaryError::check("exponents", shape.groups(), exponents.len())?;
        if let Some((index, value)) = trits.iter().enumerate().find(|(_, trit)| !(-1..=1).contains(*trit)) {
            return Err(TernaryError::Trit { index, value: *value });
        }
        let corr = vec![0; shape.groups()];
        Ok(Self { shape, trits, exponents, corr, step: 0, exponent_accumulators: None, trit_accumulators: None })
    }

    /// The same with the trits packed flat, five to a byte; the last byte's missing trits are digit 0.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`TernaryError::Packed`].
    pub fn from_packed(shape: Shape, packed: &[u8], exponents: Vec<i8>) -> Result<Self, TernaryError> {
        Self::check_packed(&shape, packed)?;
        let mut values = vec![0; shape.weights()];
        trits::unpack(packed, &mut values);
        Self::new(shape, values, exponents)
    }

    /// Checks that these bytes hold the trits of such a matrix, five to a byte.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`TernaryError::Packed`].
    pub(crate) fn check_packed(shape: &Shape, packed: &[u8]) -> Result<(), TernaryError> {
        TernaryError::check("bytes of packed trits", shape.packed_bytes(), packed.len())?;
        let used = shape.weights() - (packed.len() - 1) * trits::PER_BYTE;
        let last = packed.len() - 1;
        let largest = |index| if index == last { 3u8.saturating_pow(used as u32) - 1 } else { trits::MAX_BYTE };
        match packed.iter().enumerate().find(|(index, byte)| **byte > largest(*index)) {
            Some((index, byte)) => Err(TernaryError::Packed { index, byte: *byte, largest: largest(index) }),
            None => Ok(()),
        }
    }

    /// A matrix of ones: T = 1, E = 0.
    pub fn ones(shape: Shape) -> Self {
        Self {
            shape,
            trits: vec![1; shape.weights()],
            exponents: vec![0; shape.groups()],
            corr: vec![0; shape.groups()],
            step: 0,
            exponent_accumulators: None,
            trit_accumulators: None,
        }
    }

    /// The state with these correlations [N, R] and this many steps behind it.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`TernaryError::Step`].
    pub fn with_correlation(self, corr: Vec<i64>, step: i64) -> Result<Self, TernaryError> {
        TernaryError::check("correlations", self.shape.groups(), corr.len())?;
        if step < 0 {
            return Err(TernaryError::Step { step });
        }
        Ok(Self { corr, step, ..self })
    }

    /// The state with these accumulators [N, R] of exponent steps.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub fn with_exponent_accumulators(self, accumulators: Vec<i8>) -> Result<Self, TernaryError> {
        TernaryError::check("exponent accumulators", self.shape.groups(), accumulators.len())?;
        Ok(Self { exponent_accumulators: Some(accumulators), ..self })
    }

    /// The state with these accumulators [N, K] of trit flips.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub fn with_trit_accumulators(self, accumulators: Vec<i8>) -> Result<Self, TernaryError> {
        TernaryError::check("trit accumulators", self.shape.weights(), accumulators.len())?;
        Ok(Self { trit_accumulators: Some(accumulators), ..self })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Trits T, [N, K].
    pub fn trits(&self) -> &[i8] {
        &self.trits
    }

    /// Trits packed flat, ⌈N·K/5⌉ bytes.
    pub fn packed(&self) -> Vec<u8> {
        trits::pack_flat(&self.trits).collect()
    }

    /// Exponents E, [N, R].
    pub fn exponents(&self) -> &[i8] {
        &self.exponents
    }

    /// Correlations, [N, R].
    pub fn corr(&self) -> &[i64] {
        &self.corr
    }

    /// Votes counted so far by correlation updates; never negative.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Accumulators of exponent steps, [N, R]; absent until one is needed, and then 0.
    pub fn exponent_accumulators(&self) -> Option<&[i8]> {
        self.exponent_accumulators.as_deref()
    }

    /// Accumulators of trit flips, [N, K]; absent until one is needed, and then 0.
    pub fn trit_accumulators(&self) -> Option<&[i8]> {
        self.trit_accumulators.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn shape(rows: usize, columns: usize) -> Shape {
        Shape::new(rows, columns, GroupSize::new(4).unwrap()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let shape = shape(2, 3);
        assert!(TernaryState::new(shape, vec![0; 5], vec![0; 2]).is_err());
        assert!(TernaryState::new(shape, vec![0; 6], vec![0; 3]).is_err());
        let bad = TernaryState::new(shape, vec![0, 1, -1, 0, 2, 0], vec![0; 2]);
        assert_eq!(bad, Err(TernaryError::Trit { index: 4, value: 2 }));
        let state = TernaryState::ones(shape);
        assert!(state.clone().with_correlation(vec![0; 3], 0).is_err());
        assert_eq!(state.clone().with_correlation(vec![0; 2], -1), Err(TernaryError::Step { step: -1 }));
        assert!(state.clone().with_exponent_accumulators(vec![0; 6]).is_err());
        assert!(state.with_trit_accumulators(vec![0; 2]).is_err());
    }

    #[test]
    fn bytes_that_are_not_trits_are_refused() {
        // Six trits: five in the first byte, one in the second.
        let read = |bytes: &[u8]| TernaryState::from_packed(shape(2, 3), bytes, vec![0; 2]);
        assert_eq!(read(&[242, 2]).unwrap().trits(), [1; 6]);
        assert_eq!(read(&[243, 0]), Err(TernaryError::Packed { index: 0, byte: 243, largest: 242 }));
        assert_eq!(read(&[0, 3]), Err(TernaryError::Packed { index: 1, byte: 3, largest: 2 }));
        assert!(read(&[0]).is_err());
    }

    proptest! {
        #[test]
        fn packed_trits_come_back(trits in proptest::collection::vec(-1i8..=1, 1..40)) {
            let shape = shape(1, trits.len());
            let state = TernaryState::new(shape, trits, vec![3; shape.groups()]).unwrap();
            let packed = state.packed();
            prop_assert_eq!(TernaryState::from_packed(shape, &packed, vec![3; shape.groups()]).unwrap(), state);
        }
    }
}

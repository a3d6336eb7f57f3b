//! A ternary linear layer: `y = x·Wᵀ + b`, `gx = gy·W`, with the W of the forward pass.
//!
//! A forward pass hands back its weights with its output, and the backward pass takes them from there: an update in
//! between cannot change what the gradient is a gradient of. Inputs and weights are f32, f16 or bf16 ([`Element`]);
//! products are accumulated in f32 and handed back in f32, and whoever wants them shorter rounds them.

use super::components::Scope;
use super::{Component, DEFAULT_STRENGTH, Element, TernaryError, TernaryState};
use crate::rule::gradient::Gradient;
use ndarray::{Array2, ArrayView2, CowArray, Ix2};
use std::marker::PhantomData;

/// A ternary matrix [N, K] as a layer from K inputs to N outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The matrix.
    pub state: TernaryState,
    /// Correlation strength S.
    pub strength: f64,
    bias: Vec<i32>,
}

/// What a forward pass over elements of type `E` leaves for the backward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward<E> {
    /// y, [batch, N].
    pub output: Array2<f32>,
    /// W as it was, [N, K].
    pub weights: Array2<f32>,
    element: PhantomData<E>,
}

impl Linear {
    /// A layer without bias and of the default strength.
    pub fn new(state: TernaryState) -> Self {
        Self { state, strength: DEFAULT_STRENGTH, bias: Vec::new() }
    }

    /// The layer with a bias of 0 for every output.
    pub fn with_bias(self) -> Self {
        Self { bias: vec![0; self.state.shape().rows()], ..self }
    }

    /// The biases, \[N\]; empty for a layer without.
    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    /// The biases, to be changed; what is added to y is the nearest f32.
    pub fn bias_mut(&mut self) -> &mut [i32] {
        &mut self.bias
    }

    /// Bits per weight of the trained state.
    pub fn bits_per_weight(&self) -> f64 {
        self.state.shape().bits_per_weight(!self.bias.is_empty())
    }

    /// y = x·Wᵀ + b for inputs [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for inputs of another width.
    pub fn forward<E: Element>(&self, input: ArrayView2<'_, E>) -> Result<Forward<E>, TernaryError> {
        TernaryError::check("columns of the inputs", self.state.shape().columns(), input.ncols())?;
        let weights = self.state.weights::<E>(self.strength);
        let mut output = E::widen(&input).dot(&weights.t());
        for mut output in output.rows_mut() {
            for (output, bias) in output.iter_mut().zip(&self.bias) {
                *output += *bias as f32;
            }
        }
        Ok(Forward { output, weights, element: PhantomData })
    }

    /// gx [batch, K] for gy [batch, N], and one correlation update on the way, by sign votes that count as the component
    /// says; no matrix of votes is ever stored.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where gy, inputs and layer do not fit together.
    pub fn backward<E: Element>(
        &mut self,
        pass: &Forward<E>,
        input: ArrayView2<'_, E>,
        output_gradient: ArrayView2<'_, E>,
        component: &Component,
    ) -> Result<Array2<f32>, TernaryError> {
        let input_gradient = pass.input_gradient(output_gradient)?;
        let (output_gradient, input) = (E::widen(&output_gradient), E::widen(&input));
        self.state.update_correlation(&gradient(&output_gradient, &input), component.count())?;
        Ok(input_gradient)
    }

    /// gx [batch, K] for gy [batch, N]; the votes go to the scope, as layer number `layer`, and wait there.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where gy, inputs and layer do not fit together.
    pub fn backward_deferred<E: Element>(
        &self,
        pass: &Forward<E>,
        input: ArrayView2<'_, E>,
        output_gradient: ArrayView2<'_, E>,
        layer: usize,
        scope: &mut Scope<'_>,
    ) -> Result<Array2<f32>, TernaryError> {
        let input_gradient = pass.input_gradient(output_gradient)?;
        let (output_gradient, input) = (E::widen(&output_gradient), E::widen(&input));
        let votes = gradient(&output_gradient, &input);
        self.state.shape().check_votes(&votes)?;
        scope.defer(layer, &votes)?;
        Ok(input_gradient)
    }
}

impl<E: Element> Forward<E> {
    /// gx = gy·W [batch, K] for gy [batch, N].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y.
    pub fn input_gradient(&self, output_gradient: ArrayView2<'_, E>) -> Result<Array2<f32>, TernaryError> {
        TernaryError::check("rows of the output gradient", self.output.nrows(), output_gradient.nrows())?;
        TernaryError::check("columns of the output gradient", self.output.ncols(), output_gradient.ncols())?;
        Ok(E::widen(&output_gradient).dot(&self.weights))
    }
}

/// The weight gradient gyᵀ·x of gy [batch, N] and x [batch, K].
fn gradient<'a>(output: &'a CowArray<'_, f32, Ix2>, input: &'a CowArray<'_, f32, Ix2>) -> Gradient<'a> {
    Gradient::Product { output: output.view().reversed_axes(), input: input.view() }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use crate::ternary::weights::HALF_EXPONENTS;
    use crate::ternary::{DeferredVotes, Shape};
    use half::{bf16, f16};
    use ndarray::array;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn layer(trits: &[i8], rows: usize, exponents: &[i8]) -> Linear {
        let shape = Shape::new(rows, trits.len() / rows, GroupSize::new(4).unwrap()).unwrap();
        Linear::new(TernaryState::new(shape, trits.to_vec(), exponents.to_vec()).unwrap())
    }

    #[test]
    fn biases_begin_at_zero_and_are_added() {
        let mut layer = layer(&[1, 0, -1, 1], 2, &[1, 0]).with_bias();
        let input = array![[1.0, 2.0], [0.5, -4.0]];
        assert_eq!(layer.forward(input.view()).unwrap().output, array![[2.0, 1.0], [1.0, -4.5]]);
        layer.bias_mut().copy_from_slice(&[100, -7]);
        assert_eq!(layer.forward(input.view()).unwrap().output, array![[102.0, -6.0], [101.0, -11.5]]);
        assert_eq!(layer.bits_per_weight(), 1.6 + (72.0 * 2.0 + 32.0 * 2.0) / 4.0);
    }

    #[test]
    fn gradients_use_the_weights_of_the_forward_pass() {
        let mut layer = layer(&[1, -1, 1, 1], 1, &[0]);
        let input = array![[1.0, 1.0, 1.0, 1.0]];
        let pass = layer.forward(input.view()).unwrap();
        layer.state.update_correlation(&crate::ternary::Votes::new(1, 4, vec![-1, 1, -1, -1]).unwrap(), 1).unwrap();
        assert_ne!(layer.forward(input.view()).unwrap().weights, pass.weights);
        let gradient = layer.backward(&pass, input.view(), array![[2.0]].view(), &Component::default()).unwrap();
        assert_eq!(gradient, array![[2.0, -2.0, 2.0, 2.0]]);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut layer = layer(&[1, -1, 1, 1], 2, &[0, 0]);
        let before = layer.clone();
        let input = array![[1.0, 2.0], [3.0, 4.0]];
        assert!(layer.forward(array![[1.0, 2.0, 3.0]].view()).is_err());
        let pass = layer.forward(input.view()).unwrap();
        let plain = Component::default();
        assert!(layer.backward(&pass, input.view(), array![[1.0, 2.0]].view(), &plain).is_err());
        assert!(layer.backward(&pass, array![[1.0, 2.0]].view(), input.view(), &plain).is_err());
        let mut deferred = DeferredVotes::default();
        let mut scope = deferred.scope(&plain);
        let narrow = array![[1.0], [2.0]];
        assert!(layer.backward_deferred(&pass, narrow.view(), input.view(), 0, &mut scope).is_err());
        scope.keep();
        assert!(deferred.is_empty());
        assert_eq!(layer, before);
    }

    /// y and gx by sums in f64 over the weights that the precision gives.
    fn check<E: Element>(
        case: &naive::Case,
        limits: (f64, f64),
        narrow: impl Fn(f32) -> E,
    ) -> Result<(), TestCaseError> {
        // Finite weights in every precision, with exponents beyond the limits of the 16-bit ones.
        let (shape, trits) = (*case.state.shape(), case.state.trits().to_vec());
        let exponents = case.state.exponents().iter().map(|e| e % 12).collect();
        let corr = case.state.corr().iter().map(|corr| corr % 16).collect();
        let state =
            TernaryState::new(shape, trits, exponents).unwrap().with_correlation(corr, case.state.step()).unwrap();
        let mut layer = Linear::new(state);
        layer.strength = 2.5;
        let input = case.input.mapv(&narrow);
        let output_gradient = case.output.t().mapv(&narrow);
        let pass = layer.forward(input.view()).unwrap();
        let weight = |n: usize, k: usize| {
            let exact = naive::clamped_weight(&layer.state, n, k, layer.strength, limits) as f32;
            f64::from(E::widen(&Array2::from_elem((1, 1), narrow(exact)).view())[[0, 0]])
        };
        let near = |found: f32, terms: Vec<f64>| {
            let size: f64 = terms.iter().map(|term| term.abs()).sum();
            (f64::from(found) - terms.iter().sum::<f64>()).abs() <= 1e-5 * size
        };
        for ((m, n), y) in pass.output.indexed_iter() {
            let terms = (0..shape.columns()).map(|k| f64::from(case.input[[m, k]]) * weight(n, k)).collect();
            prop_assert!(near(*y, terms), "y {m} {n}");
        }
        let gradient = pass.input_gradient(output_gradient.view()).unwrap();
        for ((m, k), gx) in gradient.indexed_iter() {
            let terms = (0..shape.rows()).map(|n| f64::from(case.output[[n, m]]) * weight(n, k)).collect();
            prop_assert!(near(*gx, terms), "gx {m} {k}");
        }
        // Votes do not depend on the precision: the case holds small integers.
        let mut expected = layer.state.clone();
        expected.update_correlation(&case.gradient(), 2).unwrap();
        let component = Component::new("twice", 2.0).unwrap();
        layer.backward(&pass, input.view(), output_gradient.view(), &component).unwrap();
        prop_assert_eq!(&layer.state, &expected);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn products_follow_the_definition(case in naive::case()) {
            check::<f32>(&case, (f64::NEG_INFINITY, f64::INFINITY), |value| value)?;
            check::<f16>(&case, HALF_EXPONENTS, f16::from_f32)?;
            check::<bf16>(&case, HALF_EXPONENTS, bf16::from_f32)?;
        }

        #[test]
        fn deferred_votes_leave_the_same_state(case in naive::case(), weight in -3.0f64..3.0) {
            let mut immediate = Linear::new(case.state.clone());
            let mut later = immediate.clone();
            let component = Component::new("contrast", weight).unwrap();
            let (input, output_gradient) = (case.input.view(), case.output.t());
            let pass = immediate.forward(input).unwrap();
            let gradient = immediate.backward(&pass, input, output_gradient, &component).unwrap();
            let mut deferred = DeferredVotes::default();
            let mut scope = deferred.scope(&component);
            let other = later.backward_deferred(&pass, input, output_gradient, 0, &mut scope).unwrap();
            scope.keep();
            prop_assert_eq!(&later.state, &case.state);
            deferred.apply_correlation("contrast", 0, &mut later.state).unwrap();
            prop_assert_eq!(later, immediate);
            let same = gradient.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same);
        }
    }
}

//! RMS norm with a ternary weight: `y = x/√(mean(x²) + ε)·T·2^e`.
//!
//! A fresh norm has T = 1 and E = 0 and is the plain norm for every width, also where the last group is short. Its
//! weight stays as it is unless it is told to train. Means are taken in f64, in the order of the columns.

use super::votes::{Votes, sign};
use super::{Component, DEFAULT_STRENGTH, Shape, TernaryError, TernaryState};
use ndarray::{Array2, ArrayView2};
use trishift_format::GroupSize;

/// ε unless another is given.
pub const DEFAULT_EPSILON: f64 = 1e-5;

/// A norm over the columns of [batch, K].
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// The weight, [1, K].
    pub state: TernaryState,
    /// Correlation strength S of the weight.
    pub strength: f64,
    /// Whether a backward pass updates the weight.
    pub trains: bool,
    epsilon: f64,
}

/// What a forward pass leaves for the backward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct NormForward {
    /// y, [batch, K].
    pub output: Array2<f32>,
    /// x̂ = x/rms, [batch, K].
    pub normalized: Array2<f32>,
    /// rms = √(mean(x²) + ε) of every sample, \[batch\].
    pub rms: Vec<f64>,
    /// W as it was, \[K\].
    pub weights: Vec<f32>,
}

impl RmsNorm {
    /// A fresh norm over `columns` columns that does not train.
    ///
    /// # Errors
    /// [`TernaryError::Empty`].
    pub fn new(columns: usize, group: GroupSize) -> Result<Self, TernaryError> {
        Self::from_state(TernaryState::ones(Shape::new(1, columns, group)?))
    }

    /// A norm with this weight, of one row, that does not train.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub fn from_state(state: TernaryState) -> Result<Self, TernaryError> {
        TernaryError::check("rows of the norm's weight", 1, state.shape().rows())?;
        Ok(Self { state, strength: DEFAULT_STRENGTH, trains: false, epsilon: DEFAULT_EPSILON })
    }

    /// The norm with another ε.
    ///
    /// # Errors
    /// [`TernaryError::Epsilon`] where it is not finite and above 0.
    pub fn with_epsilon(self, epsilon: f64) -> Result<Self, TernaryError> {
        if epsilon.is_finite() && epsilon > 0.0 {
            Ok(Self { epsilon, ..self })
        } else {
            Err(TernaryError::Epsilon { epsilon })
        }
    }

    /// ε.
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// y for inputs [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for inputs of another width.
    pub fn forward(&self, input: ArrayView2<'_, f32>) -> Result<NormForward, TernaryError> {
        let columns = self.state.shape().columns();
        TernaryError::check("columns of the inputs", columns, input.ncols())?;
        let weights: Vec<f32> = self.state.weights::<f32>(self.strength).into_iter().collect();
        let squares = |row: &mut dyn Iterator<Item = &f32>| row.map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        let rms: Vec<f64> = input
            .rows()
            .into_iter()
            .map(|row| (squares(&mut row.iter()) / columns as f64 + self.epsilon).sqrt())
            .collect();
        let mut normalized = input.to_owned();
        for (mut row, rms) in normalized.rows_mut().into_iter().zip(&rms) {
            row.mapv_inplace(|x| (f64::from(x) / rms) as f32);
        }
        let mut output = normalized.clone();
        for mut row in output.rows_mut() {
            row.iter_mut().zip(&weights).for_each(|(y, weight)| *y *= weight);
        }
        Ok(NormForward { output, normalized, rms, weights })
    }

    /// gx [batch, K] for gy [batch, K]; a norm that trains also gets one correlation update by the signs of Σ_m gy·x̂,
    /// which count as the component says.
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y.
    pub fn backward(
        &mut self,
        pass: &NormForward,
        output_gradient: ArrayView2<'_, f32>,
        component: &Component,
    ) -> Result<Array2<f32>, TernaryError> {
        let input_gradient = pass.input_gradient(output_gradient)?;
        if self.trains {
            self.state.update_correlation(&pass.votes(output_gradient)?, component.count())?;
        }
        Ok(input_gradient)
    }
}

impl NormForward {
    /// gx = (dyw − x̂·mean(x̂·dyw))/rms with dyw = gy·W, [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y.
    pub fn input_gradient(&self, output_gradient: ArrayView2<'_, f32>) -> Result<Array2<f32>, TernaryError> {
        self.check(output_gradient)?;
        let mut gradient = Array2::zeros(self.output.dim());
        let samples = gradient.rows_mut().into_iter().zip(output_gradient.rows()).zip(self.normalized.rows());
        for (((mut gradient, output_gradient), normalized), rms) in samples.zip(&self.rms) {
            let weighted = output_gradient.iter().zip(&self.weights).map(|(gy, w)| f64::from(*gy) * f64::from(*w));
            let weighted: Vec<f64> = weighted.collect();
            let products = weighted.iter().zip(normalized).map(|(dyw, x)| dyw * f64::from(*x));
            let mean = products.sum::<f64>() / self.weights.len() as f64;
            for ((gradient, dyw), x) in gradient.iter_mut().zip(weighted).zip(normalized) {
                *gradient = ((dyw - f64::from(*x) * mean) / rms) as f32;
            }
        }
        Ok(gradient)
    }

    /// The votes on the weight: the signs of Σ_m gy·x̂, summed in f64 in the order of the samples.
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y.
    pub fn votes(&self, output_gradient: ArrayView2<'_, f32>) -> Result<Votes, TernaryError> {
        self.check(output_gradient)?;
        let mut sums = vec![0f64; self.weights.len()];
        for (gradient, normalized) in output_gradient.rows().into_iter().zip(self.normalized.rows()) {
            for ((sum, gradient), x) in sums.iter_mut().zip(gradient).zip(normalized) {
                *sum += f64::from(*gradient) * f64::from(*x);
            }
        }
        Votes::new(1, self.weights.len(), sums.into_iter().map(sign).collect())
    }

    fn check(&self, output_gradient: ArrayView2<'_, f32>) -> Result<(), TernaryError> {
        TernaryError::check("rows of the output gradient", self.output.nrows(), output_gradient.nrows())?;
        TernaryError::check("columns of the output gradient", self.output.ncols(), output_gradient.ncols())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn group(size: u32) -> GroupSize {
        GroupSize::new(size).unwrap()
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for epsilon in [0.0, -1e-5, f64::NAN, f64::INFINITY] {
            assert!(RmsNorm::new(3, group(4)).unwrap().with_epsilon(epsilon).is_err(), "{epsilon}");
        }
        assert!(RmsNorm::new(0, group(4)).is_err());
        let two_rows = TernaryState::ones(Shape::new(2, 3, group(4)).unwrap());
        assert!(RmsNorm::from_state(two_rows).is_err());
        let mut norm = RmsNorm::new(3, group(4)).unwrap();
        assert!(norm.forward(Array2::zeros((2, 4)).view()).is_err());
        let pass = norm.forward(Array2::ones((2, 3)).view()).unwrap();
        for shape in [(1, 3), (2, 2)] {
            assert!(norm.backward(&pass, Array2::ones(shape).view(), &Component::default()).is_err());
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut norm = RmsNorm::new(5, group(4)).unwrap();
        let pass = norm.forward(Array2::zeros((2, 5)).view()).unwrap();
        assert_eq!(pass.output, Array2::<f32>::zeros((2, 5)));
        let gradient = norm.backward(&pass, Array2::ones((2, 5)).view(), &Component::default()).unwrap();
        assert!(gradient.iter().all(|g| (g / 1e5f32.sqrt() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn the_weight_trains_only_when_told() {
        let mut norm = RmsNorm::new(6, group(4)).unwrap();
        let input = array![[1.0, -2.0, 3.0, 4.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]];
        let output_gradient = array![[1.0, 1.0, 1.0, -1.0, 5.0, 2.0], [1.0, -1.0, 1.0, 0.0, -1.0, 1.0]];
        let component = Component::new("a", -2.0).unwrap();
        let pass = norm.forward(input.view()).unwrap();
        norm.backward(&pass, output_gradient.view(), &component).unwrap();
        assert_eq!(norm, RmsNorm::new(6, group(4)).unwrap());
        norm.trains = true;
        norm.backward(&pass, output_gradient.view(), &component).unwrap();
        // Votes 1, −1, 1, −1 | −1, 1.
        assert_eq!((norm.state.corr(), norm.state.step()), ([0, 0].as_slice(), 2));
        assert_eq!(pass.votes(output_gradient.view()).unwrap().values(), [1, -1, 1, -1, -1, 1]);
        let pass = norm.forward(input.view()).unwrap();
        norm.backward(&pass, input.view(), &Component::default()).unwrap();
        assert_eq!((norm.state.corr(), norm.state.step()), ([-4, -2].as_slice(), 3));
    }

    proptest! {
        /// For every width and group size a fresh norm has the weight 1 and divides by the root mean square.
        #[test]
        fn fresh_norms_are_plain(
            row in vec(-9.0f32..9.0, 1..120),
            size in 0..GroupSize::ALL.len(),
            epsilon in 1e-9f64..1.0,
        ) {
            let norm = RmsNorm::new(row.len(), GroupSize::ALL[size]).unwrap().with_epsilon(epsilon).unwrap();
            let input = ndarray::Array1::from(row).insert_axis(Axis(0));
            let pass = norm.forward(input.view()).unwrap();
            prop_assert!(pass.weights.iter().all(|weight| *weight == 1.0));
            let mean = input.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / input.len() as f64;
            for (y, x) in pass.output.iter().zip(&input) {
                let expected = f64::from(*x) / (mean + epsilon).sqrt();
                prop_assert!((f64::from(*y) - expected).abs() <= 1e-6 * expected.abs());
            }
        }

        /// gx is the derivative: against finite differences of Σ gy·y in f64.
        #[test]
        fn input_gradients_are_derivatives(
            (row, output_gradient, trits) in (1usize..12).prop_flat_map(|columns| {
                (vec(-3.0f32..3.0, columns), vec(-3.0f32..3.0, columns), vec(-1i8..=1, columns))
            }),
            exponent in -3i8..4,
        ) {
            let shape = Shape::new(1, row.len(), group(16)).unwrap();
            let norm = RmsNorm::from_state(TernaryState::new(shape, trits.clone(), vec![exponent]).unwrap()).unwrap();
            let mut norm = norm.with_epsilon(0.01).unwrap();
            let loss = |row: &[f64]| {
                let rms = (row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64 + 0.01).sqrt();
                let terms = row.iter().zip(&output_gradient).zip(&trits);
                let terms = terms.map(|((x, gy), t)| x / rms * f64::from(*gy) * f64::from(*t) * f64::from(exponent).exp2());
                terms.sum::<f64>()
            };
            let input = Array2::from_shape_vec((1, row.len()), row.clone()).unwrap();
            let gradient = Array2::from_shape_vec((1, row.len()), output_gradient.clone()).unwrap();
            let pass = norm.forward(input.view()).unwrap();
            let found = norm.backward(&pass, gradient.view(), &Component::default()).unwrap();
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            for column in 0..row.len() {
                let moved = |by: f64| {
                    let mut row = row.clone();
                    row[column] += by;
                    loss(&row)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let found = f64::from(found[[0, column]]);
                prop_assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{found} {expected}");
            }
        }
    }
}

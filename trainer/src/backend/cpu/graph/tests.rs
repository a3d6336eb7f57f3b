//! Gradients against differences of the forward pass, with layers whose weights are any floats.

use super::*;
use crate::checkpoint::{CheckpointError, StateReader};
use crate::config::{Activations, Config};
use crate::rule::Ternary;
use crate::rule::ballot::{Ballot, Shards};
use std::sync::{Arc, Mutex};
use trishift_format::write::{CheckpointWriter, WriteError};

/// Images of 7 × 6 pixels and 3 channels, 6 of them: more than one panel of a convolution.
const SHAPE: [usize; 3] = [7, 6, 3];
const BATCH: usize = 6;

/// Gradients of a layer's weights and biases.
type Gradients = Arc<Mutex<(Vec<f32>, Vec<f64>)>>;

/// A layer that keeps its last gradient instead of following it.
#[derive(Debug)]
struct Still {
    weights: Array2<f32>,
    bias: Vec<i32>,
    last: Gradients,
}

impl LayerState for Still {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let from = first_row * self.weights.ncols();
        weights.copy_from_slice(&self.weights.as_slice().unwrap()[from..from + weights.len()]);
    }

    fn ternary(&self) -> Ternary {
        // A unit of 2^−5 for the biases.
        Ternary { trits: vec![1; self.weights.len()], exponents: vec![-5; self.weights.len()] }
    }

    fn bias(&self, _: &[i32]) -> Vec<i32> {
        self.bias.clone()
    }

    fn update(&mut self, gradient: &Gradient<'_>, _: Step) {
        let mut values = vec![0.0; self.weights.len()];
        gradient.panel(0..gradient.rows(), &mut values);
        *self.last.lock().unwrap() = (values, gradient.bias());
    }

    fn ballot(&self, _: Shards) -> Option<Ballot> {
        None
    }

    fn vote(&self, _: &Gradient<'_>, _: Step, _: usize, _: &mut Ballot) {
        unreachable!("nobody asks for votes here");
    }

    fn apply(&mut self, _: &Ballot, _: Step) {
        unreachable!("nobody has voted");
    }

    fn save(&self, _: &str, _: &mut CheckpointWriter) -> Result<(), WriteError> {
        Ok(())
    }

    fn load(&mut self, _: &str, _: &StateReader<'_>) -> Result<(), CheckpointError> {
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        0
    }
}

/// Numbers from −1 to 1 that look like chance.
fn number(seed: usize) -> f32 {
    let hash =
        (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (hash >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

struct Case {
    network: Network,
    layers: Vec<Box<dyn LayerState>>,
    last: Vec<Gradients>,
    samples: Array2<f32>,
    of_output: Array2<f32>,
}

impl Case {
    fn new(layers: &str) -> Self {
        let text = format!(
            "name = 'n'\n[data]\nscaling = 'tensor'\n[network]\ngroup = 8\nactivations = 'float'\nlayers = [{layers}]\n\
             [training]\nepochs = 1\nbatch = 6\n"
        );
        let network = Network::resolve(&Config::from_toml(&text, "test").unwrap(), SHAPE, 4).unwrap();
        assert_eq!((network.activations, network.is_perceptron()), (Activations::Float, false));
        let samples = Array2::from_shape_fn((BATCH, network.inputs()), |(i, j)| 4.0 * number(i * 1000 + j));
        let of_output = Array2::from_shape_fn((4, BATCH), |(i, j)| number(77 + i * 10 + j));
        let last = network.stages.iter().map(|_| Gradients::default()).collect();
        let mut case = Self { network, layers: Vec::new(), last, samples, of_output };
        case.layers = (0..case.network.stages.len()).map(|stage| case.layer(stage, None, None)).collect();
        case
    }

    /// The layer of a stage, perhaps with one weight or bias moved.
    fn layer(&self, stage: usize, weight: Option<(usize, f32)>, bias: Option<(usize, i32)>) -> Box<dyn LayerState> {
        let shape = &self.network.stages[stage];
        let size = (2.0 / shape.columns as f32).sqrt();
        let mut weights: Vec<f32> = (0..shape.weights()).map(|i| size * number(stage * 5000 + i)).collect();
        let mut biases: Vec<i32> = (0..shape.rows).map(|i| (20.0 * number(stage * 99 + i)) as i32).collect();
        weight.into_iter().for_each(|(index, by)| weights[index] += by);
        bias.into_iter().for_each(|(index, by)| biases[index] += by);
        let weights = Array2::from_shape_vec((shape.rows, shape.columns), weights).unwrap();
        let bias = if shape.bias { biases } else { Vec::new() };
        Box::new(Still { weights, bias, last: self.last[stage].clone() })
    }

    fn loss(&self, layers: &[Box<dyn LayerState>], samples: &Array2<f32>) -> f64 {
        let mut graph = Graph::new(&self.network);
        let output = graph.forward(&self.network, layers, samples, Pass::Judge, None);
        output.iter().zip(&self.of_output).map(|(y, g)| f64::from(*y) * f64::from(*g)).sum()
    }

    /// Whether `found` is the slope of a function at 0, and what is; `None` at a kink, where it has none.
    fn agrees(found: f64, step: f64, f: impl Fn(f64) -> f64) -> Option<(bool, f64)> {
        let values = [-step, -step / 2.0, 0.0, step / 2.0, step].map(f);
        let tolerance = 2e-3 + 5e-3 * found.abs();
        let slopes: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]) / (step / 2.0)).collect();
        let slope = (values[4] - values[0]) / (2.0 * step);
        let bends = slopes.iter().any(|part| (part - slope).abs() > tolerance);
        (!bends).then_some(((slope - found).abs() < tolerance, slope))
    }

    /// Checks every gradient: of all weights, of all biases, of the samples where the first layer is a convolution of
    /// single pixels.
    fn check(mut self) {
        let mut graph = Graph::new(&self.network);
        let phase = Phase { moves_shifts: true, uses_batch: true };
        graph.forward(&self.network, &self.layers, &self.samples, Pass::Learn(phase), None);
        let step = Step { index: 0, lambda: 1.0 };
        graph.backward(&self.network, &mut Learner::Layers(&mut self.layers), &self.of_output, (step, phase), None);
        let (mut checked, mut kinks) = (0, 0);
        let mut count = |agrees: Option<(bool, f64)>, what: String| {
            checked += 1;
            kinks += usize::from(agrees.is_none());
            assert!(agrees.is_none_or(|(agrees, _)| agrees), "{what}: {agrees:?}");
        };
        for stage in 0..self.layers.len() {
            let gradient = self.last[stage].lock().unwrap().clone();
            for (index, found) in gradient.0.iter().enumerate().step_by(1 + gradient.0.len() / 100) {
                let agrees = Self::agrees(f64::from(*found), 0.02, |by| {
                    let mut layers: Vec<_> = (0..self.layers.len()).map(|s| self.layer(s, None, None)).collect();
                    layers[stage] = self.layer(stage, Some((index, by as f32)), None);
                    self.loss(&layers, &self.samples)
                });
                count(agrees, format!("stage {stage}, weight {index}: {found}"));
            }
            if !self.network.stages[stage].bias {
                continue;
            }
            for (index, found) in gradient.1.iter().enumerate() {
                let agrees = Self::agrees(*found, 1.0 / 16.0, |by| {
                    let mut layers: Vec<_> = (0..self.layers.len()).map(|s| self.layer(s, None, None)).collect();
                    layers[stage] = self.layer(stage, None, Some((index, (32.0 * by) as i32)));
                    self.loss(&layers, &self.samples)
                });
                count(agrees, format!("stage {stage}, bias {index}: {found}"));
            }
        }
        // The first layer's weights multiply single pixels: W ᵀ times its gradient is that of the samples.
        let of_samples = graph.work[1].weighted.weights.t().dot(&graph.work[1].gradient);
        for (sample, element) in (0..self.samples.len()).step_by(3).map(|i| (i % BATCH, i / BATCH)) {
            let (pixel, channel) = (element / SHAPE[2], element % SHAPE[2]);
            let found = of_samples[(channel, sample * SHAPE[0] * SHAPE[1] + pixel)];
            let agrees = Self::agrees(f64::from(found), 0.02, |by| {
                let mut samples = self.samples.clone();
                samples[(sample, element)] += by as f32;
                self.loss(&self.layers, &samples)
            });
            count(agrees, format!("sample {sample}, element {element}: {found}"));
        }
        assert!(kinks * 4 < checked, "{kinks} of {checked} at kinks");
    }
}

#[test]
fn gradients_of_convolutions_are_differences() {
    Case::new(
        "{type='conv2d', outputs=4, kernel=1, bias=true}, {type='relu'}, \
         {type='conv2d', outputs=5, kernel=[3, 2], stride=[2, 1], bias=true}, {type='relu'}, \
         {type='depthwise-conv2d', kernel=3, padding=[0, 1, 2, 1], bias=true}, {type='relu'}, {type='linear', bias=true}",
    )
    .check();
}

#[test]
fn gradients_of_pooling_are_differences() {
    Case::new(
        "{type='conv2d', outputs=4, kernel=1, bias=true}, {type='max-pool', kernel=3, stride=2, padding=[1, 0, 1, 1]}, \
         {type='conv2d', outputs=6, kernel=2}, {type='avg-pool', kernel=[3, 2], stride=1, padding=[1, 0, 1, 1]}, \
         {type='relu'}, {type='conv2d', outputs=5, kernel=1}, {type='global-avg-pool', extra-bits=2}, \
         {type='linear'}",
    )
    .check();
}

#[test]
fn gradients_of_ways_that_part_are_differences() {
    Case::new(
        "{type='conv2d', outputs=4, kernel=1}, \
         {type='residual', layers=[{type='relu'}, {type='depthwise-conv2d', kernel=3}, {type='relu'}, \
         {type='conv2d', outputs=4, kernel=1}]}, {type='relu'}, \
         {type='concat', layers=[{type='conv2d', outputs=3, kernel=2, stride=2}], shortcut=[{type='max-pool', kernel=2}, \
         {type='pad', padding=[0, 0, 1, 0]}]}, {type='pad', padding=[1, 0, 0, 2]}, {type='flatten'}, {type='relu'}, \
         {type='linear', outputs=9, bias=true}, {type='linear'}",
    )
    .check();
}

/// Norms of samples take all pixels together: as those of perceptrons, whose own tests hold their derivatives.
#[test]
fn gradients_of_sample_norms_are_differences() {
    Case::new(
        "{type='conv2d', outputs=4, kernel=1}, {type='rms-norm'}, {type='relu'}, {type='conv2d', outputs=3, kernel=3}, \
         {type='rms-norm'}, {type='linear', bias=true}",
    )
    .check();
}

#[test]
fn int8_maxima_go_to_the_first_of_equals_and_sums_are_cut_off() {
    let windows = Windows::new(&trishift_format::Window::new([1, 3]), [1, 3, 1], [1, 1, 1]);
    let input = ndarray::array![[5.0f32, 9.0, 9.0]];
    let mut output = Array2::zeros((0, 0));
    pool::max_forward(&windows, &input, &mut output);
    let mut of_input = Array2::zeros((1, 3));
    pool::max_backward(&windows, &input, &output, &ndarray::array![[2.0]], &mut of_input);
    assert_eq!((output, of_input), (ndarray::array![[9.0]], ndarray::array![[0.0, 2.0, 0.0]]));
    // Three elements count as four: 23/4 = 5.75.
    let mut gain = Array2::zeros((0, 0));
    let mut means = Array2::zeros((0, 0));
    pool::mean_forward(&windows, 0, Activations::Int8, &input, &mut means, &mut gain);
    assert_eq!((&means, &gain), (&ndarray::array![[6.0]], &ndarray::array![[0.25]]));
    // Two digits finer: 23; five: 184, cut off, and with it the gradient.
    pool::mean_forward(&windows, 2, Activations::Int8, &input, &mut means, &mut gain);
    assert_eq!((&means, &gain), (&ndarray::array![[23.0]], &ndarray::array![[1.0]]));
    pool::mean_forward(&windows, 5, Activations::Int8, &input, &mut means, &mut gain);
    assert_eq!((means, gain), (ndarray::array![[127.0]], ndarray::array![[0.0]]));
}

//! The shift batch norm's way forward and back, channel by channel. Its state is [`crate::rule::batch_norm`]'s.
//!
//! With c a channel's sums over a batch, mean and σ² those of the batch:
//!
//! - While a network learns with the batch's own statistics: `y = (c − mean)·2^x + B`, `x = round(log2(24/σ))`.
//! - Later, and whenever it is judged: `y = c + b`, b the exported bias.
//! - Back: `g` passes where the activation does; `g − mean(g) − ĉ·mean(g·ĉ)`, times 2^x, with `ĉ = (c − mean)/σ`: as if the
//!   norm divided by σ, in both cases. Without that part of it, deep networks do not learn.

use super::super::activation::{Nonlinearity, nonlinear};
use super::super::learner::Others;
use super::super::product::resize;
use crate::config::Activations;
use crate::rule::batch_norm::{BatchNorm, EPSILON, Statistics, distance_to_target};
use crate::rule::gradient::ordered_sum;
use crate::rule::power_of_two;
use ndarray::Array2;
use rayon::prelude::*;

/// Bits behind the point in which shards add up their sums over a channel, and the sums of squares.
const MOMENT_BITS: [i32; 2] = [16, 8];

/// The same of gradients and of their products with ĉ.
const GRADIENT_BITS: [i32; 2] = [44, 44];

/// Lanes of sums over a channel.
const LANES: usize = 32;

/// What the way back needs of the way forward.
#[derive(Debug, Default)]
pub(super) struct NormWork {
    /// Of the batch.
    pub(super) statistics: Statistics,
    /// Each channel's factor and what is added behind it.
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    factor: f32,
    offset: f32,
}

impl NormWork {
    /// Turns sums into activations. `exported` are the exported biases in output steps.
    pub(super) fn forward(
        &mut self,
        norm: &BatchNorm,
        exported: &[f32],
        uses_batch: bool,
        (activations, relu): (Activations, bool),
        sums: &Array2<f32>,
        output: &mut Array2<f32>,
    ) {
        self.lines = if uses_batch {
            let statistics = self.statistics.means.iter().zip(&self.statistics.variances);
            let line = |((mean, variance), bias): ((&f64, &f64), f64)| {
                let factor = power_of_two(distance_to_target(variance + EPSILON));
                Line { factor, offset: (bias - mean * f64::from(factor)) as f32 }
            };
            statistics.zip(norm.biases()).map(line).collect()
        } else {
            exported.iter().map(|offset| Line { factor: 1.0, offset: *offset }).collect()
        };
        let (channels, width) = sums.dim();
        resize(output, channels, width);
        let (Some(sums), Some(output)) = (sums.as_slice(), output.as_slice_mut()) else { return };
        nonlinear!(activations, relu, |function| {
            let rows = sums.par_chunks(width.max(1)).zip(output.par_chunks_mut(width.max(1))).zip(&self.lines);
            rows.for_each(|((sums, output), line)| {
                for (value, sum) in output.iter_mut().zip(sums) {
                    *value = function.apply(sum * line.factor + line.offset).0;
                }
            });
        });
    }

    /// Measures the batch, the samples of `others` included.
    pub(super) fn measure(&mut self, sums: &Array2<f32>, others: Option<&Others<'_>>) {
        let width = sums.ncols();
        let Some(sums) = sums.as_slice() else { return };
        let of_row =
            |row: &[f32]| [lane_sum(row, f64::from), lane_sum(row, |value| f64::from(value) * f64::from(value))];
        let mut moments: Vec<[f64; 2]> = sums.par_chunks(width.max(1)).map(of_row).collect();
        let width = Others::means(others, &mut moments, MOMENT_BITS, width);
        let moments = moments.iter().map(|[sum, squares]| {
            let mean = sum / width;
            (mean, (squares / width - mean * mean).max(0.0))
        });
        (self.statistics.means, self.statistics.variances) = moments.unzip();
    }

    /// Writes the gradient with respect to the sums; returns that with respect to each channel's bias.
    pub(super) fn backward(
        &self,
        (activations, relu): (Activations, bool),
        (sums, gradient): (&Array2<f32>, &Array2<f32>),
        of_sums: &mut Array2<f32>,
        others: Option<&Others<'_>>,
    ) -> Vec<f64> {
        let (channels, width) = sums.dim();
        resize(of_sums, channels, width);
        let rows = (sums.as_slice(), gradient.as_slice(), of_sums.as_slice_mut());
        let (Some(sums), Some(gradient), Some(of_sums)) = rows else { return Vec::new() };
        let normals: Vec<Normal> = (0..channels).map(|channel| self.normal(channel)).collect();
        let rows = sums.par_chunks(width.max(1)).zip(gradient.par_chunks(width.max(1))).zip(&normals);
        let rows = rows.zip(of_sums.par_chunks_mut(width.max(1)));
        let own: Vec<[f64; 2]> = nonlinear!(activations, relu, |function| {
            rows.map(|(((sums, gradient), normal), of_sums)| {
                let line = normal.line;
                for ((of_sum, sum), gradient) in of_sums.iter_mut().zip(sums).zip(gradient) {
                    let passes = function.apply(sum * line.factor + line.offset).1;
                    *of_sum = if passes { *gradient } else { 0.0 };
                }
                let of_bias = lane_sum(of_sums, f64::from);
                [of_bias, lane_products(of_sums, sums, |g, sum| f64::from(g * normal.of(sum)))]
            })
            .collect()
        });
        let mut means = own.clone();
        let samples = Others::means(others, &mut means, GRADIENT_BITS, width);
        let rows = sums.par_chunks(width.max(1)).zip(of_sums.par_chunks_mut(width.max(1))).zip(&normals).zip(&means);
        rows.for_each(|(((sums, of_sums), normal), [of_bias, along])| {
            let (of_mean, along) = ((of_bias / samples) as f32, (along / samples) as f32);
            for (of_sum, sum) in of_sums.iter_mut().zip(sums) {
                *of_sum = (*of_sum - of_mean - normal.of(*sum) * along) * normal.line.factor;
            }
        });
        own.into_iter().map(|[of_bias, _]| of_bias).collect()
    }

    /// What the way back needs of a channel.
    fn normal(&self, channel: usize) -> Normal {
        let variance = self.statistics.variances.get(channel).copied().unwrap_or(0.0);
        Normal {
            line: self.lines.get(channel).copied().unwrap_or(Line { factor: 0.0, offset: 0.0 }),
            mean: self.statistics.means.get(channel).copied().unwrap_or(0.0) as f32,
            inverse: (1.0 / (variance + EPSILON).sqrt()) as f32,
        }
    }
}

/// A channel on the way back.
#[derive(Clone, Copy, Debug)]
struct Normal {
    line: Line,
    mean: f32,
    inverse: f32,
}

impl Normal {
    /// ĉ.
    fn of(&self, sum: f32) -> f32 {
        (sum - self.mean) * self.inverse
    }
}

/// A sum over a channel in the order of [`crate::rule::gradient::ordered_sum`].
fn lane_sum(values: &[f32], term: impl Fn(f32) -> f64) -> f64 {
    lane_products(values, values, |value, _| term(value))
}

fn lane_products(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (left, right) in left.chunks(LANES).zip(right.chunks(LANES)) {
        for ((lane, left), right) in lanes.iter_mut().zip(left).zip(right) {
            *lane += term(*left, *right);
        }
    }
    ordered_sum(&lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against differences of a norm that divides by σ and is as steep as the power of two in place of 24/σ.
    #[test]
    fn gradients_are_those_of_a_batch_norm() {
        let sums: Vec<f64> = (0..12).map(|i| f64::from((i * 7 % 12) as u8) * 3.0 - 11.0 + 0.1 * f64::from(i)).collect();
        let gradient: Vec<f64> = (0..12).map(|i| f64::from((i * 5 % 7) as u8) - 2.5).collect();
        let moments = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / 12.0;
            (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0)
        };
        let matrix = |x: &[f64]| Array2::from_shape_fn((1, 12), |(_, i)| x[i] as f32);
        for relu in [false, true] {
            let mut work = NormWork::default();
            work.measure(&matrix(&sums), None);
            let (mean, variance) = moments(&sums);
            assert!((work.statistics.means[0] - mean).abs() < 1e-5);
            assert!((work.statistics.variances[0] - variance).abs() < 1e-3);
            let (mut output, mut of_sums) = (Array2::zeros((0, 0)), Array2::zeros((0, 0)));
            let function = (Activations::Float, relu);
            work.forward(&BatchNorm::new(1), &[0.0], true, function, &matrix(&sums), &mut output);
            let of_bias = work.backward(function, (&matrix(&sums), &matrix(&gradient)), &mut of_sums, None);
            let steep = f64::from(work.lines[0].factor) * variance.sqrt();
            let loss = |x: &[f64]| {
                let (mean, variance) = moments(x);
                let y = x.iter().map(|x| (x - mean) / variance.sqrt() * steep);
                y.zip(&gradient).map(|(y, g)| if relu { y.max(0.0) } else { y } * g).sum::<f64>()
            };
            for index in 0..12 {
                let moved = |by: f64| {
                    let mut x = sums.clone();
                    x[index] += by;
                    loss(&x)
                };
                let expected = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                let found = f64::from(of_sums[(0, index)]);
                assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{index}: {found} {expected}");
            }
            let passing = sums.iter().zip(&gradient).filter(|(x, _)| !relu || **x > mean).map(|(_, g)| g);
            assert!((of_bias[0] - passing.sum::<f64>()).abs() < 1e-5);
        }
    }

    #[test]
    fn judged_networks_take_the_exported_bias() {
        let sums = ndarray::array![[1.5f32, -3.0, 200.0]];
        let mut output = Array2::zeros((0, 0));
        let int8 = (Activations::Int8, false);
        NormWork::default().forward(&BatchNorm::new(1), &[-0.25], false, int8, &sums, &mut output);
        assert_eq!(output, ndarray::array![[1.0, -3.0, 127.0]]);
    }
}

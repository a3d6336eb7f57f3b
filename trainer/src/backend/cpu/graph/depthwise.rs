//! Depthwise convolutions, channel by channel: each one has a row of weights and a row of every matrix of images.

use super::super::product::resize;
use super::windows::Windows;
use ndarray::Array2;
use rayon::prelude::*;

/// Every channel of `input`, [channels, batch·pixels], under its own row of `weights`, [channels, taps].
pub(super) fn forward(windows: &Windows, weights: &Array2<f32>, input: &Array2<f32>, output: &mut Array2<f32>) {
    let batch = input.ncols() / windows.input_pixels().max(1);
    let width = batch * windows.output_pixels();
    resize(output, input.nrows(), width);
    let Some(output) = output.as_slice_mut() else { return };
    output.par_chunks_mut(width.max(1)).enumerate().for_each(|(channel, output)| {
        output.fill(0.0);
        let (row, weights) = (input.row(channel), weights.row(channel));
        let Some(row) = row.to_slice() else { return };
        for (tap, weight) in weights.iter().enumerate() {
            let samples = output.chunks_mut(windows.output_pixels()).zip(row.chunks(windows.input_pixels()));
            for (output, input) in samples {
                windows.for_each_run(tap, |first, from, count| {
                    let source = input[from..].iter().step_by(windows.step());
                    output[first..first + count].iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
                });
            }
        }
    });
}

/// Writes the gradient with respect to the weights, [channels, taps], and adds the one with respect to the input.
pub(super) fn backward(
    windows: &Windows,
    weights: &Array2<f32>,
    input: &Array2<f32>,
    gradient: &Array2<f32>,
    of_weights: &mut Array2<f32>,
    of_input: Option<&mut Array2<f32>>,
) {
    resize(of_weights, weights.nrows(), weights.ncols());
    let taps = windows.taps();
    if let Some(of_weights) = of_weights.as_slice_mut() {
        of_weights.par_chunks_mut(taps.max(1)).enumerate().for_each(|(channel, of_weights)| {
            let (input, gradient) = (input.row(channel), gradient.row(channel));
            let (Some(input), Some(gradient)) = (input.to_slice(), gradient.to_slice()) else { return };
            for (tap, of_weight) in of_weights.iter_mut().enumerate() {
                let samples = gradient.chunks(windows.output_pixels()).zip(input.chunks(windows.input_pixels()));
                let mut sum = 0f64;
                for (gradient, input) in samples {
                    windows.for_each_run(tap, |first, from, count| {
                        let source = input[from..].iter().step_by(windows.step());
                        let products = gradient[first..first + count].iter().zip(source).map(|(g, x)| g * x);
                        sum += f64::from(products.sum::<f32>());
                    });
                }
                *of_weight = sum as f32;
            }
        });
    }
    let width = input.ncols().max(1);
    let Some(of_input) = of_input.and_then(|of_input| of_input.as_slice_mut()) else { return };
    of_input.par_chunks_mut(width).enumerate().for_each(|(channel, of_input)| {
        let (gradient, weights) = (gradient.row(channel), weights.row(channel));
        let Some(gradient) = gradient.to_slice() else { return };
        for (tap, weight) in weights.iter().enumerate() {
            let samples = gradient.chunks(windows.output_pixels()).zip(of_input.chunks_mut(windows.input_pixels()));
            for (gradient, of_input) in samples {
                windows.for_each_run(tap, |first, from, count| {
                    let target = of_input[from..].iter_mut().step_by(windows.step());
                    target.zip(&gradient[first..first + count]).for_each(|(target, g)| *target += weight * g);
                });
            }
        }
    });
}

//! Pooling, channel by channel: the largest or the mean element under a window, as the runtime has them.

use super::super::activation::{Nonlinearity, nonlinear};
use super::super::product::resize;
use super::windows::Windows;
use crate::config::Activations;
use crate::rule::power_of_two;
use ndarray::Array2;
use rayon::prelude::*;
use trishift_kernels::pool::mean_shift;

/// The largest elements; what lies outside takes no part.
pub(super) fn max_forward(windows: &Windows, input: &Array2<f32>, output: &mut Array2<f32>) {
    fold(windows, input, output, f32::NEG_INFINITY, |largest, element| {
        if element > *largest {
            *largest = element
        }
    });
}

/// Adds each gradient to the first of the largest elements under its window.
pub(super) fn max_backward(
    windows: &Windows,
    input: &Array2<f32>,
    output: &Array2<f32>,
    gradient: &Array2<f32>,
    of_input: &mut Array2<f32>,
) {
    let width = input.ncols().max(1);
    let Some(of_input) = of_input.as_slice_mut() else { return };
    of_input.par_chunks_mut(width).enumerate().for_each(|(channel, of_input)| {
        let rows = [input.row(channel), output.row(channel), gradient.row(channel)];
        let [Some(input), Some(output), Some(gradient)] = rows.each_ref().map(|row| row.to_slice()) else { return };
        let pixels = windows.output_pixels();
        let samples = of_input.chunks_mut(windows.input_pixels()).zip(input.chunks(windows.input_pixels()));
        let mut found = vec![false; pixels];
        for ((of_input, input), (output, gradient)) in samples.zip(output.chunks(pixels).zip(gradient.chunks(pixels))) {
            found.fill(false);
            for tap in 0..windows.taps() {
                windows.for_each_run(tap, |first, from, count| {
                    for (number, place) in (first..first + count).enumerate() {
                        let at = from + number * windows.step();
                        // An element equals the largest one exactly where it is one.
                        #[allow(clippy::float_cmp, reason = "one is a copy of the other")]
                        if !found[place] && input[at] == output[place] {
                            found[place] = true;
                            of_input[at] += gradient[place];
                        }
                    }
                });
            }
        }
    });
}

/// The means times 2^extra_bits; `gain` receives their derivative with respect to every element of their window.
pub(super) fn mean_forward(
    windows: &Windows,
    extra_bits: u8,
    activations: Activations,
    input: &Array2<f32>,
    output: &mut Array2<f32>,
    gain: &mut Array2<f32>,
) {
    fold(windows, input, output, 0.0, |sum, element| *sum += element);
    resize(gain, output.nrows(), output.ncols());
    let scale = power_of_two(-mean_shift(windows.taps(), 0, -i32::from(extra_bits)));
    nonlinear!(activations, false, |function| {
        for (value, gain) in output.iter_mut().zip(gain.iter_mut()) {
            let (mean, passes) = function.apply(*value * scale);
            (*value, *gain) = (mean, if passes { scale } else { 0.0 });
        }
    });
}

/// Adds each gradient, times its gain, to every element under its window.
pub(super) fn mean_backward(windows: &Windows, gain: &Array2<f32>, gradient: &Array2<f32>, of_input: &mut Array2<f32>) {
    let width = of_input.ncols().max(1);
    let gradient = gradient * gain;
    let Some(of_input) = of_input.as_slice_mut() else { return };
    of_input.par_chunks_mut(width).enumerate().for_each(|(channel, of_input)| {
        let gradient = gradient.row(channel);
        let Some(gradient) = gradient.to_slice() else { return };
        let samples = of_input.chunks_mut(windows.input_pixels()).zip(gradient.chunks(windows.output_pixels()));
        for (of_input, gradient) in samples {
            for tap in 0..windows.taps() {
                windows.for_each_run(tap, |first, from, count| {
                    let target = of_input[from..].iter_mut().step_by(windows.step());
                    target.zip(&gradient[first..first + count]).for_each(|(target, g)| *target += g);
                });
            }
        }
    });
}

/// Takes the elements under every window, in order, into one that begins as `start`.
fn fold(
    windows: &Windows,
    input: &Array2<f32>,
    output: &mut Array2<f32>,
    start: f32,
    take: impl Fn(&mut f32, f32) + Sync,
) {
    let width = input.ncols() / windows.input_pixels().max(1) * windows.output_pixels();
    resize(output, input.nrows(), width);
    let Some(output) = output.as_slice_mut() else { return };
    output.par_chunks_mut(width.max(1)).enumerate().for_each(|(channel, output)| {
        output.fill(start);
        let row = input.row(channel);
        let Some(row) = row.to_slice() else { return };
        for (output, input) in output.chunks_mut(windows.output_pixels()).zip(row.chunks(windows.input_pixels())) {
            for tap in 0..windows.taps() {
                windows.for_each_run(tap, |first, from, count| {
                    let source = input[from..].iter().step_by(windows.step());
                    output[first..first + count].iter_mut().zip(source).for_each(|(taken, x)| take(taken, *x));
                });
            }
        }
    });
}

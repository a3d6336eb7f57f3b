//! Convolutions as matrix products: what lies under a window is a column.
//!
//! Columns are made for a few samples at a time and dropped, in both directions: those of a batch would be as many times
//! larger than its images as a window has elements. Samples are divided into panels of fixed size and sums over panels have
//! one order: results do not depend on the number of threads.

use super::super::product::resize;
use super::windows::Windows;
use crate::rule::gradient::with_buffer;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Samples of a panel.
const PANEL_SAMPLES: usize = 4;

/// `output = weights·columns(input)`, with input [channels, batch·pixels], weights [rows, taps·channels].
pub(super) fn forward(windows: &Windows, weights: &Array2<f32>, input: &Array2<f32>, output: &mut Array2<f32>) {
    let batch = input.ncols() / windows.input_pixels().max(1);
    resize(output, weights.nrows(), batch * windows.output_pixels());
    let inputs = panels(input, windows.input_pixels());
    let outputs: Vec<_> = panels_mut(output, windows.output_pixels());
    inputs.into_par_iter().zip(outputs).for_each(|(input, mut output)| {
        if windows.is_pointwise() {
            general_mat_mul(1.0, weights, &input, 0.0, &mut output);
            return;
        }
        with_columns(windows, input, |columns| general_mat_mul(1.0, weights, columns, 0.0, &mut output));
    });
}

/// Writes the gradient with respect to the weights and adds the one with respect to the input, where somebody wants it.
pub(super) fn backward(
    windows: &Windows,
    weights: &Array2<f32>,
    input: &Array2<f32>,
    gradient: &Array2<f32>,
    of_weights: &mut Array2<f32>,
    of_input: Option<&mut Array2<f32>>,
) {
    let inputs = panels(input, windows.input_pixels());
    let gradients = panels(gradient, windows.output_pixels());
    let of_inputs: Vec<Option<ArrayViewMut2<'_, f32>>> = match of_input {
        Some(of_input) => panels_mut(of_input, windows.input_pixels()).into_iter().map(Some).collect(),
        None => inputs.iter().map(|_| None).collect(),
    };
    let work = inputs.into_par_iter().zip(gradients).zip(of_inputs);
    let sums: Vec<Array2<f32>> = work
        .map(|((input, gradient), of_input)| {
            let mut sum = Array2::zeros(weights.dim());
            if windows.is_pointwise() {
                general_mat_mul(1.0, &gradient, &input.t(), 0.0, &mut sum);
                if let Some(mut of_input) = of_input {
                    general_mat_mul(1.0, &weights.t(), &gradient, 1.0, &mut of_input);
                }
                return sum;
            }
            with_columns(windows, input, |columns| {
                general_mat_mul(1.0, &gradient, &columns.t(), 0.0, &mut sum);
                if let Some(mut of_input) = of_input {
                    general_mat_mul(1.0, &weights.t(), &gradient, 0.0, columns);
                    add_columns(windows, columns.view(), &mut of_input);
                }
            });
            sum
        })
        .collect();
    resize(of_weights, weights.nrows(), weights.ncols());
    of_weights.fill(0.0);
    sums.iter().for_each(|sum| *of_weights += sum);
}

fn panels(images: &Array2<f32>, pixels: usize) -> Vec<ArrayView2<'_, f32>> {
    images.axis_chunks_iter(Axis(1), (PANEL_SAMPLES * pixels).max(1)).collect()
}

fn panels_mut(images: &mut Array2<f32>, pixels: usize) -> Vec<ArrayViewMut2<'_, f32>> {
    images.axis_chunks_iter_mut(Axis(1), (PANEL_SAMPLES * pixels).max(1)).collect()
}

/// Calls `f` with what lies under every window, [taps·channels, samples·windows]; `f` may write over it.
fn with_columns<T>(
    windows: &Windows,
    input: ArrayView2<'_, f32>,
    f: impl FnOnce(&mut ArrayViewMut2<'_, f32>) -> T,
) -> Option<T> {
    let (channels, pixels) = input.dim();
    let width = pixels / windows.input_pixels().max(1) * windows.output_pixels();
    let rows = windows.taps() * channels;
    with_buffer(rows * width, |buffer| {
        for (index, row) in buffer.chunks_mut(width.max(1)).enumerate() {
            let source = input.row(index % channels);
            // A row of a matrix in rows is contiguous.
            let Some(source) = source.to_slice() else { continue };
            row.fill(0.0);
            let samples = row.chunks_mut(windows.output_pixels()).zip(source.chunks(windows.input_pixels()));
            for (row, source) in samples {
                windows.for_each_run(index / channels, |output, input, count| {
                    let (row, source) = (&mut row[output..output + count], &source[input..]);
                    if windows.step() == 1 {
                        row.copy_from_slice(&source[..count]);
                    } else {
                        let source = source.iter().step_by(windows.step());
                        row.iter_mut().zip(source).for_each(|(element, source)| *element = *source);
                    }
                });
            }
        }
        // The length is rows × width by construction.
        ArrayViewMut2::from_shape((rows, width), buffer).ok().map(|mut columns| f(&mut columns))
    })
}

/// Adds every column to the elements that lay under its window.
fn add_columns(windows: &Windows, columns: ArrayView2<'_, f32>, images: &mut ArrayViewMut2<'_, f32>) {
    let channels = images.nrows();
    for (index, row) in columns.rows().into_iter().enumerate() {
        let mut target = images.row_mut(index % channels);
        let (Some(row), Some(target)) = (row.to_slice(), target.as_slice_mut()) else { continue };
        let samples = row.chunks(windows.output_pixels()).zip(target.chunks_mut(windows.input_pixels()));
        for (row, target) in samples {
            windows.for_each_run(index / channels, |output, input, count| {
                let (row, target) = (&row[output..output + count], &mut target[input..]);
                if windows.step() == 1 {
                    target.iter_mut().zip(row).for_each(|(target, element)| *target += element);
                } else {
                    let target = target.iter_mut().step_by(windows.step());
                    target.zip(row).for_each(|(target, element)| *target += element);
                }
            });
        }
    }
}

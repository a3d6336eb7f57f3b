//! Moving elements: between samples and images, between images and columns, between images of several nodes.
//!
//! Samples are [batch, height·width·channels], as data and model files have them. Images are [channels,
//! batch·height·width]. Columns are [height·width·channels, batch]: images of one pixel each, what linear layers take.

use super::super::product::resize;
use ndarray::{Array2, ArrayViewMut2, Axis, Slice, s};

/// Samples as images.
pub(super) fn from_samples(samples: &Array2<f32>, channels: usize, images: &mut Array2<f32>) {
    let (batch, elements) = samples.dim();
    let pixels = elements / channels.max(1);
    resize(images, channels, batch * pixels);
    for (sample, elements) in samples.rows().into_iter().enumerate() {
        for (number, element) in elements.iter().enumerate() {
            images[(number % channels, sample * pixels + number / channels)] = *element;
        }
    }
}

/// Images of so many pixels as columns.
pub(super) fn flatten(images: &Array2<f32>, pixels: usize, columns: &mut Array2<f32>) {
    let channels = images.nrows();
    let batch = images.ncols() / pixels.max(1);
    resize(columns, pixels * channels, batch);
    for (channel, row) in images.rows().into_iter().enumerate() {
        for pixel in 0..pixels {
            columns.row_mut(pixel * channels + channel).assign(&row.slice(s![pixel..; pixels]));
        }
    }
}

/// Columns as images of so many channels; adds them to what is there where `adds`.
pub(super) fn unflatten(columns: &Array2<f32>, channels: usize, images: &mut Array2<f32>, adds: bool) {
    let (elements, batch) = columns.dim();
    let pixels = elements / channels.max(1);
    if !adds {
        resize(images, channels, batch * pixels);
        images.fill(0.0);
    }
    for (channel, mut row) in images.rows_mut().into_iter().enumerate() {
        for pixel in 0..pixels {
            let mut elements = row.slice_mut(s![pixel..; pixels]);
            elements += &columns.row(pixel * channels + channel);
        }
    }
}

/// The channels of two nodes, one behind the other.
pub(super) fn concat(left: &Array2<f32>, right: &Array2<f32>, joined: &mut Array2<f32>) {
    let channels = left.nrows();
    resize(joined, channels + right.nrows(), left.ncols());
    let (mut first, mut second) = joined.view_mut().split_at(Axis(0), channels);
    first.assign(left);
    second.assign(right);
}

/// Adds the part of a gradient that belongs to the channels from `first` on.
pub(super) fn add_channels(gradient: &Array2<f32>, first: usize, part: &mut Array2<f32>) {
    let channels = first..first + part.nrows();
    *part += &gradient.slice_axis(Axis(0), Slice::from(channels));
}

/// Images with zeros around them; `input` and `output` are heights and widths.
pub(super) fn pad(
    images: &Array2<f32>,
    [input, output]: [[usize; 2]; 2],
    [top, left]: [usize; 2],
    padded: &mut Array2<f32>,
) {
    let batch = images.ncols() / (input[0] * input[1]).max(1);
    resize(padded, images.nrows(), batch * output[0] * output[1]);
    padded.fill(0.0);
    for (source, target) in images.rows().into_iter().zip(padded.rows_mut()) {
        let shapes = ((batch, input[0], input[1]), (batch, output[0], output[1]));
        let target = target.into_shape_with_order(shapes.1);
        if let (Ok(source), Ok(mut target)) = (source.into_shape_with_order(shapes.0), target) {
            target.slice_mut(s![.., top..top + input[0], left..left + input[1]]).assign(&source);
        }
    }
}

/// Adds to the gradient of the images the part of the padded ones' that is not zeros around them.
pub(super) fn add_unpadded(
    padded: &Array2<f32>,
    [input, output]: [[usize; 2]; 2],
    [top, left]: [usize; 2],
    images: &mut Array2<f32>,
) {
    let batch = images.ncols() / (input[0] * input[1]).max(1);
    for (source, target) in padded.rows().into_iter().zip(images.rows_mut()) {
        let shapes = ((batch, output[0], output[1]), (batch, input[0], input[1]));
        let source = source.into_shape_with_order(shapes.0);
        if let (Ok(source), Ok(mut target)) = (source, target.into_shape_with_order(shapes.1)) {
            target += &source.slice(s![.., top..top + input[0], left..left + input[1]]);
        }
    }
}

/// Adds a number to every element of a row.
pub(super) fn add_to_rows(mut matrix: ArrayViewMut2<'_, f32>, numbers: &[f32]) {
    for (mut row, number) in matrix.rows_mut().into_iter().zip(numbers) {
        row.iter_mut().for_each(|value| *value += number);
    }
}

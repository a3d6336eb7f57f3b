//! What operators on images compute, after `docs/format.md` alone: every element of the output looks up its own.

use crate::definitions::requantize;
use crate::interpreter::product;
use crate::network::Node;
use trishift_format::{Tensor, Window};

/// The element of this row, column and channel; `None` outside.
fn element(values: &[i128], tensor: &Tensor, [row, column]: [i128; 2], channel: u32) -> Option<i128> {
    let [height, width, channels] = tensor.shape.map(i128::from);
    let inside = (0..height).contains(&row) && (0..width).contains(&column);
    inside.then(|| values[((row * width + column) * channels + i128::from(channel)) as usize])
}

/// Every place of an image, in the order of its elements: row, column, channel.
fn places(tensor: &Tensor) -> impl Iterator<Item = ([u32; 2], u32)> + use<> {
    let [height, width, channels] = tensor.shape;
    let pixels = (0..height).flat_map(move |row| (0..width).map(move |column| [row, column]));
    pixels.flat_map(move |pixel| (0..channels).map(move |channel| (pixel, channel)))
}

/// Where a window at this place looks: row by row, column by column.
fn taps(window: &Window, place: [u32; 2]) -> impl Iterator<Item = [i128; 2]> + use<> {
    let [above, left, ..] = window.padding.map(i128::from);
    let [down, right] = window.stride.map(i128::from);
    let [height, width] = window.kernel.map(i128::from);
    let [row, column] = [i128::from(place[0]) * down - above, i128::from(place[1]) * right - left];
    (0..height).flat_map(move |i| (0..width).map(move |j| [row + i, column + j]))
}

fn window(node: &Node) -> Window {
    match node.window {
        Some(window) => window,
        None => unreachable!("a {} has a window", node.kind),
    }
}

/// A convolution, or a depthwise one.
pub(crate) fn convolve(node: &Node, input: &[i128], from: &Tensor, to: &Tensor, depthwise: bool) -> Vec<i128> {
    let window = window(node);
    let rows: Vec<_> = (0..node.rows()).map(|row| node.row(row)).collect();
    let output = places(to).map(|(place, channel)| {
        let channels = if depthwise { channel..channel + 1 } else { 0..from.shape[2] };
        let taps = taps(&window, place).flat_map(|tap| channels.clone().map(move |channel| (tap, channel)));
        let inputs: Vec<_> = taps.map(|(tap, channel)| element(input, from, tap, channel).unwrap_or(0)).collect();
        product(node, channel as usize, &rows[channel as usize], &inputs, from, to)
    });
    output.collect()
}

/// The elements under a window that lie inside the input.
fn inside<'a>(
    window: &Window,
    input: &'a [i128],
    from: &'a Tensor,
    (place, channel): ([u32; 2], u32),
) -> impl Iterator<Item = i128> + use<'a> {
    taps(window, place).filter_map(move |tap| element(input, from, tap, channel))
}

pub(crate) fn max_pool(node: &Node, input: &[i128], from: &Tensor, to: &Tensor) -> Vec<i128> {
    let window = window(node);
    let largest = |place| inside(&window, input, from, place).max().expect("an element under every window");
    places(to).map(largest).collect()
}

pub(crate) fn avg_pool(node: &Node, input: &[i128], from: &Tensor, to: &Tensor) -> Vec<i128> {
    let window = window(node);
    let elements = i128::from(window.kernel[0]) * i128::from(window.kernel[1]);
    let logarithm = (0..=16).rev().find(|l| 1i128 << (2 * l) <= 2 * elements * elements).unwrap_or(0);
    let shift = logarithm + i32::from(to.exponent) - i32::from(from.exponent);
    places(to).map(|place| requantize(inside(&window, input, from, place).sum(), shift, false)).collect()
}

pub(crate) fn concat(left: &[i128], right: &[i128], from: &Tensor, from_right: &Tensor) -> Vec<i128> {
    let [first, second] = [from, from_right].map(|tensor| tensor.shape[2] as usize);
    left.chunks(first).zip(right.chunks(second)).flat_map(|(left, right)| [left, right].concat()).collect()
}

pub(crate) fn pad(node: &Node, input: &[i128], from: &Tensor, to: &Tensor) -> Vec<i128> {
    let [above, left, ..] = node.padding.map(i128::from);
    let output = places(to).map(|([row, column], channel)| {
        element(input, from, [i128::from(row) - above, i128::from(column) - left], channel).unwrap_or(0)
    });
    output.collect()
}

/// The last rows of the state as it was and the input below it; of sequences the last columns.
pub(crate) fn slide(state: &[i128], input: &[i128], from: &Tensor, to: &Tensor) -> Vec<i128> {
    let axis = usize::from(from.shape[1] != to.shape[1]);
    let [new, kept] = [from, to].map(|tensor| i128::from(tensor.shape[axis]));
    let output = places(to).map(|(mut place, channel)| {
        // Its number among all rows, of which the new ones are the last.
        let row = i128::from(place[axis]) + new;
        place[axis] = 0;
        let at = |row: i128| if axis == 0 { [row, i128::from(place[1])] } else { [i128::from(place[0]), row] };
        let found = if row < kept {
            element(state, to, at(row), channel)
        } else {
            element(input, from, at(row - kept), channel)
        };
        found.expect("a row of the state or of the input")
    });
    output.collect()
}

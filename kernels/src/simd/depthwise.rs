//! Depthwise convolutions: channels lie side by side in memory, and in vectors.
//!
//! Weights are unpacked to whole numbers, trits times 2^distance, for each tap of the window those of a block of channels.
//! Products and sums are taken modulo 2^32, so that any exponent that int32 holds is exact. Where all weights fit 16 bits they
//! are kept so, which most instruction sets multiply faster.

use crate::Outputs;
use crate::conv2d::{Conv2d, Matrix};
use crate::geometry::Geometry;
use crate::requantize::requantize_each;
use trishift_format::bound::Accumulators;
#[cfg(feature = "alloc")]
use {alloc::vec::Vec, trishift_format::TernaryMatrix};

/// Channels of a block.
const CHANNELS: usize = 32;

/// Most taps of a window whose weights are unpacked; larger ones go by the definition.
const TAPS: usize = 128;

/// What else the channels of a block need.
#[derive(Clone, Copy, Debug)]
struct Constants {
    /// The first channel, and how many there are.
    first: usize,
    count: usize,
    biases: [i32; CHANNELS],
    /// Requantising shifts of int8 outputs.
    shifts: [i32; CHANNELS],
    /// All weights fit 16 bits.
    narrow: bool,
}

/// A depthwise convolution with unpacked weights, made once from a [`Conv2d`]. It is never changed, and threads may share it.
#[cfg(all(feature = "alloc", feature = "depthwise-conv2d"))]
#[derive(Debug)]
pub struct PackedDepthwise<'a> {
    layer: Conv2d<'a>,
    blocks: Vec<(Constants, Weights)>,
}

/// Weights of a block of channels, tap after tap.
#[cfg(all(feature = "alloc", feature = "depthwise-conv2d"))]
#[derive(Debug)]
enum Weights {
    Narrow(Vec<[i16; CHANNELS]>),
    Wide(Vec<[i32; CHANNELS]>),
}

#[cfg(all(feature = "alloc", feature = "depthwise-conv2d"))]
impl<'a> PackedDepthwise<'a> {
    /// Unpacks the weights of a parsed model.
    pub fn new(layer: &Conv2d<'a>) -> Self {
        let mut blocks = Vec::new();
        if taps_of::<TernaryMatrix<'_>>(layer) <= TAPS {
            for first in (0..layer.matrix.rows()).step_by(CHANNELS) {
                let mut weights = [[0; CHANNELS]; TAPS];
                let constants = unpack(layer, first, &mut weights);
                let weights = weights.get(..taps_of(layer)).unwrap_or(&[]);
                let weights = if constants.narrow {
                    Weights::Narrow(weights.iter().map(|weights| weights.map(|weight| weight as i16)).collect())
                } else {
                    Weights::Wide(weights.to_vec())
                };
                blocks.push((constants, weights));
            }
        }
        Self { layer: *layer, blocks }
    }

    /// Bytes that the weights take in memory.
    pub fn bytes(&self) -> usize {
        let of = |(_, weights): &(Constants, Weights)| match weights {
            Weights::Narrow(weights) => size_of_val(weights.as_slice()),
            Weights::Wide(weights) => size_of_val(weights.as_slice()),
        };
        let blocks = self.blocks.capacity() * size_of::<(Constants, Weights)>();
        size_of::<Self>() + blocks + self.blocks.iter().map(of).sum::<usize>()
    }
}

/// As [`crate::conv2d::depthwise_conv2d`].
#[cfg(all(feature = "alloc", feature = "depthwise-conv2d"))]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn packed_depthwise_conv2d(packed: &PackedDepthwise<'_>, input: &[i8], mut output: Outputs<'_>) {
    let PackedDepthwise { layer, blocks } = packed;
    if blocks.is_empty() {
        return crate::conv2d::depthwise_conv2d(layer, input, output);
    }
    for (constants, weights) in blocks {
        match weights {
            Weights::Narrow(weights) => block(&layer.geometry, layer.relu, constants, weights, input, &mut output),
            Weights::Wide(weights) => block(&layer.geometry, layer.relu, constants, weights, input, &mut output),
        }
    }
}

/// As [`crate::conv2d::depthwise_conv2d`], unpacking the weights.
#[cfg(feature = "depthwise-conv2d")]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn depthwise_conv2d(layer: &Conv2d<'_>, input: &[i8], _: &mut [i32], output: Outputs<'_>) {
    if taps_of(layer) > TAPS {
        return crate::conv2d::depthwise_conv2d(layer, input, output);
    }
    all_blocks(layer, input, output);
}

/// As [`crate::conv2d::int8_depthwise_conv2d`].
#[cfg(feature = "int8-depthwise-conv2d")]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn int8_depthwise_conv2d(
    layer: &Conv2d<'_, trishift_format::Int8Matrix<'_>>,
    input: &[i8],
    _: &mut [i32],
    output: Outputs<'_>,
) {
    if taps_of(layer) > TAPS {
        return crate::conv2d::int8_depthwise_conv2d(layer, input, output);
    }
    all_blocks(layer, input, output);
}

/// Taps of the window.
const fn taps_of<M>(layer: &Conv2d<'_, M>) -> usize {
    layer.geometry.kernel[0] * layer.geometry.kernel[1]
}

#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
fn all_blocks<M: Matrix>(layer: &Conv2d<'_, M>, input: &[i8], mut output: Outputs<'_>) {
    for first in (0..layer.matrix.rows()).step_by(CHANNELS) {
        let mut weights = [[0; CHANNELS]; TAPS];
        let constants = unpack(layer, first, &mut weights);
        if constants.narrow {
            let weights = weights.map(|weights| weights.map(|weight| weight as i16));
            block(&layer.geometry, layer.relu, &constants, &weights, input, &mut output);
        } else {
            block(&layer.geometry, layer.relu, &constants, &weights, input, &mut output);
        }
    }
}

/// Unpacks the weights of the block that begins with this channel.
fn unpack<M: Matrix>(layer: &Conv2d<'_, M>, first: usize, weights: &mut [[i32; CHANNELS]; TAPS]) -> Constants {
    let Conv2d { matrix, bias, accumulators, .. } = layer;
    let count = CHANNELS.min(matrix.rows() - first);
    let mut constants = Constants { first, count, biases: [0; CHANNELS], shifts: [0; CHANNELS], narrow: true };
    for channel in 0..count {
        let (unit, shift) = match *accumulators {
            Accumulators::PerRow { scale } => (matrix.unit(first + channel), scale - matrix.unit(first + channel)),
            Accumulators::Layer { exponent } => (exponent, 0),
        };
        constants.biases[channel] = bias.and_then(|bias| bias.get(first + channel)).unwrap_or(0);
        constants.shifts[channel] = shift;
        matrix.for_each_piece(first + channel, &mut |piece| {
            // In 0..=31 by the int32 bound, but for groups of zeros.
            let distance = (piece.exponent - unit).clamp(0, 31);
            for (weights, weight) in weights.iter_mut().skip(piece.first).zip(piece.values) {
                let weight = i32::from(*weight) << distance;
                constants.narrow &= i16::try_from(weight).is_ok();
                weights[channel] = weight;
            }
        });
    }
    constants
}

/// The outputs of a block of channels.
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
fn block<W: Copy + Into<i32>>(
    geometry: &Geometry,
    relu: bool,
    constants: &Constants,
    weights: &[[W; CHANNELS]],
    input: &[i8],
    output: &mut Outputs<'_>,
) {
    let Geometry { input: [_, width, channels], output: [height, output_width, _], kernel, .. } = *geometry;
    let Constants { first, count, biases, shifts, .. } = constants;
    for (index, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
        for row in 0..height {
            let rows = geometry.taps(0, row);
            for column in 0..output_width {
                let columns = geometry.taps(1, column);
                let mut sums = *biases;
                for (tap, row) in rows.taps.clone().zip(rows.first..) {
                    let taps = columns.taps.clone().map(|column| tap * kernel[1] + column);
                    for (tap, column) in taps.zip(columns.first..) {
                        let Some(weights) = weights.get(tap) else { return };
                        let place = (row * width + column) * channels + first;
                        let elements = sample.get(place..).unwrap_or(&[]);
                        // Channels of other blocks meet weights of 0; at the very end there are none.
                        if let Some(elements) = elements.first_chunk() {
                            add_products(&mut sums, elements, weights);
                        } else {
                            let mut last = [0; CHANNELS];
                            last.iter_mut().zip(elements).for_each(|(to, from)| *to = *from);
                            add_products(&mut sums, &last, weights);
                        }
                    }
                }
                let place = ((index * height + row) * output_width + column) * channels + first;
                match output {
                    Outputs::I8(output) => {
                        let mut bytes = [0; CHANNELS];
                        for ((byte, sum), shift) in bytes.iter_mut().zip(&sums).zip(shifts) {
                            *byte = requantize_each(*sum, *shift, relu);
                        }
                        let Some(output) = output.get_mut(place..place + count) else { return };
                        output.copy_from_slice(bytes.get(..*count).unwrap_or(&[]));
                    }
                    Outputs::I32(output) => {
                        let Some(output) = output.get_mut(place..place + count) else { return };
                        output.copy_from_slice(sums.get(..*count).unwrap_or(&[]));
                    }
                }
            }
        }
    }
}

/// Adds the products of one tap.
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
fn add_products<W: Copy + Into<i32>>(sums: &mut [i32; CHANNELS], elements: &[i8; CHANNELS], weights: &[W; CHANNELS]) {
    for ((sum, element), weight) in sums.iter_mut().zip(elements).zip(weights) {
        *sum = sum.wrapping_add(i32::from(*element).wrapping_mul((*weight).into()));
    }
}

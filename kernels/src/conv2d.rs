//! Convolutions over height and width with ternary or int8 weights, all channels or each for itself.
//!
//! Every element of the output is a row of the matrix on what lies under a window: the product of a
//! [linear layer](crate::linear), with zeros outside the input. Here is one definition for the four of them.

use crate::geometry::Geometry;
use crate::requantize::requantize_one;
use crate::values::Outputs;
use trishift_format::bound::Accumulators;
use trishift_format::trits::DECODE;
use trishift_format::{Bias, Int8Matrix, TernaryMatrix};

/// A convolution, or a depthwise one: `M` is [`TernaryMatrix`] or [`Int8Matrix`].
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a, M = TernaryMatrix<'a>> {
    /// Weights: a row for each channel of the output; columns are the window's rows, its columns and, but in depthwise ones,
    /// the input's channels.
    pub matrix: M,
    /// One int32 per row, in the accumulators' unit.
    pub bias: Option<Bias<'a>>,
    /// The accumulators' unit; per row for int8 outputs, of the layer for int32 ones.
    pub accumulators: Accumulators,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
    /// Sizes.
    pub geometry: Geometry,
}

/// Windows that one unpacking of a group serves.
const BLOCK: usize = 32;

/// Columns of a row that are unpacked at a time: whole groups of any size, and whole bytes.
const PIECE: usize = trishift_format::GroupSize::MAX.next_multiple_of(5);

/// Some neighbouring weights of a row that share an exponent.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) values: &'a [i8],
    pub(crate) exponent: i32,
    /// The column of the first one.
    pub(crate) first: usize,
}

/// What a convolution asks of a matrix.
pub(crate) trait Matrix {
    fn rows(&self) -> usize;

    /// The unit of a row's accumulator where every row has its own.
    fn unit(&self, row: usize) -> i32;

    /// Calls `f` for all weights of a row.
    fn for_each_piece(&self, row: usize, f: &mut dyn FnMut(Piece<'_>));
}

impl Matrix for TernaryMatrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.smallest_exponent())
    }

    fn for_each_piece(&self, row: usize, f: &mut dyn FnMut(Piece<'_>)) {
        let mut first = 0;
        for group in self.row(row).iter().flat_map(|row| row.groups()) {
            let mut trits = [0; PIECE];
            for (trits, byte) in trits.chunks_exact_mut(5).zip(group.bytes) {
                trits.copy_from_slice(&DECODE[usize::from(*byte)]);
            }
            f(Piece { values: trits.get(..group.len).unwrap_or(&[]), exponent: group.exponent, first });
            first += group.len;
        }
    }
}

impl Matrix for Int8Matrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.exponent)
    }

    fn for_each_piece(&self, row: usize, f: &mut dyn FnMut(Piece<'_>)) {
        let Some(row) = self.row(row) else { return };
        for (index, bytes) in row.values.chunks(PIECE).enumerate() {
            let mut values = [0; PIECE];
            values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = *byte as i8);
            let values = values.get(..bytes.len()).unwrap_or(&[]);
            f(Piece { values, exponent: row.exponent, first: index * PIECE });
        }
    }
}

/// Scalar definition of a convolution; `input` and `output` hold whole samples, as many as they do.
#[cfg(feature = "conv2d")]
pub fn conv2d(layer: &Conv2d<'_>, input: &[i8], output: Outputs<'_>) {
    convolve(&Rows::of(layer), Channels::All, input, output);
}

/// Scalar definition of a convolution with int8 weights.
#[cfg(feature = "int8-conv2d")]
pub fn int8_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], output: Outputs<'_>) {
    convolve(&Rows::of(layer), Channels::All, input, output);
}

/// Scalar definition of a depthwise convolution.
#[cfg(feature = "depthwise-conv2d")]
pub fn depthwise_conv2d(layer: &Conv2d<'_>, input: &[i8], output: Outputs<'_>) {
    convolve(&Rows::of(layer), Channels::Own, input, output);
}

/// Scalar definition of a depthwise convolution with int8 weights.
#[cfg(feature = "int8-depthwise-conv2d")]
pub fn int8_depthwise_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], output: Outputs<'_>) {
    convolve(&Rows::of(layer), Channels::Own, input, output);
}

/// Scalar definition of a depthwise convolution whose output takes the input's place, which has as many elements. `scratch`
/// holds a byte for each pixel ([`Geometry::pixels`]).
#[cfg(feature = "depthwise-conv2d")]
pub fn depthwise_conv2d_in_place(layer: &Conv2d<'_>, scratch: &mut [i32], data: &mut [i8]) {
    let Geometry { input: [height, width, channels], output: [output_height, output_width, _], .. } = layer.geometry;
    let geometry = Geometry { input: [height, width, 1], output: [output_height, output_width, 1], ..layer.geometry };
    let rows = Rows { geometry: &geometry, ..Rows::of(layer) };
    let plane = bytes_of(scratch);
    let Some(plane) = plane.get_mut(..geometry.input_len()) else { return };
    for row in 0..layer.matrix.rows() {
        for sample in data.chunks_exact_mut(layer.geometry.input_len().max(1)) {
            let elements = sample.iter().skip(row).step_by(channels.max(1));
            plane.iter_mut().zip(elements).for_each(|(to, from)| *to = *from);
            convolve_row(&rows, row, Some(0), plane, &mut Outputs::I8(sample), [row, channels]);
        }
    }
}

/// Words as bytes.
#[cfg(feature = "conv2d")]
#[allow(unsafe_code, reason = "words read as bytes")]
pub(crate) fn bytes_of(words: &mut [i32]) -> &mut [i8] {
    // SAFETY: an i8 lies anywhere, and four of any value are a word.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// What is the same for all rows of a convolution, whatever its weights: so all have one code.
#[derive(Clone, Copy)]
struct Rows<'a> {
    matrix: &'a dyn Matrix,
    bias: Option<Bias<'a>>,
    accumulators: Accumulators,
    relu: bool,
    geometry: &'a Geometry,
}

impl<'a> Rows<'a> {
    fn of<M: Matrix>(layer: &'a Conv2d<'a, M>) -> Self {
        let Conv2d { matrix, bias, accumulators, relu, geometry } = layer;
        Self { matrix, bias: *bias, accumulators: *accumulators, relu: *relu, geometry }
    }
}

/// Which of the input's channels a row looks at.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not every build has both")]
enum Channels {
    All,
    /// The one with its own number.
    Own,
}

/// A convolution, row by row.
fn convolve(rows: &Rows<'_>, channels: Channels, input: &[i8], mut output: Outputs<'_>) {
    let (count, geometry) = (rows.matrix.rows(), rows.geometry);
    for row in 0..count {
        let channel = match channels {
            Channels::All => None,
            Channels::Own => Some(row),
        };
        for (index, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            // Only of a file that nobody parsed can this wrap: another place, or none.
            let first = (index * geometry.pixels()).wrapping_mul(count).wrapping_add(row);
            convolve_row(rows, row, channel, sample, &mut output, [first, count]);
        }
    }
}

/// One row on all windows of a sample, looking at one channel or at all: the first window's element of the output lies at
/// `first`, each other one `step` behind the one before.
fn convolve_row(
    rows: &Rows<'_>,
    row: usize,
    channel: Option<usize>,
    sample: &[i8],
    output: &mut Outputs<'_>,
    [first, step]: [usize; 2],
) {
    let Rows { matrix, bias, accumulators, relu, geometry } = *rows;
    let bias = bias.and_then(|bias| bias.get(row)).unwrap_or(0);
    let (unit, shift) = match accumulators {
        Accumulators::PerRow { scale } => (matrix.unit(row), scale - matrix.unit(row)),
        Accumulators::Layer { exponent } => (exponent, 0),
    };
    for start in (0..geometry.pixels()).step_by(BLOCK) {
        let pixels = start..geometry.pixels();
        let mut sums = [bias; BLOCK];
        matrix.for_each_piece(row, &mut |piece| add_piece(&piece, unit, geometry, channel, sample, start, &mut sums));
        for (pixel, sum) in pixels.zip(sums) {
            let place = pixel.wrapping_mul(step).wrapping_add(first);
            match output {
                Outputs::I8(output) => {
                    if let Some(output) = output.get_mut(place) {
                        *output = requantize_one(sum, shift, relu);
                    }
                }
                Outputs::I32(output) => {
                    if let Some(output) = output.get_mut(place) {
                        *output = sum;
                    }
                }
            }
        }
    }
}

/// Adds the products of some weights to the sums of the windows from number `start` on.
#[inline(never)]
fn add_piece(
    piece: &Piece<'_>,
    unit: i32,
    geometry: &Geometry,
    channel: Option<usize>,
    sample: &[i8],
    start: usize,
    sums: &mut [i32; BLOCK],
) {
    let (width, channels) = (geometry.kernel[1].max(1), geometry.input[2].max(1));
    // In 0..=31 by the int32 bound, but for groups of zeros, whose sum is 0 whatever the shift.
    let shift = (piece.exponent - unit).clamp(0, 31);
    for (column, weight) in (piece.first..).zip(piece.values) {
        let (tap, channel) = match channel {
            Some(channel) => (column, channel),
            None => (column / channels, column % channels),
        };
        for (pixel, sum) in (start..geometry.pixels()).zip(&mut *sums) {
            let element = geometry.place(pixel, [tap / width, tap % width], channel);
            let element = element.and_then(|place| sample.get(place)).map_or(0, |element| i32::from(*element));
            // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
            *sum = sum.wrapping_add((i32::from(*weight) * element) << shift);
        }
    }
}

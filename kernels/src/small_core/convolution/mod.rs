//! Convolutions for cores without vector unit: additions of packed pixels, as many as there are trits that are not 0.
//!
//! Eight neighbouring windows of a row are a *tile*. What lies under them is gathered first, column of the matrix by column:
//! four words, each the elements of two windows, one in its lower half and one in its upper. A row of the matrix then is a
//! list of the columns that are added and of those that are subtracted ([`records`]), and a step of [`RunTile`] takes one of
//! them with four additions for eight products. Halves do not run into each other as long as their sums stay inside
//! 16 bits; before they could, they are added to sums of 32.
//!
//! Lists are made once for all windows of a layer, for as many rows as scratch has room for. The tiles below each other are a
//! *band* of the image; every row of it is gathered once.

mod band;
mod int8;
#[cfg_attr(
    not(any(feature = "depthwise-conv2d", feature = "int8-depthwise-conv2d")),
    allow(dead_code, reason = "but for its scratch, for depthwise convolutions alone")
)]
mod plane;
mod portable;
mod records;
#[cfg(small_core = "riscv32")]
mod riscv32;
#[cfg(small_core = "thumbv6m")]
mod thumbv6m;
#[cfg(small_core = "thumbv7m")]
mod thumbv7m;

#[cfg(any(feature = "depthwise-conv2d", feature = "int8-depthwise-conv2d"))]
pub(super) use plane::depthwise_conv2d;
#[cfg(feature = "depthwise-conv2d")]
pub(super) use plane::depthwise_conv2d_in_place;
pub(crate) use plane::depthwise_scratch;
pub(crate) use portable::PORTABLE;
#[cfg(small_core = "riscv32")]
pub(super) use riscv32::STEPS;
#[cfg(small_core = "thumbv6m")]
pub(super) use thumbv6m::STEPS;
#[cfg(small_core = "thumbv7m")]
pub(super) use thumbv7m::STEPS;

use crate::conv2d::{Conv2d, bytes_of};
use crate::geometry::Geometry;
use crate::values::Outputs;
use band::{Band, Image};
use int8::Int8Columns;
use records::{Finish, TernaryColumns, Turn};
use trishift_format::bound::{Accumulators, row_magnitude};
use trishift_format::{Bias, Int8Matrix, Int8Row, TernaryMatrix};

/// Windows of a tile.
pub(crate) const LANES: usize = 8;

/// Words of a column under a tile.
const WORDS: usize = LANES / 2;

/// Columns from here on: lists name a column's place in 16 bits.
const TOO_MANY: usize = 4096;

/// Words of lists, where one row does not take more.
pub(crate) const LIST_WORDS: usize = 2048;

/// Windows that are so few that lists do not pay.
const FEW_WINDOWS: usize = 8;

/// Words of gathered columns, where one tile does not take more.
const BUFFER_WORDS: usize = 1024;

/// What an instruction set brings.
pub(crate) struct Steps {
    /// Rows on tiles.
    tile: RunTile,
    /// Columns from an image.
    gather: Gather,
    /// The same for runs of three elements where lanes are neighbours.
    gather_three: Gather,
    /// A channel from an image.
    copy: CopyChannel,
    /// The code that takes columns.
    turn: Turn,
}

/// The tiles that are next, one below the other. Assembly reads and writes it.
#[repr(C)]
struct Tiles {
    /// The first one's gathered columns.
    columns: *const i32,
    /// The first one's first window's output of the first row.
    to: *mut i8,
    /// From a window's outputs to the next one's; 0 where sums are wanted.
    stride: usize,
    /// The sums of one row.
    sums: [i32; LANES],
    /// How many tiles, at least one.
    count: usize,
    /// Bytes from a tile's columns to the next one's.
    columns_step: usize,
    /// From the output behind a tile's last row to the next one's first.
    to_step: usize,
}

/// Takes the rows whose records lie from `record` to `end` through tiles, and writes their outputs, row next to row; or, of
/// one tile without stride, the sums of the first one. Gives the place behind the last record that it took.
///
/// # Safety
/// There is a record, all of them were written by [`records::write`], the tiles have all columns that they name, and either
/// no stride or room for an output of each of them at each of [`LANES`] places; then all shifts are in 1..=31.
type RunTile = unsafe extern "C" fn(record: *const u16, end: *const u16, tiles: &mut Tiles) -> *const u16;

/// Runs of elements, one below the other. Assembly reads it.
#[repr(C)]
struct Runs {
    /// [`WORDS`] for each element.
    words: *mut i32,
    /// The first lane's first element.
    from: *const i8,
    /// From a lane's element to the next one's.
    step: usize,
    /// Elements of a run, at least one.
    length: usize,
    /// How many runs, at least one.
    count: usize,
    /// From a run's first element to the next one's.
    row: usize,
}

/// Writes the words of runs.
///
/// # Safety
/// There are as many words and elements, those of all lanes.
type Gather = unsafe extern "C" fn(runs: &Runs);

/// Copies so many elements that are `step` apart to neighbouring places.
///
/// # Safety
/// There are as many elements, at least one, and as many places.
type CopyChannel = unsafe extern "C" fn(to: *mut i8, from: *const i8, step: usize, count: usize);

/// The weights of a convolution.
pub(super) trait Weights {
    fn rows(&self) -> usize;

    fn columns(&self) -> usize;

    /// The unit of a row's sums where every row has its own.
    fn unit(&self, row: usize) -> i32;

    /// Bound on the magnitude of a row's sums in steps of 2^`unit`, without the bias; saturating.
    fn magnitude(&self, row: usize, unit: i32) -> u64;

    /// Writes a row's record and gives its length; `None` where there is no room.
    fn write(&self, row: usize, finish: &Finish, turn: Turn, list: &mut [u16]) -> Option<usize>;
}

impl Weights for TernaryMatrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.smallest_exponent())
    }

    fn magnitude(&self, row: usize, unit: i32) -> u64 {
        let row = self.row(row);
        let groups = row.iter().flat_map(|row| row.groups());
        row_magnitude(groups.map(|group| (records::nonzero(&group), group.exponent)), unit)
    }

    fn write(&self, row: usize, finish: &Finish, turn: Turn, list: &mut [u16]) -> Option<usize> {
        records::write(&TernaryColumns { row: &self.row(row)?, unit: finish.unit }, finish, turn, list)
    }
}

impl Weights for Int8Matrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.exponent)
    }

    fn magnitude(&self, row: usize, unit: i32) -> u64 {
        let row = self.row(row);
        // A weight of magnitude w is worth w trits.
        let weights =
            |row: Int8Row<'_>| row.values.iter().map(|value| usize::from((*value as i8).unsigned_abs())).sum();
        row_magnitude(row.map(|row| (weights(row), row.exponent)).into_iter(), unit)
    }

    fn write(&self, row: usize, finish: &Finish, turn: Turn, list: &mut [u16]) -> Option<usize> {
        records::write(&Int8Columns { row: self.row(row)?, unit: finish.unit }, finish, turn, list)
    }
}

/// A convolution with weights of either kind: one code for both.
pub(super) struct Layer<'a> {
    weights: &'a dyn Weights,
    bias: Option<Bias<'a>>,
    accumulators: Accumulators,
    relu: bool,
    geometry: &'a Geometry,
}

impl<'a> Layer<'a> {
    /// A convolution of all channels. `None` where it runs by the definition: for so many columns that lists cannot name them,
    /// and where weights and tensors do not go together, as only those of a model may that nobody parsed.
    pub(super) fn of_all_channels<M: Weights>(layer: &'a Conv2d<'a, M>) -> Option<Self> {
        Self::new(layer, layer.geometry.input[2])
    }

    /// The same of a depthwise convolution.
    #[cfg(any(feature = "depthwise-conv2d", feature = "int8-depthwise-conv2d"))]
    pub(super) fn of_each_channel<M: Weights>(layer: &'a Conv2d<'a, M>) -> Option<Self> {
        Self::new(layer, 1).filter(|layer| layer.weights.rows() == layer.geometry.input[2])
    }

    fn new<M: Weights>(layer: &'a Conv2d<'a, M>, channels: usize) -> Option<Self> {
        let Conv2d { matrix, bias, accumulators, relu, geometry } = layer;
        let [height, width] = geometry.kernel;
        let fits = matrix.columns() == height * width * channels && matrix.rows() == geometry.output[2];
        (fits && !has_too_many(matrix.columns())).then_some(Self {
            weights: matrix,
            bias: *bias,
            accumulators: *accumulators,
            relu: *relu,
            geometry,
        })
    }

    /// What becomes of a row's sums.
    fn finish(&self, row: usize) -> Finish {
        let bias = self.bias.and_then(|bias| bias.get(row)).unwrap_or(0);
        match self.accumulators {
            Accumulators::PerRow { scale } => {
                let unit = self.weights.unit(row);
                let finish = Finish { unit, bias, shift: scale - unit, relu: self.relu };
                if finish.shift > 0 { finish } else { self.finer(row, &finish).unwrap_or(finish) }
            }
            Accumulators::Layer { exponent } => Finish { unit: exponent, bias, shift: 0, relu: false },
        }
    }

    /// The same outputs from sums in so much finer steps that they are shifted right by one, if int32 holds those: a half is
    /// added and falls away again.
    #[cold]
    fn finer(&self, row: usize, finish: &Finish) -> Option<Finish> {
        let by = 1 - finish.shift;
        let unit = finish.unit - by;
        let bias = i64::from(finish.bias).checked_shl(by.unsigned_abs()).filter(|_| by < 32)?;
        let sum = self.weights.magnitude(row, unit).saturating_add(bias.unsigned_abs());
        let bias = i32::try_from(bias).ok().filter(|_| sum < i32::MAX as u64)?;
        Some(Finish { unit, bias, shift: 1, relu: finish.relu })
    }
}

/// True where a row has more columns than a list can name.
pub(crate) const fn has_too_many(columns: usize) -> bool {
    columns >= TOO_MANY
}

/// A convolution; `scratch` holds what [`conv2d_scratch`] says.
pub(super) fn conv2d(steps: &Steps, layer: &Layer<'_>, input: &[i8], scratch: &mut [i32], mut output: Outputs<'_>) {
    let geometry = flattened(layer.geometry);
    let band = Band::new(&geometry, geometry.input[2]);
    let Some((buffer, scratch)) = scratch.split_at_mut_checked(band.buffer_words()) else { return };
    let Some((line, lists)) = scratch.split_at_mut_checked(band.line_words()) else { return };
    let (line, lists) = (bytes_of(line), halves(lists));
    let mut first = 0;
    while first < layer.weights.rows() {
        let block = Block::write(steps, layer, first, layer.weights.rows(), lists, output.is_i8());
        if block.rows == 0 {
            return;
        }
        for (number, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            let image = Image::whole(&geometry, sample);
            band.run(steps, layer, &image, &block, number, buffer, line, &mut output);
        }
        first += block.rows;
    }
}

/// Times that a list takes a column at most, of ternary weights or of int8 ones.
const fn times(int8: bool) -> usize {
    if int8 { int8::MOST_DIGITS } else { 1 }
}

/// Bytes of scratch for a convolution whose matrix has so many rows and columns, of int8 or of trits; saturating.
pub(crate) const fn conv2d_scratch(geometry: &Geometry, rows: usize, columns: usize, int8: bool) -> usize {
    if has_too_many(columns) {
        return 0;
    }
    let geometry = flattened(geometry);
    let band = Band::new(&geometry, geometry.input[2]);
    let one = records::most_words(columns, times(int8));
    let all = one.saturating_mul(rows);
    let lists = if all < LIST_WORDS { all } else { LIST_WORDS };
    let lists = if lists > one { lists } else { one };
    let words = band.buffer_words().saturating_add(band.line_words()).saturating_add(lists);
    words.saturating_mul(size_of::<i32>())
}

/// True where a convolution runs as a linear layer, on windows that stand one above another or on every pixel: for few of
/// them lists do not pay, the fewer the more rows share the sums that the other way prepares; and a tile of a single column is
/// mostly empty. As measured.
pub(crate) const fn is_linear(geometry: &Geometry, rows: usize) -> bool {
    let few = match rows {
        128.. => 48,
        64.. => 24,
        _ => 12,
    };
    is_pointwise(geometry) && geometry.pixels() <= few || is_stacked(geometry)
}

/// True where a convolution runs as a linear layer on windows that are gathered one by one: where there are few, as in streams.
/// As measured.
pub(crate) const fn is_gathered(geometry: &Geometry) -> bool {
    geometry.pixels() <= FEW_WINDOWS && !has_too_many(window_elements(geometry))
}

/// Elements under a window; saturating.
pub(crate) const fn window_elements(geometry: &Geometry) -> usize {
    let [height, width] = geometry.kernel;
    height.saturating_mul(width).saturating_mul(geometry.input[2])
}

/// What lies under the window of the output's row and column, with zeros outside the input.
#[cfg(feature = "conv2d")]
pub(super) fn gather(geometry: &Geometry, sample: &[i8], [y, x]: [usize; 2], window: &mut [i8]) {
    let Geometry { input: [height, width, channels], kernel, stride, before, .. } = *geometry;
    let (top, left) = (y * stride[0], x * stride[1]);
    // Columns left of the input; the first one inside, and how many there are.
    let missing = before[1].saturating_sub(left).min(kernel[1]);
    let first = left.saturating_sub(before[1]).min(width);
    let count = (kernel[1] - missing).min(width - first);
    for (tap, line) in window.chunks_exact_mut((kernel[1] * channels).max(1)).enumerate() {
        let row = (top + tap).checked_sub(before[0]).filter(|row| *row < height);
        let inside = row.and_then(|row| sample.get((row * width + first) * channels..)?.get(..count * channels));
        let Some(inside) = inside else {
            line.fill(0);
            continue;
        };
        let (left, rest) = line.split_at_mut_checked(missing * channels).unwrap_or_default();
        let (middle, right) = rest.split_at_mut_checked(inside.len()).unwrap_or_default();
        left.fill(0);
        middle.copy_from_slice(inside);
        right.fill(0);
    }
}

/// True where windows stand one above another, each as wide as the image: the elements of each lie side by side. That is so
/// where the only window is the image, and in sequences whose time is the height.
const fn is_stacked(geometry: &Geometry) -> bool {
    let Geometry { input, output, kernel, stride, before } = geometry;
    let rows = output[0].saturating_sub(1).saturating_mul(stride[0]).saturating_add(kernel[0]);
    let inside = before[0] == 0 && before[1] == 0 && rows <= input[0];
    inside && kernel[1] == input[1] && output[1] == 1 && !is_pointwise(geometry)
}

/// True where each window is one pixel, and each pixel a window.
pub(crate) const fn is_pointwise(geometry: &Geometry) -> bool {
    let Geometry { input, output, kernel, stride, .. } = geometry;
    let single = kernel[0] == 1 && kernel[1] == 1 && stride[0] == 1 && stride[1] == 1;
    single && output[0] == input[0] && output[1] == input[1]
}

/// The same convolution on one long row of pixels, where each window is one pixel: all tiles are full then.
const fn flattened(geometry: &Geometry) -> Geometry {
    let [height, width, channels] = geometry.input;
    if !is_pointwise(geometry) {
        return *geometry;
    }
    let pixels = height.saturating_mul(width);
    Geometry { input: [1, pixels, channels], output: [1, pixels, geometry.output[2]], ..*geometry }
}

/// Words as halves.
#[allow(unsafe_code, reason = "words read as halves")]
fn halves(words: &mut [i32]) -> &mut [u16] {
    // SAFETY: a half of any value lies wherever a word does, and two of them are a word.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 2 * words.len()) }
}

/// Some neighbouring rows of the matrix as records.
struct Block<'a> {
    records: &'a [u16],
    first: usize,
    rows: usize,
    /// False where some row's requantising shift is not in 1..=31, or outputs are sums.
    narrow: bool,
}

impl<'a> Block<'a> {
    /// As many rows from `first` on as there is room for; `narrow` for int8 outputs.
    fn write(
        steps: &Steps,
        layer: &Layer<'_>,
        first: usize,
        end: usize,
        lists: &'a mut [u16],
        mut narrow: bool,
    ) -> Self {
        let (mut at, mut rows) = (0, 0);
        while first + rows < end {
            let finish = layer.finish(first + rows);
            let Some(list) = lists.get_mut(at..) else { break };
            let Some(length) = layer.weights.write(first + rows, &finish, steps.turn, list) else { break };
            narrow &= finish.rounds();
            at += length;
            rows += 1;
        }
        Self { records: lists.get(..at).unwrap_or(&[]), first, rows, narrow }
    }
}

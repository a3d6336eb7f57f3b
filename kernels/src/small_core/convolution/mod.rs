//! Convolutions for cores without vector unit: additions of packed pixels, as many as there are trits that are not 0.
//!
//! Eight neighbouring windows of a row are a *tile*. What lies under them is gathered first, column of the matrix by column:
//! four words, each the elements of two windows, one in its lower half and one in its upper. A row of the matrix then is a
//! list of the columns that are added and of those that are subtracted ([`records`]), and a step of [`Tile`] takes one of
//! them with four additions for eight products. Halves do not run into each other as long as their sums stay inside
//! 16 bits; before they could, they are added to sums of 32.
//!
//! Lists are made once for all windows of a layer, for as many rows as scratch has room for. The columns under a tile serve
//! all those rows, and the rows of the image under the next tile below are gathered once: the buffer is a band of the image,
//! from top to bottom.

mod portable;
mod records;
#[cfg(small_core = "riscv32")]
mod riscv32;
#[cfg(small_core = "thumbv6m")]
mod thumbv6m;
#[cfg(small_core = "thumbv7m")]
mod thumbv7m;

pub(crate) use portable::PORTABLE;
#[cfg(small_core = "riscv32")]
pub(super) use riscv32::STEPS;
#[cfg(small_core = "thumbv6m")]
pub(super) use thumbv6m::STEPS;
#[cfg(small_core = "thumbv7m")]
pub(super) use thumbv7m::STEPS;

use crate::conv2d::{Conv2d, bytes_of};
use crate::geometry::Geometry;
use crate::requantize::{requantize_one, saturate};
use crate::values::Outputs;
use records::{Finish, Turn};
use trishift_format::TernaryMatrix;
use trishift_format::bound::Accumulators;

/// Windows of a tile.
const LANES: usize = 8;

/// Words of a column under a tile.
const WORDS: usize = LANES / 2;

/// Columns from here on: lists name a column's place in 16 bits.
const TOO_MANY: usize = 4096;

/// Words of lists, where one row does not take more.
const LIST_WORDS: usize = 2048;

/// Words of gathered columns, where one tile does not take more.
const BUFFER_WORDS: usize = 1024;

/// What an instruction set brings.
pub(crate) struct Steps {
    /// Rows on a tile.
    tile: RunTile,
    /// Columns from an image.
    gather: Gather,
    /// The code that takes columns.
    turn: Turn,
}

/// The tile that is next. Assembly reads and writes it.
#[repr(C)]
struct Tile {
    /// The gathered columns.
    columns: *const i32,
    /// The first window's output of the first row.
    to: *mut i8,
    /// From a window's outputs to the next one's; 0 where sums are wanted.
    stride: usize,
    /// The sums of one row.
    sums: [i32; LANES],
}

/// Takes the rows whose records lie from `record` to `end` through a tile, and writes their outputs, row next to row; or the
/// sums of the first one where the tile has no stride. Gives the record behind the last one that it took.
///
/// # Safety
/// There is a record, all of them were written by [`records::write`], the tile has all columns that they name, and either no
/// stride or room for an output of each of them at each of [`LANES`] places; then all shifts are in 1..=31.
type RunTile = unsafe extern "C" fn(record: *const u16, end: *const u16, tile: &mut Tile) -> *const u16;

/// Writes [`WORDS`] words for each of `channels` neighbouring elements: those under lanes that are `step` apart.
///
/// # Safety
/// There are as many words, channels, not none, and elements.
type Gather = unsafe extern "C" fn(words: *mut i32, from: *const i8, step: usize, channels: usize);

/// A convolution; `scratch` holds what [`conv2d_scratch`] says.
pub(super) fn conv2d(steps: &Steps, layer: &Conv2d<'_>, input: &[i8], scratch: &mut [i32], mut output: Outputs<'_>) {
    if layer.matrix.columns() >= TOO_MANY {
        return crate::conv2d::conv2d(layer, input, output);
    }
    let geometry = flattened(&layer.geometry);
    let channels = geometry.input[2];
    let Some((buffer, lists)) = scratch.split_at_mut_checked(buffer_words(&geometry, channels)) else { return };
    let lists = halves(lists);
    let mut first = 0;
    while first < layer.matrix.rows() {
        let block = Block::write(steps, layer, first, layer.matrix.rows(), lists, &output);
        if block.rows == 0 {
            return;
        }
        for (number, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            let image = Image { start: sample, pixel: channels, channels };
            band(steps, layer, &geometry, &image, &block, number, buffer, &mut output);
        }
        first += block.rows;
    }
}

/// A depthwise convolution; `scratch` holds what [`depthwise_scratch`] says.
#[cfg(feature = "depthwise-conv2d")]
pub(super) fn depthwise_conv2d(
    steps: &Steps,
    layer: &Conv2d<'_>,
    input: &[i8],
    scratch: &mut [i32],
    mut output: Outputs<'_>,
) {
    if layer.matrix.columns() >= TOO_MANY {
        return crate::conv2d::depthwise_conv2d(layer, input, output);
    }
    let geometry = &layer.geometry;
    let Some((buffer, lists)) = scratch.split_at_mut_checked(buffer_words(geometry, 1)) else { return };
    let lists = halves(lists);
    for channel in 0..layer.matrix.rows() {
        let block = Block::write(steps, layer, channel, channel + 1, lists, &output);
        for (number, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            let Some(start) = sample.get(channel..) else { return };
            let image = Image { start, pixel: geometry.input[2], channels: 1 };
            band(steps, layer, geometry, &image, &block, number, buffer, &mut output);
        }
    }
}

/// A depthwise convolution whose output takes the input's place: each channel is set aside before it is written.
#[cfg(feature = "depthwise-conv2d")]
pub(super) fn depthwise_conv2d_in_place(steps: &Steps, layer: &Conv2d<'_>, scratch: &mut [i32], data: &mut [i8]) {
    if layer.matrix.columns() >= TOO_MANY {
        return crate::conv2d::depthwise_conv2d_in_place(layer, scratch, data);
    }
    let geometry = &layer.geometry;
    let Some((plane, scratch)) = scratch.split_at_mut_checked(geometry.plane_words()) else { return };
    let Some((buffer, lists)) = scratch.split_at_mut_checked(buffer_words(geometry, 1)) else { return };
    let (plane, lists) = (bytes_of(plane), halves(lists));
    let (length, channels) = (geometry.input_len(), geometry.input[2].max(1));
    for channel in 0..layer.matrix.rows() {
        let block = Block::write(steps, layer, channel, channel + 1, lists, &Outputs::I8(&mut []));
        for number in 0..data.len() / length.max(1) {
            let elements = data.iter().skip(number * length + channel).step_by(channels);
            plane.iter_mut().zip(elements).take(length / channels).for_each(|(to, from)| *to = *from);
            let image = Image { start: plane, pixel: 1, channels: 1 };
            band(steps, layer, geometry, &image, &block, number, buffer, &mut Outputs::I8(data));
        }
    }
}

/// Bytes of scratch for a convolution.
pub(crate) const fn conv2d_scratch(geometry: &Geometry, rows: usize, columns: usize) -> usize {
    if columns >= TOO_MANY {
        return 0;
    }
    let geometry = flattened(geometry);
    let all = records::most_words(columns).saturating_mul(rows);
    let lists = if all < LIST_WORDS { all } else { LIST_WORDS };
    let one = records::most_words(columns);
    let lists = if lists > one { lists } else { one };
    buffer_words(&geometry, geometry.input[2]).saturating_add(lists).saturating_mul(size_of::<i32>())
}

/// Bytes of scratch for a depthwise convolution.
pub(crate) const fn depthwise_scratch(geometry: &Geometry, in_place: bool) -> usize {
    let columns = geometry.kernel[0] * geometry.kernel[1];
    let plane = if in_place { geometry.plane_words() } else { 0 };
    let work = if columns >= TOO_MANY { 0 } else { buffer_words(geometry, 1) + records::most_words(columns) };
    plane.saturating_add(work).saturating_mul(size_of::<i32>())
}

/// The words of a band: all rows of the image where there is room, else as many as a window has.
const fn buffer_words(geometry: &Geometry, channels: usize) -> usize {
    let row = row_words(geometry, channels);
    let window = geometry.kernel[0].saturating_mul(row);
    let all = band_rows(geometry).saturating_mul(row);
    let room = if window > BUFFER_WORDS { window } else { BUFFER_WORDS };
    if all < room { all } else { room }
}

/// The words of what one row of an image has under a tile.
const fn row_words(geometry: &Geometry, channels: usize) -> usize {
    geometry.kernel[1].saturating_mul(channels).saturating_mul(WORDS)
}

/// Rows of an image that windows see, those outside the input included.
const fn band_rows(geometry: &Geometry) -> usize {
    geometry.output[0].saturating_sub(1).saturating_mul(geometry.stride[0]).saturating_add(geometry.kernel[0])
}

/// The same convolution on one long row of pixels, where each window is one pixel: all tiles are full then.
const fn flattened(geometry: &Geometry) -> Geometry {
    let [height, width, channels] = geometry.input;
    let single =
        geometry.kernel[0] == 1 && geometry.kernel[1] == 1 && geometry.stride[0] == 1 && geometry.stride[1] == 1;
    if !single || geometry.output[0] != height || geometry.output[1] != width {
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
    /// As many rows from `first` on as there is room for.
    fn write(
        steps: &Steps,
        layer: &Conv2d<'_>,
        first: usize,
        end: usize,
        lists: &'a mut [u16],
        output: &Outputs<'_>,
    ) -> Self {
        let mut narrow = matches!(output, Outputs::I8(_));
        let (mut at, mut rows) = (0, 0);
        while first + rows < end {
            let Some(row) = layer.matrix.row(first + rows) else { break };
            let finish = finish_of(layer, &layer.matrix, first + rows);
            let Some(list) = lists.get_mut(at..) else { break };
            let Some(length) = records::write(&row, &finish, steps.turn, list) else { break };
            narrow &= finish.rounds();
            at += length;
            rows += 1;
        }
        Self { records: lists.get(..at).unwrap_or(&[]), first, rows, narrow }
    }
}

/// What becomes of a row's sums.
fn finish_of(layer: &Conv2d<'_>, matrix: &TernaryMatrix<'_>, row: usize) -> Finish {
    let bias = layer.bias.and_then(|bias| bias.iter().nth(row)).unwrap_or(0);
    match layer.accumulators {
        Accumulators::PerRow { scale } => {
            let unit = matrix.row(row).map_or(0, |row| row.smallest_exponent());
            Finish { unit, bias, shift: scale - unit, relu: layer.relu }
        }
        Accumulators::Layer { exponent } => Finish { unit: exponent, bias, shift: 0, relu: false },
    }
}

/// What tiles are gathered from: one sample, or one channel of it.
struct Image<'a> {
    /// From the first pixel's first channel on.
    start: &'a [i8],
    /// From a pixel to the next one.
    pixel: usize,
    /// Channels that a window sees.
    channels: usize,
}

/// All windows of a sample, tile below tile.
#[allow(clippy::too_many_arguments, reason = "what a convolution consists of")]
#[inline(never)]
fn band(
    steps: &Steps,
    layer: &Conv2d<'_>,
    geometry: &Geometry,
    image: &Image<'_>,
    block: &Block<'_>,
    number: usize,
    buffer: &mut [i32],
    output: &mut Outputs<'_>,
) {
    let [height, width, channels] = geometry.output;
    let (row_words, window) = (row_words(geometry, image.channels), geometry.kernel[0]);
    let capacity = buffer.len().checked_div(row_words).unwrap_or(0);
    let sample = number * geometry.output_len();
    let mut left = 0;
    while left < width {
        // The last tile is one that is full, where there is one.
        let tile_left = left.min(width.saturating_sub(LANES));
        left += LANES;
        let lanes = Lanes::of(geometry, tile_left);
        // Rows of the image from the one above the first window on; `first` lies at the buffer's beginning.
        let (mut first, mut next) = (0, 0);
        for row in 0..height {
            let top = row * geometry.stride[0];
            next = next.max(top);
            if top + window > first + capacity {
                let kept = next.saturating_sub(top) * row_words;
                let from = (top - first).min(capacity) * row_words;
                if let Some(words) = buffer.get_mut(..from + kept) {
                    words.copy_within(from.., 0);
                }
                first = top;
            }
            while next < top + window {
                let words = buffer.get_mut((next - first) * row_words..).and_then(|words| words.get_mut(..row_words));
                gather_row(steps, geometry, image, next, &lanes, words.unwrap_or(&mut []));
                next += 1;
            }
            let Some(columns) = buffer.get((top - first) * row_words..) else { return };
            let place = sample + (row * width + tile_left) * channels + block.first;
            let mut tile = Tile { columns: columns.as_ptr(), to: core::ptr::null_mut(), stride: 0, sums: [0; LANES] };
            // Lanes past the right edge are the next row's, which is written later.
            let inside = row * width + tile_left + LANES <= height * width;
            match output {
                Outputs::I8(output) if block.narrow && inside => {
                    write_tile(steps, block, &mut tile, output, place, channels);
                }
                _ => write_sums(steps, layer, block, &mut tile, output, place, channels, width - tile_left),
            }
        }
    }
}

/// Outputs of all rows at all lanes.
#[allow(unsafe_code, reason = "calls assembly")]
fn write_tile(steps: &Steps, block: &Block<'_>, tile: &mut Tile, output: &mut [i8], place: usize, channels: usize) {
    let last = place + (LANES - 1) * channels + block.rows;
    let Some(output) = output.get_mut(place..last) else { return };
    (tile.to, tile.stride) = (output.as_mut_ptr(), channels);
    let records = block.records.as_ptr_range();
    // SAFETY: a block has a row, its records were written as they must be, the buffer holds a window's rows from the tile's
    // columns on, the slice ends behind the last lane's outputs, and all rows round.
    unsafe { (steps.tile)(records.start, records.end, tile) };
}

/// Outputs of all rows at some lanes, from their sums.
#[allow(unsafe_code, reason = "calls assembly")]
#[allow(clippy::too_many_arguments, reason = "what a tile consists of")]
#[inline(never)]
fn write_sums(
    steps: &Steps,
    layer: &Conv2d<'_>,
    block: &Block<'_>,
    tile: &mut Tile,
    output: &mut Outputs<'_>,
    place: usize,
    channels: usize,
    lanes: usize,
) {
    let records = block.records.as_ptr_range();
    let mut record = records.start;
    for row in 0..block.rows {
        // SAFETY: as above; there is no stride, so only this row's sums are written.
        record = unsafe { (steps.tile)(record, record, tile) };
        let finish = finish_of(layer, &layer.matrix, block.first + row);
        for (lane, sum) in tile.sums.iter().take(lanes).enumerate() {
            let place = place + lane * channels + row;
            match output {
                Outputs::I8(output) => {
                    let Some(output) = output.get_mut(place) else { continue };
                    *output = match finish.rounds() {
                        // The rounding constant is in the sum.
                        true => saturate(*sum >> finish.shift, finish.relu),
                        false => requantize_one(*sum, finish.shift, finish.relu),
                    };
                }
                Outputs::I32(output) => {
                    let Some(output) = output.get_mut(place) else { continue };
                    *output = *sum;
                }
            }
        }
    }
}

/// The lanes of a tile.
struct Lanes {
    /// The first lane's column of the image under the window's first column, counted from the input's left edge.
    start: isize,
    /// From a lane's column to the next one's.
    stride: usize,
}

impl Lanes {
    fn of(geometry: &Geometry, left: usize) -> Self {
        let start = (left * geometry.stride[1]).cast_signed() - geometry.before[1].cast_signed();
        Self { start, stride: geometry.stride[1] }
    }
}

/// What row number `row` of an image has under a tile, column of the window by column.
#[allow(unsafe_code, reason = "calls assembly")]
fn gather_row(steps: &Steps, geometry: &Geometry, image: &Image<'_>, row: usize, lanes: &Lanes, words: &mut [i32]) {
    let [height, width, _] = geometry.input;
    let Some(row) = row.checked_sub(geometry.before[0]).filter(|row| *row < height) else { return words.fill(0) };
    let pixels = image.start.get(row * width * image.pixel..).unwrap_or(&[]);
    let step = lanes.stride * image.pixel;
    let mut column = lanes.start;
    for words in words.chunks_exact_mut((image.channels * WORDS).max(1)) {
        let last = column + ((LANES - 1) * lanes.stride).cast_signed();
        if column >= 0 && last < width.cast_signed() {
            let from = pixels.get(column.unsigned_abs() * image.pixel..).unwrap_or(&[]);
            if from.len() < (LANES - 1) * step + image.channels {
                return;
            }
            // SAFETY: there are four words for each channel, and the last lane's elements end inside the slice.
            unsafe { (steps.gather)(words.as_mut_ptr(), from.as_ptr(), step, image.channels) };
        } else {
            gather_edge(image, pixels, width, column, lanes.stride, words);
        }
        column += 1;
    }
}

/// The same for a window's column that some lanes have outside the image.
#[inline(never)]
fn gather_edge(image: &Image<'_>, pixels: &[i8], width: usize, column: isize, stride: usize, words: &mut [i32]) {
    words.fill(0);
    let mut column = column;
    for lane in 0..LANES {
        if column >= 0 && column < width.cast_signed() {
            let from = pixels.get(column.unsigned_abs() * image.pixel..).unwrap_or(&[]);
            let upper = lane & 1 == 1;
            let words = words.iter_mut().skip(lane / 2).step_by(WORDS);
            for (word, element) in words.zip(from.iter().take(image.channels)) {
                let element = i32::from(*element);
                *word = word.wrapping_add(if upper { element << 16 } else { element });
            }
        }
        column += stride.cast_signed();
    }
}

//! Bands: the tiles of an image that lie below each other, from its upper edge to its lower.

use super::{BUFFER_WORDS, Block, LANES, Layer, Runs, Steps, Tiles, WORDS};
use crate::geometry::Geometry;
use crate::requantize::{requantize_one, saturate};
use crate::values::Outputs;

/// What tiles are gathered from: one sample, or one channel of it with everything around it.
pub(super) struct Image<'a> {
    /// From the first pixel's first channel on.
    pub(super) elements: &'a [i8],
    /// Rows, columns, and channels that a window sees, which lie next to each other.
    pub(super) shape: [usize; 3],
    /// Rows above and columns left that are not there.
    pub(super) before: [usize; 2],
}

impl<'a> Image<'a> {
    /// A sample.
    pub(super) fn whole(geometry: &Geometry, elements: &'a [i8]) -> Self {
        Self { elements, shape: geometry.input, before: geometry.before }
    }
}

/// Sizes of a convolution's bands.
pub(super) struct Band<'a> {
    geometry: &'a Geometry,
    /// Channels that a window sees.
    channels: usize,
    /// Words of what one row of the image has under a tile.
    row_words: usize,
}

impl<'a> Band<'a> {
    pub(super) const fn new(geometry: &'a Geometry, channels: usize) -> Self {
        Self { geometry, channels, row_words: geometry.kernel[1].saturating_mul(channels).saturating_mul(WORDS) }
    }

    /// Rows that windows see, those outside the input included.
    pub(super) const fn rows(&self) -> usize {
        let Geometry { output, stride, kernel, .. } = self.geometry;
        output[0].saturating_sub(1).saturating_mul(stride[0]).saturating_add(kernel[0])
    }

    /// Columns that a tile sees.
    pub(super) const fn tile_columns(&self) -> usize {
        (LANES - 1) * self.geometry.stride[1] + self.geometry.kernel[1]
    }

    /// Words of gathered columns: all rows of the image where there is room, else as many as a window has.
    pub(super) const fn buffer_words(&self) -> usize {
        let window = self.geometry.kernel[0].saturating_mul(self.row_words);
        let all = self.rows().saturating_mul(self.row_words);
        let room = if window > BUFFER_WORDS { window } else { BUFFER_WORDS };
        if all < room { all } else { room }
    }

    /// Words of a tile's row of an image with what is outside it.
    pub(super) const fn line_words(&self) -> usize {
        self.tile_columns().saturating_mul(self.channels).div_ceil(size_of::<i32>())
    }

    /// All windows of a sample.
    #[allow(clippy::too_many_arguments, reason = "what a convolution consists of")]
    #[inline(never)]
    pub(super) fn run(
        &self,
        steps: &Steps,
        layer: &Layer<'_>,
        image: &Image<'_>,
        block: &Block<'_>,
        number: usize,
        buffer: &mut [i32],
        line: &mut [i8],
        output: &mut Outputs<'_>,
    ) {
        let [height, width, channels] = self.geometry.output;
        let (window, stride) = (self.geometry.kernel[0], self.geometry.stride[0]);
        let capacity = buffer.len().checked_div(self.row_words).unwrap_or(0);
        // Windows whose rows fit into the buffer.
        let at_once = capacity.saturating_sub(window).checked_div(stride).unwrap_or(0) + 1;
        let sample = number * self.geometry.output_len();
        // Lanes past the right edge of a narrow image are the next row's, which is written later; there is none in the end.
        let whole = (height * width + width).saturating_sub(LANES.max(width)) / width.max(1);
        let mut left = 0;
        while left < width {
            // The last tile is one that is full, where there is one.
            let first = left.min(width.saturating_sub(LANES));
            left += LANES;
            let (mut row, mut kept) = (0, 0);
            while row < height {
                let mut rows = at_once.min(height - row);
                let narrow = block.narrow && row < whole;
                rows = if narrow { rows.min(whole - row) } else { 1 };
                let top = row * stride;
                // Rows below the first `kept`, which are in the buffer already.
                let needed = (rows - 1) * stride + window;
                let missing = buffer.get_mut(kept * self.row_words..needed * self.row_words).unwrap_or(&mut []);
                self.gather(steps, image, top + kept, first, missing, line);
                let mut tiles = Tiles {
                    columns: buffer.as_ptr(),
                    to: core::ptr::null_mut(),
                    stride: 0,
                    sums: [0; LANES],
                    count: 1,
                    columns_step: stride * self.row_words * size_of::<i32>(),
                    to_step: 0,
                };
                let place = sample + (row * width + first) * channels + block.first;
                match output {
                    Outputs::I8(output) if narrow => {
                        (tiles.count, tiles.stride) = (rows, channels);
                        tiles.to_step = width * channels - block.rows;
                        let end = place + ((rows - 1) * width + LANES - 1) * channels + block.rows;
                        run_tiles(steps, block, &mut tiles, output.get_mut(place..end));
                    }
                    _ => write_sums(steps, layer, block, &mut tiles, output, [place, channels, width - first]),
                }
                row += rows;
                // What the next windows see of these rows moves to the front.
                let gone = rows * stride;
                kept = needed.saturating_sub(gone);
                if let Some(words) = buffer.get_mut(..needed * self.row_words).filter(|_| row < height && kept > 0) {
                    words.copy_within(gone * self.row_words.., 0);
                }
            }
        }
    }

    /// Rows of an image from number `row` on, counted from the one above the first window; as many as `words` holds.
    fn gather(&self, steps: &Steps, image: &Image<'_>, row: usize, first: usize, words: &mut [i32], line: &mut [i8]) {
        let [height, width, channels] = image.shape;
        let (length, step) = (self.geometry.kernel[1] * channels, self.geometry.stride[1] * channels);
        let left = first * self.geometry.stride[1];
        let inside = left >= image.before[1] && left + self.tile_columns() <= width + image.before[1];
        let count = words.len().checked_div(self.row_words).unwrap_or(0);
        if inside && row >= image.before[0] && row + count <= height + image.before[0] {
            let start = ((row - image.before[0]) * width + left - image.before[1]) * channels;
            return gather_runs(steps, image.elements.get(start..), words, step, length, [count, width * channels]);
        }
        for (index, words) in words.chunks_exact_mut(self.row_words.max(1)).enumerate() {
            let Some(row) = (row + index).checked_sub(image.before[0]).filter(|row| *row < height) else {
                words.fill(0);
                continue;
            };
            let elements = image.elements.get(row * width * channels..(row + 1) * width * channels).unwrap_or(&[]);
            if inside {
                let start = (left - image.before[1]) * channels;
                gather_runs(steps, elements.get(start..), words, step, length, [1, 0]);
            } else {
                // The part of the line that is inside the image.
                let outside = image.before[1].saturating_sub(left).min(self.tile_columns());
                let from = left.saturating_sub(image.before[1]).min(width);
                let inner = (width - from).min(self.tile_columns() - outside);
                let Some(line) = line.get_mut(..self.tile_columns() * channels) else { return };
                line.fill(0);
                let to = line.get_mut(outside * channels..(outside + inner) * channels).unwrap_or(&mut []);
                let from = elements.get(from * channels..(from + inner) * channels).unwrap_or(&[]);
                if to.len() == from.len() {
                    to.copy_from_slice(from);
                }
                gather_runs(steps, Some(line), words, step, length, [1, 0]);
            }
        }
    }
}

/// The words of so many runs of `length` elements, each `row` behind the one before.
#[allow(unsafe_code, reason = "calls assembly")]
fn gather_runs(
    steps: &Steps,
    from: Option<&[i8]>,
    words: &mut [i32],
    step: usize,
    length: usize,
    [count, row]: [usize; 2],
) {
    let Some(from) = from.filter(|_| count > 0 && length > 0) else { return };
    if from.len() < (count - 1) * row + (LANES - 1) * step + length || words.len() < count * length * WORDS {
        return;
    }
    let gather = if length == 3 && step == 1 { steps.gather_three } else { steps.gather };
    let runs = Runs { words: words.as_mut_ptr(), from: from.as_ptr(), step, length, count, row };
    // SAFETY: the last run's last lane's elements end inside the slice, and there are four words for each of a lane's.
    unsafe { gather(&runs) };
}

/// Outputs of all rows at all lanes, to what `output` holds.
#[allow(unsafe_code, reason = "calls assembly")]
fn run_tiles(steps: &Steps, block: &Block<'_>, tiles: &mut Tiles, output: Option<&mut [i8]>) {
    let Some(output) = output else { return };
    tiles.to = output.as_mut_ptr();
    let records = block.records.as_ptr_range();
    // SAFETY: a block has a row, its records were written as they must be, the buffer holds the rows of all tiles' windows,
    // the slice ends behind the last tile's last lane's outputs, and all rows round.
    unsafe { (steps.tile)(records.start, records.end, tiles) };
}

/// Outputs of all rows at some lanes of one tile, from their sums: of `lanes` that are `channels` apart, from `place` on.
#[allow(unsafe_code, reason = "calls assembly")]
#[inline(never)]
fn write_sums(
    steps: &Steps,
    layer: &Layer<'_>,
    block: &Block<'_>,
    tiles: &mut Tiles,
    output: &mut Outputs<'_>,
    [place, channels, lanes]: [usize; 3],
) {
    let mut record = block.records.as_ptr();
    for row in 0..block.rows {
        // SAFETY: a record of the block begins here, of which the buffer holds a window's rows; there is no stride, so only
        // this row's sums are written.
        record = unsafe { (steps.tile)(record, record, tiles) };
        let finish = layer.finish(block.first + row);
        for (lane, sum) in tiles.sums.iter().take(lanes).enumerate() {
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

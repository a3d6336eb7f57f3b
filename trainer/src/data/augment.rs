//! Changes images while a network trains on them, so that it sees another one in every epoch.
//!
//! An image is first moved, then mirrored, then a square of it is blanked. What is drawn for it depends on the seed of the
//! run, the number of the epoch and the number of the sample, and on nothing else: a resumed run sees what it would have
//! seen, any number of threads sees the same, and a kernel that follows the same integers gives the same bytes.
//!
//! # What is drawn
//!
//! `next(s)` is the first output of SplitMix64 in the state s: with z = s + 9E3779B97F4A7C15, the value of
//! `z ^= z >> 30; z *= BF58476D1CE4E5B9; z ^= z >> 27; z *= 94D049BB133111EB; z ^= z >> 31`, all modulo 2^64. The state of a
//! sample is `next(next(next(seed) + epoch) + index)`; its draws are the outputs of SplitMix64 from that state on, draw d
//! being `next(state + d·9E3779B97F4A7C15)`. They have fixed places, so that one option does not move another's:
//!
//! | draw | gives |
//! |---|---|
//! | 0 | rows to move by: `below(2·reach + 1) − reach` |
//! | 1 | columns to move by, likewise |
//! | 2 | mirrored, where the highest bit is 1 |
//! | 3 | row in the middle of the square: `below(height)` |
//! | 4 | column in its middle: `below(width)` |
//!
//! where `below(n)` is the product of n and the draw's upper 32 bits, shifted right by 32.
//!
//! # What becomes of an image
//!
//! The pixel in row y and column x is that of row y + rows and column x′ + columns of the sample, where x′ is x, or
//! width − 1 − x where mirrored. Where there is none, it is 0 ([`Edge::Zero`]) or the nearest there is
//! ([`Edge::Repeat`]). Then the pixels of the rows from middle − ⌊side/2⌋ to side − 1 below, and of such columns, become 0:
//! what is in the square of them all that lies on the image. Zero is the int8 step 0, to which a convolution pads, too.

/// The increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What moved pixels leave behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edge {
    /// Zeros.
    #[default]
    Zero,
    /// The pixels at the edge, again.
    Repeat,
}

/// How images are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Height, width and channels of an image.
    pub shape: [usize; 3],
    /// Most rows and columns that an image is moved by.
    pub reach: u32,
    /// What it leaves behind.
    pub edge: Edge,
    /// Whether half of the images are mirrored, left to right.
    pub flip: bool,
    /// Side of the square that is blanked; 0 for none.
    pub cutout: u32,
}

/// What is drawn for one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draws {
    /// Rows between a pixel and the one it is taken from.
    pub rows: i64,
    /// Columns between them.
    pub columns: i64,
    /// Whether the image is mirrored.
    pub flip: bool,
    /// Row and column in the middle of the square.
    pub middle: [usize; 2],
}

impl Augmentation {
    /// What is drawn for the sample `index` in the epoch `epoch` of a run with this seed, both counted from 0.
    pub fn draws(&self, seed: u64, epoch: u64, index: u64) -> Draws {
        let state = state(seed, epoch, index);
        let draw = |number: u64| draw(state, number);
        let distance = |number| below(draw(number), 2 * u64::from(self.reach) + 1) as i64 - i64::from(self.reach);
        let [height, width, _] = self.shape;
        Draws {
            rows: distance(0),
            columns: distance(1),
            flip: self.flip && draw(2) >> 63 == 1,
            middle: [below(draw(3), height as u64) as usize, below(draw(4), width as u64) as usize],
        }
    }

    /// Writes the image that `sample` becomes in this epoch to `out`.
    ///
    /// Both hold the values of one image, row by row, channels side by side; where either has another length nothing is
    /// written.
    pub fn augment(&self, seed: u64, epoch: u64, index: u64, sample: &[i8], out: &mut [i8]) {
        let [height, width, channels] = self.shape;
        let row = width.saturating_mul(channels);
        let values = height.saturating_mul(row);
        if values == 0 || sample.len() != values || out.len() != values {
            return;
        }
        let draws = self.draws(seed, epoch, index);
        for (y, line) in out.chunks_exact_mut(row).enumerate() {
            let from = y as i64 + draws.rows;
            let nearest = from.clamp(0, height as i64 - 1);
            if from != nearest && self.edge == Edge::Zero {
                line.fill(0);
                continue;
            }
            let start = nearest as usize * row;
            self.move_row(&sample[start..start + row], draws.columns, line);
            if draws.flip {
                mirror(line, channels);
            }
        }
        if self.cutout > 0 {
            let side = self.cutout as usize;
            let range = |middle: usize, size: usize| {
                let start = middle as i64 - (side / 2) as i64;
                start.max(0) as usize..(start + side as i64).clamp(0, size as i64) as usize
            };
            let [y, x] = draws.middle;
            let columns = range(x, width);
            for line in out.chunks_exact_mut(row).take(range(y, height).end).skip(range(y, height).start) {
                line[columns.start * channels..columns.end * channels].fill(0);
            }
        }
    }

    /// Writes a row moved by a number of columns.
    fn move_row(&self, source: &[i8], columns: i64, line: &mut [i8]) {
        let [_, width, channels] = self.shape;
        let distance = columns.unsigned_abs().min(width as u64) as usize * channels;
        let kept = line.len() - distance;
        let (left_behind, edge) = if columns >= 0 {
            line[..kept].copy_from_slice(&source[distance..]);
            (&mut line[kept..], &source[source.len() - channels..])
        } else {
            line[distance..].copy_from_slice(&source[..kept]);
            (&mut line[..distance], &source[..channels])
        };
        match self.edge {
            Edge::Zero => left_behind.fill(0),
            Edge::Repeat => left_behind.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(edge)),
        }
    }
}

/// Turns a row of pixels round.
fn mirror(line: &mut [i8], channels: usize) {
    match channels {
        1 => line.reverse(),
        3 => line.as_chunks_mut::<3>().0.reverse(),
        _ => {
            line.reverse();
            line.chunks_exact_mut(channels).for_each(<[i8]>::reverse);
        }
    }
}

/// The state of a sample, or of whatever else two numbers name.
pub(super) fn state(seed: u64, epoch: u64, index: u64) -> u64 {
    next(next(next(seed).wrapping_add(epoch)).wrapping_add(index))
}

/// A draw from a state, by its number.
pub(super) fn draw(state: u64, number: u64) -> u64 {
    next(state.wrapping_add(number.wrapping_mul(GOLDEN)))
}

/// The first output of SplitMix64 in this state.
fn next(state: u64) -> u64 {
    let mut word = state.wrapping_add(GOLDEN);
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// A number below `bound`, which fits 33 bits, by the upper half of a draw.
pub(super) fn below(draw: u64, bound: u64) -> u64 {
    ((draw >> 32).wrapping_mul(bound)) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample([height, width, channels]: [usize; 3]) -> Vec<i8> {
        (0..height * width * channels).map(|value| (value % 251) as i8).map(|value| value.max(1)).collect()
    }

    fn augmented(augmentation: &Augmentation, index: u64, sample: &[i8]) -> Vec<i8> {
        let mut out = vec![99; sample.len()];
        augmentation.augment(7, 3, index, sample, &mut out);
        out
    }

    /// Pixel by pixel, as the module's documentation has it.
    fn defined(augmentation: &Augmentation, index: u64, sample: &[i8]) -> Vec<i8> {
        let [height, width, channels] = augmentation.shape.map(|size| size as i64);
        let Draws { rows, columns, flip, middle } = augmentation.draws(7, 3, index);
        let mut out = Vec::new();
        for (y, x, channel) in
            (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))))
        {
            let (mut from_y, mut from_x) = (y + rows, if flip { width - 1 - x } else { x } + columns);
            if augmentation.edge == Edge::Repeat {
                (from_y, from_x) = (from_y.clamp(0, height - 1), from_x.clamp(0, width - 1));
            }
            let is_there = (0..height).contains(&from_y) && (0..width).contains(&from_x);
            let side = i64::from(augmentation.cutout);
            let is_cut = |place: i64, middle: usize| {
                let start = middle as i64 - side / 2;
                (start..start + side).contains(&place)
            };
            let is_cut = is_cut(y, middle[0]) && is_cut(x, middle[1]);
            let place = (from_y * width + from_x) * channels + channel;
            out.push(if is_there && !is_cut { sample[place as usize] } else { 0 });
        }
        out
    }

    /// The outputs of SplitMix64 in the state 1234567 are those of its authors' program.
    #[test]
    fn the_generator_is_split_mix_64() {
        let outputs = [0, 1, 2].map(|draw| next(1_234_567u64.wrapping_add(GOLDEN.wrapping_mul(draw))));
        assert_eq!(outputs, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    /// Computed by another implementation of the draws; a change here changes what resumed runs see.
    #[test]
    fn draws_never_change() {
        let augmentation = Augmentation { shape: [32, 32, 3], reach: 4, edge: Edge::Zero, flip: true, cutout: 8 };
        let drawn = [(0, 0, 0), (1, 0, 0), (1, 2, 49_999)].map(|(seed, epoch, index)| {
            let Draws { rows, columns, flip, middle: [y, x] } = augmentation.draws(seed, epoch, index);
            (rows, columns, flip, y, x)
        });
        assert_eq!(drawn, [(-3, -4, true, 22, 9), (3, -1, true, 18, 19), (0, 1, false, 31, 30)]);
    }

    #[test]
    fn every_place_is_drawn_about_as_often() {
        let augmentation = Augmentation { shape: [5, 7, 1], reach: 1, flip: true, ..Augmentation::default() };
        let mut counts = [[0u32; 7]; 5];
        for index in 0..9000 {
            let Draws { rows, columns, flip, middle: [y, x] } = augmentation.draws(1, 0, index);
            counts[0][(rows + 1) as usize] += 1;
            counts[1][(columns + 1) as usize] += 1;
            counts[2][usize::from(flip)] += 1;
            counts[3][y] += 1;
            counts[4][x] += 1;
        }
        for (counts, places) in counts.iter().zip([3, 3, 2, 5, 7]) {
            let expected = 9000 / places;
            let (drawn, others) = counts.split_at(places as usize);
            assert!(drawn.iter().all(|count| count.abs_diff(expected) < expected / 6), "{counts:?}");
            assert!(others.iter().all(|count| *count == 0), "{counts:?}");
        }
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let augmentation = Augmentation { shape: [4, 5, 3], ..Augmentation::default() };
        let sample = sample(augmentation.shape);
        assert_eq!(augmented(&augmentation, 0, &sample), sample);
        assert_eq!(augmented(&augmentation, 0, &sample[1..]), vec![99; sample.len() - 1]);
    }

    #[test]
    fn epochs_samples_and_seeds_differ() {
        let augmentation = Augmentation { shape: [28, 28, 1], reach: 14, ..Augmentation::default() };
        let draws = |seed, epoch, index| augmentation.draws(seed, epoch, index);
        assert_eq!(draws(1, 2, 3), draws(1, 2, 3));
        let others = [draws(1, 2, 3), draws(2, 2, 3), draws(1, 3, 3), draws(1, 2, 4), draws(1, 3, 2)];
        assert!((1..others.len()).all(|index| !others[..index].contains(&others[index])), "{others:?}");
    }

    proptest! {
        #[test]
        fn images_are_what_their_definition_says(
            height in 1usize..9,
            width in 1usize..9,
            channels in 1usize..5,
            reach in 0u32..12,
            repeat: bool,
            flip: bool,
            cutout in 0u32..12,
            index: u64,
        ) {
            let edge = if repeat { Edge::Repeat } else { Edge::Zero };
            let augmentation = Augmentation { shape: [height, width, channels], reach, edge, flip, cutout };
            let sample = sample(augmentation.shape);
            prop_assert_eq!(augmented(&augmentation, index, &sample), defined(&augmentation, index, &sample));
        }
    }
}

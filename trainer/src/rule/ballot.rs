//! What several shards of a batch say to one layer: votes that add up to the same integers in any order.
//!
//! A batch is cut into S shards of equal size. Each has its own gradient D of the mean loss over its samples, with an exponent
//! `e = round(log2 rms(D))`. All share one scale `s = 2^max(r, m − 8)`, r = round(log2 √(mean of 4^e)) over the shards of the update
//! before, m the largest e of earlier updates. In the first update, and where there is one shard, r = e: each has its own. (A
//! scale of its own in every update would make a shard that knows its samples as loud as one that has much to learn: `mnist-cnn`
//! lost 3 points by it.) With g the rule's gain, q takes the place of the votes of the whole batch:
//!
//! - Magnitude votes: `q = Σ round(clip(g/√S·λ·D/s, ±⌊127/S⌋) + u)`: within an int8, and of the size of a whole batch's votes where
//!   gradients are mostly noise: then rms(ΣD/S) is 2^r/√S. `latent` has g/S for g/√S, which clips no more often than a whole batch
//!   does. A shard's votes are small numbers: rounded to the nearest, gradients below a third of the scale would never be heard.
//!   So they are rounded up or down by chance, u evenly spread over ±½ (`Dither`), and none where there is one shard.
//! - Scores of groups: `Σ q·T` of votes within ±127, in int32.
//! - Sign votes: `sgn(Σ sgn(D))`, and `sgn(Σ sgn(D)·T)` for scores; `correlation` keeps the sum and counts S votes an update.
//! - Biases: as magnitude votes, with scales of their own, rounded to the nearest.
//!
//! One shard is the whole batch: then all of this is what the rules say anyway.

use super::gradient::rounded_log2_of_root;

/// Most shards of a batch: a vote of each fits into an int8.
pub const MOST_SHARDS: u32 = 127;

/// Exponent of the scale of a shard without a gradient, which votes for nothing.
pub const SILENT: i8 = i8::MIN;

/// Into how many shards a batch is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u32);

impl Shards {
    /// The whole batch.
    pub const ONE: Self = Self(1);

    /// So many shards, 1 to [`MOST_SHARDS`].
    pub fn new(count: u32) -> Option<Self> {
        (1..=MOST_SHARDS).contains(&count).then_some(Self(count))
    }

    /// How many.
    pub const fn count(self) -> usize {
        self.0 as usize
    }

    /// Largest magnitude of a vote that is added to those of all other shards.
    pub const fn limit(self) -> i32 {
        127 / self.0 as i32
    }

    /// Gain of a shard's magnitude votes, by that of a whole batch's.
    pub fn gain(self, gain: f32) -> f32 {
        gain / (self.0 as f32).sqrt()
    }

    /// The same where votes are not to be clipped more often than a whole batch's.
    pub fn mean_gain(self, gain: f32) -> f32 {
        gain / self.0 as f32
    }
}

/// Chance for the rounding of a shard's votes, which depends on nothing but the update, the shard and the weight's place: 16 bits
/// for each weight from the 32-bit mixing function `lowbias32`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dither {
    /// None where nothing is left to chance.
    key: Option<u32>,
}

impl Dither {
    /// Of shard number `shard` in update number `index`.
    pub(super) fn new(shards: Shards, shard: usize, index: u64) -> Self {
        let of_update = mixed(index as u32 ^ (index >> 32) as u32);
        Self { key: (shards != Shards::ONE).then(|| mixed(of_update ^ shard as u32)) }
    }

    /// Calls `f` for each weight of a row with its chance, from −½ to ½.
    pub(super) fn row<W>(self, row: usize, weights: impl Iterator<Item = W>, mut f: impl FnMut(W, f32)) {
        let Some(key) = self.key else { return weights.for_each(|weight| f(weight, 0.0)) };
        let of_row = mixed(key ^ row as u32);
        let mut pair = 0;
        for (column, weight) in weights.enumerate() {
            if column.is_multiple_of(2) {
                pair = mixed(of_row.wrapping_add((column as u32 / 2).wrapping_mul(0x9E37_79B9)));
            }
            let bits = if column.is_multiple_of(2) { pair & 0xFFFF } else { pair >> 16 };
            // Exact: 17 bits.
            f(weight, (2 * bits as i32 - 65_535) as f32 / 131_072.0);
        }
    }
}

/// Mixes 32 bits (`lowbias32` of C. Wellons' hash-prospector).
fn mixed(mut bits: u32) -> u32 {
    bits = (bits ^ bits >> 16).wrapping_mul(0x7FEB_352D);
    bits = (bits ^ bits >> 15).wrapping_mul(0x846C_A68B);
    bits ^ bits >> 16
}

/// What one layer is told by the shards of a batch: sums over those that have voted, and a scale of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Into how many shards the batch is cut.
    pub shards: Shards,
    /// A sum of votes for each weight, [rows, columns]; empty where groups are voted on.
    pub votes: Vec<i8>,
    /// A score for each group, [rows, groups]; empty where weights are voted on.
    pub scores: Vec<i32>,
    /// The exponent of each shard's scale; zeros for shards that have not voted here.
    pub scales: Vec<i8>,
    /// For the biases; empty for a layer without.
    pub biases: BiasBallot,
    /// For the biases of a norm; empty for a layer without.
    pub norm: BiasBallot,
}

/// What the shards of a batch say to biases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BiasBallot {
    /// A sum of votes for each.
    pub votes: Vec<i8>,
    /// The exponent of each shard's scale; zeros for shards that have not voted here.
    pub scales: Vec<i8>,
}

impl Ballot {
    /// Nobody has voted on so many weights, groups and biases yet.
    pub fn new(shards: Shards, weights: usize, groups: usize, biases: usize) -> Self {
        Self {
            shards,
            votes: vec![0; weights],
            scores: vec![0; groups],
            scales: vec![0; shards.count()],
            biases: BiasBallot::new(shards, biases),
            norm: BiasBallot::default(),
        }
    }

    /// Takes all votes back.
    pub fn clear(&mut self) {
        self.scores.fill(0);
        for values in self.integers() {
            values.fill(0);
        }
    }

    /// Adds the votes of other shards.
    pub fn add(&mut self, other: &mut Self) {
        for (sums, values) in self.integers().into_iter().zip(other.integers()) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
        }
        self.scores.iter_mut().zip(&other.scores).for_each(|(sum, score)| *sum = sum.wrapping_add(*score));
    }

    /// Everything but the scores.
    pub fn integers(&mut self) -> [&mut [i8]; 6] {
        let Self { votes, scales, biases, norm, .. } = self;
        [votes, scales, &mut biases.votes, &mut biases.scales, &mut norm.votes, &mut norm.scales]
    }

    /// Whether any shard has votes.
    pub fn has_votes(&self) -> bool {
        self.scales.iter().any(|scale| *scale != SILENT)
    }
}

impl BiasBallot {
    /// Nobody has voted on so many biases yet.
    pub fn new(shards: Shards, biases: usize) -> Self {
        if biases == 0 {
            return Self::default();
        }
        Self { votes: vec![0; biases], scales: vec![0; shards.count()] }
    }
}

/// The exponent of a shard's scale by the mean square of its gradient, before the floor; [`SILENT`] where that is zero.
pub(super) fn scale_of(mean_square: f64) -> i8 {
    rounded_log2_of_root(mean_square).map_or(SILENT, |exponent| exponent.clamp(-126, 126) as i8)
}

/// The exponent of the scale that shards share after an update in which these were their own; `None` where there is but one
/// shard, or all are silent.
pub(super) fn shared_scale(exponents: &[i8]) -> Option<i8> {
    if exponents.len() < 2 {
        return None;
    }
    // Exact: exponents of doubles go further.
    let square = |exponent: &i8| f64::from_bits(((1023 + 2 * i64::from(*exponent)) as u64) << 52);
    let squares: f64 = exponents.iter().filter(|exponent| **exponent != SILENT).map(square).sum();
    let shared = scale_of(squares / exponents.len() as f64);
    (shared != SILENT).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_root_mean_square() {
        let shared = |exponents: &[i8]| shared_scale(exponents);
        assert_eq!(shared(&[5]), None);
        assert_eq!(shared(&[SILENT; 8]), None);
        assert_eq!(shared(&[-7; 8]), Some(-7));
        // One of sixteen has a gradient: a quarter of it.
        let mut one = [SILENT; 16];
        one[3] = 10;
        assert_eq!(shared(&one), Some(8));
        assert_eq!((shared(&[126; 4]), shared(&[-126; 4])), (Some(126), Some(-126)));
        assert_eq!(shared(&[0, -126]), Some(0));
    }

    #[test]
    fn votes_of_all_shards_fit() {
        for count in 1..=MOST_SHARDS {
            let shards = Shards::new(count).unwrap();
            assert!((1..=127).contains(&(shards.limit() * count as i32)), "{count}");
        }
        assert_eq!((Shards::new(0), Shards::new(128)), (None, None));
        assert_eq!((Shards::ONE.gain(4.0), Shards::ONE.limit()), (4.0, 127));
        assert_eq!(Shards::new(8).unwrap().limit(), 15);
    }

    /// One shard that votes and a whole batch that updates leave the same state, under every rule, int8 weights included.
    #[test]
    fn one_shard_is_the_whole_batch() {
        use crate::checkpoint::StateReader;
        use crate::config::{Config, Precision};
        use crate::network::{Stage, StageOutput};
        use crate::rule::gradient::Gradient;
        use crate::rule::{RuleName, Step, create};
        use ndarray::Array2;
        use trishift_format::GroupSize;
        use trishift_format::write::CheckpointWriter;

        let mut config = Config::preset("mnist-mlp").unwrap();
        let rules = RuleName::ALL.into_iter().filter(|rule| *rule != RuleName::StraightThrough);
        for (number, rule) in rules.enumerate() {
            config.training.rule = rule;
            for (bias, precision) in [(false, Precision::Ternary), (true, Precision::Ternary), (true, Precision::Int8)]
            {
                let (rows, columns) = (70, 33 + number);
                let stage = Stage::linear(rows, columns, GroupSize::new(8).unwrap(), StageOutput::Logits);
                let stage = Stage { bias, precision, ..stage };
                let mut states = [create(&config, &stage, 0), create(&config, &stage, 0)];
                let mut ballot = states[1].ballot(Shards::ONE).unwrap();
                for index in 0..40 {
                    let value = |i: usize| {
                        let hash = ((index * 7919 + i as u64) ^ 0x55).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                        ((hash % 255) as f32 - 127.0) * 2f32.powi(-((index % 12) as i32) - (hash >> 16 & 7) as i32)
                    };
                    let input =
                        Array2::from_shape_fn(
                            (5, columns),
                            |(m, k)| if index == 3 { 0.0 } else { value(m * columns + k) },
                        );
                    let output = Array2::from_shape_fn((rows, 5), |(n, m)| value(9999 + n * 5 + m));
                    let gradient = Gradient::Product { output: output.view(), input: input.view() };
                    let step = Step { index, lambda: 1.0 - index as f32 / 40.0 };
                    states[0].update(&gradient, step);
                    ballot.clear();
                    states[1].vote(&gradient, step, 0, &mut ballot);
                    states[1].apply(&ballot, step);
                }
                let [updated, voted] = states.map(|state| {
                    let mut writer = CheckpointWriter::new("");
                    state.save("layer", &mut writer).unwrap();
                    let bytes = writer.finish().unwrap();
                    StateReader::new(&bytes, std::path::Path::new("x")).unwrap();
                    bytes
                });
                assert!(updated == voted, "{rule}, bias {bias}, {precision:?}");
            }
        }
    }

    #[test]
    fn chance_is_even_and_repeats() {
        let dither = |shard, index| Dither::new(Shards::new(8).unwrap(), shard, index);
        let drawn = |shard: usize, index: u64| {
            let mut all = Vec::new();
            for row in 0..64 {
                dither(shard, index).row(row, 0..501, |_, chance| all.push(chance));
            }
            all
        };
        let one = drawn(3, 77);
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!(one.iter().all(|chance| chance.abs() < 0.5) && mean(&one).abs() < 0.01);
        let squares: Vec<f32> = one.iter().map(|chance| chance * chance).collect();
        assert!((mean(&squares) - 1.0 / 12.0).abs() < 0.003);
        assert!(one == drawn(3, 77) && one != drawn(4, 77) && one != drawn(3, 78));
        // Neighbours say nothing of each other.
        let products: Vec<f32> = one.windows(2).map(|pair| pair[0] * pair[1]).collect();
        assert!(mean(&products).abs() < 0.003, "{}", mean(&products));
        Dither::new(Shards::ONE, 0, 5).row(0, 0..3, |_, chance| assert_eq!(chance, 0.0));
    }

    #[test]
    fn ballots_add_up() {
        let shards = Shards::new(2).unwrap();
        let mut sum = Ballot::new(shards, 2, 1, 1);
        let mut one = sum.clone();
        (one.votes, one.scores, one.scales) = (vec![63, -63], vec![-1000], vec![-5, 0]);
        (one.biases.votes, one.biases.scales) = (vec![7], vec![SILENT, 0]);
        let mut other = one.clone();
        other.scales = vec![0, 3];
        sum.add(&mut one);
        sum.add(&mut other);
        assert_eq!((sum.votes.as_slice(), sum.scores.as_slice()), ([126, -126].as_slice(), [-2000].as_slice()));
        assert_eq!((sum.scales.as_slice(), sum.biases.votes.as_slice()), ([-5, 3].as_slice(), [14].as_slice()));
        sum.clear();
        assert_eq!(sum, Ballot::new(shards, 2, 1, 1));
    }
}

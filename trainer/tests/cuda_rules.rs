//! Every rule on a card against the same rule on the CPU: the same gradients give the same integers, update for update.
//!
//! Gradients are small integers times powers of two, so that their sums are exact in any order. Without a card every test
//! says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::Path;
use trishift_format::GroupSize;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_trainer::backend::cuda::card::{Buffer, Card};
use trishift_trainer::backend::cuda::extent::Extent;
use trishift_trainer::backend::cuda::rule::{self as card_rule, CardRule, Update};
use trishift_trainer::backend::cuda::{BallotMemory, Step as CardStep, Turn};
use trishift_trainer::checkpoint::StateReader;
use trishift_trainer::config::{Config, Precision};
use trishift_trainer::frozen::FrozenLayer;
use trishift_trainer::network::{Stage, StageOutput};
use trishift_trainer::rule::ballot::Shards;
use trishift_trainer::rule::gradient::{Gradient, from_bfloat16, to_bfloat16};
use trishift_trainer::rule::{self, LayerState, RuleName, Step};

const UPDATES: u64 = 20;

const GROUPS: [u32; 10] = [4, 6, 8, 16, 20, 32, 40, 64, 80, 96];

/// Rows, columns and samples: single rows and columns, rows shorter than a group, ragged ones, more than one block of a row,
/// of rows and of samples.
const SHAPES: [[usize; 3]; 8] =
    [[1, 1, 3], [1, 50, 7], [19, 1, 7], [5, 3, 2], [33, 31, 40], [70, 784, 5], [2, 5000, 3], [70, 97, 70]];

/// Powers of two that gradients are multiplied by: from large to below the floor of the scale, and back.
const EXPONENTS: [i32; 7] = [0, 1, -3, -12, -30, 2, 0];

const LAMBDAS: [f32; 5] = [1.0, 0.3, 1.0, 0.77, 0.02];

/// A layer on the CPU and the same on a card.
struct Pair<'a> {
    card: &'a Card,
    config: Config,
    stage: Stage,
    samples: usize,
    cpu: Box<dyn LayerState>,
    on_card: Box<dyn CardRule>,
    weights: Buffer<u16>,
    output: Buffer<u16>,
    row_squares: Buffer<f64>,
    step: Buffer<CardStep>,
}

impl<'a> Pair<'a> {
    fn new(card: &'a Card, rule: RuleName, group: u32, shape: [usize; 3], bias: bool) -> Self {
        Self::of_precision(card, (rule, Precision::Ternary), group, shape, bias)
    }

    fn of_precision(
        card: &'a Card,
        (rule, precision): (RuleName, Precision),
        group: u32,
        [rows, columns, samples]: [usize; 3],
        bias: bool,
    ) -> Self {
        let mut config = Config::preset("digits-mlp").unwrap();
        config.training.rule = rule;
        config.training.flip_threshold = 3;
        config.training.exponent_threshold = 2;
        let group = GroupSize::new(group).unwrap();
        // Each row's own unit, or one for all.
        let narrow = (rows + group.get() / 2).is_multiple_of(2);
        let output = if narrow { StageOutput::Requantized { relu: true } } else { StageOutput::Logits };
        let stage = Stage { bias, precision, ..Stage::linear(rows, columns, group, output) };
        let extent = Extent::of(&stage);
        let cpu = rule::create(&config, &stage, 0);
        let mut on_card = card_rule::create(card, &config.training, &stage).unwrap();
        on_card.load(card, "layer", &StateReader::new(&saved(cpu.as_ref()), Path::new("cpu")).unwrap()).unwrap();
        Self {
            card,
            weights: card.zeros("weights", extent.padded_weights()).unwrap(),
            output: card.zeros("output", samples * extent.padded_rows()).unwrap(),
            row_squares: card.zeros("squares", rows).unwrap(),
            step: card.zeros("step", 1).unwrap(),
            config,
            stage,
            samples,
            cpu,
            on_card,
        }
    }

    /// The same update on both.
    fn update(&mut self, output: &Array2<f32>, input: &Array2<f32>, step: Step) {
        let gradient = Gradient::Product { output: output.view(), input: input.view() };
        self.cpu.update(&gradient, step);
        let scratch = self.upload(output, input, step);
        let update = Update::new((&scratch, &self.output), self.samples, &self.step, &self.row_squares);
        self.on_card.update(self.card, &update).unwrap();
        self.card.wait().unwrap();
    }

    /// The same update on both by the votes of shards, whose gradients these are.
    fn update_by_votes(&mut self, of_shards: &[(Array2<f32>, Array2<f32>)], step: Step) {
        let shards = Shards::new(of_shards.len() as u32).unwrap();
        let mut ballot = self.cpu.ballot(shards).unwrap();
        let memory = BallotMemory::new(self.card, self.on_card.as_ref(), &self.stage, shards).unwrap().unwrap();
        let on_card = memory.begin();
        for (shard, (output, input)) in of_shards.iter().enumerate() {
            let gradient = Gradient::Product { output: output.view(), input: input.view() };
            self.cpu.vote(&gradient, step, shard, &mut ballot);
            let scratch = self.upload(output, input, step);
            let update = Update::new((&scratch, &self.output), self.samples, &self.step, &self.row_squares);
            self.on_card.vote(self.card, &update, &on_card, Turn { shard, is_first: shard == 0 }).unwrap();
            self.card.wait().unwrap();
        }
        self.cpu.apply(&ballot, step);
        self.on_card.apply(self.card, &on_card, &self.step).unwrap();
        self.card.wait().unwrap();
    }

    /// Sends gradients and the step to the card; gives the weight gradient.
    fn upload(&mut self, output: &Array2<f32>, input: &Array2<f32>, step: Step) -> Buffer<u16> {
        let extent = Extent::of(&self.stage);
        let product = output.mapv(f64::from).dot(&input.mapv(f64::from));
        let bits: Vec<u16> = product.iter().map(|d| to_bfloat16(*d as f32)).collect();
        let scratch = self.card.upload("gradient", &extent.pad(&bits, extent.columns, extent.pitch())).unwrap();
        let mut samples = vec![0; self.samples * extent.padded_rows()];
        for ((row, sample), value) in output.indexed_iter() {
            let bits = to_bfloat16(*value);
            assert_eq!(from_bfloat16(bits), *value);
            samples[sample * extent.padded_rows() + row] = bits;
        }
        self.card.write(&mut self.output, &samples).unwrap();
        let parameters = CardStep { lambda: step.lambda, index: step.index, phase: 0 };
        self.card.write(&mut self.step, &[parameters]).unwrap();
        scratch
    }

    /// The card's state as the CPU holds it.
    fn fetched(&self) -> Box<dyn LayerState> {
        let mut writer = CheckpointWriter::new("");
        self.on_card.save(self.card, "layer", &mut writer).unwrap();
        let bytes = writer.finish().unwrap();
        let mut fetched = rule::create(&self.config, &self.stage, 0);
        fetched.load("layer", &StateReader::new(&bytes, Path::new("card")).unwrap()).unwrap();
        fetched
    }

    /// The card's weights, [rows, columns], once their padding is known to be zeros.
    fn expanded(&mut self) -> Vec<f32> {
        let extent = Extent::of(&self.stage);
        // What the kernel leaves out shows.
        self.card.write(&mut self.weights, &vec![0x7FC0; extent.padded_weights()]).unwrap();
        self.on_card.expand(self.card, &self.weights).unwrap();
        let weights = self.card.read(&self.weights).unwrap();
        for (row, weights) in weights.chunks(extent.pitch()).enumerate() {
            let first = if row < extent.rows { extent.columns } else { 0 };
            assert!(weights[first..].iter().all(|bits| *bits == 0), "padding of row {row}");
        }
        extent.unpad(&weights, extent.columns, extent.pitch()).into_iter().map(from_bfloat16).collect()
    }

    /// Compares weights and, rounded to units of `state`, biases.
    fn compare_forward(&mut self, state: &dyn LayerState, what: &str) {
        let rule = self.config.training.rule;
        let found = self.expanded();
        let mut expected = vec![0.0; found.len()];
        state.weights(0, &mut expected);
        let tolerance = if rule == RuleName::Correlation { 2f32.powi(-8) } else { 0.0 };
        let differ = |(found, expected): &(&f32, &f32)| (*found - *expected).abs() > tolerance * expected.abs();
        let differing = found.iter().zip(&expected).filter(differ).count();
        assert!(differing == 0, "{what}: {differing} weights differ");

        self.on_card.round_bias(self.card, &self.weights).unwrap();
        let Some(biases) = self.on_card.bias() else {
            assert!(!self.stage.bias, "{what}");
            return;
        };
        let biases = self.card.read(biases).unwrap();
        let frozen = FrozenLayer::new(&self.stage, state);
        assert!(self.stage.bias && biases.len() == Extent::of(&self.stage).padded_rows());
        assert!(biases[self.stage.rows..].iter().all(|bias| *bias == 0.0), "{what}: padding of the biases");
        for ((found, bias), unit) in biases.iter().zip(&frozen.bias).zip(&frozen.units) {
            let unit = 2f32.powi(*unit);
            let expected = *bias as f32 * unit;
            // A fractional exponent beside a half may be rounded to the other side.
            let tolerance = if rule == RuleName::Correlation { 2.0 * unit } else { 0.0 };
            assert!((found - expected).abs() <= tolerance, "{what}: bias {found}, not {expected}");
        }
    }
}

fn saved(state: &dyn LayerState) -> Vec<u8> {
    let mut writer = CheckpointWriter::new("");
    state.save("layer", &mut writer).unwrap();
    writer.finish().unwrap()
}

/// Integers from −2 to 2, more than half of them 0, times `factor`.
fn integers(generator: &mut ChaCha8Rng, shape: (usize, usize), factor: f32) -> Array2<f32> {
    let values = [0.0, 1.0, 0.0, -1.0, 0.0, 2.0, 0.0, -2.0, 0.0];
    Array2::from_shape_simple_fn(shape, || values[generator.next_u32() as usize % values.len()] * factor)
}

/// The gradients of update number `index`: with respect to the outputs, [rows, samples], and the inputs, [samples, columns].
fn gradients(generator: &mut ChaCha8Rng, pair: &Pair<'_>, index: u64) -> (Array2<f32>, Array2<f32>) {
    let Stage { rows, columns, .. } = pair.stage;
    let scale = 2f32.powi(EXPONENTS[index as usize % EXPONENTS.len()]);
    // Idle updates; gradients that bfloat16 rounds, which the float rule takes as they are on the CPU.
    let is_float = pair.config.training.rule == RuleName::StraightThrough;
    let factor = match index {
        6 | 11 | 12 => 0.0,
        _ if index % 3 == 1 && !is_float => 37.0,
        _ => 1.0,
    };
    let output = integers(generator, (rows, pair.samples), factor * scale);
    (output, integers(generator, (pair.samples, columns), 1.0))
}

/// Calls `check` after every update of every shape and group size.
fn run(rule: RuleName, check: impl Fn(&mut Pair<'_>, &str)) {
    run_of_precision((rule, Precision::Ternary), &GROUPS, check);
}

/// The same with weights of either kind.
fn run_of_precision(kind: (RuleName, Precision), groups: &[u32], check: impl Fn(&mut Pair<'_>, &str)) {
    let Some(card) = card::first() else { return };
    let mut generator = ChaCha8Rng::seed_from_u64(17);
    for group in groups.iter().copied() {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            // With bias and without, in both kinds of output.
            let bias = !(number as u32 + group / 4).is_multiple_of(3);
            let mut pair = Pair::of_precision(&card, kind, group, shape, bias);
            let what = format!("{}, {:?}, group {group}, {shape:?}", kind.0, kind.1);
            check(&mut pair, &format!("{what} at the start"));
            for index in 0..UPDATES {
                let (output, input) = gradients(&mut generator, &pair, index);
                let lambda = LAMBDAS[index as usize % LAMBDAS.len()];
                pair.update(&output, &input, Step { index, lambda });
                check(&mut pair, &format!("{what} after update {index}"));
            }
        }
    }
}

/// Integer rules: states are the same bit for bit, and what is made of them is.
fn integers_agree(rule: RuleName) {
    run(rule, states_are_equal);
}

fn states_are_equal(pair: &mut Pair<'_>, what: &str) {
    let fetched = pair.fetched();
    assert!(saved(fetched.as_ref()) == saved(pair.cpu.as_ref()), "{what}: the states differ");
    pair.compare_forward(fetched.as_ref(), what);
}

/// The same for int8 weights, which every integer rule has alike.
#[test]
fn int8_weights_agree() {
    run_of_precision((RuleName::FlipCorrelation, Precision::Int8), &[4, 8], states_are_equal);
}

#[test]
fn flip_correlation_agrees() {
    integers_agree(RuleName::FlipCorrelation);
}

#[test]
fn integrating_correlation_agrees() {
    integers_agree(RuleName::IntegratingCorrelation);
}

#[test]
fn correlation_agrees() {
    integers_agree(RuleName::Correlation);
}

#[test]
fn flip_agrees() {
    integers_agree(RuleName::Flip);
}

#[test]
fn exponent_agrees() {
    integers_agree(RuleName::Exponent);
}

#[test]
fn latent_agrees() {
    integers_agree(RuleName::Latent);
}

/// The floating-point rule: states agree to within rounding, weights and biases are those of the card's own state.
#[test]
fn straight_through_agrees() {
    run(RuleName::StraightThrough, floats_are_near);
}

#[test]
fn straight_through_int8_weights_agree() {
    run_of_precision((RuleName::StraightThrough, Precision::Int8), &[4, 8], floats_are_near);
}

fn floats_are_near(pair: &mut Pair<'_>, what: &str) {
    let fetched = pair.fetched();
    let [found, expected] = [fetched.as_ref(), pair.cpu.as_ref()].map(saved);
    let [found, expected] = [&found, &expected].map(|bytes| StateReader::new(bytes, Path::new("state")).unwrap());
    let Stage { rows, columns, bias, .. } = pair.stage;
    let parts = [("latent", rows * columns), ("bias", rows)];
    for (part, count) in parts.into_iter().take(1 + usize::from(bias)) {
        for moment in ["values", "first", "second"] {
            let name = format!("layer.{part}.{moment}");
            let [found, expected] = [&found, &expected].map(|state| state.f32s(&name, count).unwrap());
            let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let limit = 1e-4 * expected.abs() + 1e-6 * largest;
                assert!((found - expected).abs() <= limit, "{what}, {name}: {found}, not {expected}");
            }
        }
    }
    pair.compare_forward(fetched.as_ref(), what);
}

/// States at their limits: where counters saturate, and a rule that counts its updates in the state.
#[test]
fn correlations_saturate_alike() {
    let Some(card) = card::first() else { return };
    let mut generator = ChaCha8Rng::seed_from_u64(19);
    for group in [4, 6, 96] {
        let mut pair = Pair::new(&card, RuleName::Correlation, group, [3, 50, 4], false);
        let groups = pair.stage.groups();
        let mut writer = CheckpointWriter::new("");
        let fresh = pair.cpu.ternary();
        let corr: Vec<i64> = (0..3 * groups).map(|i| [i64::MIN, i64::MAX, i64::MAX - 1, 7][i % 4]).collect();
        writer.push("layer.trits", 3, StateValues::Trits(&fresh.trits)).unwrap();
        writer.push("layer.exponents", 3, StateValues::I8(&fresh.exponents)).unwrap();
        writer.push("layer.corr", 3, StateValues::I64(&corr)).unwrap();
        writer.push("layer.step", 1, StateValues::I64(&[i64::MAX - 3])).unwrap();
        let bytes = writer.finish().unwrap();
        let reader = StateReader::new(&bytes, Path::new("limits")).unwrap();
        pair.cpu.load("layer", &reader).unwrap();
        pair.on_card.load(&card, "layer", &reader).unwrap();
        for index in 0..6 {
            let (output, input) = gradients(&mut generator, &pair, index);
            pair.update(&output, &input, Step { index, lambda: 1.0 });
            let fetched = pair.fetched();
            assert!(saved(fetched.as_ref()) == saved(pair.cpu.as_ref()), "group {group} after update {index}");
            pair.compare_forward(fetched.as_ref(), "at the limits");
        }
    }
}

/// The memory that a layer says it has is at least what its state needs.
#[test]
fn state_bytes_count_every_weight() {
    let Some(card) = card::first() else { return };
    let bytes_per_weight = |rule| match rule {
        RuleName::FlipCorrelation | RuleName::Flip => 1.25,
        RuleName::IntegratingCorrelation | RuleName::Correlation | RuleName::Exponent => 0.25,
        RuleName::Latent => 4.0,
        RuleName::StraightThrough => 12.0,
    };
    for rule in RuleName::ALL {
        let pair = Pair::new(&card, rule, 32, [64, 1024, 1], true);
        let needed = bytes_per_weight(rule) * 64.0 * 1024.0;
        let counted = pair.on_card.state_bytes() as f64;
        // Groups, rows and columns add up to less than another byte a weight.
        assert!((needed..needed + 65_536.0).contains(&counted), "{rule}: {counted} bytes, not {needed}");
    }
}

/// Shards vote on both with the same result, whichever rule, whether some of them are silent or all.
#[test]
fn votes_of_shards_match() {
    let Some(card) = card::first() else { return };
    let mut generator = ChaCha8Rng::seed_from_u64(23);
    let rules = RuleName::ALL.into_iter().filter(|rule| *rule != RuleName::StraightThrough);
    let kinds = rules.map(|rule| (rule, Precision::Ternary)).chain([(RuleName::FlipCorrelation, Precision::Int8)]);
    for kind in kinds {
        for group in GROUPS {
            for (number, shape) in SHAPES.into_iter().enumerate() {
                let bias = !(number as u32 + group / 4).is_multiple_of(3);
                let mut pair = Pair::of_precision(&card, kind, group, shape, bias);
                let shards = [2, 8, 3][number % 3];
                for index in 0..10 {
                    // Every shard its own power of two; one of them or all may have nothing to say.
                    let of_shard = |shard: u64| {
                        let silent = index == 4 || (index + shard) % 7 == 3;
                        gradients(&mut generator, &pair, if silent { 6 } else { index + shard })
                    };
                    let of_shards: Vec<_> = (0..shards).map(of_shard).collect();
                    let lambda = LAMBDAS[index as usize % LAMBDAS.len()];
                    pair.update_by_votes(&of_shards, Step { index, lambda });
                    let fetched = pair.fetched();
                    let what = format!("{kind:?}, group {group}, {shape:?}, {shards} shards, update {index}");
                    assert!(saved(fetched.as_ref()) == saved(pair.cpu.as_ref()), "{what}");
                }
            }
        }
    }
}

//! The kernels of shift batch norms against their definition: statistics, both ways of a norm, and its integer state.
//!
//! Without a card every test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::Path;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::BATCH_NORM;
use trishift_trainer::backend::cuda::Step;
use trishift_trainer::backend::cuda::card::{Argument, Buffer, Card, Grid, Kernel};
use trishift_trainer::checkpoint::StateReader;
use trishift_trainer::rule::batch_norm::{BatchNorm, EPSILON, Phase, Statistics, distance_to_target};
use trishift_trainer::rule::gradient::{from_bfloat16, to_bfloat16};

/// Rows and channels: fewer than a block has, more than a tile, many rows.
const SHAPES: [[usize; 2]; 5] = [[1, 3], [37, 20], [5000, 16], [777, 300], [70_001, 5]];

const THREADS: u32 = 512;

macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { &[$(Argument::from($argument)),*] };
}

/// A layer's sums on a card and all that its norm needs.
struct Layer<'a> {
    card: &'a Card,
    rows: usize,
    channels: usize,
    pitch: usize,
    relu: bool,
    sums: Vec<f32>,
    on_card: Buffer<f32>,
    fields: Buffer<f32>,
    moments: Buffer<f64>,
    partial: Buffer<f64>,
    blocks: Buffer<u32>,
    biases: Vec<i32>,
    biases_on_card: Buffer<i32>,
    step: Buffer<Step>,
}

impl<'a> Layer<'a> {
    fn new(card: &'a Card, [rows, channels]: [usize; 2], relu: bool, random: &mut ChaCha8Rng) -> Self {
        let pitch = channels.next_multiple_of(16);
        let mut sums = vec![0f32; rows * pitch];
        for row in sums.chunks_mut(pitch) {
            for (channel, sum) in row[..channels].iter_mut().enumerate() {
                // Multiples of 2^−6 around a mean of its own; one channel is always the same.
                let spread = if channel == 1 { 1 } else { 100 << (channel % 7) };
                *sum = (random.next_u32() % spread) as f32 / 64.0 - 3.0 * (channel % 5) as f32;
            }
        }
        let biases: Vec<i32> = (0..pitch).map(|c| if c < channels { 700 * (c as i32 % 9) - 2000 } else { 0 }).collect();
        Self {
            card,
            rows,
            channels,
            pitch,
            relu,
            on_card: card.upload("sums", &sums).unwrap(),
            sums,
            fields: card.zeros("channels", 8 * pitch).unwrap(),
            moments: card.zeros("moments", 2 * pitch).unwrap(),
            partial: card.zeros("partial", 2 * 128 * pitch).unwrap(),
            blocks: card.zeros("blocks", 1).unwrap(),
            biases_on_card: card.upload("biases", &biases).unwrap(),
            biases,
            step: card.zeros("step", 1).unwrap(),
        }
    }

    fn tile(&self) -> usize {
        (self.pitch / 4).min(64)
    }

    fn grid(&self, most: usize) -> Grid {
        let lanes = THREADS as usize / self.tile();
        let blocks = self.rows.div_ceil(4 * lanes).clamp(1, most);
        Grid { blocks: [blocks as u32, (self.pitch / 4).div_ceil(self.tile()) as u32], threads: THREADS, shared: 0 }
    }

    fn tell(&mut self, phase: u32) {
        self.card.write(&mut self.step, &[Step { lambda: 1.0, phase, index: 0 }]).unwrap();
    }

    fn statistics(&self, only: bool) {
        let arguments = arguments![
            &self.on_card,
            self.rows,
            self.pitch as i32,
            self.tile() as i32,
            self.channels as i32,
            &self.biases_on_card,
            &self.step,
            i32::from(only),
            &self.partial,
            &self.blocks,
            &self.moments,
            &self.fields,
        ];
        self.card.launch(Kernel::new(BATCH_NORM, "statistics"), self.grid(128), arguments).unwrap();
    }

    /// The channel's values in 64-bit floats.
    fn channel(&self, channel: usize) -> Vec<f64> {
        self.sums.iter().skip(channel).step_by(self.pitch).map(|value| f64::from(*value)).collect()
    }
}

/// Mean and variance of the batch.
fn moments(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
}

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * (1.0 + expected.abs())
}

/// `expected[i]` by channel; all else must be zeros.
fn for_each_layer(seed: u64, mut check: impl FnMut(&mut Layer<'_>, &mut ChaCha8Rng, &str)) {
    let Some(card) = card::first() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for shape in SHAPES {
        for relu in [false, true] {
            let mut layer = Layer::new(&card, shape, relu, &mut random);
            check(&mut layer, &mut random, &format!("{shape:?}, relu {relu}"));
        }
    }
}

#[test]
fn a_batch_is_measured_and_normed() {
    for_each_layer(1, |layer, _, what| {
        for (phase, only) in [(Step::USES_BATCH, false), (Step::USES_BATCH, true), (0, false)] {
            layer.tell(phase);
            // What nobody may overwrite where the running values are in force.
            let running: Vec<f32> = (0..8 * layer.pitch).map(|i| [1.0, 0.25, 0.0, 0.0][(i % 8).min(3)]).collect();
            layer.card.write(&mut layer.fields, &running).unwrap();
            layer.statistics(only);
            let found = layer.card.read(&layer.moments).unwrap();
            let fields = layer.card.read(&layer.fields).unwrap();
            let uses_batch = phase != 0 && !only;
            for channel in 0..layer.channels {
                let [mean, variance] = moments(&layer.channel(channel));
                let (found_mean, found_variance) = (found[2 * channel], found[2 * channel + 1]);
                assert!(close(found_mean, mean, 1e-12), "{what}, channel {channel}: mean {found_mean}, not {mean}");
                assert!(
                    close(found_variance, variance, 1e-9),
                    "{what}, channel {channel}: variance {found_variance}, not {variance}"
                );
                let field = &fields[8 * channel..][..8];
                let (scale, offset) = if uses_batch {
                    let scale = 2f64.powi(distance_to_target(found_variance + EPSILON));
                    let bias = f64::from(layer.biases[channel]) / 256.0;
                    (scale, bias - found_mean * scale)
                } else {
                    (1.0, 0.25)
                };
                let inverse = 1.0 / (found_variance + EPSILON).sqrt();
                let expected = [scale as f32, offset as f32, found_mean as f32, inverse as f32];
                assert_eq!(field[..4], expected, "{what}, channel {channel}, phase {phase}, only {only}");
            }
            let output = layer.card.upload("output", &vec![0x7FC0u16; layer.sums.len()]).unwrap();
            let arguments = arguments![
                &layer.on_card,
                layer.rows,
                layer.pitch as i32,
                layer.tile() as i32,
                i32::from(layer.relu),
                &layer.fields,
                &output,
            ];
            layer.card.launch(Kernel::new(BATCH_NORM, "normalize"), layer.grid(1 << 20), arguments).unwrap();
            let output = layer.card.read(&output).unwrap();
            for (index, (found, sum)) in output.iter().zip(&layer.sums).enumerate() {
                let field = &fields[8 * (index % layer.pitch)..];
                let y = sum * field[0] + field[1];
                let least = if layer.relu { 0.0 } else { -128.0 };
                let expected = (y + 0.5).clamp(least, 127.0).floor();
                assert_eq!(from_bfloat16(*found), expected, "{what}, output {index} of {y}");
            }
        }
    });
}

/// A norm's state by the names of a checkpoint.
struct State {
    shifts: Vec<i8>,
    means: Vec<i32>,
    variances: Vec<i64>,
}

impl State {
    fn random(channels: usize, random: &mut ChaCha8Rng) -> Self {
        let mut number = |most: i64| (i64::from(random.next_u32()) % (2 * most + 1)) - most;
        Self {
            shifts: (0..channels).map(|c| if c % 11 == 3 { 64 } else { number(8) as i8 }).collect(),
            means: (0..channels).map(|c| if c % 13 == 5 { i32::MAX - 3 } else { number(1 << 16) as i32 }).collect(),
            variances: (0..channels).map(|c| if c % 7 == 2 { 1 << 51 } else { number(1 << 24).abs() }).collect(),
        }
    }

    fn host(&self, biases: &[i32]) -> BatchNorm {
        let mut writer = CheckpointWriter::new("");
        writer.push("layer.norm_shift", 1, StateValues::I8(&self.shifts)).unwrap();
        writer.push("layer.norm_mean", 1, StateValues::I32(&self.means)).unwrap();
        writer.push("layer.norm_variance", 1, StateValues::I64(&self.variances)).unwrap();
        writer.push("layer.norm_bias", 1, StateValues::I32(&biases[..self.shifts.len()])).unwrap();
        writer.push("layer.norm_bias_scale", 1, StateValues::I8(&[i8::MIN])).unwrap();
        let mut norm = BatchNorm::new(self.shifts.len());
        let bytes = writer.finish().unwrap();
        norm.load("layer", &StateReader::new(&bytes, Path::new("state")).unwrap()).unwrap();
        norm
    }

    fn of(norm: &BatchNorm, channels: usize) -> Self {
        let mut writer = CheckpointWriter::new("");
        norm.save("layer", &mut writer).unwrap();
        let bytes = writer.finish().unwrap();
        let reader = StateReader::new(&bytes, Path::new("state")).unwrap();
        Self {
            shifts: reader.i8s("layer.norm_shift", channels).unwrap(),
            means: reader.i32s("layer.norm_mean", channels).unwrap(),
            variances: reader.i64s("layer.norm_variance", channels).unwrap(),
        }
    }
}

#[test]
fn gradients_are_projected_and_the_state_follows() {
    for_each_layer(2, |layer, random, what| {
        let (card, channels, pitch) = (layer.card, layer.channels, layer.pitch);
        for phase in [Step::USES_BATCH | Step::MOVES_SHIFTS, Step::USES_BATCH, 0] {
            layer.tell(Step::USES_BATCH);
            layer.statistics(false);
            layer.tell(phase);
            // Units as `fold` leaves them: the seventh field's bits.
            let mut fields = card.read(&layer.fields).unwrap();
            let units: Vec<i32> = (0..channels).map(|c| -14 + c as i32 % 12).collect();
            for (field, unit) in fields.chunks_mut(8).zip(&units) {
                field[6] = f32::from_bits(*unit as u32);
            }
            card.write(&mut layer.fields, &fields).unwrap();
            let state = State::random(channels, random);
            let shifts = card.upload("shifts", &state.shifts).unwrap();
            let means = card.upload("means", &state.means).unwrap();
            let variances = card.upload("variances", &state.variances).unwrap();
            let [sums, squares] = [(), ()].map(|()| card.zeros::<f64>("gradients", pitch).unwrap());
            let gradient: Vec<u16> = (0..layer.sums.len())
                .map(|i| if i % pitch < channels { (random.next_u32() % 15) as f32 - 6.0 } else { 0.0 })
                .map(|g| to_bfloat16(g * 2f32.powi(-12)))
                .collect();
            let on_card = card.upload("gradient", &gradient).unwrap();
            let [pitch_argument, tile, own, relu] =
                [pitch, layer.tile(), channels, usize::from(layer.relu)].map(|size| size as i32);
            let arguments = arguments![
                &layer.on_card,
                &on_card,
                layer.rows,
                pitch_argument,
                tile,
                own,
                relu,
                &layer.step,
                &layer.partial,
                &layer.blocks,
                &layer.moments,
                &layer.fields,
                &shifts,
                &means,
                &variances,
                &sums,
                &squares,
            ];
            card.launch(Kernel::new(BATCH_NORM, "gradient_sums"), layer.grid(128), arguments).unwrap();
            let arguments = arguments![&layer.on_card, layer.rows, pitch_argument, tile, relu, &layer.fields, &on_card];
            card.launch(Kernel::new(BATCH_NORM, "sum_gradient"), layer.grid(1 << 20), arguments).unwrap();

            // The integer state, from the very statistics that the card found.
            let found = card.read(&layer.moments).unwrap();
            let (means_found, variances_found) = (0..channels).map(|c| (found[2 * c], found[2 * c + 1])).unzip();
            let mut norm = state.host(&layer.biases);
            let moves_shifts = phase & Step::MOVES_SHIFTS != 0;
            let statistics = Statistics { means: means_found, variances: variances_found };
            norm.follow(&statistics, &units, Phase { moves_shifts, uses_batch: phase & Step::USES_BATCH != 0 });
            let expected = State::of(&norm, channels);
            for channel in 0..channels {
                let found = (
                    card.read(&shifts).unwrap()[channel],
                    card.read(&means).unwrap()[channel],
                    card.read(&variances).unwrap()[channel],
                );
                let wanted = (expected.shifts[channel], expected.means[channel], expected.variances[channel]);
                let before = (state.shifts[channel], state.means[channel], state.variances[channel]);
                assert_eq!(found, wanted, "{what}, phase {phase}, channel {channel}, before {before:?}");
                if channel > 40 {
                    break;
                }
            }

            // The gradient, by its definition in 64-bit floats.
            let (sums, squares) = (card.read(&sums).unwrap(), card.read(&squares).unwrap());
            let result = card.read(&on_card).unwrap();
            for channel in 0..channels {
                let field = &fields[8 * channel..][..8];
                let values = layer.channel(channel);
                let passed: Vec<f64> = (0..layer.rows)
                    .map(|row| {
                        let y = layer.sums[row * pitch + channel] * field[0] + field[1];
                        let least = if layer.relu { 0.0 } else { -128.5 };
                        let g = f64::from(from_bfloat16(gradient[row * pitch + channel]));
                        if least < y && y < 127.5 { g } else { 0.0 }
                    })
                    .collect();
                let sum = passed.iter().sum::<f64>();
                assert!(close(sums[channel], sum, 1e-12), "{what}, channel {channel}: {} not {sum}", sums[channel]);
                assert_eq!(squares[channel], sums[channel] * sums[channel]);
                let normed = |value: f64| (value - f64::from(field[2])) * f64::from(field[3]);
                let count = layer.rows as f64;
                let along = values.iter().zip(&passed).map(|(value, g)| g * normed(*value)).sum::<f64>() / count;
                let largest = passed.iter().fold(0f64, |largest, g| largest.max(g.abs()));
                for (row, (value, g)) in values.iter().zip(&passed).enumerate().step_by(1 + layer.rows / 500) {
                    let expected = (g - sum / count - normed(*value) * along) * f64::from(field[0]);
                    let found = f64::from(from_bfloat16(result[row * pitch + channel]));
                    let limit = 2f64.powi(-8) * expected.abs() + 1e-5 * largest * f64::from(field[0]);
                    assert!(
                        (found - expected).abs() <= limit,
                        "{what}, channel {channel}, row {row}: gradient {found}, not {expected}"
                    );
                }
            }
            assert!(
                result.iter().enumerate().all(|(i, bits)| i % pitch < channels || from_bfloat16(*bits) == 0.0),
                "{what}: padding of the gradient"
            );
        }
    });
}

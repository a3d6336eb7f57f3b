//! Initial weights: w ~ N(0, σ²), σ = min(0.1, K^−½), drawn on the host from a portable generator, so that every
//! backend starts from the same integers.

use super::Ternary;
use crate::network::Stage;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Which random numbers a layer draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the layer.
    pub layer: u64,
}

/// Streams of the generator below this one order the samples of an epoch.
const FIRST_WEIGHT_STREAM: u64 = 1 << 40;

/// Threshold θ on |w| above which a trit is not 0, unless σ/2 is smaller.
const THRESHOLD: f32 = 0.05;

/// Normal weights [rows, columns] of standard deviation [`deviation`].
pub fn normal_weights(stage: &Stage, draw: Draw) -> Vec<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(draw.seed);
    generator.set_stream(FIRST_WEIGHT_STREAM + draw.layer);
    let sigma = deviation(stage.columns);
    (0..stage.weights()).map(|_| sigma * Distribution::<f32>::sample(&StandardNormal, &mut generator)).collect()
}

/// σ = min(0.1, K^−½).
pub fn deviation(columns: usize) -> f32 {
    (columns as f32).powf(-0.5).min(0.1)
}

/// T = sgn(w)·[|w| > min(θ, σ/2)], E = round(log2(mean |w| of the group)), clamped to int8, 0 for a mean of 0.
pub fn ternary(stage: &Stage, weights: &[f32]) -> Ternary {
    let threshold = THRESHOLD.min(deviation(stage.columns) / 2.0);
    let trit = |w: &f32| if *w > threshold { 1 } else { -i8::from(*w < -threshold) };
    let rows = weights.chunks(stage.columns.max(1));
    let groups = rows.flat_map(|row| row.chunks(stage.group.get()));
    Ternary { trits: weights.iter().map(trit).collect(), exponents: groups.map(exponent).collect() }
}

fn exponent(group: &[f32]) -> i8 {
    let sum: f64 = group.iter().map(|w| f64::from(w.abs())).sum();
    let mean = sum / group.len().max(1) as f64;
    if mean > 0.0 { mean.log2().round_ties_even().clamp(-128.0, 127.0) as i8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::StageOutput;
    use trishift_format::GroupSize;

    fn stage(rows: usize, columns: usize, group: u32) -> Stage {
        let group = GroupSize::new(group).unwrap();
        Stage { rows, columns, group, bias: false, output: StageOutput::Logits }
    }

    #[test]
    fn weights_depend_on_seed_and_layer_alone() {
        let stage = stage(40, 100, 8);
        let draw = |seed, layer| normal_weights(&stage, Draw { seed, layer });
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        let weights = draw(1, 0);
        let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
        assert!((variance.sqrt() / 0.1 - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn trits_and_exponents_follow_the_definition() {
        let stage = stage(1, 6, 4);
        let ternary = ternary(&stage, &[0.2, -0.2, 0.04, -0.06, 0.0, 0.0]);
        assert_eq!(ternary.trits, [1, -1, 0, -1, 0, 0]);
        // Mean of the first group 0.125 = 2^−3; the short last group is all zeros.
        assert_eq!(ternary.exponents, [-3, 0]);
    }
}

//! Initial weights: w ~ N(0, σ²), σ = min(0.1, K^−½), or K^−½ in depthwise convolutions, drawn on the host from a portable generator, so that every
//! backend starts from the same integers. How they become trits and exponents is [`crate::ternary::initial`]'s.

use super::Ternary;
use crate::network::Stage;
pub use crate::ternary::initial::deviation;
use crate::ternary::{Convention, Shape, initial};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Which random numbers a layer draws, and what it makes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the layer.
    pub layer: u64,
    /// How they become exponents.
    pub convention: Convention,
}

/// Streams of the generator below this one order the samples of an epoch.
const FIRST_WEIGHT_STREAM: u64 = 1 << 40;

/// σ of a stage's weights: [`deviation`], but K^−½ where each channel has weights of its own, few as they are.
pub fn stage_deviation(stage: &Stage) -> f32 {
    if stage.depthwise { (stage.columns as f32).powf(-0.5) } else { deviation(stage.columns) }
}

/// θ' of a stage: as [`initial::threshold`], but always σ/2 in depthwise convolutions.
fn threshold(stage: &Stage) -> f32 {
    let deviation = stage_deviation(stage);
    if stage.depthwise { deviation / 2.0 } else { initial::threshold(deviation) }
}

/// Normal weights [rows, columns] of standard deviation [`stage_deviation`].
pub fn normal_weights(stage: &Stage, draw: Draw) -> Vec<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(draw.seed);
    generator.set_stream(FIRST_WEIGHT_STREAM + draw.layer);
    let sigma = stage_deviation(stage);
    (0..stage.weights()).map(|_| sigma * Distribution::<f32>::sample(&StandardNormal, &mut generator)).collect()
}

/// T = sgn(w)·[|w| > min(θ, σ/2)], E = round(log2(mean |w| of the group)), clamped to int8, 0 for a mean of 0.
///
/// With [`Convention::Compatible`] logarithms are truncated toward 0 and a short last group counts as full.
pub fn ternary(stage: &Stage, draw: Draw) -> Ternary {
    from_weights(stage, &normal_weights(stage, draw), draw.convention)
}

fn from_weights(stage: &Stage, weights: &[f32], convention: Convention) -> Ternary {
    let trits = initial::trits(weights, threshold(stage));
    // A stage without rows or columns has no groups.
    let shape = Shape::new(stage.rows, stage.columns, stage.group);
    let exponents = shape.map(|shape| initial::exponents(&shape, weights, convention));
    Ternary { trits, exponents: exponents.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::StageOutput;
    use trishift_format::GroupSize;

    fn stage(rows: usize, columns: usize, group: u32) -> Stage {
        let group = GroupSize::new(group).unwrap();
        Stage::linear(rows, columns, group, StageOutput::Logits)
    }

    #[test]
    fn weights_depend_on_seed_and_layer_alone() {
        let stage = stage(40, 100, 8);
        let draw = |seed, layer| normal_weights(&stage, Draw { seed, layer, convention: Convention::Standard });
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        let weights = draw(1, 0);
        let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
        assert!((variance.sqrt() / 0.1 - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn depthwise_weights_are_drawn_wider() {
        let stage = Stage { depthwise: true, ..stage(1, 9, 4) };
        assert_eq!(stage_deviation(&stage), 1.0 / 3.0);
        let ternary = from_weights(&stage, &[0.16, 0.17, -0.17, 0.0, 0.1, 0.5, -0.5, 1.0, 0.1], Convention::Standard);
        assert_eq!(ternary.trits, [0, 1, -1, 0, 0, 1, -1, 1, 0]);
    }

    #[test]
    fn trits_and_exponents_follow_the_definition() {
        let stage = stage(1, 6, 4);
        let weights = [0.2, -0.2, 0.04, -0.06, 0.0, 0.0];
        let ternary = from_weights(&stage, &weights, Convention::Standard);
        assert_eq!(ternary.trits, [1, -1, 0, -1, 0, 0]);
        // Mean of the first group 0.125 = 2^−3; the short last group is all zeros.
        assert_eq!(ternary.exponents, [-3, 0]);
        // 0.085 lies between 2^−4 and 2^−3: nearer to the former, truncated to the latter.
        let mut exponents = [Convention::Standard, Convention::Compatible]
            .map(|convention| from_weights(&stage, &[0.085; 6], convention).exponents);
        exponents.sort();
        assert_eq!(exponents, [vec![-4, -4], vec![-3, -4]]);
    }
}

//! The rules that training runs by agree with the primitives that define them, update for update.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use trishift_format::GroupSize;
use trishift_trainer::config::Config;
use trishift_trainer::network::{Stage, StageOutput};
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::rule::{self, LayerState, RuleName, Step};
use trishift_trainer::ternary::{FlipThreshold, Shape, TernaryState};

const UPDATES: u64 = 40;
const BATCH: usize = 7;

/// Small integers, many of them 0, so that votes are exact and some abstain.
fn batch(generator: &mut ChaCha8Rng, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_simple_fn((rows, columns), || (generator.next_u32() % 5) as f32 - 2.0)
}

/// Runs a rule beside its primitive; `check` compares them after every update.
fn run(
    rule: RuleName,
    mut update: impl FnMut(&mut TernaryState, &Gradient<'_>),
    check: impl Fn(&TernaryState, &dyn LayerState),
) {
    let mut generator = ChaCha8Rng::seed_from_u64(11);
    // A short last group, a group longer than the row, more than one panel of rows and of columns.
    for (rows, columns, group) in [(9, 50, 8), (3, 31, 64), (70, 300, 32)] {
        let mut config = Config::preset("digits-mlp").unwrap();
        config.training.rule = rule;
        config.training.flip_threshold = 3;
        config.training.exponent_threshold = 2;
        let group = GroupSize::new(group).unwrap();
        let stage = Stage::linear(rows, columns, group, StageOutput::ShiftNorm { relu: false });
        let mut layer = rule::create(&config, &stage, 0);
        let fresh = layer.ternary();
        let shape = Shape::new(rows, columns, group).unwrap();
        let mut state = TernaryState::new(shape, fresh.trits, fresh.exponents).unwrap();
        for index in 0..UPDATES {
            let output = batch(&mut generator, rows, BATCH);
            let input = batch(&mut generator, BATCH, columns);
            let gradient = Gradient::Product { output: output.view(), input: input.view() };
            layer.update(&gradient, Step { index, lambda: 1.0 });
            update(&mut state, &gradient);
            check(&state, layer.as_ref());
        }
    }
}

#[test]
fn correlation_is_the_correlation_update() {
    run(
        RuleName::Correlation,
        |state, gradient| state.update_correlation(gradient, 1).unwrap(),
        |state, layer| {
            let mut weights = vec![0.0; state.shape().weights()];
            layer.weights(0, &mut weights);
            assert_eq!(layer.ternary().trits, state.trits());
            for (found, expected) in weights.iter().zip(&state.weights::<f32>(4.0)) {
                // The rule keeps exponents within −14…15.
                let limited = expected.abs().clamp(2f32.powi(-14), 2f32.powi(15)).copysign(*expected);
                let expected = if *expected == 0.0 { 0.0 } else { limited };
                assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
            }
        },
    );
}

#[test]
fn flip_is_the_trit_step() {
    run(
        RuleName::Flip,
        |state, gradient| state.step_trits(gradient, 1, FlipThreshold::Flat(3)).unwrap(),
        |state, layer| assert_eq!(layer.ternary().trits, state.trits()),
    );
}

#[test]
fn exponent_is_the_exponent_step() {
    run(
        RuleName::Exponent,
        |state, gradient| state.step_exponents(gradient, 2).unwrap(),
        |state, layer| {
            let limited: Vec<i8> = state.exponents().iter().map(|exponent| (*exponent).clamp(-14, 15)).collect();
            assert_eq!(layer.ternary().exponents, limited);
        },
    );
}

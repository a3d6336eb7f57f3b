//! Pseudo-random inputs through every structured target: what the fuzzer does, without one.

use trishift_fuzz::random::Random;
use trishift_fuzz::targets;

/// Inputs of a target.
const INPUTS: u64 = 400;

fn with_random_inputs(check: fn(&[u8])) {
    for seed in 0..INPUTS {
        let mut random = Random(seed);
        let length = random.between(16, 600) as usize;
        let bytes = random.bytes(length);
        check(&bytes);
    }
}

#[test]
fn networks_go_there_and_back() {
    with_random_inputs(targets::roundtrip::check);
}

#[test]
fn damaged_models_are_refused_or_run() {
    with_random_inputs(targets::mutate::check);
}

#[test]
fn kernels_equal_the_definition() {
    with_random_inputs(targets::kernels::check);
}

//! Pseudo-random inputs through every structured target: what the fuzzer does, without one.

use arbitrary::Unstructured;
use std::collections::BTreeSet;
use trishift_format::{OperatorKind, TensorClass};
use trishift_fuzz::network::Network;
use trishift_fuzz::random::Random;
use trishift_fuzz::targets;

/// Inputs of a target.
const INPUTS: u64 = 400;

fn random_inputs() -> impl Iterator<Item = Vec<u8>> {
    (0..INPUTS).map(|seed| {
        let mut random = Random(seed);
        let length = random.between(16, 600) as usize;
        random.bytes(length)
    })
}

fn with_random_inputs(check: fn(&[u8])) {
    random_inputs().for_each(|bytes| check(&bytes));
}

#[test]
fn every_operator_is_made_and_every_one_in_place_that_may() {
    let (mut made, mut in_place) = (BTreeSet::new(), BTreeSet::new());
    let mut accepted = 0;
    for bytes in random_inputs() {
        let Ok(network) = Network::generate(&mut Unstructured::new(&bytes)) else { continue };
        // What could overflow is refused, and runs nowhere.
        let Ok(_) = network.file() else { continue };
        accepted += 1;
        for node in &network.nodes {
            made.insert(node.kind.name());
            let [left, right, to] = [node.inputs[0], node.inputs[1], node.output].map(|number| network.tensor(number));
            let lies_with = |from: &trishift_format::Tensor| from.class == to.class && from.offset == to.offset;
            if to.class == TensorClass::Arena && (lies_with(left) || lies_with(right)) {
                in_place.insert(node.kind.name());
            }
        }
    }
    assert!(accepted > INPUTS / 3, "only {accepted} networks are valid");
    assert_eq!(made, OperatorKind::ALL.iter().map(|kind| kind.name()).collect());
    assert_eq!(in_place, BTreeSet::from(["add", "depthwise-conv2d", "relu", "reshape"]));
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

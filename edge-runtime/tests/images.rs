//! Networks of images: every operator that has a window or moves pixels, outputs that take an input's place, batches.
#![cfg(all(feature = "std", feature = "all-operators"))]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::generate::images;
use support::network::Network;
use support::outcome::check;
use support::random::Random;
use trishift::format::{OperatorKind, TensorClass};
use trishift::{Engine, EngineError, HeapArena, Model};

#[test]
fn a_network_of_images_computes_the_definitions() {
    for in_place in [true, false] {
        let network = images(in_place);
        let kinds: Vec<_> = network.nodes.iter().map(|node| node.kind()).collect();
        assert!(OperatorKind::ALL[9..].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
        for output in (1..network.values.len()).filter(|output| !network.is_kept(*output)) {
            check(&Network { output, ..network.clone() }, &[1, 2, 3], 4, 17);
        }
    }
}

/// The operators whose output lies where an input lay, and which input that was.
fn replacements(model: &Model<'_>) -> Vec<(OperatorKind, usize)> {
    let mut found = Vec::new();
    for operator in model.operators() {
        let output = model.tensor(operator.output());
        let is_there = |input: &u16| {
            let input = model.tensor(*input);
            input.class == TensorClass::Arena && output.class == TensorClass::Arena && input.offset == output.offset
        };
        found.extend(operator.inputs().iter().position(is_there).map(|operand| (operator.kind(), operand)));
    }
    found
}

#[test]
fn outputs_take_the_place_of_either_operand() {
    use OperatorKind::{Add, DepthwiseConv2d, Relu, Reshape};
    let file = images(true).file();
    let model = Model::parse(&file).unwrap();
    let expected = [(DepthwiseConv2d, 0), (Add, 0), (Add, 1), (Add, 0), (Relu, 0), (Reshape, 0)];
    assert_eq!(replacements(&model), expected);
    let file = images(false).file();
    assert_eq!(replacements(&Model::parse(&file).unwrap()), []);
}

/// Rows of an engine's arena belong to tensors, not to samples: a batch that fills some of it, or all of it, gives what each
/// sample gives alone.
#[test]
fn a_batch_in_place_is_each_sample_by_itself() {
    let file = images(true).file();
    let model = Model::parse(&file).unwrap();
    let (inputs, outputs) = (model.input().len(), model.output().len());
    for kernels in trishift::kernels::available() {
        let mut arena = HeapArena::new(&model, 1).unwrap();
        let mut alone = Engine::with_kernels(&model, arena.bytes(), 1, kernels).unwrap();
        for (capacity, samples) in [(4, 4), (4, 3), (7, 2), (6, 1)] {
            let input = Random::new(samples as u64).activations(samples * inputs);
            let mut expected = vec![0i32; samples * outputs];
            for (input, output) in input.chunks(inputs).zip(expected.chunks_mut(outputs)) {
                alone.reset();
                alone.run(input, output).unwrap();
            }
            let mut arena = HeapArena::new(&model, capacity).unwrap();
            arena.bytes().fill(0xA5);
            let mut output = vec![0i32; samples * outputs];
            Engine::with_kernels(&model, arena.bytes(), capacity, kernels).unwrap().run(&input, &mut output).unwrap();
            assert_eq!(output, expected, "{}, {samples} of {capacity}", kernels.name);
        }
    }
}

#[test]
fn the_arena_holds_the_scratch_of_what_works_in_place() {
    for in_place in [true, false] {
        let file = images(in_place).file();
        let model = Model::parse(&file).unwrap();
        for batch in [1, 2, 7, 1000] {
            let needed = Engine::arena_len(&model, batch).unwrap();
            assert_eq!(trishift::arena_len_of_file(&file, batch), Some(needed));
            // Kernels may need more than a plane of the one depthwise layer that works in place, 7 × 5 bytes in words.
            let tensors = model.arena_bytes() as usize * batch;
            assert!(needed >= if in_place { tensors.next_multiple_of(4) + 36 } else { tensors });
            let mut words = vec![0u64; needed / 8 + 1];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            assert!(Engine::new(&model, &mut bytes[..needed], batch).is_ok());
            let found = needed - 1;
            let error = Engine::new(&model, &mut bytes[..found], batch).unwrap_err();
            assert_eq!(error, EngineError::ArenaTooSmall { needed, found });
        }
    }
}

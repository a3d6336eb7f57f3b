//! The engine's contract: it computes the definitions on any network, in an arena of exactly the promised size, for any
//! batch and any number of threads; and it refuses what does not fit before it computes anything.
#![cfg(all(feature = "std", feature = "all-operators"))]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use proptest::prelude::*;
use std::num::NonZeroUsize;
use support::generate::{Step, shapes, steps};
use support::network::Network;
use support::outcome::{Output, UNTOUCHED, check};
use support::{naive, random::Random};
use trishift::format::write::{ModelWriter, Region, WriteError};
use trishift::format::{DataType, InputScale, Operator, OperatorKind, Relu, ShiftNorm, Tensor, TensorClass};
use trishift::kernels::PORTABLE;
use trishift::{BatchError, Engine, EngineError, HeapArena, Model, PackedModel, Profiler, RunError, run_threads};

/// A network with every operator of vectors: two linear layers with norm, a residual branch of another exponent, classes,
/// and the class's embedding as shares of 1.
fn residual() -> Network {
    let step = |kind| Step::new(kind, 0x51);
    let steps = [
        Step { relu: true, bias: true, shift: 9, ..step(OperatorKind::Linear) },
        Step { wide: true, ..step(OperatorKind::Linear) },
        Step { relu: true, ..step(OperatorKind::ShiftNorm) },
        Step { wide: true, bias: true, window: 14, seed: 7, ..step(OperatorKind::Linear) },
        Step { shift: 11, ..step(OperatorKind::Requantize) },
        Step { seed: 3, ..step(OperatorKind::Add) },
        step(OperatorKind::Relu),
        Step { wide: true, rows: 10, bias: true, ..step(OperatorKind::Linear) },
        step(OperatorKind::ArgMax),
        Step { wide: true, ..step(OperatorKind::Embedding) },
        step(OperatorKind::RmsNorm),
        step(OperatorKind::Softmax),
    ];
    Network::generate([1, 1, 37], &steps, 7)
}

proptest! {
    #[test]
    fn any_network_computes_the_definitions(
        shape in shapes(),
        steps in steps(),
        output: prop::sample::Index,
        batches in prop::collection::vec(1usize..=5, 1..4),
        spare in 0usize..4,
        seed: u64,
    ) {
        let capacity = batches.iter().max().unwrap_or(&1) + spare;
        check(&Network::generate(shape, &steps, output.index(steps.len())), &batches, capacity, seed);
    }

    #[test]
    fn threads_do_not_change_the_result(steps in steps(), samples in 1usize..80, seed: u64) {
        let network = Network::generate([2, 5, 2], &steps, steps.len() - 1);
        let file = network.file();
        let model = Model::parse(&file).unwrap();
        let input = Random::new(seed).activations(samples * 20);
        let expected: Vec<i128> = input.chunks(20).flat_map(|sample| naive::run(&network, sample)).collect();
        for threads in 1..=4 {
            let mut output = Output::new(network.output().data_type, expected.len());
            let threads = NonZeroUsize::new(threads).unwrap();
            run_threads(&model, trishift::kernels::best(), &input, output.slice(), threads).unwrap();
            prop_assert_eq!(output.values(), &expected[..], "{} threads", threads);
        }
    }
}

#[test]
fn a_residual_network_computes_the_definitions() {
    let network = residual();
    let kinds: Vec<_> = network.nodes.iter().map(|node| node.kind()).collect();
    let (of_vectors, of_images) = OperatorKind::ALL.split_at(9);
    assert!(of_vectors.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert!(!of_images.iter().any(|kind| kinds.contains(kind)), "{kinds:?}: `images.rs` has the others");
    let add = network.nodes.iter().find(|node| node.kind() == OperatorKind::Add).unwrap();
    let [left, right] = add.inputs.map(|tensor| network.values[tensor].exponent);
    assert_ne!(left, right, "the operands of the addition have different exponents");
    let last = Network { output: network.values.len() - 1, ..network.clone() };
    for capacity in [5, 9] {
        check(&network, &[1, 2, 3, 4, 5], capacity, 11);
        check(&last, &[1, 2, 3, 4, 5], capacity, 11);
    }
}

/// The golden model of the format reads its own output: the class last seen is kept in a persistent tensor.
#[test]
fn an_output_that_is_read_again_is_the_callers_memory() {
    let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm").unwrap();
    let model = Model::parse(&file).unwrap();
    let kept = model.tensors().find(|tensor| tensor.class == TensorClass::Persistent).unwrap();
    let (place, batch) = (kept.offset as usize, 3);
    let mut arena = HeapArena::new(&model, batch).unwrap();
    arena.bytes().fill(0xA5);
    let input = Random::new(5).activations(batch * model.input().len());
    let mut logits = vec![0i32; batch * model.output().len()];
    Engine::new(&model, arena.bytes(), batch).unwrap().run(&input, &mut logits).unwrap();
    let classes: Vec<i32> = logits.chunks(model.output().len()).map(|logits| trishift::argmax(logits) as i32).collect();
    let bytes = &arena.bytes()[place * batch..][..4 * batch];
    let stored: Vec<i32> = bytes.as_chunks().0.iter().map(|bytes| i32::from_ne_bytes(*bytes)).collect();
    assert_eq!(stored, classes);
}

/// The last two rows of three samples: what a place of a batch keeps is its own, whatever the size of the
/// batch, and a new engine or a reset one has forgotten it.
#[test]
fn every_place_of_a_batch_has_a_state_of_its_own() {
    let slide = Step { rows: 2, ..Step::new(OperatorKind::Slide, 0) };
    let network = Network::generate([1, 1, 2], &[slide, Step::new(OperatorKind::Reshape, 0)], 0);
    let file = network.file();
    let model = Model::parse(&file).unwrap();
    let mut arena = HeapArena::new(&model, 3).unwrap();
    arena.bytes().fill(0xA5);
    let mut engine = Engine::new(&model, arena.bytes(), 3).unwrap();
    let run = |engine: &mut Engine<'_, '_>, input: &[i8]| {
        let mut output = vec![UNTOUCHED; 2 * input.len()];
        engine.run(input, &mut output).unwrap();
        output
    };
    assert_eq!(run(&mut engine, &[1, 2, 3, 4, 5, 6]), [0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 5, 6]);
    assert_eq!(run(&mut engine, &[7, 8]), [1, 2, 7, 8]);
    assert_eq!(run(&mut engine, &[10, 20, 30, 40, 50, 60]), [7, 8, 10, 20, 3, 4, 30, 40, 5, 6, 50, 60]);
    engine.reset();
    assert_eq!(run(&mut engine, &[9, 9]), [0, 0, 9, 9]);
    let mut again = Engine::new(&model, arena.bytes(), 3).unwrap();
    assert_eq!(run(&mut again, &[1, 2, 3, 4]), [0, 0, 1, 2, 0, 0, 3, 4]);
}

#[test]
fn the_arena_is_exact_and_aligned() {
    let network = residual();
    let file = network.file();
    let model = Model::parse(&file).unwrap();
    for batch in [1, 2, 7, 1000] {
        let needed = Engine::arena_len(&model, batch).unwrap();
        assert_eq!(trishift::arena_len_of_file(&file, batch), Some(needed));
        assert_eq!(needed, model.arena_bytes() as usize * batch);
        let mut words = vec![0u64; needed / 8 + 2];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        assert!(Engine::new(&model, &mut bytes[..needed], batch).is_ok());
        let error = Engine::new(&model, &mut bytes[..needed - 1], batch).unwrap_err();
        assert_eq!(error, EngineError::ArenaTooSmall { needed, found: needed - 1 });
        for offset in 1..4 {
            let error = Engine::new(&model, &mut bytes[offset..][..needed], batch).unwrap_err();
            assert_eq!(error, EngineError::ArenaAlignment);
        }
        assert!(Engine::new(&model, &mut bytes[4..][..needed], batch).is_ok());
    }
    assert_eq!(Engine::new(&model, &mut [], 0).unwrap_err(), EngineError::EmptyBatch);
    assert_eq!(Engine::new(&model, &mut [], usize::MAX).unwrap_err(), EngineError::TooLarge);
    assert_eq!(HeapArena::new(&model, usize::MAX).unwrap_err(), EngineError::TooLarge);
    assert_eq!(Engine::arena_len(&model, usize::MAX), None);
    assert_eq!(trishift::arena_len_of_file(&file, usize::MAX), None);
}

#[test]
fn only_models_have_an_arena() {
    let file = residual().file();
    assert_eq!(trishift::arena_len_of_file(&[], 1), None);
    assert_eq!(trishift::arena_len_of_file(&file[..63], 1), None);
    assert_eq!(trishift::arena_len_of_file(&file[1..], 1), None);
    let checkpoint = std::fs::read("../shared-format/tests/golden/checkpoint-0.2.tsc").unwrap();
    assert_eq!(trishift::arena_len_of_file(&checkpoint, 1), None);
    let mut later = file;
    later[8] += 1;
    assert_eq!(trishift::arena_len_of_file(&later, 1), None);
}

/// Counts operators; a refused run must have begun none.
#[derive(Default)]
struct Steps(Vec<(&'static str, trishift::Step)>);

impl Profiler for Steps {
    fn begin(&mut self, step: &trishift::Step) {
        self.0.push(("begin", *step));
    }

    fn end(&mut self, step: &trishift::Step) {
        self.0.push(("end", *step));
    }
}

#[test]
fn the_profile_sees_every_operator_in_order() {
    let network = residual();
    let file = network.file();
    let model = Model::parse(&file).unwrap();
    let mut arena = HeapArena::new(&model, 3).unwrap();
    let mut engine = Engine::new(&model, arena.bytes(), 3).unwrap();
    let mut output = vec![0i32; 2 * model.output().len()];
    let mut seen = Steps::default();
    engine.run_profiled(&vec![1; 2 * model.input().len()], &mut output, &mut seen).unwrap();
    let kernels = engine.kernels().name;
    let mut expected = Vec::new();
    for (index, operator) in model.operators().enumerate() {
        let lens = [operator.inputs()[0], operator.output()].map(|tensor| model.tensor(tensor).len() as u64);
        let macs = if operator.kind() == OperatorKind::Linear { 2 * lens[0] * lens[1] } else { 0 };
        let packed = operator.kind() == OperatorKind::Linear && engine.kernels().packed.is_some();
        let kernel = if packed { "packed" } else { kernels };
        let step = trishift::Step { index, kind: operator.kind(), macs, kernels, kernel };
        expected.extend([("begin", step), ("end", step)]);
    }
    assert_eq!(seen.0, expected);
    assert_eq!(seen.0.iter().map(|(_, step)| step.macs).sum::<u64>(), 2 * 2 * model.macs());
}

#[test]
fn slices_that_do_not_fit_are_refused_before_anything_runs() {
    let network = residual();
    let file = network.file();
    let model = Model::parse(&file).unwrap();
    let (sample, result, batch) = (model.input().len(), model.output().len(), 4);
    let mut arena = HeapArena::new(&model, batch).unwrap();
    arena.bytes().fill(0xA5);
    let mut engine = Engine::new(&model, arena.bytes(), batch).unwrap();
    let mut seen = Steps::default();
    for found in [0, 1, sample - 1, sample + 1, 5 * sample, 4 * sample + 1] {
        let mut output = vec![i32::from(UNTOUCHED); found.div_ceil(sample).max(1) * result];
        let error = engine.run_profiled(&vec![3; found], &mut output, &mut seen).unwrap_err();
        assert_eq!(error, RunError::InputLength { found, sample, batch });
        assert!(output.iter().all(|value| *value == UNTOUCHED.into()));
    }
    let input = vec![3; 2 * sample];
    let needed = 2 * result;
    for found in [0, 1, result, needed - 1, needed + 1] {
        let mut output = Output::new(DataType::I32, found);
        let error = engine.run_profiled(&input, output.slice(), &mut seen).unwrap_err();
        assert_eq!(error, RunError::OutputLength { found, needed });
        assert!(output.is_untouched());
    }
    let mut output = Output::new(DataType::I8, needed);
    assert_eq!(engine.run_profiled(&input, output.slice(), &mut seen), Err(RunError::OutputType));
    assert!(output.is_untouched() && seen.0.is_empty());
    assert!(arena.bytes().iter().all(|byte| *byte == 0xA5));
}

#[test]
fn threads_refuse_what_one_engine_refuses() {
    let file = residual().file();
    let model = Model::parse(&file).unwrap();
    let (sample, result) = (model.input().len(), model.output().len());
    let run = |input: usize, output: &mut Output| {
        let two = NonZeroUsize::new(2).unwrap();
        run_threads(&model, trishift::kernels::best(), &vec![0; input], output.slice(), two)
    };
    for found in [0, sample - 1, 7 * sample + 1] {
        let mut output = Output::new(DataType::I32, 7 * result);
        assert_eq!(run(found, &mut output), Err(BatchError::InputLength { found, sample }));
        assert!(output.is_untouched());
    }
    let (needed, found) = (7 * result, 7 * result - 1);
    let mut output = Output::new(DataType::I32, found);
    assert_eq!(run(7 * sample, &mut output), Err(RunError::OutputLength { found, needed }.into()));
    assert!(output.is_untouched());
    let mut output = Output::new(DataType::I8, needed);
    assert_eq!(run(7 * sample, &mut output), Err(RunError::OutputType.into()));
    assert!(output.is_untouched());
}

/// A model of one operator on four values, with this type of input and length of the arena.
fn tiny(input: DataType, arena_bytes: u64) -> Result<Vec<u8>, WriteError> {
    let mut writer = ModelWriter::new("tiny");
    writer.push(&match input {
        DataType::I8 => Operator::Relu(Relu { input: 0, output: 1 }),
        DataType::I32 => Operator::ShiftNorm(ShiftNorm { input: 0, output: 1, relu: false }),
    })?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor =
        |data_type, class| Tensor { data_type, class, exponent: 0, shape: [1, 1, 4], offset: 0, first: 0, last: 0 };
    let tensors = [tensor(input, TensorClass::Input), tensor(DataType::I8, TensorClass::Output)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes })
}

#[test]
fn an_engine_takes_int8_inputs_alone() {
    let file = tiny(DataType::I32, 0).unwrap();
    let model = Model::parse(&file).unwrap();
    // An arena of no bytes may be any empty slice: the alignment is not what is wrong here.
    assert_eq!(Engine::new(&model, &mut [], 1).unwrap_err(), EngineError::InputType);
    let file = tiny(DataType::I8, 0).unwrap();
    let model = Model::parse(&file).unwrap();
    let mut output = [0i8; 4];
    Engine::new(&model, &mut [], 1).unwrap().run(&[-1, 2, -3, 4], &mut output).unwrap();
    assert_eq!(output, [0, 2, 0, 4]);
}

#[cfg(target_pointer_width = "64")]
#[test]
fn an_arena_larger_than_memory_is_an_error() {
    let file = tiny(DataType::I8, 1 << 55).unwrap();
    let model = Model::parse(&file).unwrap();
    assert_eq!(Engine::arena_len(&model, 2), Some(1 << 56));
    assert_eq!(HeapArena::new(&model, 2).unwrap_err(), EngineError::TooLarge);
    let mut output = [0i8; 4];
    let error = run_threads(&model, trishift::kernels::best(), &[0; 4], &mut output, NonZeroUsize::MIN);
    assert_eq!(error, Err(EngineError::TooLarge.into()));
}

#[test]
fn kernels_of_another_processor_are_refused() {
    let file = residual().file();
    let model = Model::parse(&file).unwrap();
    let mut arena = HeapArena::new(&model, 1).unwrap();
    let refused = EngineError::Kernels { name: PORTABLE.name };
    assert_eq!(Engine::with_kernels(&model, arena.bytes(), 1, &PORTABLE).unwrap_err(), refused);
    let packed = PackedModel::with_kernels(&model, &PORTABLE);
    assert_eq!(Engine::shared(&packed, arena.bytes(), 1).unwrap_err(), refused);
}

#[test]
fn errors_are_one_sentence() {
    let kind = OperatorKind::ShiftNorm;
    let messages = [
        EngineError::EmptyBatch.to_string(),
        EngineError::TooLarge.to_string(),
        EngineError::ArenaTooSmall { needed: 20, found: 19 }.to_string(),
        EngineError::ArenaAlignment.to_string(),
        EngineError::InputType.to_string(),
        EngineError::Kernels { name: "small-core" }.to_string(),
        EngineError::OperatorMissing { index: 4, kind }.to_string(),
        RunError::InputLength { found: 7, sample: 3, batch: 2 }.to_string(),
        RunError::OutputLength { found: 7, needed: 8 }.to_string(),
        RunError::OutputType.to_string(),
        RunError::RowMissing { index: 4, row: 300, rows: 256 }.to_string(),
        RunError::Unreachable { index: 4 }.to_string(),
        BatchError::Engine(EngineError::EmptyBatch).to_string(),
        BatchError::InputLength { found: 7, sample: 3 }.to_string(),
        BatchError::Thread(std::io::ErrorKind::OutOfMemory).to_string(),
    ];
    for message in &messages {
        assert!(message.len() > 20 && !message.contains('\n') && !message.contains(". "), "{message}");
        assert!(message.starts_with(char::is_lowercase) && !message.ends_with('.'), "{message}");
    }
    let parts = [
        ("20", "19"),
        ("operator 4", "cargo feature \"shift-norm\""),
        ("7 values", "1 to 2 samples of 3"),
        ("operator 4", "row 300 of a table of 256"),
    ];
    for (message, (one, other)) in [2, 6, 7, 10].map(|number| &messages[number]).into_iter().zip(parts) {
        assert!(message.contains(one) && message.contains(other), "{message}");
    }
}

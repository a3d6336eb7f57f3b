//! Runs of networks, held against the definitions.

use super::network::Network;
use super::{naive, random::Random};
use trishift::{Engine, HeapArena, Model, OutputSlice};
use trishift_format::DataType;

/// An output of the right type, full of a value that no test computes.
pub(crate) enum Output {
    I8(Vec<i8>),
    I32(Vec<i32>),
}

pub(crate) const UNTOUCHED: i8 = -77;

impl Output {
    pub(crate) fn new(data_type: DataType, len: usize) -> Self {
        match data_type {
            DataType::I8 => Self::I8(vec![UNTOUCHED; len]),
            DataType::I32 => Self::I32(vec![UNTOUCHED.into(); len]),
        }
    }

    pub(crate) fn slice(&mut self) -> OutputSlice<'_> {
        match self {
            Self::I8(values) => values.into(),
            Self::I32(values) => values.into(),
        }
    }

    pub(crate) fn values(&self) -> Vec<i128> {
        match self {
            Self::I8(values) => values.iter().map(|value| i128::from(*value)).collect(),
            Self::I32(values) => values.iter().map(|value| i128::from(*value)).collect(),
        }
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.values().iter().all(|value| *value == UNTOUCHED.into())
    }
}

/// Runs batches of these sizes, one after another, in one engine, and holds each against the definitions; then all of them
/// again after the engine has forgotten the past.
pub(crate) fn check(network: &Network, batches: &[usize], capacity: usize, seed: u64) {
    let file = network.file();
    let model = Model::parse(&file).expect("a valid model");
    let mut random = Random::new(seed);
    for kernels in trishift::kernels::available() {
        let mut arena = HeapArena::new(&model, capacity).expect("an arena");
        assert_eq!(Some(arena.bytes().len()), Engine::arena_len(&model, capacity));
        assert_eq!(Some(arena.bytes().len()), trishift::arena_len_of_file(&file, capacity));
        // What the arena holds before a run must not matter.
        arena.bytes().fill(0xA5);
        let mut engine = Engine::with_kernels(&model, arena.bytes(), capacity, kernels).expect("an engine");
        let mut past = vec![naive::Past::new(network); capacity];
        for (index, batch) in batches.iter().chain(batches).enumerate() {
            if index == batches.len() {
                engine.reset();
                past.fill(naive::Past::new(network));
            }
            let input = random.activations(batch * network.input().len());
            let samples = input.chunks(network.input().len()).zip(&mut past);
            let expected: Vec<i128> = samples.flat_map(|(sample, past)| past.run(network, sample)).collect();
            let mut output = Output::new(network.output().data_type, expected.len());
            engine.run(&input, output.slice()).expect("slices that fit");
            assert_eq!(output.values(), expected, "kernels {}, batch {batch} of {capacity}", kernels.name);
        }
    }
}

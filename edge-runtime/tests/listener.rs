//! The listener against its parts: what it hears hop by hop is what front end, engine and detector give one after another.
#![cfg(all(feature = "listener", feature = "linear", feature = "std"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift::audio::{self, AudioConfig, AudioError};
use trishift::detector::{Detector, DetectorConfig, DetectorError};
use trishift::format::write::{MatrixValues, ModelWriter, Region};
use trishift::format::{DataType, GroupSize, InputScale, Linear, Operator, Tensor, TensorClass};
use trishift::listener::{Heard, Listener, ListenerError, ListenerMemory, STREAM_ROWS};
use trishift::{Engine, HeapArena, Model, Profiler, Step};

const CONFIG: AudioConfig = AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 10, low: 60, high: 3800 };
const FRAMES: usize = 2;
const INPUTS: usize = FRAMES * 10;
const CLASSES: usize = 3;

/// A model of two frames that tells low, middle and high sounds apart: each class has weights of its own bands.
fn file(inputs: usize, rows: Option<&str>, sound: bool) -> Vec<u8> {
    let mut writer = ModelWriter::new("height");
    let class_of = |band: usize| (band % 10) * CLASSES / 10;
    let trit = |element: usize| if class_of(element % inputs) == element / inputs { 1 } else { -1 };
    let trits: Vec<i8> = (0..CLASSES * inputs).map(trit).collect();
    let group = GroupSize::new(8).unwrap();
    let exponents = vec![0; CLASSES * inputs.div_ceil(8)];
    let values = MatrixValues { rows: CLASSES, columns: inputs, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&values).unwrap();
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None })).unwrap();
    writer.input_scales(&[InputScale { zero_mantissa: 500, zero_exponent: 0, shift: -4 }]);
    for (key, number) in CONFIG.properties().into_iter().filter(|_| sound) {
        writer.property(key, &number.to_string()).unwrap();
    }
    if let Some(rows) = rows {
        writer.property(STREAM_ROWS, rows).unwrap();
    }
    let tensor = |data_type, class, exponent, length: usize| Tensor {
        data_type,
        class,
        exponent,
        shape: [1, 1, length as u32],
        offset: 0,
        first: 0,
        last: 0,
    };
    let tensors =
        [tensor(DataType::I8, TensorClass::Input, 0, inputs), tensor(DataType::I32, TensorClass::Output, -4, CLASSES)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap()
}

/// Low, high and middle tones, and nothing between them. Triangles of whole numbers, so that every machine hears the same.
fn sound() -> Vec<i16> {
    // Waves in 2^16 samples: 127, 3,056 and 891 Hz.
    let pieces = [0, 1043, 0, 25_034, 0, 7301, 0].into_iter().flat_map(|waves: u32| {
        let triangle = move |n| ((n * waves % (1 << 16)) as i32 - (1 << 15)).abs() - (1 << 14);
        (0..4800).map(move |n| if waves == 0 { 0 } else { triangle(n) as i16 })
    });
    pieces.collect()
}

fn memory_of(model: &Model<'_>) -> (Vec<u32>, Vec<i8>, HeapArena) {
    let words = audio::AudioFrontEnd::memory_len(&CONFIG);
    (vec![7; words], vec![7; model.input().len()], HeapArena::new(model, 1).unwrap())
}

/// What a listener hears, and when it has heard it.
fn hear(file: &[u8], config: DetectorConfig, samples: &[i16]) -> Vec<(u64, Heard)> {
    let model = Model::parse(file).unwrap();
    let (mut front_end, mut input, mut arena) = memory_of(&model);
    let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
    let mut listener = Listener::<4, 50>::with_detector(&model, memory, config).unwrap();
    let hops = samples.chunks_exact(160);
    hops.map(|hop| (listener.hop(hop).unwrap(), listener.milliseconds())).map(|(heard, at)| (at, heard)).collect()
}

/// The same by the parts; the first `blind` runs are not looked at.
fn by_parts(file: &[u8], config: DetectorConfig, samples: &[i16], blind: usize) -> Vec<(u64, Heard)> {
    let model = Model::parse(file).unwrap();
    let mut arena = HeapArena::new(&model, 1).unwrap();
    let mut engine = Engine::new(&model, arena.bytes(), 1).unwrap();
    let mut detector = Detector::<3, 50>::of_model(&model, config).unwrap();
    let features = audio::features(samples, CONFIG).unwrap();
    let mut heard = Vec::new();
    for (run, frames) in features.chunks_exact(INPUTS).enumerate() {
        let (mut input, mut scores) = ([0; INPUTS], [0; CLASSES]);
        for (number, (frame, row)) in frames.chunks(10).zip(input.chunks_mut(10)).enumerate() {
            audio::quantize(&model, number, frame, row).unwrap();
        }
        engine.run(&input, &mut scores).unwrap();
        let found = if run < blind { None } else { detector.observe(&scores).unwrap() };
        let at = run as u64 * 40;
        heard.extend([(at + 20, Heard::Frame), (at + 40, found.map_or(Heard::Run, Heard::Detected))]);
    }
    heard
}

#[test]
fn a_listener_is_its_parts_in_a_row() {
    let samples = sound();
    let config = DetectorConfig { smoothing: 4, threshold: 20_000, release: 10_000, pause: 3 };
    for (rows, blind) in [(None, 0), (Some("2"), 0), (Some("3"), 1), (Some("20"), 9), (Some("9999"), 4999)] {
        let file = file(INPUTS, rows, true);
        let heard = hear(&file, config, &samples);
        assert_eq!(heard, by_parts(&file, config, &samples, blind), "{rows:?}");
        let classes: Vec<usize> = heard
            .iter()
            .filter_map(|(_, heard)| if let Heard::Detected(found) = heard { Some(found.class) } else { None })
            .collect();
        let expected: &[usize] = if blind > 100 { &[] } else { &[0, 2, 1] };
        assert!(expected.iter().all(|class| classes.contains(class)), "{rows:?}: {classes:?}");
    }
}

#[test]
fn the_detector_follows_the_time_of_a_run() {
    let file = file(INPUTS, None, true);
    let samples = sound();
    let model = Model::parse(&file).unwrap();
    let (mut front_end, mut input, mut arena) = memory_of(&model);
    let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
    let mut listener = Listener::<4, 50>::new(&model, memory).unwrap();
    let heard: Vec<Heard> = samples.chunks_exact(160).map(|hop| listener.hop(hop).unwrap()).collect();
    let with: Vec<Heard> =
        hear(&file, DetectorConfig::every(40), &samples).into_iter().map(|(_, heard)| heard).collect();
    assert_eq!(heard, with);
}

/// Counts the operators of runs.
#[derive(Default)]
struct Operators(usize);

impl Profiler for Operators {
    fn begin(&mut self, _: &Step) {}
    fn end(&mut self, _: &Step) {
        self.0 += 1;
    }
}

#[test]
fn what_there_is_to_see() {
    let file = file(INPUTS, Some("2"), true);
    let model = Model::parse(&file).unwrap();
    let (mut front_end, mut input, mut arena) = memory_of(&model);
    let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
    let mut listener = Listener::<4, 50>::new(&model, memory).unwrap();
    assert_eq!((listener.frames_per_run(), listener.front_end(), listener.model().name()), (2, &CONFIG, "height"));
    let samples = &sound()[4800..5760];
    let features = audio::features(samples, CONFIG).unwrap();
    let mut operators = Operators::default();
    for (number, hop) in samples.chunks_exact(160).enumerate() {
        let short = AudioError::SamplesLength { found: 159, needed: 160 };
        assert_eq!(listener.hop(&hop[1..]), Err(ListenerError::Audio(short)));
        listener.hop_profiled(hop, &mut operators).unwrap();
        assert_eq!(listener.features(), &features[number * 10..][..10]);
        assert_eq!((operators.0, listener.milliseconds()), (number.div_ceil(2), 20 * (number as u64 + 1)));
    }
    assert_eq!((listener.scores().len(), listener.detector().runs()), (3, 3));
}

#[test]
fn models_and_memory_that_do_not_do_say_why() {
    let with = |file: &[u8], shorter: [usize; 2]| {
        let model = Model::parse(file).unwrap();
        let (mut front_end, mut input, mut arena) = memory_of(&model);
        front_end.truncate(front_end.len() - shorter[0]);
        input.truncate(input.len() - shorter[1]);
        let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
        Listener::<3, 50>::new(&model, memory).map(drop).unwrap_err()
    };
    let good = file(INPUTS, None, true);
    assert_eq!(with(&file(INPUTS, None, false), [0; 2]), ListenerError::NoFrontEnd);
    assert_eq!(with(&file(INPUTS, Some("many"), true), [0; 2]), ListenerError::Window);
    assert_eq!(with(&file(15, None, true), [0; 2]), ListenerError::Frames { inputs: 15, bands: 10 });
    assert!(matches!(with(&good, [1, 0]), ListenerError::Audio(AudioError::MemoryLength { .. })));
    assert_eq!(with(&good, [0, 1]), ListenerError::InputMemory { found: INPUTS - 1, needed: INPUTS });
    let model = Model::parse(&good).unwrap();
    let (mut front_end, mut input, mut arena) = memory_of(&model);
    let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
    let error = Listener::<2, 50>::new(&model, memory).map(drop).unwrap_err();
    assert_eq!(error, ListenerError::Detector(DetectorError::Classes { found: 3, most: 2 }));
}

//! Streaming models: once as many rows have come as the original looks at, every run gives the original's output for the
//! last of them, bit for bit; and what cannot stream is refused.

mod support;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use support::{json, keys, output, trishift, words};
use trishift::listener::STREAM_ROWS;
use trishift::{Engine, HeapArena, Model};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Concat, DataType, Embedding, InputScale, Layout, Operator, OperatorKind, Pool2d, Relu, Tensor, TensorClass, Window,
};
use trishift_kernels::PORTABLE;
use trishift_kernels::geometry::Geometry;
use trishift_trainer::config::Config;
use trishift_trainer::export::{self, Metadata, StreamError};
use trishift_trainer::network::Network;
use trishift_trainer::random;

/// The model of these layers, with random weights.
fn model_of(shape: [usize; 3], layers: &str, scaling: &str, seed: u64) -> Vec<u8> {
    let text = format!(
        "name = 'n'\n[data]\nshape = {shape:?}\nclasses = ['a', 'b', 'c']\nscaling = '{scaling}'\n[network]\ngroup = 8\n\
         layers = [{layers}]\n[training]\nepochs = 1\nbatch = 1\n"
    );
    let config = Config::from_toml(&text, "").unwrap_or_else(|error| panic!("{error}: {text}"));
    let network = Network::without_data(&config).unwrap_or_else(|error| panic!("{error}: {text}"));
    let labels = ["a", "b", "c"].map(str::to_owned);
    let layout = if seed.is_multiple_of(2) { Layout::Rows } else { Layout::Groups };
    let scales = &[InputScale { zero_mantissa: 3, zero_exponent: 1, shift: -2 }];
    let metadata = Metadata { name: "n", labels: &labels, scales, properties: &[("made", "here".into())], layout };
    export::export(&random::network(&network, seed).expect("random weights"), &metadata).expect("a model file").file
}

/// Outputs of the next samples, as int32 whatever their type.
fn run(engine: &mut Engine<'_, '_>, input: &[i8]) -> Vec<i32> {
    let len = input.len() / engine.model().input().len() * engine.model().output().len();
    match engine.model().output().data_type {
        DataType::I8 => {
            let mut output = vec![0i8; len];
            engine.run(input, &mut output).expect("an input and an output");
            output.into_iter().map(i32::from).collect()
        }
        DataType::I32 => {
            let mut output = vec![0i32; len];
            engine.run(input, &mut output).expect("an input and an output");
            output
        }
    }
}

/// Holds a streaming model of so many rows a run against the original, over `runs` windows and once more after a reset.
/// Returns the file and how many outputs differed from the one before, which a test of any worth sees.
fn check(original: &[u8], rows: Option<u32>, runs: usize, seed: u64) -> (Vec<u8>, usize) {
    let original = Model::parse(original).expect("a model");
    let streamed = export::stream(&original, rows).expect("a model that can stream");
    let model = Model::parse(&streamed.file).expect("a model");
    let row = original.input().len() / streamed.window_rows as usize;
    assert_eq!(model.input().len(), row * streamed.rows as usize);
    let Tensor { offset, first, last, .. } = model.output();
    assert_eq!(model.output(), Tensor { offset, first, last, ..original.output() });
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut memory = [&original, &model].map(|model| HeapArena::new(model, 1).expect("memory"));
    let [arena, stream_arena] = &mut memory;
    stream_arena.bytes().fill(0xA5);
    let mut engine = Engine::new(&original, arena.bytes(), 1).expect("an engine");
    let mut stream = Engine::new(&model, stream_arena.bytes(), 1).expect("an engine");
    let mut changes = 0;
    for _ in 0..2 {
        let (mut past, mut before) = (Vec::new(), Vec::new());
        let mut compared = 0;
        while compared < runs {
            let next: Vec<i8> = (0..model.input().len()).map(|_| random.next_u32() as i8).collect();
            past.extend(&next);
            let found = run(&mut stream, &next);
            if past.len() >= original.input().len() {
                let expected = run(&mut engine, &past[past.len() - original.input().len()..]);
                assert_eq!(found, expected, "seed {seed}, {rows:?} rows, window {compared}");
                changes += usize::from(found != before);
                (before, compared) = (found, compared + 1);
            }
        }
        stream.reset();
    }
    (streamed.file, changes)
}

/// Makes layers of random kinds and sizes over a sample of this shape, whose rows or columns are time.
struct Maker {
    random: ChaCha8Rng,
    shape: [usize; 3],
    axis: usize,
}

impl Maker {
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.random.next_u32() as usize % (high - low + 1)
    }

    /// Numbers in the order of rows and columns, of time and the other dimension.
    fn sides(&self, time: usize, other: usize) -> [usize; 2] {
        if self.axis == 0 { [time, other] } else { [other, time] }
    }

    /// Kernel, stride and padding of a window that leaves two rows at least; none in time.
    fn window(&mut self, padded: bool) -> String {
        let [time, other] = [self.shape[self.axis], self.shape[1 - self.axis]];
        let [mut kernel, mut stride] = [self.between(1, time.min(5)), self.between(1, 3)];
        if (time - kernel) / stride == 0 {
            (kernel, stride) = (1, 1);
        }
        let across = self.between(1, other.min(3));
        let around = if padded { self.between(0, across - 1) } else { 0 };
        let step = self.between(1, 2);
        self.shape[self.axis] = (time - kernel) / stride + 1;
        self.shape[1 - self.axis] = (other + around - across) / step + 1;
        let [above, left] = self.sides(0, around);
        format!(
            "kernel = {:?}, stride = {:?}, padding = [{above}, {left}, 0, 0]",
            self.sides(kernel, across),
            self.sides(stride, step)
        )
    }

    fn layer(&mut self) -> String {
        let weights = if self.between(0, 3) == 0 { "int8" } else { "ternary" };
        match self.between(0, 9) {
            0..=3 => {
                let (window, outputs) = (self.window(true), self.between(1, 9));
                self.shape[2] = outputs;
                format!(
                    "{{ type = 'conv2d', outputs = {outputs}, {window}, weights = '{weights}' }}, {{ type = 'relu' }}"
                )
            }
            4 => format!("{{ type = 'depthwise-conv2d', {}, weights = '{weights}', bias = true }}", self.window(true)),
            5 => format!("{{ type = 'max-pool', {} }}", self.window(false)),
            6 => format!("{{ type = 'avg-pool', {} }}", self.window(true)),
            7 => format!(
                "{{ type = 'residual', layers = [{{ type = 'conv2d', outputs = {}, kernel = 1 }}] }}, {{ type = 'relu' }}",
                self.shape[2]
            ),
            8 if self.shape[self.axis].is_multiple_of(2) && self.shape[self.axis] > 2 => {
                // Two ways of one stride, one of which reaches further back.
                let (first, second) = (self.sides(2, 1), self.sides(1, 1));
                self.shape[self.axis] /= 2;
                self.shape[2] *= 2;
                format!(
                    "{{ type = 'concat', layers = [{{ type = 'max-pool', kernel = {first:?} }}], shortcut = [{{ type = \
                     'max-pool', kernel = {second:?}, stride = {first:?} }}] }}"
                )
            }
            // A sequence with another row is none.
            _ if self.axis == 0 => {
                self.shape[1] += 1;
                "{ type = 'pad', padding = [0, 1, 0, 0] }, { type = 'relu' }".into()
            }
            _ => format!("{{ type = 'avg-pool', {} }}, {{ type = 'relu' }}", self.window(true)),
        }
    }
}

#[test]
fn random_networks_stream_bit_for_bit() {
    let (mut kinds, mut changes, mut windows) = (std::collections::BTreeSet::new(), 0, 0);
    for seed in 0..160 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let axis = usize::from(seed % 4 == 3);
        let mut pick = |low: u32, high: u32| (low + random.next_u32() % (high - low + 1)) as usize;
        let [time, other, channels] = [pick(8, 30), pick(1, 6), pick(1, 4)];
        let shape = if axis == 0 { [time, other, channels] } else { [1, time, channels] };
        let (count, end) = (pick(1, 4), pick(0, 3));
        let mut maker = Maker { random, shape, axis };
        let mut layers: Vec<String> = (0..count).map(|_| maker.layer()).collect();
        layers.push(
            match end {
                0 => "{ type = 'linear' }",
                1 => "{ type = 'conv2d', outputs = 4, kernel = 1 }, { type = 'shift-norm' }, { type = 'linear' }",
                _ => "{ type = 'global-avg-pool' }, { type = 'linear', bias = true }",
            }
            .into(),
        );
        let file = model_of(shape, &layers.join(", "), "tensor", seed);
        let original = Model::parse(&file).unwrap();
        let least = export::stream(&original, None).unwrap().rows;
        for rows in (1..=3).map(|runs| runs * least).filter(|rows| *rows < time as u32) {
            let (file, changed) = check(&file, (rows != least).then_some(rows), 6, seed);
            let model = Model::parse(&file).unwrap();
            assert_eq!(model.properties().get(STREAM_ROWS), Some(time.to_string().as_str()));
            assert_eq!(model.properties().get("made"), Some("here"));
            assert!(model.labels().eq(original.labels()) && model.input_scales().eq(original.input_scales()));
            assert_eq!(model.weight_bytes(), original.weight_bytes());
            kinds.extend(model.operators().map(|operator| operator.kind().name()));
            (changes, windows) = (changes + changed, windows + 12);
        }
    }
    assert!(changes * 10 > windows * 9, "{changes} of {windows} windows gave something new");
    let expected = "add avg-pool concat conv2d depthwise-conv2d int8-conv2d int8-depthwise-conv2d linear max-pool pad \
                    relu shift-norm slide";
    assert!(expected.split_whitespace().all(|kind| kinds.contains(kind)), "{kinds:?}");
}

/// Convolutions of five frames, then the mean of all: what is kept is what they reach back, and the frames of the mean.
#[test]
fn a_network_for_words_computes_its_new_frames_alone() {
    let convolution = |outputs| {
        format!("{{ type = 'conv2d', outputs = {outputs}, kernel = [5, 1], padding = 'valid' }}, {{ type = 'relu' }}, ")
    };
    let layers = [40, 24, 24].map(convolution).concat() + "{ type = 'global-avg-pool' }, { type = 'linear' }";
    let file = model_of([50, 1, 32], &layers, "tensor", 1);
    let (streamed, _) = check(&file, None, 60, 3);
    let model = Model::parse(&streamed).unwrap();
    let kinds: Vec<&str> = model.operators().map(|operator| operator.kind().name()).collect();
    let each = ["slide", "conv2d"];
    assert_eq!(kinds, [&each[..], &each, &each, &["slide", "avg-pool", "linear"]].concat());
    let kept = |model: &Model<'_>| {
        let kept = model.tensors().filter(|tensor| tensor.class == TensorClass::Persistent);
        kept.map(|tensor| tensor.bytes()).sum::<usize>()
    };
    assert_eq!(kept(&model), 5 * 32 + 5 * 40 + 5 * 24 + 38 * 24);
    assert_eq!(model.macs(), (5 * 32 * 40 + 5 * 40 * 24 + 5 * 24 * 24 + 24 * 3) as u64);
    // Small cores run windows one above another as linear layers, and need as much scratch for them.
    for operator in model.operators() {
        let Operator::Conv2d(op) = operator else { continue };
        let geometry = Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output));
        let (rows, columns) = (op.weights.rows as usize, op.weights.columns as usize);
        assert_eq!(PORTABLE.scratch.conv2d(&geometry, rows, columns), PORTABLE.scratch.bytes(rows, false));
    }
    // Two frames more are kept where three come at once.
    let (streamed, _) = check(&file, Some(3), 30, 4);
    assert_eq!(kept(&Model::parse(&streamed).unwrap()), 7 * 32 + 7 * 40 + 7 * 24 + 38 * 24);
}

/// Windows that leave rows out, smaller than their steps: of 15 rows the first is at 0, or the last at 14.
#[test]
fn steps_larger_than_a_window_keep_their_phase() {
    for (rows, kernel, stride) in [(15, 1, 2), (16, 1, 2), (15, 1, 4), (16, 2, 5), (17, 2, 5), (18, 2, 5), (20, 3, 3)] {
        let layers = format!(
            "{{ type = 'conv2d', outputs = 4, kernel = [{kernel}, 1], stride = [{stride}, 1], padding = 'valid' }}, \
             {{ type = 'global-avg-pool' }}, {{ type = 'linear' }}"
        );
        let file = model_of([rows, 1, 6], &layers, "tensor", 2);
        check(&file, None, 9, rows as u64);
        check(&file, Some(2 * stride), 9, rows as u64);
    }
}

#[test]
fn bytes_stream_through_an_embedding() {
    // The trainer's table ends time: its entries stand in one row.
    let layers = "{ type = 'embedding', dimension = 6 }, { type = 'linear', outputs = 9 }, \
                  { type = 'relu' }, { type = 'linear' }";
    let file = model_of([1, 16, 1], layers, "index", 2);
    let (streamed, _) = check(&file, None, 20, 5);
    assert_eq!(Model::parse(&streamed).unwrap().input().shape, [1, 1, 1]);
    // One whose entries stand side by side in time looks up the new ones alone.
    let trits: Vec<i8> = (0..256 * 4).map(|index| [1, -1, 0, 1, 1][index * 7 % 5]).collect();
    let exponents: Vec<i8> = (0..256).map(|row| (row % 5) as i8).collect();
    let group = trishift_format::GroupSize::ALL[0];
    let values = MatrixValues { rows: 256, columns: 4, group, trits: &trits, exponents: &exponents };
    let file = graph_of(&[[1, 8, 1], [1, 8, 4], [1, 3, 4]], |writer| {
        let weights = writer.add_matrix(&values).unwrap();
        vec![Operator::Embedding(Embedding { input: 0, output: 1, weights }), pool(1, 2, [1, 4], [1, 2])]
    });
    let (streamed, _) = check(&file, None, 20, 5);
    let model = Model::parse(&streamed).unwrap();
    assert_eq!((model.input().shape, model.tensor(1).shape), ([1, 2, 1], [1, 2, 4]));
}

/// A graph of int8 tensors of these classes and shapes, each written by the operator of its number less one.
fn graph(shapes: &[[u32; 3]], operators: &[Operator]) -> Vec<u8> {
    graph_of(shapes, |_| operators.to_vec())
}

/// The same of operators with weights in the writer.
fn graph_of(shapes: &[[u32; 3]], operators: impl FnOnce(&mut ModelWriter) -> Vec<Operator>) -> Vec<u8> {
    let mut writer = ModelWriter::new("graph");
    operators(&mut writer).iter().for_each(|operator| writer.push(operator).expect("an operator"));
    writer.input_scales(&[InputScale::IDENTITY]);
    let last = shapes.len() - 1;
    let mut offset = 0;
    let tensors: Vec<Tensor> = (0u16..)
        .zip(shapes)
        .map(|(number, shape)| {
            let class = match number {
                0 => TensorClass::Input,
                _ if usize::from(number) == last => TensorClass::Output,
                _ => TensorClass::Arena,
            };
            let (first, end) = (number.saturating_sub(1), last as u16 - 1);
            let tensor =
                Tensor { data_type: DataType::I8, class, exponent: 0, shape: *shape, offset, first, last: end };
            offset += (tensor.bytes() as u32).next_multiple_of(4);
            tensor
        })
        .collect();
    writer
        .finish(&Region { tensors: &tensors, input: 0, output: last as u16, arena_bytes: offset.into() })
        .expect("a model")
}

fn pool(input: u16, output: u16, kernel: [u8; 2], stride: [u8; 2]) -> Operator {
    Operator::MaxPool(Pool2d { input, output, window: Window { kernel, stride, padding: [0; 4] } })
}

#[test]
fn an_output_that_is_a_stream_is_given_whole() {
    let file = graph(&[[9, 2, 3], [4, 2, 3]], &[pool(0, 1, [3, 1], [2, 1])]);
    let (streamed, _) = check(&file, None, 9, 6);
    let model = Model::parse(&streamed).unwrap();
    let kinds: Vec<OperatorKind> = model.operators().map(|operator| operator.kind()).collect();
    use OperatorKind::{MaxPool, Reshape, Slide};
    assert_eq!(kinds, [Slide, MaxPool, Slide, Reshape]);
    // Another operator may read it, too.
    let operators = [pool(0, 1, [3, 1], [1, 1]), Operator::Relu(Relu { input: 1, output: 2 })];
    check(&graph(&[[6, 1, 3], [4, 1, 3], [4, 1, 3]], &operators), Some(2), 9, 6);
}

/// As many rows on two ways do not make them rows of one time: here one way takes every row, the other every second one.
#[test]
fn ways_of_different_strides_meet_where_time_ends() {
    let operators = [
        pool(0, 1, [2, 1], [1, 1]),
        pool(0, 2, [1, 1], [2, 1]),
        Operator::Concat(Concat { left: 1, right: 2, output: 3 }),
    ];
    let file = graph(&[[3, 2, 1], [2, 2, 1], [2, 2, 1], [2, 2, 2]], &operators);
    let (streamed, _) = check(&file, None, 9, 7);
    assert_eq!(Model::parse(&streamed).unwrap().input().shape, [2, 2, 1]);
}

#[test]
fn what_cannot_stream_is_refused() {
    let refused = |file: &[u8], rows| export::stream(&Model::parse(file).unwrap(), rows).map(|_| ()).unwrap_err();
    let padded = "{ type = 'conv2d', outputs = 4, kernel = [3, 1], padding = 'valid' }, { type = 'relu' }, \
                  { type = 'max-pool', kernel = [3, 1], stride = 1, padding = 'same' }, { type = 'linear' }";
    let error = refused(&model_of([9, 2, 3], padded, "tensor", 1), None);
    assert_eq!(error, StreamError::Padding { index: 1, kind: OperatorKind::MaxPool });
    assert!(error.to_string().starts_with("operator 1 (max-pool) puts zeros before or behind the rows"), "{error}");
    let zeros = "{ type = 'pad', padding = [0, 0, 1, 0] }, { type = 'linear' }";
    let error = refused(&model_of([9, 2, 3], zeros, "tensor", 1), None);
    assert_eq!(error, StreamError::Padding { index: 0, kind: OperatorKind::Pad });
    let vector = model_of([1, 1, 9], "{ type = 'linear' }", "tensor", 1);
    assert_eq!(refused(&vector, None), StreamError::OneRow);

    let strides = "{ type = 'conv2d', outputs = 4, kernel = [3, 1], stride = [2, 1], padding = 'valid' }, \
                   { type = 'max-pool', kernel = [2, 1], stride = [3, 1] }, { type = 'linear' }";
    let file = model_of([30, 1, 3], strides, "tensor", 1);
    for rows in [0, 1, 2, 3, 5, 7, 30, 36, u32::MAX] {
        let error = refused(&file, Some(rows));
        assert_eq!(error, StreamError::Rows { rows, step: 6, window: 30 });
        assert!(error.to_string().contains("a multiple of 6 below the 30"), "{error}");
    }
    let (streamed, _) = check(&file, None, 3, 1);
    assert_eq!(refused(&streamed, None), StreamError::Stateful);
}

/// One record for each element: of every row the same ones, or there is no telling which row comes next.
#[test]
fn input_scaling_goes_row_by_row() {
    let scale = |shift| InputScale { shift, ..InputScale::IDENTITY };
    let file = |scales: &[InputScale]| {
        let mut writer = ModelWriter::new("scales");
        writer.push(&pool(0, 1, [4, 1], [1, 1])).unwrap();
        writer.input_scales(scales);
        let tensor =
            |class, shape| Tensor { data_type: DataType::I8, class, exponent: 0, shape, offset: 0, first: 0, last: 0 };
        let tensors = [tensor(TensorClass::Input, [4, 2, 1]), tensor(TensorClass::Output, [1, 2, 1])];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap()
    };
    let columns = [scale(1), scale(-3)];
    let (streamed, _) = check(&file(&columns.repeat(4)), Some(3), 5, 8);
    let model = Model::parse(&streamed).unwrap();
    assert_eq!(model.input_scales().collect::<Vec<_>>(), columns.repeat(3));
    let mut rows = columns.repeat(4);
    rows[5] = scale(2);
    let refused = export::stream(&Model::parse(&file(&rows)).unwrap(), None).unwrap_err();
    assert_eq!(refused, StreamError::Scales);
}

#[test]
fn models_are_made_to_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let layers = "{ type = 'conv2d', outputs = 8, kernel = [3, 1], stride = [2, 1], padding = 'valid' }, { type = 'relu' }, \
                  { type = 'linear' }";
    std::fs::write(path.join("whole.tsm"), model_of([11, 1, 4], layers, "tensor", 1)).unwrap();
    let exported = json(path, "export whole.tsm --stream --out stream.tsm --json");
    let expected = ["arena_bytes", "macs", "model", "model_bytes", "persistent_bytes", "rows", "stream_rows"];
    let mut found = keys(&exported);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!((&exported["stream_rows"], &exported["rows"]), (&11.into(), &2.into()));
    // Three frames for the window, and five of what it gives for the last layer.
    assert_eq!(
        (&exported["persistent_bytes"], &exported["macs"]),
        (&(3 * 4 + 5 * 8).into(), &(12 * 8 + 40 * 3).into())
    );
    let shown = json(path, "inspect stream.tsm --json");
    for key in ["macs", "arena_bytes", "persistent_bytes"] {
        assert_eq!(shown[key], exported[key], "{key}");
    }
    assert_eq!(
        (&shown["input_shape"], &shown["properties"]["stream-rows"]),
        (&[2, 1, 4].as_slice().into(), &"11".into())
    );
    assert!(output(path, "inspect stream.tsm").contains("  kept     52 bytes of the arena, from run to run"));
    assert!(!output(path, "inspect whole.tsm").contains("kept"));
    let text = output(path, "export whole.tsm --stream=4 --out stream.tsm --overwrite");
    assert!(text.contains("a run takes 4 of 11 rows") && text.contains("kept from run to run"), "{text}");

    for (arguments, sentence) in [
        ("export whole.tsm --out other.tsm", "whole.tsm is a file; give a run's folder, or a model file and --stream"),
        (
            "export whole.tsm --stream=3 --out other.tsm",
            "3 rows a run do not go with this model; it takes a multiple of 2",
        ),
        ("export whole.tsm --stream --layout groups --out other.tsm", "whose weights stay as they are"),
        ("export stream.tsm --stream --out other.tsm", "the model keeps a state already"),
        ("export --preset dscnn --stream --out other.tsm", "operator 0 (conv2d) puts zeros before or behind the rows"),
    ] {
        let refused = trishift(path, words(arguments)).assert().code(2).get_output().stderr.clone();
        let refused = String::from_utf8(refused).unwrap();
        assert!(refused.contains(sentence) && refused.lines().count() == 1, "{arguments}: {refused}");
    }
    assert!(!path.join("other.tsm").exists());
}

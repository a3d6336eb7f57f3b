//! Presets with random weights: their size and work, memory, and that every instruction set gives the same integers.

mod naive;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use trishift::{Engine, HeapArena, Model};
use trishift_format::{DataType, InputScale, Layout, Operator, OperatorKind, Tensor};
use trishift_kernels::Kernels;
use trishift_trainer::config::Config;
use trishift_trainer::export::{self, Metadata};
use trishift_trainer::network::Network;
use trishift_trainer::{plan, random};

/// MLPerf Tiny's networks and their multiply-accumulates.
const TINY: [(&str, u64); 4] =
    [("resnet8", 12_501_632), ("dscnn", 2_656_768), ("mobilenet-v1-025", 7_489_664), ("autoencoder", 264_192)];

fn config(preset: &str) -> Config {
    Config::preset(preset).expect("a preset")
}

fn file_of(config: &Config, seed: u64, layout: Layout) -> Vec<u8> {
    let network = Network::without_data(config).expect("a network");
    let metadata =
        Metadata { name: &config.name, labels: &[], scales: &[InputScale::IDENTITY], properties: &[], layout };
    let network = random::network(&network, seed).expect("random weights");
    export::export(&network, &metadata).expect("a model file").file
}

fn file(preset: &str) -> Vec<u8> {
    file_of(&config(preset), 1, Layout::Rows)
}

/// Outputs as int32, whatever their type.
fn outputs(model: &Model<'_>, kernels: &'static Kernels, samples: &[i8]) -> Vec<i32> {
    let count = samples.len() / model.input().len();
    let mut arena = HeapArena::new(model, count).expect("memory");
    let mut engine = Engine::with_kernels(model, arena.bytes(), count, kernels).expect("an engine");
    let len = count * model.output().len();
    match model.output().data_type {
        DataType::I8 => {
            let mut outputs = vec![0i8; len];
            engine.run(samples, &mut outputs).expect("outputs");
            outputs.into_iter().map(i32::from).collect()
        }
        DataType::I32 => {
            let mut outputs = vec![0i32; len];
            engine.run(samples, &mut outputs).expect("outputs");
            outputs
        }
    }
}

fn samples(model: &Model<'_>, count: usize) -> Vec<i8> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    (0..count * model.input().len()).map(|_| random.next_u32() as i8).collect()
}

#[test]
fn the_tiny_networks_are_as_large_as_they_should_be() {
    for (preset, macs) in TINY {
        let file = file(preset);
        let model = Model::parse(&file).unwrap();
        assert_eq!(model.macs(), macs, "{preset}");
        let tensors: Vec<Tensor> = model.tensors().collect();
        let operators: Vec<Operator> = model.operators().collect();
        let bound = plan::lower_bound(&tensors, &operators);
        let arena = model.arena_bytes();
        println!("{preset}: {} bytes, arena {arena}, bound {bound}", file.len());
        assert!(arena >= bound && arena * 10 <= bound * 11, "{preset}: {arena} of {bound}");
    }
    let file = file("mnist-cnn");
    println!("mnist-cnn: {} bytes", file.len());
    assert!(file.len() <= 13_000, "{}", file.len());
}

#[test]
fn depthwise_convolutions_and_sums_are_planned_in_place() {
    for (preset, kind) in [("mobilenet-v1-025", OperatorKind::DepthwiseConv2d), ("resnet8", OperatorKind::Add)] {
        let file = file(preset);
        let model = Model::parse(&file).unwrap();
        let in_place = model.operators().filter(|operator| {
            let output = model.tensor(operator.output());
            operator.kind() == kind
                && operator.inputs().iter().any(|input| model.tensor(*input).offset == output.offset)
        });
        assert!(in_place.count() >= 3, "{preset}");
    }
}

#[test]
fn seeds_decide_everything() {
    let of_seed = |seed| file_of(&config("dscnn"), seed, Layout::Rows);
    let first = of_seed(1);
    assert!(first == of_seed(1) && first != of_seed(2));
}

#[test]
fn no_layer_is_dead_or_saturated() {
    for preset in ["mnist-cnn", "spoken-digits", "resnet8", "resnet8-mixed", "dscnn", "mobilenet-v1-025", "autoencoder"]
    {
        let file = file(preset);
        let model = Model::parse(&file).unwrap();
        // Not the samples that the network was calibrated on.
        let mut random = ChaCha8Rng::seed_from_u64(99);
        let mut value = || (0..4).map(|_| (random.next_u32() % 43) as i32 - 21).sum::<i32>() as i8;
        let count = if preset == "autoencoder" { 64 } else { 2 };
        let of_samples: Vec<_> = (0..count)
            .map(|_| naive::run(&model, &(0..model.input().len()).map(|_| value()).collect::<Vec<_>>()))
            .collect();
        for tensor in naive::weighted_outputs(&model) {
            let values = || of_samples.iter().flat_map(|tensors| &tensors[usize::from(tensor)]);
            let elements = values().count() as f64;
            let size = (values().map(|value| (value * value) as f64).sum::<f64>() / elements).sqrt();
            let saturated = values().filter(|value| !(-127..=126).contains(*value)).count() as f64 / elements;
            assert!((15.0..36.0).contains(&size), "{preset}, tensor {tensor}: {size}");
            assert!(saturated < 0.05, "{preset}, tensor {tensor}: {saturated} are saturated");
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_integers() {
    for (preset, layout) in [
        ("mnist-cnn", Layout::Rows),
        ("resnet8", Layout::Groups),
        ("dscnn", Layout::Rows),
        ("dscnn", Layout::Groups),
        ("mobilenet-v1-025", Layout::Rows),
        ("autoencoder", Layout::Rows),
        ("autoencoder", Layout::Groups),
    ] {
        let file = file_of(&config(preset), 1, layout);
        let model = Model::parse(&file).unwrap();
        let extremes = [i8::MIN, i8::MAX].map(|value| vec![value; model.input().len()]);
        let samples = [samples(&model, 1), extremes.concat()].concat();
        let expected = outputs(&model, &trishift_kernels::SCALAR, &samples);
        assert!(expected.iter().any(|value| *value != expected[0]), "{preset}");
        for kernels in trishift_kernels::available().filter(|kernels| kernels.name != "scalar") {
            let found = outputs(&model, kernels, &samples);
            assert!(found == expected, "{preset}, {layout:?}, {}", kernels.name);
        }
    }
}

#[test]
fn the_runtime_gives_what_the_definition_says() {
    for preset in ["resnet8", "mnist-cnn", "spoken-digits", "dscnn", "mobilenet-v1-025", "autoencoder"] {
        let file = file(preset);
        let model = Model::parse(&file).unwrap();
        let sample = samples(&model, 1);
        let values = naive::run(&model, &sample);
        let found = outputs(&model, trishift_kernels::best(), &sample);
        let expected: Vec<i32> = values[usize::from(model.output_index())].iter().map(|value| *value as i32).collect();
        assert_eq!(found, expected, "{preset}");
    }
}

#[test]
fn widths_change_everything_but_the_classes() {
    let mut half = config("resnet8");
    half.network.width = 0.5;
    let network = Network::without_data(&half).unwrap();
    let channels: Vec<usize> = network.nodes.iter().map(|node| node.shape[2]).collect();
    assert_eq!((channels.iter().max(), channels.last()), (Some(&32), Some(&10)));
    let whole = Network::without_data(&config("resnet8")).unwrap();
    assert!(network.weights() * 3 < whole.weights());
    half.network.width = 0.01;
    assert!(Network::without_data(&half).unwrap().nodes.iter().skip(1).all(|node| [1, 10].contains(&node.shape[2])));
}

#[test]
fn group_sizes_of_one_layer_are_its_own() {
    let text = toml_of("{ type = 'conv2d', outputs = 4, kernel = 3, group = 8 }, { type = 'linear' }");
    let network = Network::without_data(&Config::from_toml(&text, "").unwrap()).unwrap();
    assert_eq!(network.stages.iter().map(|stage| stage.group.get()).collect::<Vec<_>>(), [8, 16]);
}

/// Every operator that presets leave out: concatenations, zeros around, int8 depthwise weights, a ReLU alone, reshaping.
#[test]
fn other_layers_run_as_they_are_defined() {
    let text = toml_of(
        "{ type = 'pad', padding = [1, 0, 2, 1] }, { type = 'conv2d', outputs = 6, kernel = [2, 3], stride = [1, 2], \
         padding = [0, 1, 1, 0] }, { type = 'concat', layers = [{ type = 'relu' }, { type = 'depthwise-conv2d', kernel = 3, \
         weights = 'int8', bias = true }], shortcut = [{ type = 'avg-pool', kernel = 3, stride = 1, padding = 'same' }] }, \
         { type = 'relu' }, { type = 'max-pool', kernel = [2, 1] }, { type = 'residual', layers = [{ type = 'conv2d', \
         outputs = 12, kernel = 1, weights = 'int8' }] }, { type = 'flatten' }, { type = 'linear', weights = 'int8' }",
    );
    let config = Config::from_toml(&text, "").unwrap();
    for layout in [Layout::Rows, Layout::Groups] {
        let file = file_of(&config, 5, layout);
        let model = Model::parse(&file).unwrap();
        let kinds: Vec<&str> = model.operators().map(|operator| operator.kind().name()).collect();
        assert_eq!(
            kinds,
            [
                "pad",
                "conv2d",
                "relu",
                "int8-depthwise-conv2d",
                "avg-pool",
                "concat",
                "relu",
                "max-pool",
                "int8-conv2d",
                "add",
                "reshape",
                "int8-linear"
            ]
        );
        let samples = samples(&model, 3);
        let expected: Vec<i32> = samples
            .chunks(model.input().len())
            .flat_map(|sample| naive::run(&model, sample).swap_remove(usize::from(model.output_index())))
            .map(|value| value as i32)
            .collect();
        for kernels in trishift_kernels::available() {
            assert_eq!(outputs(&model, kernels, &samples), expected, "{}", kernels.name);
        }
    }
}

#[test]
fn norms_take_the_sums_of_convolutions_and_tables() {
    let convolutional = toml_of(
        "{ type = 'conv2d', outputs = 6, kernel = 3 }, { type = 'shift-norm' }, { type = 'relu' }, { type = 'linear', \
         outputs = 9 }, { type = 'rms-norm' }, { type = 'linear', bias = true }",
    );
    let table =
        toml_of("{ type = 'embedding', dimension = 5, vocabulary = 40 }, { type = 'rms-norm' }, { type = 'linear' }");
    let table = table.replace("'tensor'", "'index'");
    for (text, kinds) in [
        (convolutional, &["conv2d", "shift-norm", "linear", "rms-norm", "linear"][..]),
        (table, &["embedding", "rms-norm", "linear"]),
    ] {
        let file = file_of(&Config::from_toml(&text, "").unwrap(), 1, Layout::Rows);
        let model = Model::parse(&file).unwrap();
        assert_eq!(model.operators().map(|operator| operator.kind().name()).collect::<Vec<_>>(), kinds);
        let sample: Vec<i8> = (0..model.input().len()).map(|index| i8::MIN + (index % 40) as i8).collect();
        let expected = outputs(&model, &trishift_kernels::SCALAR, &sample);
        assert!(expected[0] != expected[1]);
        for kernels in trishift_kernels::available() {
            assert_eq!(outputs(&model, kernels, &sample), expected, "{}", kernels.name);
        }
    }
}

fn toml_of(layers: &str) -> String {
    format!(
        "name = 'n'\n[data]\nshape = [7, 9, 2]\nclasses = ['a', 'b', 'c']\nscaling = 'tensor'\n[network]\ngroup = 16\n\
         layers = [{layers}]\n[training]\nepochs = 1\nbatch = 1\n"
    )
}

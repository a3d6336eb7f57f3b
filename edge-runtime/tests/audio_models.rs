//! The audio front end and a model: what its properties say, and how features become its input.
#![cfg(all(feature = "audio", feature = "argmax", feature = "std"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift::Model;
use trishift::audio::{AudioConfig, AudioError, quantize};
use trishift::format::write::{ModelWriter, Region};
use trishift::format::{ArgMax, DataType, InputScale, Operator, Tensor, TensorClass};

const CONFIG: AudioConfig = AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 10, low: 60, high: 3800 };
/// Frames of the model's input.
const FRAMES: usize = 3;

/// A model with these properties and input scaling: the loudest of 30 inputs.
fn file(properties: &[(&str, &str)], scales: &[InputScale]) -> Vec<u8> {
    let mut writer = ModelWriter::new("loudest");
    writer.push(&Operator::ArgMax(ArgMax { input: 0, output: 1 })).unwrap();
    writer.input_scales(scales);
    for (key, value) in properties {
        writer.property(key, value).unwrap();
    }
    let tensor =
        |data_type, class, shape| Tensor { data_type, class, exponent: 0, shape, offset: 0, first: 0, last: 0 };
    let input = tensor(DataType::I8, TensorClass::Input, [FRAMES as u32, 10, 1]);
    let tensors = [input, tensor(DataType::I32, TensorClass::Output, [1, 1, 1])];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap()
}

fn read(properties: &[(&str, &str)]) -> Result<Option<AudioConfig>, AudioError> {
    AudioConfig::from_properties(&Model::parse(&file(properties, &[InputScale::IDENTITY])).unwrap())
}

/// The properties of [`CONFIG`], with another value for one of them, or without it.
fn read_with(key: &str, value: Option<&str>) -> Result<Option<AudioConfig>, AudioError> {
    let written = CONFIG.properties().map(|(key, number)| (key, number.to_string()));
    let changed = |(found, number): &(&'static str, String)| match value {
        Some(value) if *found == key => Some((*found, value.to_owned())),
        None if *found == key => None,
        _ => Some((*found, number.clone())),
    };
    let changed: Vec<_> = written.iter().filter_map(changed).collect();
    read(&changed.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>())
}

#[test]
fn properties_say_what_was_written() {
    assert_eq!(read_with("", None), Ok(Some(CONFIG)));
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("audio", "yes"), ("rate", "8000")]), Ok(None));
    let properties = CONFIG.properties();
    assert_eq!(properties[0], ("audio-sample-rate", 8000));
    assert_eq!(
        properties.map(|(key, _)| key)[1..],
        ["audio-window", "audio-hop", "audio-bands", "audio-low", "audio-high"]
    );
}

#[test]
fn properties_that_are_missing_unknown_or_no_numbers_are_refused() {
    for (key, _) in CONFIG.properties() {
        assert_eq!(read_with(key, None), Err(AudioError::PropertyMissing { key }));
        let largest = match key {
            "audio-sample-rate" => u32::MAX,
            "audio-bands" => 255,
            _ => 65_535,
        };
        for value in ["", "-1", "8k", "4294967296", "99999999999"] {
            assert_eq!(read_with(key, Some(value)), Err(AudioError::PropertyValue { key, largest }), "{value}");
        }
    }
    assert_eq!(
        read_with("audio-bands", Some("256")),
        Err(AudioError::PropertyValue { key: "audio-bands", largest: 255 })
    );
    assert_eq!(read_with("audio-bands", Some("41")), Err(AudioError::Bands { found: 41 }));
    let error = read_with("audio-window", Some("64")).unwrap_err();
    assert_eq!(error, AudioError::Hop { found: 160, window: 64 });
    assert_eq!(error.to_string(), "the hop has 160 samples; it must have 1 to the window's 64");
    let error = read(&[("weights", "random"), ("audio-gain", "3")]).unwrap_err();
    assert_eq!(error, AudioError::PropertyUnknown { index: 1 });
    assert_eq!(
        error.to_string(),
        "property 1 of the model begins with \"audio-\" and is unknown; this version knows audio-sample-rate, -window, -hop, \
         -bands, -low and -high"
    );
}

#[test]
fn features_become_the_row_of_their_frame() {
    let scale =
        |element: i32| InputScale { zero_mantissa: 40 * element + 1, zero_exponent: -1, shift: -(element % 4) as i8 };
    let features: [u16; 10] = [0, 7, 100, 300, 512, 700, 1000, 1344, 1500, 65_535];
    for scales in [vec![scale(9)], (0..30).map(scale).collect()] {
        let file = file(&[], &scales);
        let model = Model::parse(&file).unwrap();
        for frame in 0..FRAMES {
            let mut row = [99; 10];
            quantize(&model, frame, &features, &mut row).unwrap();
            for (band, (value, feature)) in row.into_iter().zip(features).enumerate() {
                let scale = if scales.len() == 1 { scales[0] } else { scales[frame * 10 + band] };
                assert_eq!(value, scale.quantize_i32(feature.into()), "{frame} {band}");
            }
        }
        let mut row = [0; 10];
        let outside = |frame, bands| Err(AudioError::FrameOutside { frame, bands, inputs: 30 });
        assert_eq!(quantize(&model, 3, &features, &mut row), outside(3, 10));
        assert_eq!(quantize(&model, usize::MAX, &features, &mut row), outside(usize::MAX, 10));
        assert_eq!(quantize(&model, 3, &features[..9], &mut row[..9]), outside(3, 9));
        let error = AudioError::FeaturesLength { found: 9, needed: 10 };
        assert_eq!(quantize(&model, 0, &features, &mut row[..9]), Err(error));
    }
}

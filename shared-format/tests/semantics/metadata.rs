//! Input scaling, labels, properties.

use super::support::raw::{RawModel, prefixed};
use super::{accepted, refusal};
use trishift_format::{InputScale, Model, ParseError};

fn with_scales(scales: &[InputScale]) -> RawModel {
    RawModel { scales: scales.iter().flat_map(|scale| scale.to_bytes()).collect(), ..RawModel::small() }
}

#[test]
fn one_scaling_record_or_one_for_each_feature() {
    // The small model has six features.
    for count in 0..=7 {
        let model = with_scales(&vec![InputScale::IDENTITY; count]);
        if count == 1 || count == 6 {
            accepted(&model.file());
        } else {
            assert_eq!(refusal(&model), ParseError::InputScales, "{count} records");
        }
    }
    for tail in 1..6 {
        let mut model = RawModel::small();
        model.scales.extend(vec![0; tail]);
        assert_eq!(refusal(&model), ParseError::InputScales, "{tail} bytes too many");
    }
}

#[test]
fn scaling_out_of_range() {
    let limit = 1 << 24;
    for (zero_mantissa, zero_exponent, shift, valid) in [
        (limit - 1, 100, -100, true),
        (1 - limit, -100, 100, true),
        (limit, 0, 0, false),
        (-limit, 0, 0, false),
        (i32::MIN, 0, 0, false),
        (0, 101, 0, false),
        (0, -101, 0, false),
        (0, 0, 101, false),
        (0, 0, i8::MIN, false),
    ] {
        let scale = InputScale { zero_mantissa, zero_exponent, shift };
        let mut all = vec![InputScale::IDENTITY; 6];
        all[5] = scale;
        for model in [with_scales(&[scale]), with_scales(&all)] {
            match valid {
                true => accepted(&model.file()),
                false => assert_eq!(refusal(&model), ParseError::InputScales, "{scale:?}"),
            }
        }
    }
}

#[test]
fn no_label_or_one_for_each_output() {
    // The small model has two outputs.
    for labels in 0..=3 {
        let model = RawModel { labels: prefixed("label").repeat(labels), ..RawModel::small() };
        if labels == 0 || labels == 2 {
            accepted(&model.file());
        } else {
            assert_eq!(refusal(&model), ParseError::LabelCount { labels, outputs: 2 });
        }
    }
    let empty = RawModel { labels: vec![0, 0], ..RawModel::small() }.file();
    assert_eq!(Model::parse(&empty).unwrap().labels().collect::<Vec<_>>(), ["", ""]);
}

#[test]
fn labels_that_do_not_decode() {
    for labels in [vec![1], vec![5, b'a'], vec![1, 0xFF, 0], vec![0, 0x80], vec![0xFF; 12]] {
        let model = RawModel { labels, ..RawModel::small() };
        assert_eq!(refusal(&model), ParseError::Malformed { what: "label list" });
    }
}

#[test]
fn properties_that_are_not_pairs_of_strings() {
    let key = prefixed("key");
    for properties in [key.clone(), key.repeat(3), vec![9], [key.repeat(2), vec![3, 1]].concat(), vec![0, 1, 0xC3]] {
        let model = RawModel { properties, ..RawModel::small() };
        assert_eq!(refusal(&model), ParseError::Malformed { what: "property list" });
    }
    accepted(&RawModel { properties: vec![], ..RawModel::small() }.file());
    accepted(&RawModel { properties: key.repeat(4), ..RawModel::small() }.file());
}

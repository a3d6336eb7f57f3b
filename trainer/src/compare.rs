//! What differs between two model files: operator by operator, and in bytes.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;
use trishift::Model;
use trishift_format::{Bias, Operator};

/// What differs between two models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Every operator of the longer model.
    pub layers: Vec<LayerComparison>,
    /// Name, labels, input scaling and properties that differ: what, in the first model, in the second one.
    pub facts: Vec<(String, String, String)>,
    /// Bytes that make the second file of the first one: what differs between them or, where that is less, the second file, by
    /// deflate.
    pub patch_bytes: usize,
    /// Whether the files are the same, byte for byte.
    pub same: bool,
}

/// An operator of both models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerComparison {
    /// What it is in the first model; `None` behind that one's last operator.
    pub before: Option<String>,
    /// What it is in the second one.
    pub after: Option<String>,
    /// How its numbers differ, where it has weights of one shape and kind in both.
    pub weights: Option<WeightComparison>,
}

/// How many numbers of a layer differ, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightComparison {
    /// Trits, or int8 weights.
    pub weights: Share,
    /// Trits that went from −1 to 1 or back, among them.
    pub across: usize,
    /// Exponents: of groups of trits, or of rows of int8 weights.
    pub exponents: Share,
    /// Biases.
    pub biases: Share,
}

/// Some of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// That differ.
    pub changed: usize,
    /// In all.
    pub of: usize,
}

impl Share {
    fn of<T: PartialEq>(before: impl ExactSizeIterator<Item = T>, after: impl Iterator<Item = T>) -> Self {
        let of = before.len();
        Self { changed: before.zip(after).filter(|(before, after)| before != after).count(), of }
    }

    fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.of += other.of;
    }
}

impl LayerComparison {
    /// Whether the operator is the same in both models, number by number.
    pub fn is_same(&self) -> bool {
        let changed = |weights: WeightComparison| {
            weights.weights.changed + weights.exponents.changed + weights.biases.changed > 0
        };
        self.before == self.after && !self.weights.is_some_and(changed)
    }
}

/// Compares two models and the files that they were parsed from.
pub fn compare(before: (&Model<'_>, &[u8]), after: (&Model<'_>, &[u8])) -> Comparison {
    let ((first, first_file), (second, second_file)) = (before, after);
    let operators = [first, second].map(|model| model.operators().collect::<Vec<_>>());
    let count = operators.iter().map(Vec::len).max().unwrap_or(0);
    let layers = (0..count).map(|index| {
        let [before, after] = [(first, &operators[0]), (second, &operators[1])]
            .map(|(model, operators)| operators.get(index).map(|operator| (operator, describe(model, operator))));
        let weights = match (&before, &after) {
            (Some((left, what)), Some((right, same))) if what == same => weights([(first, left), (second, right)]),
            _ => None,
        };
        LayerComparison { before: before.map(|(_, what)| what), after: after.map(|(_, what)| what), weights }
    });
    Comparison {
        layers: layers.collect(),
        facts: facts(first, second),
        patch_bytes: patch_bytes(first_file, second_file),
        same: first_file == second_file,
    }
}

/// Kind, sizes and weights of an operator.
fn describe(model: &Model<'_>, operator: &Operator) -> String {
    let sides = |index| model.tensor(index).shape.map(|side| side.to_string()).join("×");
    let [input, _] = operator.inputs();
    let mut text = format!("{} {} to {}", operator.kind(), sides(input), sides(operator.output()));
    if let Some(window) = operator.window() {
        let pair = |[height, width]: [u8; 2]| format!("{height}×{width}");
        text += &format!(", window {} by {}", pair(window.kernel), pair(window.stride));
    }
    if let Some(record) = operator.weights() {
        text += &format!(
            ", {} × {} trits in groups of {}",
            record.rows,
            record.columns,
            model.matrix(record).group().get()
        );
    }
    if let Some(record) = operator.int8_weights() {
        text += &format!(", {} × {} int8 weights", record.rows, record.columns);
    }
    text
}

/// How the numbers of an operator differ that is of one kind and shape in both models.
fn weights(operators: [(&Model<'_>, &Operator); 2]) -> Option<WeightComparison> {
    let rows = |(_, operator): (&Model<'_>, &Operator)| {
        operator.weights().map(|record| record.rows).or(operator.int8_weights().map(|record| record.rows))
    };
    let biases =
        operators.map(|(model, operator)| model.bias_at(operator.bias(), rows((model, operator)).unwrap_or(0)));
    let mut found = WeightComparison { biases: bias_share(biases), ..WeightComparison::default() };
    let [(first, before), (second, after)] = operators;
    if let (Some(before), Some(after)) = (before.weights(), after.weights()) {
        let (before, after) = (first.matrix(before), second.matrix(after));
        let (mut left, mut right) = (vec![0i8; before.columns()], vec![0i8; before.columns()]);
        for (before, after) in before.iter().zip(after.iter()) {
            before.unpack(&mut left);
            after.unpack(&mut right);
            found.weights.add(Share::of(left.iter(), right.iter()));
            found.across += left.iter().zip(&right).filter(|(left, right)| **left * **right < 0).count();
            let exponents = [&before, &after].map(|row| row.exponents().collect::<Vec<i32>>());
            found.exponents.add(Share::of(exponents[0].iter(), exponents[1].iter()));
        }
        return Some(found);
    }
    let (before, after) = (before.int8_weights()?, after.int8_weights()?);
    for (before, after) in first.int8_matrix(before).iter().zip(second.int8_matrix(after).iter()) {
        found.weights.add(Share::of(before.values.iter(), after.values.iter()));
        found.exponents.add(Share { changed: usize::from(before.exponent != after.exponent), of: 1 });
    }
    Some(found)
}

/// Biases that one model has and the other has not differ where they are not 0.
fn bias_share(biases: [Option<Bias<'_>>; 2]) -> Share {
    let [before, after] = biases.map(|bias| bias.map(|bias| bias.iter().collect::<Vec<i32>>()));
    match (before, after) {
        (None, None) => Share::default(),
        (before, after) => {
            let length = before.as_ref().or(after.as_ref()).map_or(0, Vec::len);
            let [before, after] = [before, after].map(|bias| bias.unwrap_or_else(|| vec![0; length]));
            Share::of(before.iter(), after.iter())
        }
    }
}

/// What the models say about themselves, where that differs.
fn facts(first: &Model<'_>, second: &Model<'_>) -> Vec<(String, String, String)> {
    let mut facts = Vec::new();
    let mut fact = |what: &str, [before, after]: [String; 2]| {
        if before != after {
            facts.push((what.to_owned(), before, after));
        }
    };
    fact("name", [first, second].map(|model| model.name().to_owned()));
    fact("labels", [first, second].map(|model| model.labels().collect::<Vec<_>>().join(", ")));
    let scales = [first, second].map(|model| model.input_scales().collect::<Vec<_>>());
    if scales[0] != scales[1] {
        let counted = scales.map(|scales| match scales.as_slice() {
            [scale] => format!("{scale:?}"),
            scales => format!("{} scales", scales.len()),
        });
        let of_many = counted[0] == counted[1];
        fact("input scaling", if of_many { ["some scales".into(), "other ones".into()] } else { counted });
    }
    let mut keys: Vec<&str> = first.properties().chain(second.properties()).map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        fact(key, [first, second].map(|model| model.properties().get(key).unwrap_or("").to_owned()));
    }
    facts
}

/// Bytes of a patch.
fn patch_bytes(before: &[u8], after: &[u8]) -> usize {
    if before == after {
        return 0;
    }
    let changed: Vec<u8> =
        after.iter().enumerate().map(|(index, byte)| byte ^ before.get(index).copied().unwrap_or(0)).collect();
    deflated(&changed).min(deflated(after))
}

fn deflated(bytes: &[u8]) -> usize {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // A vector takes what it is given.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_or(bytes.len(), |packed| packed.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::export::{self, Metadata};
    use crate::network::Network;
    use crate::random;
    use trishift_format::write::{MatrixValues, ModelWriter, Region};
    use trishift_format::{DataType, GroupSize, InputScale, Layout, Linear, Tensor, TensorClass};

    /// A layer of two rows and eight columns in groups of four.
    fn layer(trits: [i8; 16], exponents: [i8; 4], bias: Option<[i32; 2]>, name: &str) -> Vec<u8> {
        let mut writer = ModelWriter::new(name);
        let group = GroupSize::new(4).unwrap();
        let values = MatrixValues { rows: 2, columns: 8, group, trits: &trits, exponents: &exponents };
        let weights = writer.add_matrix(&values).unwrap();
        let bias = bias.map(|bias| writer.add_bias(&bias).unwrap());
        writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias })).unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |data_type, class, exponent, length| Tensor {
            data_type,
            class,
            exponent,
            shape: [1, 1, length],
            offset: 0,
            first: 0,
            last: 0,
        };
        let tensors =
            [tensor(DataType::I8, TensorClass::Input, 0, 8), tensor(DataType::I32, TensorClass::Output, -3, 2)];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap()
    }

    fn compared(before: &[u8], after: &[u8]) -> Comparison {
        compare((&Model::parse(before).unwrap(), before), (&Model::parse(after).unwrap(), after))
    }

    const TRITS: [i8; 16] = [1, 0, -1, 1, 0, 0, 1, -1, 1, 1, 1, 1, -1, 0, 0, 0];

    #[test]
    fn numbers_that_differ_are_counted() {
        let first = layer(TRITS, [0, -1, -2, 0], None, "a");
        let same = compared(&first, &first);
        assert!(same.same && same.layers.iter().all(LayerComparison::is_same) && same.facts.is_empty());
        assert_eq!(same.patch_bytes, 0);

        let mut trits = TRITS;
        (trits[0], trits[1], trits[15]) = (-1, 1, 1);
        let second = layer(trits, [0, -1, -3, 0], Some([0, 5]), "b");
        let found = compared(&first, &second);
        assert!(!found.same && !found.layers[0].is_same());
        let weights = found.layers[0].weights.unwrap();
        assert_eq!((weights.weights, weights.across), (Share { changed: 3, of: 16 }, 1));
        assert_eq!((weights.exponents, weights.biases), (Share { changed: 1, of: 4 }, Share { changed: 1, of: 2 }));
        assert_eq!(found.facts, [("name".into(), "a".into(), "b".into())]);
        assert!((1..second.len()).contains(&found.patch_bytes), "{}", found.patch_bytes);
    }

    #[test]
    fn other_networks_are_described() {
        let file = |preset: &str, seed| {
            let config = Config::preset(preset).unwrap();
            let frozen = random::network(&Network::without_data(&config).unwrap(), seed).unwrap();
            let scales = &[InputScale::IDENTITY];
            let properties = &[("seed", seed.to_string())];
            let metadata = Metadata { name: preset, labels: &[], scales, properties, layout: Layout::Rows };
            export::export(&frozen, &metadata).unwrap().file
        };
        let (first, second, other) = (file("resnet8", 1), file("resnet8", 2), file("mnist-cnn", 1));
        let found = compared(&first, &second);
        assert_eq!(found.facts, [("seed".into(), "1".into(), "2".into())]);
        let changed: Vec<bool> = found.layers.iter().map(|layer| !layer.is_same()).collect();
        let weighted: Vec<bool> =
            found.layers.iter().map(|layer| layer.weights.is_some_and(|w| w.weights.of > 0)).collect();
        assert_eq!(changed, weighted);
        let found = compared(&first, &other);
        assert_eq!(
            found.layers[0].before.as_deref(),
            Some("conv2d 32×32×3 to 32×32×16, window 3×3 by 1×1, 16 × 27 trits in groups of 32")
        );
        assert!(found.layers[0].before != found.layers[0].after && found.layers[0].weights.is_none());
        assert!(found.layers.last().is_some_and(|layer| layer.after.is_none()));
    }
}

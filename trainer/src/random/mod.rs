//! Networks with random weights: for sizes, speed and exactness, not accuracy.
//!
//! Trits are −1, 0 and 1 alike, the exponents of a row span a few powers of two. Then random samples go through the network
//! node by node, run by the runtime: every row's exponents and bias are moved, as a shift-batch-norm would, until its outputs
//! are about as large as those of a trained network. So nothing is dead and nothing saturated, and speeds and exactness are
//! measured on numbers like those that come later.

mod alone;
mod calibrate;

use crate::config::Precision;
use crate::export::ExportError;
use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{Element, Network, Node, Operation, Stage, StageKind};
use alone::Samples;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use thiserror::Error;

/// Root mean square of int8 outputs, in steps.
pub const OUTPUT_STEPS: f64 = 24.0;

/// Largest exponents of a row lie so far above its smallest.
const WINDOW: u32 = 3;

/// Smallest exponents before calibration.
const BASE: i8 = -6;

/// Fewest and most samples that a network is calibrated on, and multiply-accumulates that they may come to in between.
const SAMPLES: [usize; 2] = [8, 256];
const SAMPLE_WORK: usize = 1 << 26;

/// Why a random network could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RandomError {
    /// The format refused a part of it.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The runtime refused a part of it.
    #[error("the runtime refused a part of the network: {0}")]
    Runtime(String),
}

/// The network with random weights; the same for the same seed.
///
/// # Errors
/// [`RandomError`] where a part of it does not fit the format.
pub fn network(network: &Network, seed: u64) -> Result<FrozenNetwork, RandomError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut layers: Vec<FrozenLayer> = network.stages.iter().map(|stage| draw(stage, &mut random)).collect();
    let count = (SAMPLE_WORK / multiply_accumulates(network).max(1)).clamp(SAMPLES[0], SAMPLES[1]);
    // What each node gives; nothing where that is not int8.
    let mut values: Vec<Samples> = Vec::with_capacity(network.nodes.len());
    for (index, node) in network.nodes.iter().enumerate() {
        let inputs: Vec<&Samples> = node.inputs.iter().filter_map(|input| values.get(*input)).collect();
        let output = match (node.operation, &inputs[..]) {
            (Operation::Input, _) => Samples::new(samples(network, count, &mut random), count),
            _ if node.element == Element::Folded => Samples::default(),
            (Operation::Add | Operation::Concat, [left, right]) => alone::combine(network, node, left, right),
            _ => {
                // A norm's sums are those of the node before it.
                let weighted = weighted(network, index);
                let source = network.nodes.get(weighted).and_then(|node| node.inputs.first());
                let source = source.and_then(|source| values.get(*source));
                let Some(source) = source else { continue };
                if let Some(layer) = stage_of(network, weighted).and_then(|stage| layers.get_mut(stage)) {
                    calibrate::calibrate(network, weighted, index, layer, source, &mut random)?;
                }
                match node.element {
                    Element::Int8 => alone::run(network, weighted..=index, &layers, source)?.steps()?,
                    Element::Int32 | Element::Folded => Samples::default(),
                }
            }
        };
        values.push(output);
    }
    Ok(FrozenNetwork { network: network.clone(), layers })
}

/// The node whose sums a node takes, where it takes some; else itself.
fn weighted(network: &Network, index: usize) -> usize {
    match network.nodes.get(index) {
        Some(Node {
            operation: Operation::ShiftBatchNorm | Operation::ShiftNorm | Operation::RmsNorm, inputs, ..
        }) => inputs.first().copied().unwrap_or(index),
        _ => index,
    }
}

fn stage_of(network: &Network, index: usize) -> Option<usize> {
    network.nodes.get(index).and_then(|node| node.operation.stage())
}

/// Products of one sample.
fn multiply_accumulates(network: &Network) -> usize {
    let products = network.nodes.iter().map(|node| match node.operation {
        Operation::Embedding(_) => 0,
        operation => operation
            .stage()
            .and_then(|stage| network.stages.get(stage))
            .map_or(0, |stage| node.shape.iter().fold(stage.columns, |product, side| product.saturating_mul(*side))),
    });
    products.fold(0, usize::saturating_add)
}

/// Normal values of the usual size, or numbers of a table's rows.
fn samples(network: &Network, count: usize, random: &mut ChaCha8Rng) -> Vec<i8> {
    let elements = count * network.inputs();
    match network.stages.first() {
        Some(Stage { kind: StageKind::Embedding { .. }, rows, .. }) => {
            let row = |_| (random.next_u32() % *rows as u32) as i32 - 128;
            (0..elements).map(row).map(|row| row as i8).collect()
        }
        _ => (0..elements).map(|_| (normal(random) * OUTPUT_STEPS).round() as i8).collect(),
    }
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// A layer's weights, of no particular size; no row is zero throughout.
fn draw(stage: &Stage, random: &mut ChaCha8Rng) -> FrozenLayer {
    let mut values = Vec::with_capacity(stage.weights());
    for _ in 0..stage.rows {
        let start = values.len();
        while values.iter().skip(start).all(|value| *value == 0) {
            values.truncate(start);
            values.extend((0..stage.columns).map(|_| match stage.precision {
                Precision::Ternary => (random.next_u32() % 3) as i8 - 1,
                Precision::Int8 => (normal(random) * 40.0).round().clamp(-127.0, 127.0) as i8,
            }));
        }
    }
    // A table's weights are outputs.
    let (base, window) = if stage.kind == StageKind::Linear { (BASE, WINDOW + 1) } else { (-1, 2) };
    let exponents = (0..stage.rows * stage.groups()).map(|_| base + (random.next_u32() % window) as i8).collect();
    FrozenLayer::from_weights(stage, values, exponents)
}

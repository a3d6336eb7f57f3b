//! What a model costs on microcontrollers, estimated from instructions that were counted.
//!
//! Every operator's work is a few amounts that its shape and weights determine, such as bytes of weights times rows, or tiles
//! times trits that are not 0 ([`work`]); a target's table says how many instructions each amount takes. The tables are fitted
//! to counts of whole operators of networks made for that, on emulated cores ([`fit`]): `firmware-examples/run-costs` makes the
//! networks, counts and fits. Networks that were no part of the fit were counted, too, and stand in the table beside
//! what they took, so that how far an estimate is off is known.
//!
//! Instructions are not cycles: nothing here knows of wait states or pipelines.

pub mod fit;
pub mod work;

use crate::config::{Config, ConfigError};
use crate::export::{self, ExportError, Metadata};
use crate::network::{Network, NetworkError};
use crate::random::{self, RandomError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use thiserror::Error;
use trishift::kernels::Scratch;
use trishift::{Engine, Model};
use trishift_format::{InputScale, Layout};

/// How far estimates of whole networks may be off, as a share of what was counted: of networks that were no part of the fit.
/// Tests hold the table to it.
pub const TOLERANCE: f64 = 0.15;

/// Why there is no network to count.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CostError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The layers.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The weights.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The file.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// What `run-costs` wrote.
static TABLE: &str = include_str!("table.json");

/// The checked-in counts, and what was fitted to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostTable {
    /// The command that made it, with what, and from what.
    pub source: String,
    /// The targets.
    pub targets: Vec<Target>,
}

/// A core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name: `Cortex-M4`.
    pub name: String,
    /// The name that the scripts of `firmware-examples` give it: `m4`.
    pub core: String,
    /// Bytes of tables of a linear layer with few rows.
    pub few: usize,
    /// The same with many rows.
    pub many: usize,
    /// The least number of rows that are many.
    pub from: usize,
    /// Instructions for each unit of work.
    pub instructions: BTreeMap<String, f64>,
    /// How well the table tells the operators that it was fitted to.
    pub fitted: Fitted,
    /// Whole networks that were no part of the fit.
    pub networks: BTreeMap<String, Whole>,
}

/// What a whole network took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Instructions as they were counted.
    pub counted: u64,
    /// As the table estimates them.
    pub estimated: u64,
    /// Bytes of arena that the program had which was counted.
    pub arena_bytes: u64,
}

impl Whole {
    /// How far off the estimate is, as a share of what was counted.
    pub fn off(&self) -> f64 {
        self.estimated as f64 / self.counted.max(1) as f64 - 1.0
    }
}

/// How well a target's table tells what it was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Counts.
    pub operators: usize,
    /// The mean distance of an estimate, as a share of the count.
    pub mean: f64,
    /// The largest distance.
    pub largest: f64,
}

/// The checked-in table. Its targets are none where it cannot be read, which a test rules out.
pub fn table() -> &'static CostTable {
    static PARSED: OnceLock<CostTable> = OnceLock::new();
    PARSED.get_or_init(|| {
        serde_json::from_str(TABLE).unwrap_or_else(|_| CostTable { source: String::new(), targets: Vec::new() })
    })
}

impl Target {
    /// Scratch of its kernels.
    pub fn scratch(&self) -> Scratch {
        let Self { few, many, from, .. } = *self;
        Scratch { few, many, from, row: size_of::<i32>(), tiles: true }
    }

    /// Bytes of arena for one sample, scratch included. Exact.
    pub fn arena_bytes(&self, model: &Model<'_>) -> Option<usize> {
        Engine::arena_len_on(&self.scratch(), model, 1)
    }

    /// Instructions of every operator, for weights group after group; `None` where such work was never counted.
    pub fn estimate(&self, model: &Model<'_>) -> Vec<Option<f64>> {
        let operators = model.operators();
        operators.map(|operator| self.instructions_for(&work::of(model, &operator, &self.scratch())?)).collect()
    }

    /// Instructions of so much work; `None` where such work was never counted.
    pub fn instructions_for(&self, work: &work::Work) -> Option<f64> {
        work.iter().map(|(what, amount)| Some(self.instructions.get(what)? * amount)).sum()
    }
}

/// Networks that are counted whole and have no part in the fit.
pub const WHOLE: [&str; 8] =
    ["autoencoder", "digits-mlp", "dscnn", "mnist-cnn", "mnist-mlp", "mobilenet-v1-025", "resnet8", "spoken-digits"];

/// The model file of a preset's network with random weights, group after group: what is counted. Where the preset leaves the shape
/// of a sample to its data, the shape of that.
///
/// # Errors
/// [`CostError`] for a preset that makes no network.
pub fn whole_network(preset: &str) -> Result<Vec<u8>, CostError> {
    let mut config = Config::preset(preset)?;
    let shape = match preset {
        "digits-mlp" => [8, 8, 1],
        "spoken-digits" => [50, 1, 32],
        _ => [28, 28, 1],
    };
    if config.data.shape.is_none() {
        config.data.shape = Some(shape);
        config.data.classes = Some((0..10).map(|class| class.to_string()).collect());
    }
    file_of(&config)
}

/// The model file of a configuration's network with random weights, group after group.
///
/// # Errors
/// [`CostError`] for a configuration that makes no network by itself.
pub fn file_of(config: &Config) -> Result<Vec<u8>, CostError> {
    let metadata = Metadata {
        name: &config.name,
        labels: config.data.classes.as_deref().unwrap_or_default(),
        scales: &[InputScale::IDENTITY],
        properties: &[],
        layout: Layout::Groups,
    };
    let frozen = random::network(&Network::without_data(config)?, 1)?;
    Ok(export::export(&frozen, &metadata)?.file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_whole_networks_are_near_what_was_counted() {
        assert_eq!(table().targets.len(), 4);
        for preset in WHOLE {
            let file = whole_network(preset).unwrap();
            let model = Model::parse(&file).unwrap();
            for target in &table().targets {
                let estimate: Option<f64> = target.estimate(&model).into_iter().sum();
                let whole = target.networks.get(preset).unwrap_or_else(|| panic!("{preset} was not counted"));
                // What the table says of itself is what it does.
                assert_eq!(estimate.unwrap().round() as u64, whole.estimated, "{preset} on {}", target.name);
                // What is said of memory is exact.
                assert_eq!(target.arena_bytes(&model), Some(whole.arena_bytes as usize), "{preset} on {}", target.name);
                assert!(whole.off().abs() < TOLERANCE, "{preset} on {}: {:+.1} %", target.name, whole.off() * 100.0);
            }
        }
    }

    #[test]
    fn fewer_trits_cost_convolutions_less_and_larger_groups_cost_linear_layers_less() {
        let estimate = |config: &Config| {
            let file = file_of(config).unwrap();
            let model = Model::parse(&file).unwrap();
            table().targets.iter().map(|target| target.estimate(&model)).collect::<Vec<_>>()
        };
        let mut config = Config::preset("resnet8").unwrap();
        let whole = estimate(&config);
        config.network.width = 0.5;
        for (whole, half) in whole.iter().zip(estimate(&config)) {
            let ratio = |index: usize| half[index].unwrap() / whole[index].unwrap();
            // Half as many channels on both sides are a quarter of the products, half as many in the first layer.
            assert!((0.2..0.4).contains(&ratio(1)) && (0.4..0.65).contains(&ratio(0)), "{} {}", ratio(0), ratio(1));
        }
        let mut config = Config::preset("autoencoder").unwrap();
        let costs = [8, 16, 40].map(|group| {
            config.network.group = group;
            estimate(&config).into_iter().map(|costs| costs.into_iter().flatten().sum::<f64>()).collect::<Vec<_>>()
        });
        assert!(
            (0..4).all(|target| costs[0][target] > costs[1][target] && costs[1][target] > costs[2][target]),
            "{costs:?}"
        );
    }
}

//! Update rules: how a layer's integer state learns from its weight gradient.
//!
//! A rule is one file: a struct that holds one layer's state, its [`LayerState`] implementation, and an arm in
//! [`create`]. The state's named tensors ([`LayerState::save`], [`LayerState::load`]) are what checkpoints hold and what
//! another backend uploads; nothing else about a layer lasts.

pub mod ballot;
pub mod batch_norm;
pub(crate) mod bias;
mod correlation;
mod expand;
mod exponent;
mod flip;
pub(crate) mod flip_correlation;
pub mod gradient;
pub mod initial;
pub(crate) mod int8;
pub(crate) mod integrating_correlation;
pub(crate) mod latent;
pub(crate) mod magnitude;
mod normalized;
mod straight_through;
mod votes;

use crate::checkpoint::{CheckpointError, StateReader};
use crate::config::{Config, ConfigError, Precision};
use crate::network::{Stage, StageOutput};
use ballot::{Ballot, Shards};
use batch_norm::BatchNorm;
use gradient::Gradient;
use serde::{Deserialize, Serialize};
use trishift_format::write::{CheckpointWriter, WriteError};

/// The rules, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleName {
    /// Integer flip + correlation, the rule to use. See `rule/flip_correlation.rs`.
    #[default]
    FlipCorrelation,
    /// Integer latent weights, for noisy gradients and networks that underfit. See `rule/latent.rs`.
    Latent,
    /// Flip + correlation without flips. See `rule/integrating_correlation.rs`.
    IntegratingCorrelation,
    /// The original rule: sign votes correlated with fixed trits. See `rule/correlation.rs`.
    Correlation,
    /// Trit flips by sign votes. See `rule/flip.rs`.
    Flip,
    /// Exponent steps by sign votes. See `rule/exponent.rs`.
    Exponent,
    /// Floating-point baseline: latent weights, Adam. See `rule/straight_through.rs`.
    StraightThrough,
}

impl RuleName {
    /// Every rule.
    pub const ALL: [Self; 7] = [
        Self::FlipCorrelation,
        Self::Latent,
        Self::IntegratingCorrelation,
        Self::Correlation,
        Self::Flip,
        Self::Exponent,
        Self::StraightThrough,
    ];

    /// The name on the command line and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlipCorrelation => "flip-correlation",
            Self::Latent => "latent",
            Self::IntegratingCorrelation => "integrating-correlation",
            Self::Correlation => "correlation",
            Self::Flip => "flip",
            Self::Exponent => "exponent",
            Self::StraightThrough => "straight-through",
        }
    }
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for RuleName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name).ok_or_else(|| ConfigError::Value {
            setting: "rule",
            value: name.into(),
            expected: "the rules are flip-correlation, latent, integrating-correlation, correlation, flip, exponent, \
                       straight-through",
        })
    }
}

/// What a step tells a rule.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Updates done before this one.
    pub index: u64,
    /// The schedule's λ.
    pub lambda: f32,
}

/// A layer's weights as they would be exported now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ternary {
    /// Trits, or the weights of a layer with int8 ones, [rows, columns].
    pub trits: Vec<i8>,
    /// Integer exponents, [rows, groups].
    pub exponents: Vec<i8>,
}

/// The state of one layer under one rule.
pub trait LayerState: Send + Sync + std::fmt::Debug {
    /// Writes W for `rows.len()` rows from `first_row` on to `weights`, [rows, columns]: the weights of the training
    /// forward pass, before the shifts of a norm.
    fn weights(&self, first_row: usize, weights: &mut [f32]);

    /// The weights as they would be exported now, before the shifts of a norm.
    fn ternary(&self) -> Ternary;

    /// One bias per row in units of 2^`units[row]` of an output step, rounded; empty for a layer without bias.
    fn bias(&self, units: &[i32]) -> Vec<i32>;

    /// The shift-batch-norm that takes the layer's sums, if one does.
    fn norm(&self) -> Option<&BatchNorm> {
        None
    }

    /// The same, to be moved.
    fn norm_mut(&mut self) -> Option<&mut BatchNorm> {
        None
    }

    /// One update of weights and bias.
    fn update(&mut self, gradient: &Gradient<'_>, step: Step);

    /// What shards of a batch say to this layer; none under a rule without votes.
    fn ballot(&self, shards: Shards) -> Option<Ballot>;

    /// Adds the votes of shard number `shard`, whose gradient this is.
    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot);

    /// One update of weights and bias by the votes of all shards.
    fn apply(&mut self, ballot: &Ballot, step: Step);

    /// Adds the state's tensors, named with `prefix`, to a checkpoint.
    ///
    /// # Errors
    /// [`WriteError`] where the format has no room.
    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError>;

    /// Takes the state's tensors from a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] where a tensor is missing or of another shape.
    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError>;

    /// Bytes of the state in memory, scratch excluded.
    fn state_bytes(&self) -> usize;
}

/// A fresh layer: stage number `index` of the network, under the configuration's rule.
pub fn create(config: &Config, stage: &Stage, index: usize) -> Box<dyn LayerState> {
    let training = &config.training;
    let draw = initial::Draw { seed: training.seed, layer: index as u64, convention: training.initialization };
    let is_last = stage.output == StageOutput::Logits;
    let weights: Box<dyn LayerState> = match training.rule {
        RuleName::StraightThrough => {
            Box::new(straight_through::StraightThrough::new(stage, draw, training.learning_rate as f32))
        }
        // One rule for them all: integers that move by votes.
        _ if stage.precision == Precision::Int8 => Box::new(int8::Int8Weights::new(stage, draw, is_last)),
        RuleName::FlipCorrelation => Box::new(flip_correlation::FlipCorrelation::new(stage, draw, is_last)),
        RuleName::Latent => Box::new(latent::Latent::new(stage, draw)),
        RuleName::IntegratingCorrelation => Box::new(integrating_correlation::IntegratingCorrelation::new(stage, draw)),
        RuleName::Flip => Box::new(flip::Flip::new(stage, draw, training.flip_threshold)),
        RuleName::Exponent => Box::new(exponent::Exponent::new(stage, draw, training.exponent_threshold)),
        RuleName::Correlation => {
            Box::new(correlation::Correlation::new(stage, draw, training.correlation_strength as f32))
        }
    };
    if stage.batch_norm { Box::new(normalized::Normalized::new(weights, stage.rows)) } else { weights }
}

/// 2^exponent as f32, by building its bits; the exponent is clamped to −126..=127.
pub(crate) fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent.clamp(-126, 127) + 127) as u32) << 23)
}

/// The exponents that training and export use, −14…15: 2^e stays a normal f16.
pub(crate) fn clamp_exponent(exponent: i32) -> i32 {
    exponent.clamp(-14, 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_errors_list_them() {
        for rule in RuleName::ALL {
            assert_eq!(rule.as_str().parse::<RuleName>().unwrap(), rule);
            let error = "adam".parse::<RuleName>().unwrap_err().to_string();
            assert!(error.contains(rule.as_str()), "{error}");
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in -126..=127 {
            assert_eq!(f64::from(power_of_two(exponent)), 2f64.powi(exponent));
        }
    }
}

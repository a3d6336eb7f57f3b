//! `[training]`: how the layers learn.

use super::{AudioTrainingConfig, AugmentationConfig, ClassWeights, ConfigError, DistillationConfig};
use crate::rule::RuleName;
use crate::rule::ballot::MOST_SHARDS;
use crate::ternary::Convention;
use serde::{Deserialize, Serialize};

/// How the layers learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingConfig {
    /// The update rule.
    #[serde(default)]
    pub rule: RuleName,
    /// What the network is to make small.
    #[serde(default, skip_serializing_if = "Loss::is_default")]
    pub loss: Loss,
    /// Share of the target that the loss cross-entropy spreads evenly over all classes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// How much the samples of each class count in the loss.
    #[serde(default, skip_serializing_if = "ClassWeights::is_even")]
    pub class_weights: ClassWeights,
    /// How a CUDA card makes a layer's outputs.
    #[serde(default, skip_serializing_if = "ForwardProduct::is_default")]
    pub forward: ForwardProduct,
    /// Passes over the training samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Updates of the whole run, instead of `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// How long λ rises from near 0 before it falls: epochs where `epochs` says how long to train, updates where `steps`
    /// does.
    #[serde(default, skip_serializing_if = "is_none")]
    pub warm_up: u64,
    /// Samples of one update.
    pub batch: u32,
    /// Equal parts of every batch that vote one by one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub shards: u32,
    /// What workers exchange where several train one network.
    #[serde(default, skip_serializing_if = "ExchangeKind::is_default")]
    pub exchange: ExchangeKind,
    /// Seed of the initial weights and of the order of the samples.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How initial exponents are made of normal weights.
    #[serde(default, skip_serializing_if = "is_standard")]
    pub initialization: Convention,
    /// Correlation strength S of the rule `correlation`.
    #[serde(default = "default_strength")]
    pub correlation_strength: f64,
    /// Threshold τ of the rule `flip`.
    #[serde(default = "default_threshold")]
    pub flip_threshold: u8,
    /// Threshold τ of the rule `exponent`.
    #[serde(default = "default_threshold")]
    pub exponent_threshold: u8,
    /// Peak learning rate of the rule `straight-through`.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// How images are changed while the network trains on them.
    #[serde(default, skip_serializing_if = "AugmentationConfig::is_none")]
    pub augmentation: AugmentationConfig,
    /// Copies of recordings to train on.
    #[serde(default, skip_serializing_if = "AudioTrainingConfig::is_none")]
    pub audio: AudioTrainingConfig,
    /// A network whose answers to learn.
    #[serde(default, skip_serializing_if = "DistillationConfig::is_none")]
    pub distillation: DistillationConfig,
}

impl TrainingConfig {
    /// Checks the warm-up, the label smoothing, the shards, the teacher, the weights of classes and the copies of recordings.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |setting, value: String, expected| Err(ConfigError::Value { setting, value, expected });
        let length = self.steps.or(self.epochs.map(u64::from));
        if self.warm_up > 0 && length.is_some_and(|length| self.warm_up >= length) {
            return refuse(
                "warm-up",
                self.warm_up.to_string(),
                "less than the epochs, or steps, of the run are needed",
            );
        }
        let smoothing = self.label_smoothing;
        if !(0.0..1.0).contains(&smoothing) {
            let expected = "a share from 0 to below 1 is needed, such as 0.1";
            return refuse("label-smoothing", smoothing.to_string(), expected);
        }
        if smoothing > 0.0 && self.loss != Loss::CrossEntropy {
            return refuse("label-smoothing", smoothing.to_string(), "it goes with the loss cross-entropy only");
        }
        if self.distillation.teacher.is_some() && self.loss != Loss::CrossEntropy {
            let expected = "a teacher goes with the loss cross-entropy only";
            return refuse("loss", "squared-error".into(), expected);
        }
        if !(1..=MOST_SHARDS).contains(&self.shards) {
            return refuse("shards", self.shards.to_string(), "1 to 127 are accepted");
        }
        if self.shards > 1 && self.exchange == ExchangeKind::Gradient {
            return refuse("shards", self.shards.to_string(), "they go with the exchange votes only");
        }
        self.distillation.validate()?;
        self.class_weights.validate()?;
        self.audio.validate()
    }
}

/// What a network is to make small, as a mean over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// −ln of the softmax at the right class.
    #[default]
    CrossEntropy,
    /// Half the sum over the outputs of (y − t)², t 1 for the right class and 0 for all others.
    SquaredError,
}

impl Loss {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a CUDA card multiplies a layer's inputs by its weights. The CPU has one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardProduct {
    /// Weights expanded to bfloat16, sums in float32.
    #[default]
    Dense,
    /// Where the card, the layer and the rule allow, straight from trits, sums in int32: exact, and faster while the
    /// exponents of every row span at most 7; slower where they span more.
    Trits,
}

impl ForwardProduct {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::str::FromStr for ForwardProduct {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "dense" => Ok(Self::Dense),
            "trits" => Ok(Self::Trits),
            _ => Err(ConfigError::Value {
                setting: "forward",
                value: name.into(),
                expected: "the forward products are dense and trits",
            }),
        }
    }
}

/// What workers exchange where several train one network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeKind {
    /// Votes of shards: integers. The network does not depend on the number of workers.
    #[default]
    Votes,
    /// Gradients in bfloat16, before anybody votes: for comparison. Cards only.
    Gradient,
}

impl ExchangeKind {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::str::FromStr for ExchangeKind {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "votes" => Ok(Self::Votes),
            "gradient" => Ok(Self::Gradient),
            _ => Err(ConfigError::Value {
                setting: "exchange",
                value: name.into(),
                expected: "votes and gradient can be exchanged",
            }),
        }
    }
}

fn one() -> u32 {
    1
}

fn is_one(count: &u32) -> bool {
    *count == 1
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

fn is_standard(convention: &Convention) -> bool {
    *convention == Convention::Standard
}

fn default_seed() -> u64 {
    1
}

fn default_strength() -> f64 {
    4.0
}

fn default_threshold() -> u8 {
    31
}

fn default_learning_rate() -> f64 {
    0.016
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Loss};

    fn training(settings: &str) -> Result<Config, String> {
        let text = format!("name = 'x'\n[data]\n[network]\ngroup = 8\nlayers = []\n[training]\nbatch = 1\n{settings}");
        let config = Config::from_toml(&text, "").unwrap();
        assert_eq!(Config::from_toml(&config.to_toml().unwrap(), "").unwrap(), config);
        config.validate().map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_warm_up_is_shorter_than_the_run() {
        assert_eq!(training("epochs = 3\nwarm-up = 2").unwrap().training.warm_up, 2);
        assert!(training("steps = 9\nwarm-up = 8").is_ok());
        for settings in ["epochs = 3\nwarm-up = 3", "steps = 9\nwarm-up = 9"] {
            assert!(training(settings).unwrap_err().contains("less than the epochs, or steps"), "{settings}");
        }
    }

    #[test]
    fn shards_go_with_votes() {
        assert_eq!(training("epochs = 1\nshards = 8").unwrap().training.shards, 8);
        for (settings, sentence) in [
            ("shards = 0", "1 to 127"),
            ("shards = 128", "1 to 127"),
            ("shards = 2\nexchange = 'gradient'", "the exchange votes only"),
        ] {
            let error = training(&format!("epochs = 1\n{settings}")).unwrap_err();
            assert!(error.contains(sentence), "{settings}: {error}");
        }
    }

    #[test]
    fn smoothing_goes_with_cross_entropy() {
        let config = training("epochs = 1\nlabel-smoothing = 0.1").unwrap();
        assert_eq!((config.training.label_smoothing, config.training.loss), (0.1, Loss::CrossEntropy));
        let error = training("epochs = 1\nlabel-smoothing = 0.1\nloss = 'squared-error'").unwrap_err();
        assert!(error.contains("cross-entropy only"), "{error}");
        assert!(training("epochs = 1\nlabel-smoothing = -0.1").unwrap_err().contains("0 to below 1"));
    }

    #[test]
    fn a_teacher_has_a_share_and_a_temperature() {
        let distillation = |settings: &str| training(&format!("epochs = 1\n[training.distillation]\n{settings}"));
        let config = distillation("teacher = 'runs/wide'\nshare = 0.5\ntemperature = 2").unwrap();
        let found = config.training.distillation;
        assert_eq!((found.teacher, found.share, found.temperature), (Some("runs/wide".into()), 0.5, 2.0));
        for (settings, sentence) in
            [("share = 0", "a share above 0"), ("share = 1.5", "a share above 0"), ("temperature = 0", "0.1 to 100")]
        {
            let error = distillation(settings).unwrap_err();
            assert!(error.contains(sentence), "{settings}: {error}");
        }
        let error =
            training("epochs = 1\nloss = 'squared-error'\ndistillation = { teacher = 'runs/wide' }").unwrap_err();
        assert!(error.contains("a teacher goes with the loss cross-entropy only"), "{error}");
    }
}

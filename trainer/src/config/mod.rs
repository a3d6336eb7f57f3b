//! What to train, as a TOML file: data, network, training. Presets are such files inside the binary.

mod audio;
mod augmentation;
mod class_weights;
mod data;
mod distillation;
mod extent;
mod network;
mod training;

use crate::data::DataError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use thiserror::Error;
use trishift_format::GroupSize;

pub use audio::{AudioDataConfig, AudioTrainingConfig};
pub use augmentation::AugmentationConfig;
pub use class_weights::ClassWeights;
pub use data::{DataConfig, Scaling};
pub use distillation::DistillationConfig;
pub use extent::{Extent, Padding};
pub use network::{Activations, LayerConfig, NetworkConfig, NetworkOutput, Precision};
pub use training::{ExchangeKind, ForwardProduct, Loss, TrainingConfig};

/// The presets: name and TOML.
pub const PRESETS: [(&str, &str); 11] = [
    ("digits-mlp", include_str!("../../presets/digits-mlp.toml")),
    ("mnist-mlp", include_str!("../../presets/mnist-mlp.toml")),
    ("mnist-mlp-float", include_str!("../../presets/mnist-mlp-float.toml")),
    ("text-mlp", include_str!("../../presets/text-mlp.toml")),
    ("mnist-cnn", include_str!("../../presets/mnist-cnn.toml")),
    ("spoken-digits", include_str!("../../presets/spoken-digits.toml")),
    ("resnet8", include_str!("../../presets/resnet8.toml")),
    ("resnet8-mixed", include_str!("../../presets/resnet8-mixed.toml")),
    ("dscnn", include_str!("../../presets/dscnn.toml")),
    ("mobilenet-v1-025", include_str!("../../presets/mobilenet-v1-025.toml")),
    ("autoencoder", include_str!("../../presets/autoencoder.toml")),
];

/// The data path that means the 8×8 digits inside the binary.
pub const BUILT_IN_DIGITS: &str = "builtin:digits";

/// What a group may be, as the end of a sentence about one that it may not.
pub(crate) const GROUP_SIZES: &str = "the group sizes are 4, 6, 8, 16, 20, 32, 40, 64, 80, 96";

/// A run's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the model.
    pub name: String,
    /// Where samples come from and how they are split.
    pub data: DataConfig,
    /// The layers.
    pub network: NetworkConfig,
    /// How the layers learn.
    pub training: TrainingConfig,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No preset of this name.
    #[error("there is no preset {name:?}; the presets are {}", PRESETS.map(|(name, _)| name).join(", "))]
    UnknownPreset {
        /// The name given.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{origin} is not a valid configuration: {message}")]
    Syntax {
        /// File, preset or checkpoint.
        origin: String,
        /// One line: what and where.
        message: String,
    },
    /// A value out of range.
    #[error("{setting} is {value}; {expected}")]
    Value {
        /// Name of the setting.
        setting: &'static str,
        /// Value given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// How recordings are read.
    #[error(transparent)]
    Audio(Box<DataError>),
    /// No data path.
    #[error("no data was named; give --data DIR, or path under [data] in the configuration")]
    NoData,
}

impl Config {
    /// The preset of this name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownPreset`] lists the names there are.
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        let preset = PRESETS.iter().find(|(preset, _)| *preset == name);
        let (_, text) = preset.ok_or_else(|| ConfigError::UnknownPreset { name: name.into() })?;
        Self::from_toml(text, &format!("preset {name}"))
    }

    /// The configuration in a TOML file. A relative data path is relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError::Read`] or [`ConfigError::Syntax`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// The configuration in TOML; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`].
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = error.message().replace('\n', " ");
            let message = line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"));
            ConfigError::Syntax { origin: origin.into(), message }
        })
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] where a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self)
            .map_err(|error| ConfigError::Syntax { origin: "the configuration".into(), message: error.to_string() })
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let TrainingConfig { epochs, steps, batch, correlation_strength, learning_rate, .. } = self.training;
        let check = |accepted: bool, setting, value: String, expected| {
            if accepted { Ok(()) } else { Err(ConfigError::Value { setting, value, expected }) }
        };
        let name = self.name.as_str();
        // The name is a folder's, too.
        let name_fits = !name.trim().is_empty() && ![".", ".."].contains(&name);
        check(
            name_fits && !name.contains(|letter: char| letter.is_control() || "/\\".contains(letter)),
            "name",
            format!("{name:?}"),
            "a name without slashes is needed, such as digits-mlp",
        )?;
        let given = usize::from(epochs.is_some()) + usize::from(steps.is_some());
        check(given > 0, "epochs", "missing".into(), "give epochs or steps under [training]")?;
        check(given < 2, "steps", "there beside epochs".into(), "only one of the two can say how long to train")?;
        check(epochs != Some(0), "epochs", "0".into(), "at least 1 is needed")?;
        check(steps != Some(0), "steps", "0".into(), "at least 1 is needed")?;
        check((1..=65_536).contains(&batch), "batch", batch.to_string(), "1 to 65536 are accepted")?;
        self.group()?;
        let width = self.network.width;
        check(
            (1.0 / 256.0..=256.0).contains(&width),
            "width",
            width.to_string(),
            "a number from 1/256 to 256 is needed, such as 0.5",
        )?;
        // Rules compute in single precision.
        let is_positive = |value: f64| (value as f32).is_finite() && value as f32 > 0.0;
        check(
            is_positive(correlation_strength),
            "correlation-strength",
            correlation_strength.to_string(),
            "a number above 0 and below 3e38 is needed, such as 4",
        )?;
        check(
            is_positive(learning_rate),
            "learning-rate",
            learning_rate.to_string(),
            "a number above 0 and below 3e38 is needed, such as 0.016",
        )?;
        let thresholds = [
            ("flip-threshold", self.training.flip_threshold, 0..=126, "0 to 126 are accepted"),
            ("exponent-threshold", self.training.exponent_threshold, 1..=127, "1 to 127 are accepted"),
        ];
        for (setting, threshold, accepted, expected) in thresholds {
            check(accepted.contains(&threshold), setting, threshold.to_string(), expected)?;
        }
        self.training.validate()?;
        self.data.validate()
    }

    /// The group size.
    ///
    /// # Errors
    /// [`ConfigError::Value`] lists the sizes there are.
    pub fn group(&self) -> Result<GroupSize, ConfigError> {
        let value = self.network.group.to_string();
        let refuse = |_| ConfigError::Value { setting: "group", value, expected: GROUP_SIZES };
        GroupSize::new(self.network.group).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_round_trip() {
        for (name, _) in PRESETS {
            let config = Config::preset(name).unwrap();
            config.validate().unwrap();
            assert_eq!(config.name, name);
            assert_eq!(Config::from_toml(&config.to_toml().unwrap(), "").unwrap(), config);
        }
    }

    #[test]
    fn errors_name_what_is_accepted() {
        let error = Config::preset("mnist").unwrap_err().to_string();
        assert!(error.contains("digits-mlp, mnist-mlp, mnist-mlp-float"), "{error}");
        let mut config = Config::preset("mnist-mlp").unwrap();
        config.network.group = 5;
        assert!(config.validate().unwrap_err().to_string().contains("4, 6, 8, 16"));
        let error = Config::from_toml("name = \"x\"\nlayers = 3", "here").unwrap_err().to_string();
        assert!(error.starts_with("here is not a valid configuration: line 2") && !error.contains('\n'), "{error}");
    }
}

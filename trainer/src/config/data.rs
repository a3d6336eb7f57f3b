//! `[data]`: where samples come from and how they are split.

use super::{AudioDataConfig, ConfigError};
use crate::data::ScalingMode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use trishift_format::Model;

/// Where samples come from and how they are split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// A folder or file of images, recordings, arrays, rows or text, or `builtin:digits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Height, width, channels of a sample. Left out: as the data has it. Data of another shape is read as this one, element
    /// after element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<[u32; 3]>,
    /// Names of the classes, for networks that are exported without data; data brings its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Label column of a CSV: `first`, `last` or a name of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Bytes of a sample of text. Left out: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// How recordings become samples. Left out: a second of 8,000 samples, 50 frames of 32 bands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioDataConfig>,
    /// One input scale for all features (`tensor`, `from-zero`), one for each (`feature`), pixels as they are less 128
    /// (`image`), or values that number an embedding's rows (`index`).
    #[serde(default)]
    pub scaling: Scaling,
    /// Share of the samples held out for testing. Left out: none where the data has test samples of its own, a tenth of a
    /// text, a fifth of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
    /// Share of the training samples held out for choosing settings.
    #[serde(default)]
    pub validation: f64,
    /// Seed of the split; the same for every training seed, so that runs are judged on the same samples.
    #[serde(default)]
    pub split_seed: u64,
}

/// How values become int8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// One for all: images.
    Tensor,
    /// One for each: tables.
    #[default]
    Feature,
    /// One for all, and zero stays zero: values of one sign whose zero means nothing there.
    FromZero,
    /// None, but value − 128: pixels from 0 to 255, exactly.
    Image,
    /// None, but value − 128: numbers of an embedding's rows, such as the bytes of a text.
    Index,
}

/// Most elements of a sample's shape.
const MAX_ELEMENTS: u64 = 1 << 24;

/// Elements of a sample, as many as fit.
fn elements(shape: [u32; 3]) -> u64 {
    shape.iter().fold(1, |product, side| product.saturating_mul(u64::from(*side)))
}

/// The number that a model's property is.
fn number<T: std::str::FromStr>(text: Option<&str>, setting: &'static str) -> Result<Option<T>, ConfigError> {
    let parsed = |text: &str| {
        let expected = "the model's properties about its data should be numbers";
        text.parse().map_err(|_| ConfigError::Value { setting, value: text.into(), expected })
    };
    text.map(parsed).transpose()
}

impl From<Scaling> for ScalingMode {
    fn from(scaling: Scaling) -> Self {
        match scaling {
            Scaling::Tensor => Self::Tensor,
            Scaling::Feature => Self::Feature,
            Scaling::FromZero => Self::FromZero,
            Scaling::Image => Self::Image,
            Scaling::Index => Self::Index,
        }
    }
}

impl DataConfig {
    /// How recordings become samples.
    pub fn audio(&self) -> AudioDataConfig {
        self.audio.clone().unwrap_or_default()
    }

    /// The data as it was split when a model was trained, from the properties that the trainer left in its file; without a
    /// path.
    ///
    /// # Errors
    /// [`ConfigError::Value`] where a property is not what the trainer writes.
    pub fn of_model(model: &Model<'_>) -> Result<Self, ConfigError> {
        let text = |key: &str| model.properties().get(key).filter(|value| !value.is_empty());
        Ok(Self {
            path: None,
            shape: None,
            classes: None,
            label: text("label").map(String::from),
            context: number(text("context"), "context")?,
            audio: Some(AudioDataConfig::of_model(model)?.unwrap_or_default()),
            scaling: Scaling::default(),
            test: number(text("test"), "test")?,
            validation: number(text("validation"), "validation")?.unwrap_or(0.0),
            split_seed: number(text("split-seed"), "split-seed")?.unwrap_or(0),
        })
    }

    /// Checks the shares, the shape and the context.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (setting, share) in [("test", self.test.unwrap_or(0.0)), ("validation", self.validation)] {
            if !(0.0..1.0).contains(&share) {
                let expected = "a share from 0 to below 1 is needed, such as 0.1";
                return Err(ConfigError::Value { setting, value: share.to_string(), expected });
            }
        }
        if let Some(shape) = self.shape.filter(|shape| !(1..=MAX_ELEMENTS).contains(&elements(*shape))) {
            let value = format!("{shape:?}");
            let expected = "height, width and channels of at least 1 are needed, and at most 2^24 elements";
            return Err(ConfigError::Value { setting: "shape", value, expected });
        }
        self.audio().validate()?;
        match self.context {
            Some(context) if !(1..=65_536).contains(&context) => {
                let expected = "1 to 65536 are accepted";
                Err(ConfigError::Value { setting: "context", value: context.to_string(), expected })
            }
            _ => Ok(()),
        }
    }
}

//! `[training.distillation]`: learning from another network's answers.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A teacher, and how much its answers count.
///
/// Of a sample with label y, where the network answers z and the teacher t, both in nats, the loss is
/// (1 − share)·CE(y, softmax z) + share·τ²·CE(softmax(t/τ), softmax(z/τ)), τ the temperature (Hinton, Vinyals and Dean,
/// *Distilling the Knowledge in a Neural Network*, 2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DistillationConfig {
    /// Folder of the run that trained the teacher; nobody teaches without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<PathBuf>,
    /// Share of the loss that compares with the teacher.
    #[serde(default = "default_share")]
    pub share: f64,
    /// What both answers are divided by before they are compared: the higher, the more the unlikely classes count.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
}

impl DistillationConfig {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the share and the temperature.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse =
            |setting, value: f64, expected| Err(ConfigError::Value { setting, value: value.to_string(), expected });
        if !(self.share > 0.0 && self.share <= 1.0) {
            return refuse("distillation.share", self.share, "a share above 0, up to 1, is needed, such as 0.7");
        }
        if !(0.1..=100.0).contains(&self.temperature) {
            return refuse(
                "distillation.temperature",
                self.temperature,
                "a number from 0.1 to 100 is needed, such as 2",
            );
        }
        Ok(())
    }
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self { teacher: None, share: default_share(), temperature: default_temperature() }
    }
}

fn default_share() -> f64 {
    0.7
}

fn default_temperature() -> f64 {
    2.0
}

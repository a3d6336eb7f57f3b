//! `class-weights` under `[training]`: how much the samples of each class count in the loss.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much the samples of each class count in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// By a rule.
    Rule(WeightRule),
    /// As a table says, class by class; 1 for a class that is not in it.
    Table(BTreeMap<String, f64>),
}

/// Rules that give every class its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightRule {
    /// 1 for all classes.
    #[default]
    Even,
    /// The samples of each class count as much as those of any other: a class that has half as many weighs twice as much.
    Balanced,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Rule(WeightRule::Even)
    }
}

impl ClassWeights {
    pub(super) fn is_even(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every weight.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self::Table(weights) = self else { return Ok(()) };
        match weights.iter().find(|(_, weight)| !(0.0..=1000.0).contains(*weight)) {
            None => Ok(()),
            Some((class, weight)) => Err(ConfigError::Value {
                setting: "class-weights",
                value: format!("{weight} for {class:?}"),
                expected: "numbers from 0 to 1000 are accepted",
            }),
        }
    }

    /// The weight of each of `classes` for training samples with these labels; `None` where all weigh 1.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for a class that there is not.
    pub fn resolve(&self, classes: &[String], labels: &[u16]) -> Result<Option<Vec<f32>>, ConfigError> {
        match self {
            Self::Rule(WeightRule::Even) => Ok(None),
            Self::Rule(WeightRule::Balanced) => {
                let mut counts = vec![0usize; classes.len()];
                for label in labels {
                    counts.get_mut(usize::from(*label)).into_iter().for_each(|count| *count += 1);
                }
                let present = counts.iter().filter(|count| **count > 0).count();
                let mean = labels.len() as f64 / present.max(1) as f64;
                Ok(Some(counts.iter().map(|count| (mean / (*count).max(1) as f64) as f32).collect()))
            }
            Self::Table(weights) => {
                if let Some(class) = weights.keys().find(|class| !classes.contains(class)) {
                    let value = format!("given for {class:?}, a class that the data does not have");
                    let expected = "name classes as trishift inspect lists them";
                    return Err(ConfigError::Value { setting: "class-weights", value, expected });
                }
                Ok(Some(classes.iter().map(|class| weights.get(class).map_or(1.0, |weight| *weight as f32)).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(text: &str) -> ClassWeights {
        #[derive(Deserialize)]
        struct Holder {
            w: ClassWeights,
        }
        toml::from_str::<Holder>(&format!("w = {text}")).unwrap().w
    }

    fn names() -> Vec<String> {
        ["yes", "no", "maybe"].map(str::to_owned).to_vec()
    }

    #[test]
    fn balanced_classes_count_alike() {
        let resolved = weights("'balanced'").resolve(&names(), &[0, 0, 0, 1]).unwrap().unwrap();
        assert_eq!(resolved, [2.0 / 3.0, 2.0, 2.0]);
        assert_eq!(weights("'even'").resolve(&names(), &[0]).unwrap(), None);
        assert!(weights("'even'").is_even());
    }

    #[test]
    fn a_table_names_classes() {
        let table = weights("{ no = 0.5 }");
        assert_eq!(table.resolve(&names(), &[]).unwrap(), Some(vec![1.0, 0.5, 1.0]));
        let error = weights("{ on = 2 }").resolve(&names(), &[]).unwrap_err().to_string();
        assert!(error.contains("\"on\"") && error.contains("does not have"), "{error}");
        assert!(weights("{ no = -1 }").validate().unwrap_err().to_string().contains("-1 for \"no\""));
        assert!(table.validate().is_ok());
    }
}

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

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use trishift::kernels::Scratch;
use trishift::{Engine, Model};

/// How far estimates of whole networks may be off, as a share of what was counted: of networks that were no part of the fit.
/// Tests hold the table to it.
pub const TOLERANCE: f64 = 0.15;

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
    /// Operators that the instructions were fitted to, and how far off estimates of these are, at most and in the mean: shares of
    /// what was counted.
    pub fitted: Fitted,
    /// Whole networks that were no part of the fit: what was counted.
    pub networks: BTreeMap<String, u64>,
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

    fn instructions_for(&self, work: &work::Work) -> Option<f64> {
        work.iter().map(|(what, amount)| Some(self.instructions.get(what)? * amount)).sum()
    }
}

/// How far off a target's estimates of whole networks are that were no part of the fit: names, estimates and counts. Networks are
/// found by `model`, which gives the file that was counted.
pub fn held_out<'a>(
    target: &'a Target,
    model: impl Fn(&str) -> Option<Vec<u8>> + 'a,
) -> impl Iterator<Item = (&'a str, f64, u64)> + 'a {
    target.networks.iter().filter_map(move |(name, counted)| {
        let file = model(name)?;
        let model = Model::parse(&file).ok()?;
        let estimate: Option<f64> = target.estimate(&model).into_iter().sum();
        Some((name.as_str(), estimate?, *counted))
    })
}

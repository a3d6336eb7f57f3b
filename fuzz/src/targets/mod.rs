//! The targets: `check(bytes)` panics where a promise is broken, `outcome(bytes)` says in a word what the bytes hold.

pub mod checkpoint;
pub mod data;
mod images;
pub mod kernels;
pub mod mutate;
pub mod parse;
pub mod roundtrip;

/// A target, for programs that go through all of them.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its program's name, and its folders'.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub check: fn(&[u8]),
    /// What the bytes hold, in words joined by hyphens.
    pub outcome: fn(&[u8]) -> String,
}

/// All targets.
pub const ALL: [Target; 6] = [
    Target { name: "parse", check: parse::check, outcome: parse::outcome },
    Target { name: "mutate", check: mutate::check, outcome: mutate::outcome },
    Target { name: "roundtrip", check: roundtrip::check, outcome: roundtrip::outcome },
    Target { name: "checkpoint", check: checkpoint::check, outcome: checkpoint::outcome },
    Target { name: "kernels", check: kernels::check, outcome: kernels::outcome },
    Target { name: "data", check: data::check, outcome: data::outcome },
];

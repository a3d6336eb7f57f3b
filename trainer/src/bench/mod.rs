//! `trishift bench`: what this machine reaches, as ratios within one run.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod model;

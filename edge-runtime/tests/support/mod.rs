//! Models for the engine's tests: networks as plain values, their files, and what they must compute.

pub(crate) mod definitions;
pub(crate) mod generate;
pub(crate) mod images;
pub(crate) mod naive;
pub(crate) mod network;
pub(crate) mod outcome;
pub(crate) mod random;
pub(crate) mod weights;

//! Motions as an accelerometer would record them: a generator that needs integers alone, so that a seed gives the same
//! samples on every machine and every board.
//!
//! The example `motion-table` writes them as training data; [`Replay`] plays them through the registers of an emulated
//! sensor, so that the same driver reads them as on hardware.
#![no_std]
#![forbid(unsafe_code)]

mod motion;
mod replay;

pub use motion::{Motion, Recording};
pub use replay::{Replay, ReplayError, Scene};

/// What tests play: motions by seeds that no training data have, two seconds each.
pub const SCENES: [Scene; 7] = [
    Scene { motion: Motion::Still, seed: 1000, samples: 200 },
    Scene { motion: Motion::Shaking, seed: 1001, samples: 200 },
    Scene { motion: Motion::Still, seed: 1002, samples: 200 },
    Scene { motion: Motion::Turning, seed: 1003, samples: 200 },
    Scene { motion: Motion::Shaking, seed: 1004, samples: 200 },
    Scene { motion: Motion::Turning, seed: 1005, samples: 200 },
    Scene { motion: Motion::Still, seed: 1006, samples: 200 },
];

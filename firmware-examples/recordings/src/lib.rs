//! Motions as an accelerometer would record them, and sounds as a microphone would: generators that need integers alone, so
//! that a seed gives the same samples on every machine and every board.
//!
//! The example `motion-table` writes motions as training data; [`Replay`] plays them through the registers of an emulated
//! sensor, so that the same driver reads them as on hardware. [`Sound`] is what the audio front end is tried on.
#![no_std]
#![forbid(unsafe_code)]

mod motion;
mod random;
mod replay;
mod sound;

pub use motion::{Motion, Recording};
pub use replay::{Replay, ReplayError, Scene};
pub use sound::Sound;

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

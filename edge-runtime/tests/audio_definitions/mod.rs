//! For the tests of the audio front end: sounds, a second implementation, a reference in floating point.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod definition;
pub(crate) mod reference;
pub(crate) mod sine;
pub(crate) mod sounds;

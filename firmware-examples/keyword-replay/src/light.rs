//! A light that counts how often it was lit.

use core::convert::Infallible;
use embedded_hal::digital::{ErrorType, OutputPin};

/// The light.
#[derive(Default)]
pub(crate) struct Light {
    /// How often it was told to be on.
    pub(crate) lit: u32,
}

impl ErrorType for Light {
    type Error = Infallible;
}

impl OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.lit += 1;
        Ok(())
    }
}

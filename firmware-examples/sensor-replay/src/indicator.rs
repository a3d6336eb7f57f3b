//! A light and a dimmer that remember what they were told.

use core::convert::Infallible;
use embedded_hal::{digital, pwm};

/// The light.
#[derive(Default)]
pub(crate) struct Light {
    pub(crate) is_on: bool,
    /// How often it was told to be on.
    pub(crate) lit: usize,
}

impl digital::ErrorType for Light {
    type Error = Infallible;
}

impl digital::OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.is_on = false;
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.is_on = true;
        self.lit += 1;
        Ok(())
    }
}

/// The dimmer. Full duty is that of the highest class, so that a duty is a class.
#[derive(Default)]
pub(crate) struct Dimmer {
    pub(crate) duty: u16,
}

impl pwm::ErrorType for Dimmer {
    type Error = Infallible;
}

impl pwm::SetDutyCycle for Dimmer {
    fn max_duty_cycle(&self) -> u16 {
        sensor::CLASSES as u16 - 1
    }

    fn set_duty_cycle(&mut self, duty: u16) -> Result<(), Infallible> {
        self.duty = duty;
        Ok(())
    }
}

//! Shows a decision: a light that is on for all classes but one, a duty cycle that grows with the class.

use core::convert::Infallible;
use embedded_hal::digital::OutputPin;
use embedded_hal::pwm::{ErrorType, SetDutyCycle};

/// A light, and something that takes a duty cycle: a second light, a buzzer, a motor.
#[derive(Debug)]
pub struct Indicator<Light, Dimmer> {
    light: Light,
    dimmer: Dimmer,
    /// The class that means that there is nothing to show.
    rest: usize,
    classes: usize,
}

impl<Light: OutputPin, Dimmer: SetDutyCycle> Indicator<Light, Dimmer> {
    /// The indicator for this many classes; the light is on while its pin is high.
    pub const fn new(light: Light, dimmer: Dimmer, rest: usize, classes: usize) -> Self {
        Self { light, dimmer, rest, classes }
    }

    /// Shows a class.
    ///
    /// # Errors
    /// The pin's own, or else the dimmer's.
    pub fn show(&mut self, class: usize) -> Result<(), Result<Light::Error, Dimmer::Error>> {
        self.light.set_state((class != self.rest).into()).map_err(Ok)?;
        // The highest class is full duty.
        let steps = self.classes.saturating_sub(1).clamp(1, usize::from(u16::MAX)) as u16;
        let step = class.min(usize::from(steps)) as u16;
        self.dimmer.set_duty_cycle_fraction(step, steps).map_err(Err)
    }

    /// Gives pin and dimmer back.
    pub fn release(self) -> (Light, Dimmer) {
        (self.light, self.dimmer)
    }
}

/// For a board that has no duty cycle to spare.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDimmer;

impl ErrorType for NoDimmer {
    type Error = Infallible;
}

impl SetDutyCycle for NoDimmer {
    fn max_duty_cycle(&self) -> u16 {
        1
    }

    fn set_duty_cycle(&mut self, _: u16) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as PinTransaction};
    use embedded_hal_mock::eh1::pwm::{Mock as Pwm, Transaction as PwmTransaction};

    #[test]
    fn classes_are_light_and_duty() {
        let states = [State::High, State::Low, State::High];
        let mut light = Pin::new(&states.map(PinTransaction::set));
        let duties = [0, 500, 1000];
        let max = PwmTransaction::max_duty_cycle(1000);
        let mut dimmer = Pwm::new(&duties.map(|duty| [max.clone(), PwmTransaction::set_duty_cycle(duty)]).concat());
        let mut indicator = Indicator::new(&mut light, &mut dimmer, 1, 3);
        for class in 0..3 {
            assert_eq!(indicator.show(class), Ok(()));
        }
        light.done();
        dimmer.done();
    }
}

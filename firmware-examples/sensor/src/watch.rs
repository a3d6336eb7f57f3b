//! The application as a program of its own: sets sensor, model and indicator up, and steps for ever.

use crate::{Accelerometer, Application, CLASSES, Indicator, Step};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::i2c::I2c;
use embedded_hal::pwm::SetDutyCycle;
use firmware::{Classifier, blink};

/// What the board has for the application.
#[derive(Debug)]
pub struct Hardware<Bus, Light, Dimmer, Delay> {
    /// The I²C bus of the accelerometer.
    pub bus: Bus,
    /// The accelerometer's address on it.
    pub address: u8,
    /// On while its pin is high.
    pub light: Light,
    /// [`NoDimmer`](crate::NoDimmer) where there is none.
    pub dimmer: Dimmer,
    /// Waits between two samples.
    pub delay: Delay,
}

/// Runs the application. Without a model that can run, the light flashes the refusal's code; without an accelerometer,
/// once a second and a half, until there is one. With the feature `defmt`, all of it is logged.
///
/// `rest` is the class that means that there is nothing to show.
pub fn watch<Bus: I2c, Light: OutputPin, Dimmer: SetDutyCycle, Delay: DelayNs>(
    file: &[u8],
    arena: &mut [u8],
    rest: usize,
    hardware: Hardware<Bus, Light, Dimmer, Delay>,
) -> ! {
    let Hardware { mut bus, address, mut light, dimmer, mut delay } = hardware;
    let classifier = match Classifier::<CLASSES>::new(file, arena) {
        Ok(classifier) => classifier,
        Err(refusal) => loop {
            #[cfg(feature = "defmt")]
            defmt::error!("{=str} (code {=u8})", refusal.sentence(), refusal.code());
            // A light that fails leaves the log.
            let _ = blink(&mut light, &mut delay, refusal.code().into());
        },
    };
    let accelerometer = loop {
        match Accelerometer::new(&mut bus, address) {
            Ok(_) => break Accelerometer::started(bus, address),
            Err(_) => {
                #[cfg(feature = "defmt")]
                defmt::error!("no accelerometer of the LIS3DH family answers at address {=u8:#04x}", address);
                let _ = blink(&mut light, &mut delay, 1);
            }
        }
    };
    let indicator = Indicator::new(light, dimmer, rest, CLASSES);
    let mut application = Application::new(accelerometer, classifier, indicator);
    loop {
        match application.step() {
            // A tenth of the time between two samples.
            Ok(Step::Waited) => delay.delay_ms(1),
            Ok(Step::Sampled | Step::Classified(_)) => {}
            Ok(Step::Decided(_class)) => {
                #[cfg(feature = "defmt")]
                defmt::info!("class {=usize}", _class);
            }
            Err(_) => {
                #[cfg(feature = "defmt")]
                defmt::warn!("a sample, a window or the indicator failed");
                delay.delay_ms(100);
            }
        }
    }
}

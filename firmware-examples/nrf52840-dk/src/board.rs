//! Pins of the nRF52840 DK.
#![allow(dead_code, reason = "one program uses the light alone")]

use firmware::ActiveLow;
use nrf52840_hal::gpio::p0::P0_03;
use nrf52840_hal::gpio::{Floating, Input, Level, Output, Pin, PushPull, p0};
use nrf52840_hal::saadc::{Oversample, Resolution, SaadcConfig};
use nrf52840_hal::timer::{Periodic, Timer};
use nrf52840_hal::{Delay, Saadc, Twim, pac, twim};
use sensor::NoDimmer;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: ActiveLow<Pin<Output<PushPull>>>,
    pub(crate) delay: Delay,
    pub(crate) bus: Twim<pac::TWIM0>,
    pub(crate) dimmer: NoDimmer,
    pub(crate) converter: Converter,
    pub(crate) clock: Timer<pac::TIMER0, Periodic>,
}

/// A converter with its pin.
pub(crate) struct Converter {
    converter: Saadc,
    pin: P0_03<Input<Floating>>,
}

impl Converter {
    /// What the pin has now, in twelve bits; takes some twenty microseconds.
    pub(crate) fn sample(&mut self) -> i16 {
        // No channel fails but one that is not there.
        self.converter.read_channel(&mut self.pin).unwrap_or(0)
    }
}

impl Board {
    /// The board, once.
    pub(crate) fn take() -> Option<Self> {
        let (chip, core) = (pac::Peripherals::take()?, pac::CorePeripherals::take()?);
        let pins = p0::Parts::new(chip.P0);
        let wires = twim::Pins {
            sda: pins.p0_26.into_floating_input().degrade(),
            scl: pins.p0_27.into_floating_input().degrade(),
        };
        // One conversion for each sample: eight would take too long.
        let (resolution, oversample) = (Resolution::_12BIT, Oversample::BYPASS);
        let config = SaadcConfig { resolution, oversample, ..SaadcConfig::default() };
        Some(Self {
            light: ActiveLow(pins.p0_13.into_push_pull_output(Level::High).degrade()),
            delay: Delay::new(core.SYST),
            bus: Twim::new(chip.TWIM0, wires, twim::Frequency::K400),
            dimmer: NoDimmer,
            converter: Converter { converter: Saadc::new(chip.SAADC, config), pin: pins.p0_03.into_floating_input() },
            clock: Timer::periodic(chip.TIMER0),
        })
    }
}

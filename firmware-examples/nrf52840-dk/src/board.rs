//! Pins of the nRF52840 DK.
#![allow(dead_code, reason = "one program uses the light alone")]

use firmware::ActiveLow;
use nrf52840_hal::gpio::{Level, Output, Pin, PushPull, p0};
use nrf52840_hal::{Delay, Twim, pac, twim};
use sensor::NoDimmer;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: ActiveLow<Pin<Output<PushPull>>>,
    pub(crate) delay: Delay,
    pub(crate) bus: Twim<pac::TWIM0>,
    pub(crate) dimmer: NoDimmer,
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
        Some(Self {
            light: ActiveLow(pins.p0_13.into_push_pull_output(Level::High).degrade()),
            delay: Delay::new(core.SYST),
            bus: Twim::new(chip.TWIM0, wires, twim::Frequency::K400),
            dimmer: NoDimmer,
        })
    }
}

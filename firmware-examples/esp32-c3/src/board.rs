//! Pins of the ESP32-C3.
#![allow(dead_code, reason = "one program uses the light alone")]

use esp_hal::Blocking;
use esp_hal::delay::Delay;
use esp_hal::gpio::{Level, Output, OutputConfig};
use esp_hal::i2c::master::{Config, I2c};
use sensor::NoDimmer;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: Output<'static>,
    pub(crate) delay: Delay,
    pub(crate) bus: I2c<'static, Blocking>,
    pub(crate) dimmer: NoDimmer,
}

impl Board {
    /// The board; `None` where its bus is refused. To be called once.
    pub(crate) fn take() -> Option<Self> {
        let chip = esp_hal::init(esp_hal::Config::default());
        let bus = I2c::new(chip.I2C0, Config::default()).ok()?.with_sda(chip.GPIO5).with_scl(chip.GPIO6);
        let light = Output::new(chip.GPIO8, Level::Low, OutputConfig::default());
        Some(Self { light, delay: Delay::new(), bus, dimmer: NoDimmer })
    }
}

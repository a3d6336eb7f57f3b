//! Pins of the ESP32-C3.
#![allow(dead_code, reason = "one program uses the light alone")]

use esp_hal::Blocking;
use esp_hal::analog::adc::{Adc, AdcConfig, AdcPin, Attenuation};
use esp_hal::delay::Delay;
use esp_hal::gpio::{Level, Output, OutputConfig};
use esp_hal::i2c::master::{Config, I2c};
use esp_hal::peripherals::{ADC1, GPIO0};
use esp_hal::timer::PeriodicTimer;
use esp_hal::timer::timg::TimerGroup;
use sensor::NoDimmer;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: Output<'static>,
    pub(crate) delay: Delay,
    pub(crate) bus: I2c<'static, Blocking>,
    pub(crate) dimmer: NoDimmer,
    pub(crate) converter: Converter,
    pub(crate) clock: PeriodicTimer<'static, Blocking>,
}

/// A converter with its pin.
pub(crate) struct Converter {
    converter: Adc<'static, ADC1<'static>, Blocking>,
    pin: AdcPin<GPIO0<'static>, ADC1<'static>>,
}

impl Converter {
    /// What the pin has now, in twelve bits; takes some twenty microseconds.
    pub(crate) fn sample(&mut self) -> u16 {
        loop {
            // Fails only as long as it is not done.
            if let Ok(value) = self.converter.read_oneshot(&mut self.pin) {
                return value;
            }
        }
    }
}

impl Board {
    /// The board; `None` where its bus is refused. To be called once.
    pub(crate) fn take() -> Option<Self> {
        let chip = esp_hal::init(esp_hal::Config::default());
        let bus = I2c::new(chip.I2C0, Config::default()).ok()?.with_sda(chip.GPIO5).with_scl(chip.GPIO6);
        let light = Output::new(chip.GPIO8, Level::Low, OutputConfig::default());
        let mut config = AdcConfig::new();
        let pin = config.enable_pin(chip.GPIO0, Attenuation::_11dB);
        let converter = Converter { converter: Adc::new(chip.ADC1, config), pin };
        let clock = PeriodicTimer::new(TimerGroup::new(chip.TIMG0).timer0);
        Some(Self { light, delay: Delay::new(), bus, dimmer: NoDimmer, converter, clock })
    }
}

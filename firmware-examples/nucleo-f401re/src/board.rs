//! Clocks and pins of the STM32 Nucleo-F401RE.
#![allow(dead_code, reason = "one program uses the light alone")]

use sensor::NoDimmer;
use stm32f4xx_hal::adc::Adc;
use stm32f4xx_hal::adc::config::{AdcConfig, SampleTime};
use stm32f4xx_hal::gpio::{Analog, Output, PA0, PA5};
use stm32f4xx_hal::i2c::I2c;
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::timer::{CounterHz, SysDelay};

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: PA5<Output>,
    pub(crate) delay: SysDelay,
    pub(crate) bus: I2c<pac::I2C1>,
    pub(crate) dimmer: NoDimmer,
    pub(crate) converter: Converter,
    pub(crate) clock: CounterHz<pac::TIM2>,
}

/// A converter with its pin.
pub(crate) struct Converter {
    converter: Adc<pac::ADC1>,
    pin: PA0<Analog>,
}

impl Converter {
    /// What the pin has now, in twelve bits; takes four microseconds.
    pub(crate) fn sample(&mut self) -> u16 {
        self.converter.convert(&self.pin, SampleTime::Cycles_84)
    }
}

impl Board {
    /// The board, once.
    pub(crate) fn take() -> Option<Self> {
        let (chip, core) = (pac::Peripherals::take()?, cortex_m::Peripherals::take()?);
        let mut clocks = chip.RCC.freeze(Config::hsi().sysclk(84.MHz()));
        let (port_a, port_b) = (chip.GPIOA.split(&mut clocks), chip.GPIOB.split(&mut clocks));
        Some(Self {
            light: port_a.pa5.into_push_pull_output(),
            delay: core.SYST.delay(&clocks.clocks),
            bus: I2c::new(chip.I2C1, (port_b.pb8, port_b.pb9), 400.kHz(), &mut clocks),
            dimmer: NoDimmer,
            converter: Converter {
                converter: Adc::new(chip.ADC1, true, AdcConfig::default(), &mut clocks),
                pin: port_a.pa0.into_analog(),
            },
            clock: chip.TIM2.counter_hz(&mut clocks),
        })
    }
}

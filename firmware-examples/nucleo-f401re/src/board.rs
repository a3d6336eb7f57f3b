//! Clocks and pins of the STM32 Nucleo-F401RE.
#![allow(dead_code, reason = "one program uses the light alone")]

use sensor::NoDimmer;
use stm32f4xx_hal::gpio::{Output, PA5};
use stm32f4xx_hal::i2c::I2c;
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::timer::SysDelay;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: PA5<Output>,
    pub(crate) delay: SysDelay,
    pub(crate) bus: I2c<pac::I2C1>,
    pub(crate) dimmer: NoDimmer,
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
        })
    }
}

//! Clocks and pins of the Raspberry Pi Pico.
#![allow(dead_code, reason = "one program uses the light alone")]

use rp2040_hal::adc::{Adc, AdcPin};
use rp2040_hal::fugit::RateExtU32;
use rp2040_hal::gpio::bank0::{Gpio4, Gpio5, Gpio25, Gpio26};
use rp2040_hal::gpio::{FunctionI2C, FunctionSioInput, FunctionSioOutput, Pin, Pins, PullDown, PullNone, PullUp};
use rp2040_hal::pwm::{A, Channel, FreeRunning, Pwm0, Slice, Slices};
use rp2040_hal::{Clock, I2C, Sio, Timer, Watchdog, clocks, pac};

/// Configures the flash, before anything else runs.
#[allow(unsafe_code, reason = "the boot loader finds it by its section")]
// SAFETY: the memory map gives the section to nothing else.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2_FIRMWARE: [u8; 256] = rp2040_boot2::BOOT_LOADER_GENERIC_03H;

/// Hertz of the crystal.
const CRYSTAL: u32 = 12_000_000;

type I2cPin<Id> = Pin<Id, FunctionI2C, PullUp>;

/// What the programs use.
pub(crate) struct Board {
    pub(crate) light: Pin<Gpio25, FunctionSioOutput, PullDown>,
    pub(crate) delay: Timer,
    pub(crate) bus: I2C<pac::I2C0, (I2cPin<Gpio4>, I2cPin<Gpio5>)>,
    pub(crate) dimmer: Channel<Slice<Pwm0, FreeRunning>, A>,
    pub(crate) converter: Adc,
    pub(crate) microphone: AdcPin<Pin<Gpio26, FunctionSioInput, PullNone>>,
}

impl Board {
    /// The board, once; `None` also where the crystal does not start.
    pub(crate) fn take() -> Option<Self> {
        let mut chip = pac::Peripherals::take()?;
        let mut watchdog = Watchdog::new(chip.WATCHDOG);
        let clocks = clocks::init_clocks_and_plls(
            CRYSTAL,
            chip.XOSC,
            chip.CLOCKS,
            chip.PLL_SYS,
            chip.PLL_USB,
            &mut chip.RESETS,
            &mut watchdog,
        )
        .ok()?;
        let delay = Timer::new(chip.TIMER, &mut chip.RESETS, &clocks);
        let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, Sio::new(chip.SIO).gpio_bank0, &mut chip.RESETS);
        let (data, clock) = (pins.gpio4.reconfigure(), pins.gpio5.reconfigure());
        let bus = I2C::i2c0(chip.I2C0, data, clock, 400.kHz(), &mut chip.RESETS, clocks.system_clock.freq());
        let mut slice = Slices::new(chip.PWM, &mut chip.RESETS).pwm0;
        slice.enable();
        let mut dimmer = slice.channel_a;
        dimmer.output_to(pins.gpio16);
        let converter = Adc::new(chip.ADC, &mut chip.RESETS);
        let microphone = AdcPin::new(pins.gpio26.into_floating_input()).ok()?;
        Some(Self { light: pins.gpio25.into_push_pull_output(), delay, bus, dimmer, converter, microphone })
    }
}

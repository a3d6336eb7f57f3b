//! The microphone application on the Raspberry Pi Pico: logs the words that it hears, and lights the light beside the USB
//! socket.
//!
//! An analogue microphone with an amplifier, whose output rests at half of 3.3 V, at GP26.
#![no_std]
#![no_main]

mod board;

use board::Board;
use core::cell::RefCell;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::entry;
use critical_section::Mutex;
use defmt_rtt as _;
use keyword::{Hardware, Memory, SampleQueue, Sampler, listen};
use panic_probe as _;
use rp2040_hal::adc::{Adc, AdcFifo};
use rp2040_hal::pac::{Interrupt, interrupt};
use static_cell::{ConstStaticCell, StaticCell};
use trishift::arena_len_of_file;

// HOP, FRAMES, FRONT_END_WORDS, INPUTS, CLASSES and RUNS of the model, and its SAMPLE_RATE.
include!(concat!(env!("OUT_DIR"), "/sound.rs"));
static MODEL: &[u8] = include_bytes!(env!("TRISHIFT_KEYWORDS"));

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("TRISHIFT_KEYWORDS is not a model"),
};
static MEMORY: ConstStaticCell<Memory<HOP, FRONT_END_WORDS, INPUTS, ARENA_BYTES>> = ConstStaticCell::new(Memory::new());
/// What comes while a run takes place, and as much again.
static QUEUE: ConstStaticCell<SampleQueue<{ 2 * FRAMES * HOP }>> = ConstStaticCell::new(SampleQueue::new());

/// Hertz of the converter's clock, and of samples.
const CLOCK: usize = 48_000_000;
const DIVIDER: u16 = (CLOCK / SAMPLE_RATE - 1) as u16;
const _: () = assert!(CLOCK.is_multiple_of(SAMPLE_RATE), "the converter cannot keep the model's sample rate");

static CONVERTER: StaticCell<Adc> = StaticCell::new();
/// Where samples come from, and where they go.
static EAR: Mutex<RefCell<Option<(AdcFifo<'static, u16>, Sampler<'static>)>>> = Mutex::new(RefCell::new(None));

#[entry]
fn main() -> ! {
    let Some(Board { light, delay, converter, mut microphone, .. }) = Board::take() else {
        defmt::panic!("the peripherals are taken")
    };
    let (sampler, samples) = QUEUE.take().split();
    let fifo = CONVERTER.init(converter).build_fifo();
    let fifo = fifo.clock_divider(DIVIDER, 0).set_channel(&mut microphone).enable_interrupt(1).start();
    critical_section::with(|token| EAR.borrow_ref_mut(token).replace((fifo, sampler)));
    #[allow(unsafe_code, reason = "interrupts are let through by number")]
    // SAFETY: no critical section relies on this interrupt to be masked.
    unsafe {
        NVIC::unmask(Interrupt::ADC_IRQ_FIFO);
    }
    listen::<CLASSES, RUNS>(MODEL, MEMORY.take().lend(), Hardware { microphone: samples, light, delay })
}

/// A sample is there.
#[interrupt]
fn ADC_IRQ_FIFO() {
    critical_section::with(|token| {
        let mut ear = EAR.borrow_ref_mut(token);
        let Some((fifo, sampler)) = ear.as_mut() else { return };
        while fifo.len() > 0 {
            // Twelve bits around their middle, as the upper ones of sixteen; a conversion that failed is silence.
            sampler.push((fifo.read().unwrap_or(2048) as i16 - 2048) << 4);
        }
    });
}

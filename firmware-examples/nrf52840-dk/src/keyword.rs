//! The microphone application on the nRF52840 DK: logs the words that it hears, and lights light 1.
//!
//! An analogue microphone with an amplifier, whose output rests at half of 3 V, at P0.03, the header's A0.
#![no_std]
#![no_main]

mod board;

use board::{Board, Converter};
use core::cell::RefCell;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::entry;
use critical_section::Mutex;
use defmt_rtt as _;
use keyword::{Hardware, Memory, SampleQueue, Sampler, listen};
use nrf52840_hal::pac::{Interrupt, TIMER0, interrupt};
use nrf52840_hal::timer::{Periodic, Timer};
use panic_probe as _;
use static_cell::ConstStaticCell;
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

/// Ticks of the timer from one sample to the next.
const PERIOD: u32 = Timer::<TIMER0, Periodic>::TICKS_PER_SECOND / SAMPLE_RATE as u32;
const _: () = assert!(
    Timer::<TIMER0, Periodic>::TICKS_PER_SECOND.is_multiple_of(SAMPLE_RATE as u32),
    "the timer cannot keep the model's sample rate"
);

/// What says that it is time for a sample, where it comes from, and where it goes.
static EAR: Mutex<RefCell<Option<(Timer<TIMER0, Periodic>, Converter, Sampler<'static>)>>> =
    Mutex::new(RefCell::new(None));

#[entry]
fn main() -> ! {
    let Some(Board { light, delay, converter, mut clock, .. }) = Board::take() else {
        defmt::panic!("the peripherals are taken")
    };
    let (sampler, samples) = QUEUE.take().split();
    clock.enable_interrupt();
    clock.start(PERIOD);
    critical_section::with(|token| EAR.borrow_ref_mut(token).replace((clock, converter, sampler)));
    #[allow(unsafe_code, reason = "interrupts are let through by number")]
    // SAFETY: no critical section relies on this interrupt to be masked.
    unsafe {
        NVIC::unmask(Interrupt::TIMER0);
    }
    listen::<CLASSES, RUNS>(MODEL, MEMORY.take().lend(), Hardware { microphone: samples, light, delay })
}

/// It is time for a sample.
#[interrupt]
fn TIMER0() {
    critical_section::with(|token| {
        let mut ear = EAR.borrow_ref_mut(token);
        let Some((clock, converter, sampler)) = ear.as_mut() else { return };
        clock.reset_event();
        // Twelve bits around their middle, as the upper ones of sixteen.
        sampler.push((converter.sample() - 2048) << 4);
    });
}

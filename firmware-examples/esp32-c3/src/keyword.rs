//! The microphone application on an ESP32-C3: logs the words that it hears, and lights a light at GPIO 8.
//!
//! An analogue microphone with an amplifier, whose output rests at about 1.25 V, at GPIO 0.
#![no_std]
#![no_main]

mod board;

use board::{Board, Converter};
use core::cell::RefCell;
use critical_section::Mutex;
use defmt_rtt as _;
use esp_backtrace as _;
use esp_hal::Blocking;
use esp_hal::time::Duration;
use esp_hal::timer::PeriodicTimer;
use keyword::{Hardware, Memory, SampleQueue, Sampler, listen};
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

/// Microseconds from one sample to the next.
const PERIOD: u64 = 1_000_000 / SAMPLE_RATE as u64;
const _: () = assert!(1_000_000usize.is_multiple_of(SAMPLE_RATE), "the timer cannot keep the model's sample rate");

/// What says that it is time for a sample, where it comes from, and where it goes.
static EAR: Mutex<RefCell<Option<(PeriodicTimer<'static, Blocking>, Converter, Sampler<'static>)>>> =
    Mutex::new(RefCell::new(None));

// The boot loader wants to know what it starts.
esp_bootloader_esp_idf::esp_app_desc!();

#[esp_hal::main]
fn main() -> ! {
    let Some(Board { light, delay, converter, mut clock, .. }) = Board::take() else {
        defmt::panic!("the peripherals are taken")
    };
    let (sampler, samples) = QUEUE.take().split();
    clock.set_interrupt_handler(sample);
    clock.listen();
    critical_section::with(|token| {
        if clock.start(Duration::from_micros(PERIOD)).is_err() {
            defmt::panic!("the timer cannot keep the model's sample rate");
        }
        EAR.borrow_ref_mut(token).replace((clock, converter, sampler))
    });
    listen::<CLASSES, RUNS>(MODEL, MEMORY.take().lend(), Hardware { microphone: samples, light, delay })
}

/// It is time for a sample.
#[esp_hal::handler]
fn sample() {
    critical_section::with(|token| {
        let mut ear = EAR.borrow_ref_mut(token);
        let Some((clock, converter, sampler)) = ear.as_mut() else { return };
        clock.clear_interrupt();
        // Twelve bits around their middle, as the upper ones of sixteen.
        sampler.push((converter.sample() as i16 - 2048) << 4);
    });
}

//! The microphone application on the STM32 Nucleo-F401RE: logs the words that it hears, and lights the green light.
//!
//! An analogue microphone with an amplifier, whose output rests at half of 3.3 V, at PA0, the header's A0.
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
use panic_probe as _;
use static_cell::ConstStaticCell;
use stm32f4xx_hal::pac::{Interrupt, TIM2, interrupt};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::timer::{CounterHz, Event, Flag};
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

/// What says that it is time for a sample, where it comes from, and where it goes.
static EAR: Mutex<RefCell<Option<(CounterHz<TIM2>, Converter, Sampler<'static>)>>> = Mutex::new(RefCell::new(None));

#[entry]
fn main() -> ! {
    let Some(Board { light, delay, converter, mut clock, .. }) = Board::take() else {
        defmt::panic!("the peripherals are taken")
    };
    let (sampler, samples) = QUEUE.take().split();
    if clock.start((SAMPLE_RATE as u32).Hz()).is_err() {
        defmt::panic!("the timer cannot keep the model's sample rate");
    }
    clock.listen(Event::Update);
    critical_section::with(|token| EAR.borrow_ref_mut(token).replace((clock, converter, sampler)));
    #[allow(unsafe_code, reason = "interrupts are let through by number")]
    // SAFETY: no critical section relies on this interrupt to be masked.
    unsafe {
        NVIC::unmask(Interrupt::TIM2);
    }
    listen::<CLASSES, RUNS>(MODEL, MEMORY.take().lend(), Hardware { microphone: samples, light, delay })
}

/// It is time for a sample.
#[interrupt]
fn TIM2() {
    critical_section::with(|token| {
        let mut ear = EAR.borrow_ref_mut(token);
        let Some((clock, converter, sampler)) = ear.as_mut() else { return };
        clock.clear_flags(Flag::Update);
        // Twelve bits around their middle, as the upper ones of sixteen.
        sampler.push((converter.sample() as i16 - 2048) << 4);
    });
}

//! Runs a model on the STM32 Nucleo-F401RE and flashes what it finds on LD2.
//!
//! The model and its samples are chosen when this is built, by `TRISHIFT_MODEL` and `TRISHIFT_SAMPLES`.
#![no_std]
#![no_main]

mod board;

use board::Board;
use cortex_m_rt::entry;
use defmt_rtt as _;
use firmware::demonstrate;
use panic_probe as _;
use static_cell::ConstStaticCell;
use trishift::{Arena, arena_len_of_file};

// INPUTS and OUTPUTS of the model.
include!(concat!(env!("OUT_DIR"), "/shape.rs"));
static MODEL: &[u8] = include_bytes!(env!("TRISHIFT_MODEL"));
/// int8, [samples, INPUTS].
static SAMPLES: &[u8] = include_bytes!(env!("TRISHIFT_SAMPLES"));

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("TRISHIFT_MODEL is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

#[entry]
fn main() -> ! {
    let Some(Board { mut light, mut delay, .. }) = Board::take() else { defmt::panic!("the peripherals are taken") };
    demonstrate::<INPUTS, OUTPUTS>(MODEL, ARENA.take().bytes(), SAMPLES, &mut light, &mut delay)
}

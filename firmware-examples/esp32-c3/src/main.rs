//! Runs a model on an ESP32-C3 and flashes what it finds on a light at GPIO 8.
//!
//! The model and its samples are chosen when this is built, by `TRISHIFT_MODEL` and `TRISHIFT_SAMPLES`.
#![no_std]
#![no_main]

mod board;

use board::Board;
use defmt_rtt as _;
use esp_backtrace as _;
use firmware::demonstrate;
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

// The boot loader wants to know what it starts.
esp_bootloader_esp_idf::esp_app_desc!();

#[esp_hal::main]
fn main() -> ! {
    let Some(Board { mut light, mut delay, .. }) = Board::take() else { defmt::panic!("the peripherals are taken") };
    demonstrate::<INPUTS, OUTPUTS>(MODEL, ARENA.take().bytes(), SAMPLES, &mut light, &mut delay)
}

//! The sensor application on the nRF52840 DK: an accelerometer of the LIS3DH family shows on LED 1 whether it moves.
//!
//! I²C on P0.26 (data) and P0.27 (clock).
#![no_std]
#![no_main]

mod board;

use board::Board;
use cortex_m_rt::entry;
use defmt_rtt as _;
use panic_probe as _;
use sensor::{Hardware, watch};
use static_cell::ConstStaticCell;
use trishift::{Arena, arena_len_of_file};

static MODEL: &[u8] = include_bytes!("../../models/motion.tsm");

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("motion.tsm is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// The accelerometer's, with its address pin high.
const ADDRESS: u8 = 0x19;
/// The label "still" of the model.
const STILL: usize = 1;

#[entry]
fn main() -> ! {
    let Some(Board { light, delay, bus, dimmer, .. }) = Board::take() else {
        defmt::panic!("the peripherals are taken")
    };
    watch(MODEL, ARENA.take().bytes(), STILL, Hardware { bus, address: ADDRESS, light, dimmer, delay })
}

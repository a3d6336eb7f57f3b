//! The smallest program that runs a model: a static arena whose size is a constant computed from the model's bytes,
//! `Model::checked_before`, `Engine::new`, `Engine::run`. No heap, no text, no panic. With the feature `parse` the model is
//! checked anew from its first byte to its last, as one that came over the air must be: `Model::parse`.
//!
//! `run-qemu` reports its sizes as what the runtime costs, searches it for paths that could panic, damages the model in
//! its flash and expects the exit code that [`firmware::Refusal`] gives the damage.
#![no_std]
#![no_main]

use core::hint::black_box;
use emulated_board::exit;
use firmware::Refusal;
use semihosting::process;
use static_cell::ConstStaticCell;
use trishift::{Arena, Engine, Model, arena_len_of_file};

// INPUTS and OUTPUTS of the model.
include!(concat!(env!("OUT_DIR"), "/shape.rs"));
static MODEL: &[u8] = include_bytes!(env!("TRISHIFT_MODEL"));

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("TRISHIFT_MODEL is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// The program found its arena taken, or the engine refused a sample: neither can happen.
const IMPOSSIBLE: i32 = 20;

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    process::exit(match run() {
        Ok(code) => code,
        Err(refusal) => refusal.code().into(),
    })
}

fn run() -> Result<i32, Refusal> {
    // Read as it lies in flash: what was compiled in is not what counts.
    let file = black_box(MODEL);
    let model = if cfg!(feature = "parse") { Model::parse(file)? } else { Model::checked_before(file)? };
    let Some(arena) = ARENA.try_take() else { return Ok(IMPOSSIBLE) };
    let mut engine = Engine::new(&model, arena.bytes(), 1)?;
    let (input, mut output) = ([1i8; INPUTS], [0i32; OUTPUTS]);
    let run = engine.run(black_box(&input), &mut output);
    black_box(output);
    Ok(if run.is_ok() { exit::SUCCESS } else { IMPOSSIBLE })
}

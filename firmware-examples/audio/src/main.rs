//! Runs the audio front end on a board: every feature of every recording must be the host's, and the instructions of a hop
//! are counted.
//!
//! The recordings are generated on board, [`recordings::Sound`]; what the host made of them is compiled in. A model's
//! properties say the configuration, as in a product. The result is a line of JSON for each configuration and the exit code:
//! 0 only if all integers agree.
#![no_std]
#![no_main]

mod configurations;

use configurations::{CONFIGURATIONS, RECORDINGS, SAMPLES};
use core::hint::black_box;
use emulated_board::{CountError, Counter, exit, stack_of};
use recordings::Sound;
use semihosting::{eprintln, println, process};
use static_cell::ConstStaticCell;
use trishift::audio::{self, AudioConfig, AudioError, AudioFrontEnd};
use trishift::{Model, ParseError};

/// What the host gives for one configuration: a model, features in 16 bits, little-endian, and rows.
struct Expected {
    model: &'static [u8],
    features: &'static [u8],
    rows: &'static [u8],
}

/// What the build script wrote for the configuration of this number.
macro_rules! expected {
    ($number:literal) => {
        Expected {
            model: include_bytes!(concat!(env!("OUT_DIR"), "/model-", $number, ".tsm")),
            features: include_bytes!(concat!(env!("OUT_DIR"), "/features-", $number, ".bin")),
            rows: include_bytes!(concat!(env!("OUT_DIR"), "/rows-", $number, ".bin")),
        }
    };
}

static EXPECTED: [Expected; CONFIGURATIONS.len()] = [expected!("0"), expected!("1"), expected!("2")];

/// Words for the largest configuration.
const WORDS: usize = {
    let (mut most, mut i) = (0, 0);
    while i < CONFIGURATIONS.len() {
        let words = AudioFrontEnd::memory_len(&CONFIGURATIONS[i]);
        most = if words > most { words } else { most };
        i += 1;
    }
    most
};

/// Memory for one front end, and what goes in and out.
struct Memory {
    front_end: [u32; WORDS],
    samples: [i16; 320],
    features: [u16; 40],
    row: [i8; 40],
}

static MEMORY: ConstStaticCell<Memory> =
    ConstStaticCell::new(Memory { front_end: [0; WORDS], samples: [0; 320], features: [0; 40], row: [0; 40] });

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    process::exit(match judge() {
        Ok(0) => exit::SUCCESS,
        Ok(_) => exit::FAILURE,
        Err(fault) => {
            match fault {
                Fault::Count(error) => eprintln!("{error}"),
                Fault::Model(error) => eprintln!("{error}"),
                Fault::Audio(error) => eprintln!("{error}"),
                Fault::Data => eprintln!("a model, its features or their rows are not those of the configuration"),
            }
            exit::FAILURE
        }
    })
}

/// What keeps the program from a verdict.
enum Fault {
    Count(CountError),
    Model(ParseError),
    Audio(AudioError),
    Data,
}

impl From<CountError> for Fault {
    fn from(error: CountError) -> Self {
        Self::Count(error)
    }
}

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Self {
        Self::Model(error)
    }
}

impl From<AudioError> for Fault {
    fn from(error: AudioError) -> Self {
        Self::Audio(error)
    }
}

/// Runs all configurations; returns the number of integers that differ.
fn judge() -> Result<usize, Fault> {
    let (memory, mut counter, mut all) = (MEMORY.take(), Counter::new()?, 0);
    for (config, expected) in CONFIGURATIONS.iter().zip(&EXPECTED) {
        all += compare(config, expected, memory, &mut counter)?;
    }
    Ok(all)
}

/// Runs all recordings under one configuration; returns the number of integers that differ.
fn compare(
    config: &AudioConfig,
    expected: &Expected,
    memory: &mut Memory,
    counter: &mut Counter,
) -> Result<usize, Fault> {
    let model = Model::parse(black_box(expected.model))?;
    let config = AudioConfig::from_properties(&model)?.filter(|read| read == config).ok_or(Fault::Data)?;
    let (hop, bands) = (usize::from(config.hop), usize::from(config.bands));
    let samples = memory.samples.get_mut(..hop).ok_or(Fault::Data)?;
    let features = memory.features.get_mut(..bands).ok_or(Fault::Data)?;
    let row = memory.row.get_mut(..bands).ok_or(Fault::Data)?;
    let words = &mut memory.front_end;
    let (opening, front_end) = counter.count(|| AudioFrontEnd::new(black_box(config), words))?;
    let mut front_end = front_end?;
    let (mut hops, mut mismatches, mut most, mut sum, mut rows, mut stack) = (0u32, 0, 0, 0u64, 0, 0);
    let mut expected = expected.features.chunks_exact(2 * bands).zip(expected.rows.chunks_exact(bands));
    for seed in 0..RECORDINGS {
        front_end.reset();
        let mut sound = Sound::new(seed);
        for _ in 0..SAMPLES / hop {
            samples.iter_mut().zip(&mut sound).for_each(|(sample, heard)| *sample = heard);
            let (instructions, done) = counter.count(|| front_end.hop(black_box(samples), black_box(features)))?;
            done?;
            let (of_row, done) = counter.count(|| audio::quantize(&model, 0, black_box(features), black_box(row)))?;
            done?;
            let (features_there, rows_there) = expected.next().ok_or(Fault::Data)?;
            let features_there = features_there.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
            mismatches += features.iter().zip(features_there).filter(|(found, expected)| **found != *expected).count();
            let rows_there: &[i8] = bytemuck::cast_slice(rows_there);
            mismatches += row.iter().zip(rows_there).filter(|(found, expected)| found != expected).count();
            (most, rows) = (instructions.max(most), of_row.max(rows));
            sum += u64::from(instructions);
            hops += 1;
        }
        if seed == 7 {
            let (depth, done) = stack_of(|| front_end.hop(samples, features));
            done?;
            stack = depth;
        }
    }
    if expected.next().is_some() || hops == 0 {
        return Err(Fault::Data);
    }
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"audio_hop_{}_{}_{hop}_{bands}\",\"instructions\":{most},\"mismatches\":{mismatches},\
         \"samples\":{hops},\"mean_instructions\":{},\"row_instructions\":{rows},\"opening_instructions\":{opening},\
         \"memory_bytes\":{},\"stack_bytes\":{stack}}}",
        emulated_board::NAME,
        config.sample_rate,
        config.window,
        sum / u64::from(hops),
        4 * AudioFrontEnd::memory_len(&config),
    );
    Ok(mismatches)
}

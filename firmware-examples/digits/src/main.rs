//! Classifies handwritten digits on a microcontroller and judges itself.
//!
//! The model, the test samples and the logits that the runtime gave for them on the machine that built this program are
//! compiled in. Every sample is run, every int32 logit compared, and the instructions of each run are counted. The result
//! is one line of JSON on the debugger's standard output and the exit code: 0 only if all logits agree.
//!
//! What an application would copy is [`ARENA`] and the four calls of [`judge`]: nothing here needs a heap, and the arena's
//! size is known when the program is compiled.
#![no_std]
#![no_main]

mod board;

use board::Counter;
use core::hint::black_box;
use semihosting::process::ExitCode;
use semihosting::{eprintln, println};
use static_cell::ConstStaticCell;
use trishift::{Arena, Engine, Model, arena_len_of_file};

static MODEL: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/model.tsm"));
/// int8, [samples, inputs].
static SAMPLES: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/samples.bin"));
/// int32, little-endian, [samples, OUTPUTS].
static LOGITS: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/logits.bin"));

/// The ten digits.
const OUTPUTS: usize = 10;

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("model.tsm is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// What the board found out.
struct Report {
    samples: usize,
    mismatches: usize,
    macs: u32,
    /// Of the sample that took the most: the figure to plan a deadline with.
    instructions: u32,
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let verdict = match judge() {
        Ok(report) => {
            report.print();
            if report.mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    };
    verdict.exit_process()
}

/// Runs all samples. The errors are plain sentences: text made on the board from typed errors would cost it flash.
fn judge() -> Result<Report, &'static str> {
    let arena = ARENA.take();
    let model = Model::parse(MODEL).map_err(|_| "the model file is refused")?;
    let mut engine = Engine::new(&model, arena.bytes(), 1).map_err(|_| "the engine refuses the model")?;

    let samples = bytemuck::cast_slice::<u8, i8>(SAMPLES).chunks_exact(model.input().len().max(1));
    let (logits, _) = LOGITS.as_chunks::<4>();
    let (expected, incomplete) = logits.as_chunks::<OUTPUTS>();
    if samples.len() == 0 || samples.len() != expected.len() || !incomplete.is_empty() {
        return Err("samples and expected logits do not belong together");
    }

    let mut counter = Counter::new()?;
    let macs = u32::try_from(model.macs()).map_err(|_| "the model is too large to be counted")?;
    let mut report = Report { samples: samples.len(), mismatches: 0, macs, instructions: 0 };
    for (number, (sample, expected)) in samples.zip(expected).enumerate() {
        let mut output = [0i32; OUTPUTS];
        let (instructions, run) = counter.count(|| engine.run(black_box(sample), black_box(&mut output)))?;
        run.map_err(|_| "the engine refuses a sample")?;
        report.instructions = report.instructions.max(instructions);
        for (index, (found, expected)) in output.iter().zip(expected).enumerate() {
            let expected = i32::from_le_bytes(*expected);
            if *found != expected {
                report.mismatches += 1;
                if report.mismatches == 1 {
                    eprintln!("sample {number}, logit {index}: {found}, the host has {expected}");
                }
            }
        }
    }
    Ok(report)
}

impl Report {
    /// One line of JSON. The ratio is printed from integers: nothing else in this program needs floating point.
    fn print(&self) {
        let hundredths = (u64::from(self.instructions) * 100 + u64::from(self.macs / 2)) / u64::from(self.macs.max(1));
        println!(
            "{{\"board\":\"{}\",\"kernel\":\"digits_mlp\",\"instructions\":{},\"macs\":{},\
             \"instructions_per_mac\":{}.{:02},\"mismatches\":{},\"samples\":{}}}",
            env!("TRISHIFT_BOARD"),
            self.instructions,
            self.macs,
            hundredths / 100,
            hundredths % 100,
            self.mismatches,
            self.samples,
        );
    }
}

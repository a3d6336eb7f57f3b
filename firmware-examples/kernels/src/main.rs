//! Holds this core's kernels against the scalar definitions and counts their instructions.
//!
//! Random layers of every group size are compiled in. Each runs twice, by the core's kernel and by the definition, with
//! inputs that reach both ends of int8; every output is compared, and the instructions of whole operators are counted:
//! tables, sums, shifts, bias, requantisation. The result is a line of JSON for each measured layer and the exit code: 0
//! only if all outputs agree.
#![no_std]
#![no_main]

mod convolutions;

use core::hint::black_box;
use emulated_board::{CountError, Counter, exit};
use semihosting::{eprintln, println, process};
use static_cell::ConstStaticCell;
use trishift::Model;
use trishift::format::bound::Accumulators;
use trishift::format::{DataType, Layout, Operator};
use trishift::kernels::linear::{LinearI8, LinearI32};
use trishift::kernels::{Kernels, SCALAR, best};

/// A layer that the build script made.
struct Layer {
    measured: bool,
    group: u32,
    file: &'static Aligned<[u8]>,
}

/// On a word's boundary, so that what stands on one in the file does in memory: a few instructions less for each bias.
#[repr(align(4))]
struct Aligned<T: ?Sized>(T);

static LAYERS: &[Layer] = include!(concat!(env!("OUT_DIR"), "/layers.rs"));

const COLUMNS: usize = 784;
const ROWS: usize = 256;

/// Memory for one layer.
struct Memory {
    input: [i8; COLUMNS],
    /// Tables and accumulators.
    scratch: [i32; 1024 + ROWS],
    narrow: [[i8; ROWS]; 2],
    wide: [[i32; 64]; 2],
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    input: [0; COLUMNS],
    scratch: [0; 1024 + ROWS],
    narrow: [[0; ROWS]; 2],
    wide: [[0; 64]; 2],
});

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    process::exit(match judge() {
        Ok(0) => exit::SUCCESS,
        Ok(_) => exit::FAILURE,
        Err(Fault::Count(error)) => {
            eprintln!("{error}");
            exit::FAILURE
        }
        Err(Fault::Layer(sentence)) => {
            eprintln!("{sentence}");
            exit::FAILURE
        }
    })
}

/// What keeps the program from a verdict.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Count(CountError),
    /// What is wrong with a layer.
    Layer(&'static str),
}

impl From<CountError> for Fault {
    fn from(error: CountError) -> Self {
        Self::Count(error)
    }
}

impl From<&'static str> for Fault {
    fn from(sentence: &'static str) -> Self {
        Self::Layer(sentence)
    }
}

/// Runs all layers; returns the number of outputs that differ.
fn judge() -> Result<usize, Fault> {
    let memory = MEMORY.take();
    let mut counter = Counter::new()?;
    let mut all = 0;
    for (number, layer) in LAYERS.iter().enumerate() {
        let model = Model::parse(&layer.file.0).map_err(|_| "a layer is refused")?;
        let mut random = number as u32;
        for input in &mut memory.input {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *input = match (number % 4, random >> 24) {
                (0, _) => -128,
                (_, random) => random as u8 as i8,
            };
        }
        let (instructions, by_definition, mismatches) = compare(&model, memory, &mut counter)?;
        all += mismatches;
        if mismatches > 0 {
            eprintln!("layer {number}: {mismatches} outputs differ from the definition's");
        }
        if layer.measured {
            print(layer, &model, instructions, by_definition, mismatches);
        }
    }
    all += convolutions::judge(&mut counter)?;
    let layers = LAYERS.len() + convolutions::LAYERS.len();
    println!("{{\"board\":\"{}\",\"layers\":{layers},\"mismatches\":{all}}}", emulated_board::NAME);
    Ok(all)
}

/// Runs a layer both ways: instructions of the core's kernel, those of the definition, outputs that differ.
fn compare(model: &Model<'_>, memory: &mut Memory, counter: &mut Counter) -> Result<(u32, u32, usize), Fault> {
    let Memory { input, scratch, narrow: [narrow, narrow_expected], wide: [wide, wide_expected] } = memory;
    let Some(Operator::Linear(op)) = model.operators().next() else { return Err("a layer is not a layer".into()) };
    let (matrix, bias, rows) = (model.matrix(&op.weights), model.bias(&op), model.output().len());
    let input = input.get(..model.input().len()).ok_or("a layer is too wide")?;
    // What is in the scratch must not matter.
    scratch.fill(0x5A5A_5A5A);
    let mut instructions = [0; 2];
    let sets: [&'static Kernels; 2] = [best(), &SCALAR];
    for ((kernels, narrow), (wide, instructions)) in sets
        .into_iter()
        .zip([&mut *narrow, &mut *narrow_expected])
        .zip([&mut *wide, &mut *wide_expected].into_iter().zip(&mut instructions))
    {
        match (model.accumulators(&op), model.output().data_type) {
            (Accumulators::PerRow { scale }, DataType::I8) => {
                let layer = LinearI8 { matrix, bias, scale, relu: op.relu };
                let output = narrow.get_mut(..rows).ok_or("a layer has too many rows")?;
                output.fill(77);
                let run = || (kernels.linear_i8)(black_box(&layer), black_box(input), scratch, black_box(output));
                *instructions = counted(counter.count(run))?;
            }
            (Accumulators::Layer { exponent }, DataType::I32) => {
                let layer = LinearI32 { matrix, bias, exponent };
                let output = wide.get_mut(..rows).ok_or("a layer has too many rows")?;
                output.fill(77);
                let run = || (kernels.linear_i32)(black_box(&layer), black_box(input), scratch, black_box(output));
                *instructions = counted(counter.count(run))?;
            }
            _ => return Err("a layer's types do not agree".into()),
        }
    }
    let mismatches =
        narrow.iter().zip(narrow_expected).take(rows).filter(|(found, expected)| found != expected).count()
            + wide.iter().zip(wide_expected).take(rows).filter(|(found, expected)| found != expected).count();
    Ok((instructions[0], instructions[1], mismatches))
}

/// What was counted; 0 where the clock is too short, as it is for the definition of a large layer on a small core.
fn counted(count: Result<(u32, ()), CountError>) -> Result<u32, CountError> {
    match count {
        Ok((instructions, ())) => Ok(instructions),
        Err(CountError::TooLong) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Thousandths; null for 0, which nothing takes: it could not be counted.
struct Thousandths(u64);

impl core::fmt::Display for Thousandths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            0 => f.write_str("null"),
            thousandths => write!(f, "{}.{:03}", thousandths / 1000, thousandths % 1000),
        }
    }
}

/// One line of JSON; ratios are printed from integers.
fn print(layer: &Layer, model: &Model<'_>, instructions: u32, by_definition: u32, mismatches: usize) {
    let (columns, rows) = (model.input().len(), model.output().len());
    let macs = (columns * rows) as u64;
    let thousandths = |count: u32| (u64::from(count) * 1000 + macs / 2) / macs;
    let (name, layout) = match model.operators().next() {
        Some(Operator::Linear(op)) => {
            let matrix = model.matrix(&op.weights);
            ((best().linear_name)(&matrix), if matrix.layout() == Layout::Groups { "groups" } else { "rows" })
        }
        _ => ("", ""),
    };
    let (ratio, scalar) = (thousandths(instructions), thousandths(by_definition));
    let order = if layout == "rows" { "_rows" } else { "" };
    let output = if model.output().data_type == DataType::I32 { "_int32" } else { "" };
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"linear_{columns}x{rows}_g{}{order}{output}\",\"instructions\":{instructions},\
         \"macs\":{macs},\"instructions_per_mac\":{}.{:03},\"mismatches\":{mismatches},\"samples\":1,\
         \"group\":{},\"layout\":\"{layout}\",\"algorithm\":\"{name}\",\"weight_bytes\":{},\"scalar_instructions_per_mac\":{}}}",
        emulated_board::NAME,
        layer.group,
        ratio / 1000,
        ratio % 1000,
        layer.group,
        model.weight_bytes(),
        Thousandths(scalar),
    );
}

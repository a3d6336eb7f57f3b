//! Runs a whole network on a board: every output must be the host's, and the instructions of every operator are counted.
//!
//! The network and its samples are compiled in, as `network-vectors` wrote them. The result is a line of JSON for each
//! operator, one for the network, and the exit code: 0 only if all outputs agree.
#![no_std]
#![no_main]

use core::hint::black_box;
use emulated_board::{CountError, Counter, exit};
use semihosting::{eprintln, println, process};
use static_cell::ConstStaticCell;
use trishift::format::DataType;
use trishift::{Arena, Engine, EngineError, Model, ParseError, Profiler, RunError, Step, arena_len_of_file};

/// The network, on a word's boundary, as a linker places it.
static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("TRISHIFT_NETWORK"), "/model.tsm")));
/// int8, [samples, inputs]
static SAMPLES: &[u8] = include_bytes!(concat!(env!("TRISHIFT_NETWORK"), "/samples.bin"));
/// int32, little-endian, [samples, outputs]; those of int8 networks are widened.
static OUTPUTS: &[u8] = include_bytes!(concat!(env!("TRISHIFT_NETWORK"), "/outputs.bin"));

/// On a word's boundary.
#[repr(align(4))]
struct Aligned<T: ?Sized>(T);

const ARENA_BYTES: usize = match arena_len_of_file(&MODEL.0, 1) {
    Some(bytes) => bytes,
    None => panic!("TRISHIFT_NETWORK holds no model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());
static RESULTS: ConstStaticCell<Results> =
    ConstStaticCell::new(Results { wide: [0; MOST_OUTPUTS], narrow: [0; MOST_OUTPUTS] });

/// Outputs of the widest network.
const MOST_OUTPUTS: usize = 1024;

/// Where a network's outputs go: more than a stack has room for.
struct Results {
    wide: [i32; MOST_OUTPUTS],
    narrow: [i8; MOST_OUTPUTS],
}

/// Operators of the deepest network.
const MOST_OPERATORS: usize = 64;

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
                Fault::Engine(error) => eprintln!("{error}"),
                Fault::Run(error) => eprintln!("{error}"),
                Fault::Size => eprintln!("the network has more outputs or operators than this program has room for"),
            }
            exit::FAILURE
        }
    })
}

/// What keeps the program from a verdict.
enum Fault {
    Count(CountError),
    Model(ParseError),
    Engine(EngineError),
    Run(RunError),
    Size,
}

impl From<CountError> for Fault {
    fn from(error: CountError) -> Self {
        Self::Count(error)
    }
}

/// Instructions of each operator, of the sample that took the most.
struct Profile {
    counter: Counter,
    instructions: [u32; MOST_OPERATORS],
    fault: Option<CountError>,
}

impl Profiler for Profile {
    fn begin(&mut self, _: &Step) {
        self.counter.start();
    }

    fn end(&mut self, step: &Step) {
        match (self.counter.stop(), self.instructions.get_mut(step.index)) {
            (Ok(instructions), Some(most)) => *most = instructions.max(*most),
            (Err(fault), _) => self.fault = Some(fault),
            (Ok(_), None) => {}
        }
    }
}

/// Runs all samples; returns the number of outputs that differ.
fn judge() -> Result<usize, Fault> {
    let file = black_box(&MODEL.0);
    let model = Model::parse(file).map_err(Fault::Model)?;
    if model.output().len() > MOST_OUTPUTS || model.operators().count() > MOST_OPERATORS {
        return Err(Fault::Size);
    }
    let mut engine = Engine::new(&model, ARENA.take().bytes(), 1).map_err(Fault::Engine)?;
    let mut profile = Profile { counter: Counter::new()?, instructions: [0; MOST_OPERATORS], fault: None };
    let (mut samples, mut mismatches) = (0, 0);
    let results = RESULTS.take();
    let expected = OUTPUTS.chunks_exact(4 * model.output().len());
    for (sample, expected) in SAMPLES.chunks_exact(model.input().len()).zip(expected) {
        let sample: &[i8] = bytemuck::cast_slice(sample);
        let wide = results.wide.get_mut(..model.output().len()).ok_or(Fault::Size)?;
        if model.output().data_type == DataType::I32 {
            engine.run_profiled(sample, &mut *wide, &mut profile).map_err(Fault::Run)?;
        } else {
            let narrow = results.narrow.get_mut(..wide.len()).ok_or(Fault::Size)?;
            engine.run_profiled(sample, &mut *narrow, &mut profile).map_err(Fault::Run)?;
            wide.iter_mut().zip(narrow).for_each(|(wide, narrow)| *wide = i32::from(*narrow));
        }
        let expected = expected.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
        mismatches += wide.iter().zip(expected).filter(|(found, expected)| **found != *expected).count();
        samples += 1;
    }
    if let Some(fault) = profile.fault {
        return Err(fault.into());
    }
    print(&model, &profile, samples, mismatches);
    // No samples would agree with any host.
    Ok(if samples == 0 { 1 } else { mismatches })
}

/// A line of JSON for each operator and one for all; ratios are printed from integers.
fn print(model: &Model<'_>, profile: &Profile, samples: usize, mismatches: usize) {
    let name = model.name();
    let mut all = 0;
    for (index, (operator, instructions)) in model.operators().zip(profile.instructions).enumerate() {
        all += u64::from(instructions);
        let [height, width, channels] = model.tensor(operator.output()).shape;
        println!(
            "{{\"board\":\"{}\",\"kernel\":\"{name}.{index}.{}_{height}x{width}x{channels}\",{},\"samples\":{samples}}}",
            emulated_board::NAME,
            operator.kind(),
            Count { instructions: instructions.into(), macs: model.macs_of(&operator) },
        );
    }
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"{name}\",{},\"mismatches\":{mismatches},\"samples\":{samples},\"model_bytes\":{},\
         \"tensor_bytes\":{},\"arena_bytes\":{ARENA_BYTES},\"input_bytes\":{}}}",
        emulated_board::NAME,
        Count { instructions: all, macs: model.macs() },
        model.file_bytes(),
        model.arena_bytes(),
        model.input().len(),
    );
}

/// Instructions, products and their ratio; null where there are no products.
struct Count {
    instructions: u64,
    macs: u64,
}

impl core::fmt::Display for Count {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"instructions\":{},\"macs\":{},\"instructions_per_mac\":", self.instructions, self.macs)?;
        if self.macs == 0 {
            return f.write_str("null");
        }
        let thousandths = (self.instructions * 1000 + self.macs / 2) / self.macs;
        write!(f, "{}.{:03}", thousandths / 1000, thousandths % 1000)
    }
}

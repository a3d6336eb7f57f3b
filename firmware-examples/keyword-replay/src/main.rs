//! The microphone application on an emulated board: hears a file of the host's, hop by hop, and says what it detects.
//!
//! `keyword-vectors` wrote the file, `samples.bin`, and beside it what the host found in it, `expected.bin`: for every
//! hop its features, after every run the scores and the class detected. Every integer must be the host's. The result is a
//! line for each detection, one of JSON, and the exit code: 0 only if all integers agree.
#![no_std]
#![no_main]

mod hop;
mod light;

use embedded_io::Read;
use emulated_board::{CountError, Counter, Stack, exit};
use firmware::Refusal;
use hop::{Hop, Recording};
use keyword::{Found, Memory, SpotError, Spotter};
use light::Light;
use semihosting::{eprintln, println, process};
use static_cell::{ConstStaticCell, StaticCell};
use trishift::arena_len_of_file;
use trishift::listener::ListenerError;

// HOP, FRAMES, FRONT_END_WORDS, INPUTS, CLASSES and RUNS of the model, and its SAMPLE_RATE.
include!(concat!(env!("OUT_DIR"), "/sound.rs"));

/// The model, on a word's boundary, as a linker places it.
static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("TRISHIFT_MODEL")));

/// On a word's boundary.
#[repr(align(4))]
struct Aligned<T: ?Sized>(T);

const ARENA_BYTES: usize = match arena_len_of_file(&MODEL.0, 1) {
    Some(bytes) => bytes,
    None => panic!("TRISHIFT_MODEL is not a model"),
};
static MEMORY: ConstStaticCell<Memory<HOP, FRONT_END_WORDS, INPUTS, ARENA_BYTES>> = ConstStaticCell::new(Memory::new());

static MICROPHONE: ConstStaticCell<Hop<{ 2 * HOP }>> = ConstStaticCell::new(Hop::empty());

type Application = Spotter<'static, 'static, &'static mut Hop<{ 2 * HOP }>, Light, CLASSES, RUNS>;

static APPLICATION: StaticCell<Application> = StaticCell::new();

/// The application, in its place. In a frame of its own: making it takes more stack than running it.
#[inline(never)]
fn open() -> Result<&'static mut Application, Refusal> {
    let application = Application::new(&MODEL.0, MEMORY.take().lend(), MICROPHONE.take(), Light::default())?;
    Ok(APPLICATION.init(application))
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let verdict = open().map_err(Fault::Refused).and_then(judge);
    process::exit(match verdict {
        Ok(0) => exit::SUCCESS,
        Ok(_) => exit::FAILURE,
        Err(fault) => {
            match fault {
                Fault::Count(error) => eprintln!("{error}"),
                Fault::Refused(refusal) => eprintln!("{refusal}"),
                Fault::Listener(error) => eprintln!("{error}"),
                Fault::File => {
                    eprintln!("samples.bin and expected.bin of keyword-vectors are to be in the current folder")
                }
                Fault::Data => eprintln!("samples.bin or expected.bin ends too early"),
            }
            exit::FAILURE
        }
    })
}

/// What keeps the program from a verdict.
enum Fault {
    Count(CountError),
    Refused(Refusal),
    Listener(ListenerError),
    File,
    Data,
}

impl From<CountError> for Fault {
    fn from(error: CountError) -> Self {
        Self::Count(error)
    }
}

/// Instructions of steps: what a frame takes, and what a run takes besides.
#[derive(Default)]
struct Cost {
    /// The most that a step without a run took.
    frame: u32,
    /// The most that the steps of a run took together.
    run: u32,
    /// The most that a step with a run took more than the one before.
    network: u32,
}

/// Hears all samples; returns the number of integers that differ from the host's.
#[inline(never)]
fn judge(application: &mut Application) -> Result<usize, Fault> {
    let mut samples = Recording::open(c"samples.bin").map_err(|_| Fault::File)?;
    let mut expected = Recording::open(c"expected.bin").map_err(|_| Fault::File)?;
    let mut counter = Counter::new()?;
    let (mut cost, mut mismatches, mut runs, mut detections) = (Cost::default(), 0, 0u32, 0u32);
    let (mut frames, mut before) = (0, 0);
    Stack::paint();
    while application.microphone().fill(&mut samples).map_err(|_| Fault::Data)? {
        let (instructions, step) = counter.count(|| application.step())?;
        let found = match step {
            Ok(found) => found,
            Err(SpotError::Listener(error)) => return Err(Fault::Listener(error)),
            Err(_) => return Err(Fault::Data),
        };
        for feature in application.listener().features() {
            let there: [u8; 2] = read(&mut expected)?;
            mismatches += usize::from(*feature != u16::from_le_bytes(there));
        }
        frames += instructions;
        if found == Found::Frame {
            (cost.frame, before) = (cost.frame.max(instructions), instructions);
            continue;
        }
        cost.run = cost.run.max(frames);
        cost.network = cost.network.max(instructions.saturating_sub(before));
        (frames, before) = (0, 0);
        runs += 1;
        for score in application.listener().scores() {
            let there: [u8; 4] = read(&mut expected)?;
            mismatches += usize::from(*score != i32::from_le_bytes(there));
        }
        let class = match found {
            Found::Class { class, share, milliseconds } => {
                let label = application.listener().model().labels().nth(class).unwrap_or("?");
                let percent = u32::from(share) * 100 >> 15;
                println!("{}: {label} at {milliseconds} ms, {percent} %", emulated_board::NAME);
                detections += 1;
                class as i32
            }
            _ => -1,
        };
        mismatches += usize::from(class != i32::from_le_bytes(read(&mut expected)?));
    }
    let stack = Stack::measure().high_water;
    // It is lit once for each word, unless one follows before another has gone.
    let lit = application.light().lit;
    mismatches += usize::from(lit == 0 && detections > 0 || lit > detections);
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"keyword_hop\",\"instructions\":{},\"mismatches\":{mismatches},\"samples\":{runs},\
         \"detections\":{detections},\"hop_ms\":{},\"front_end_instructions\":{},\"network_instructions\":{},\"macs\":{},\
         \"frames_per_run\":{FRAMES},\"model_bytes\":{},\"memory_bytes\":{},\"stack_bytes\":{stack}}}",
        emulated_board::NAME,
        cost.run / FRAMES as u32,
        HOP * 1000 / SAMPLE_RATE,
        cost.frame,
        cost.network,
        application.listener().model().macs(),
        MODEL.0.len(),
        size_of_val(&MEMORY) + size_of::<Application>(),
    );
    // No run would agree with any host.
    Ok(if runs == 0 { 1 } else { mismatches })
}

/// The next bytes of what the host expects.
fn read<const N: usize>(expected: &mut Recording) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    expected.read_exact(&mut bytes).map_err(|_| Fault::Data)?;
    Ok(bytes)
}

//! The digits: every test sample, its logits, the instructions and the stack of a run.

use crate::Fault;
use crate::operators::OperatorCounts;
use crate::report::Line;
use core::hint::black_box;
use emulated_board::{Counter, stack_of};
use firmware::Refusal;
use semihosting::eprintln;
use static_cell::ConstStaticCell;
use trishift::{Arena, Engine, Model, arena_len_of_file};

static MODEL: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/model.tsm"));
/// int8, [samples, inputs].
static SAMPLES: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/samples.bin"));
/// int32, little-endian, [samples, OUTPUTS].
static LOGITS: &[u8] = include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/logits.bin"));

/// The ten digits.
const OUTPUTS: usize = 10;
/// Samples whose operators are counted one by one: counting is no part of the other runs.
const PROFILED: usize = 16;

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("model.tsm is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// Runs all samples and returns the number of logits that differ from the host's.
pub(crate) fn judge(counter: &mut Counter) -> Result<usize, Fault> {
    // Read as it lies in flash: what was compiled in is not what counts.
    let file = black_box(MODEL);
    let arena = ARENA.take();
    let (parse_stack, parsed) = stack_of(|| Model::parse(file));
    parsed.map_err(Refusal::from)?;
    let (parse_instructions, _) = counter.count(|| Model::parse(black_box(file)).is_ok())?;
    let (open_instructions, _) = counter.count(|| Model::checked_before(black_box(file)).is_ok())?;
    let model = Model::checked_before(file).map_err(Refusal::from)?;
    let mut engine = Engine::new(&model, arena.bytes(), 1).map_err(Refusal::from)?;

    let samples = bytemuck::cast_slice::<u8, i8>(SAMPLES).chunks_exact(model.input().len().max(1));
    let (logits, _) = LOGITS.as_chunks::<4>();
    let (expected, incomplete) = logits.as_chunks::<OUTPUTS>();
    if samples.len() == 0 || samples.len() != expected.len() || !incomplete.is_empty() {
        return Err(Fault::Data);
    }

    let mut line = Line::new("digits_mlp");
    let mut operators = OperatorCounts::new();
    let mut run_stack = 0;
    line.samples = samples.len();
    line.macs = model.macs();
    for (number, (sample, expected)) in samples.zip(expected).enumerate() {
        let mut output = [0i32; OUTPUTS];
        if number < PROFILED {
            operators.count(counter, &mut engine, sample, &mut output)?;
            let (stack, run) = stack_of(|| engine.run(sample, &mut output));
            run?;
            run_stack = stack.max(run_stack);
        }
        let (instructions, run) = counter.count(|| engine.run(black_box(sample), black_box(&mut output)))?;
        run?;
        // Of the sample that took the most: the figure to plan a deadline with.
        line.instructions = line.instructions.max(instructions.into());
        for (index, (found, expected)) in output.iter().zip(expected).enumerate() {
            let expected = i32::from_le_bytes(*expected);
            if *found != expected {
                line.mismatches += 1;
                if line.mismatches == 1 {
                    eprintln!("sample {number}, logit {index}: {found}, the host has {expected}");
                }
            }
        }
    }
    let sizes = [
        ("model_bytes", MODEL.len() as u64),
        ("arena_bytes", ARENA_BYTES as u64),
        ("parse_instructions", parse_instructions.into()),
        ("checked_before_instructions", open_instructions.into()),
        ("parse_stack_bytes", parse_stack.into()),
        ("run_stack_bytes", run_stack.into()),
    ];
    line.print(&sizes);
    operators.print(&model, line.samples.min(PROFILED));
    Ok(line.mismatches)
}

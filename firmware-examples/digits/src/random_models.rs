//! Random models over all group sizes, as `random-models` wrote them.

use crate::Fault;
use crate::report::Line;
use core::hint::black_box;
use emulated_board::Counter;
use firmware::Refusal;
use semihosting::eprintln;
use static_cell::ConstStaticCell;
use trishift::{Arena, Engine, Model};

/// Models of vectors, and convolutional ones.
static FILES: [(&str, &[u8]); 2] = [
    ("random_models", include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/random.bin"))),
    ("random_images", include_bytes!(concat!(env!("TRISHIFT_DIGITS"), "/images.bin"))),
];

/// All have ten outputs.
const OUTPUTS: usize = 10;
/// Room for the tensors of the largest and for the kernels' scratch; a model that wants more is refused by its engine.
const ARENA_BYTES: usize = 7168;
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// Runs all samples of all models and returns the number of outputs that differ from the host's.
pub(crate) fn judge(counter: &mut Counter) -> Result<usize, Fault> {
    let arena = ARENA.take();
    let mut mismatches = 0;
    for (name, records) in FILES {
        mismatches += judge_file(counter, arena, name, records)?;
    }
    Ok(mismatches)
}

fn judge_file(
    counter: &mut Counter,
    arena: &mut Arena<ARENA_BYTES>,
    name: &'static str,
    mut records: &[u8],
) -> Result<usize, Fault> {
    let mut line = Line::new(name);
    let mut models = 0u64;
    while let Some(record) = Record::next(&mut records)? {
        let mut engine = Engine::new(&record.model, arena.bytes(), 1).map_err(Refusal::from)?;
        for (sample, expected) in record.samples.chunks_exact(record.model.input().len().max(1)).zip(record.expected) {
            let mut output = [0i32; OUTPUTS];
            let (instructions, run) = counter.count(|| engine.run(black_box(sample), black_box(&mut output)))?;
            run?;
            let differ =
                output.iter().zip(expected).filter(|(found, host)| **found != i32::from_le_bytes(**host)).count();
            if differ > 0 && line.mismatches == 0 {
                eprintln!("{name}, model {models}, sample {}: {differ} outputs differ from the host's", line.samples);
            }
            line.mismatches += differ;
            line.samples += 1;
            line.macs += record.model.macs();
            line.instructions += u64::from(instructions);
        }
        models += 1;
    }
    // A file of nothing would agree with any host.
    if line.samples == 0 {
        return Err(Fault::Data);
    }
    line.print(&[("models", models)]);
    Ok(line.mismatches)
}

/// A model with its samples.
struct Record<'a> {
    model: Model<'a>,
    /// [samples, inputs]
    samples: &'a [i8],
    /// Little-endian, one array a sample.
    expected: &'a [[[u8; 4]; OUTPUTS]],
}

impl<'a> Record<'a> {
    /// Takes the next record off the front; `None` at the end.
    fn next(bytes: &mut &'a [u8]) -> Result<Option<Self>, Fault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (length, samples) = (number(bytes)?, number(bytes)?);
        let model = Model::parse(part(bytes, length)?).map_err(Refusal::from)?;
        let inputs = samples.checked_mul(model.input().len()).ok_or(Fault::Data)?;
        let samples_bytes = bytemuck::cast_slice(part(bytes, inputs)?);
        let outputs = samples.checked_mul(OUTPUTS * 4).ok_or(Fault::Data)?;
        let (words, _) = part(bytes, outputs)?.as_chunks();
        Ok(Some(Self { model, samples: samples_bytes, expected: words.as_chunks().0 }))
    }
}

fn number(bytes: &mut &[u8]) -> Result<usize, Fault> {
    let word = part(bytes, 4)?.first_chunk().ok_or(Fault::Data)?;
    Ok(u32::from_le_bytes(*word) as usize)
}

/// Takes `len` bytes off the front, and the padding behind them.
fn part<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Fault> {
    let padded = len.checked_next_multiple_of(4).ok_or(Fault::Data)?;
    let (part, rest) = bytes.split_at_checked(padded).ok_or(Fault::Data)?;
    *bytes = rest;
    part.get(..len).ok_or(Fault::Data)
}

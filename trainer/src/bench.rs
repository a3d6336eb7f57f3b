//! `trishift bench cpu`: ternary matrix products of every instruction set this machine can run, as ratios within one run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use thiserror::Error;
use trishift::kernels::Kernels;
use trishift::kernels::linear::LinearI32;
use trishift_format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift_format::{DataType, GroupSize, InputScale, Linear, Model, Operator, ParseError, Tensor, TensorClass};

/// Shape of the product.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows N (outputs).
    pub rows: u32,
    /// Columns K (inputs).
    pub columns: u32,
    /// Group size G.
    pub group: GroupSize,
    /// Samples.
    pub batch: u32,
    /// Threads; each computes a share of the rows.
    pub threads: NonZeroUsize,
}

/// What one instruction set reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the instruction set.
    pub isa: &'static str,
    /// 10⁹ operations a second, 2 for each weight and sample; median.
    pub gops: f64,
    /// Weights read a nanosecond.
    pub weights_per_ns: f64,
    /// Products timed.
    pub runs: usize,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Zero, or more than memory or the format holds.
    #[error(
        "{rows} × {columns} at batch {batch} cannot be measured; give at most 2^28 weights, inputs and outputs, and at \
         most {MAX_COLUMNS} columns"
    )]
    Shape {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Samples.
        batch: u32,
    },
    /// The random matrix does not fit the format.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The random matrix was refused.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Time spent on each instruction set.
const DURATION: Duration = Duration::from_millis(700);

/// Width of the random exponents' window, as trained models have it.
const WINDOW_BITS: u32 = 5;

/// Most columns: a full row with exponents that far apart still fits int32.
const MAX_COLUMNS: u32 = (i32::MAX as u32) / (128 << WINDOW_BITS);

/// Measures every instruction set on one random matrix.
///
/// # Errors
/// [`BenchError::Shape`] for sizes that cannot be measured.
pub fn cpu(shape: &Shape) -> Result<Vec<Measurement>, BenchError> {
    let Shape { rows, columns, batch, .. } = *shape;
    let limit = 1u64 << 28;
    let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let sizes = [product(rows, columns), product(rows, batch), product(columns, batch)];
    if columns > MAX_COLUMNS || sizes.iter().any(|size| *size == 0 || *size > limit) {
        return Err(BenchError::Shape { rows, columns, batch });
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    // Each thread has a file with its share of the rows.
    let share = rows.div_ceil(shape.threads.get().min(rows as usize) as u32);
    let mut files = Vec::new();
    let mut left = rows;
    while left > 0 {
        let rows = share.min(left);
        files.push(random_layer(rows, columns, shape.group, &mut random)?);
        left -= rows;
    }
    let models = files.iter().map(|file| Model::parse(file)).collect::<Result<Vec<_>, _>>()?;
    let input: Vec<i8> = (0..columns as usize * batch as usize).map(|_| random.next_u32() as i8).collect();
    let sets: Vec<&'static Kernels> = trishift::kernels::available().collect();
    Ok(sets.into_iter().map(|kernels| measure(kernels, shape, &models, &input)).collect())
}

fn measure(kernels: &'static Kernels, shape: &Shape, models: &[Model<'_>], input: &[i8]) -> Measurement {
    let times: Vec<Vec<Duration>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            models.iter().map(|model| scope.spawn(|| time_layer(kernels, model, shape.batch, input))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
    // All threads work through the same time; the product is done when the slowest share is.
    let slowest = times.iter().map(|times| median(times)).max().unwrap_or(Duration::MAX).as_secs_f64();
    let operations = 2.0 * f64::from(shape.rows) * f64::from(shape.columns) * f64::from(shape.batch);
    Measurement {
        isa: kernels.name,
        gops: operations / slowest / 1e9,
        weights_per_ns: f64::from(shape.rows) * f64::from(shape.columns) / slowest / 1e9,
        runs: times.iter().map(Vec::len).min().unwrap_or(0),
    }
}

fn time_layer(kernels: &'static Kernels, model: &Model<'_>, batch: u32, input: &[i8]) -> Vec<Duration> {
    let mut times = Vec::new();
    let Some(Operator::Linear(op)) = model.operators().next() else { return times };
    let exponent = i32::from(model.output().exponent);
    let layer = LinearI32 { matrix: model.matrix(&op.weights), bias: None, exponent };
    let mut output = vec![0; op.weights.rows as usize * batch as usize];
    let started = Instant::now();
    while times.len() < 3 || started.elapsed() < DURATION {
        let run = Instant::now();
        (kernels.linear_i32)(&layer, black_box(input), &mut [], black_box(&mut output));
        times.push(run.elapsed());
    }
    times
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(Duration::MAX)
}

/// A model file of one linear layer with random trits and exponents.
fn random_layer(rows: u32, columns: u32, group: GroupSize, random: &mut ChaCha8Rng) -> Result<Vec<u8>, BenchError> {
    let (n, k) = (rows as usize, columns as usize);
    let trits: Vec<i8> = (0..n * k).map(|_| (random.next_u32() % 3) as i8 - 1).collect();
    let smallest = -8;
    let exponents: Vec<i8> =
        (0..n * group.count(k)).map(|_| smallest + (random.next_u32() % (WINDOW_BITS + 1)) as i8).collect();
    let mut writer = ModelWriter::new("bench");
    let values = MatrixValues { rows: n, columns: k, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&values)?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, data_type, exponent, len| Tensor {
        data_type,
        class,
        exponent,
        shape: [1, 1, len],
        offset: 0,
        first: 0,
        last: 0,
    };
    let tensors = [
        tensor(TensorClass::Input, DataType::I8, 0, columns),
        tensor(TensorClass::Output, DataType::I32, i16::from(smallest), rows),
    ];
    Ok(writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 })?)
}

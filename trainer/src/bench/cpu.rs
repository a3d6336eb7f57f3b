//! `trishift bench cpu`: ternary matrix products of every instruction set this machine can run, as ratios within one run.
//!
//! Times drift on a machine that others share. So everything is measured in turns, round after round: each instruction
//! set's product, its multiply-add on registers alone, the same product with int8 weights and in float32, and reading. Rates are those of the
//! best turn of each; the median of a product's times is given too.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use thiserror::Error;
use trishift::kernels::linear::LinearI32;
use trishift::kernels::simd::linear::int8::{Int8Kernels, Int8Matrix};
use trishift::kernels::simd::linear::{PackedI32, PackedMatrix, Workspace};
use trishift::kernels::{Kernels, Unavailable, VARIABLE};
use trishift_format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift_format::{
    DataType, GroupSize, InputScale, Linear, Model, Operator, ParseError, Tensor, TensorClass, TernaryMatrix,
};

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
    /// Exponents of a row lie 0 to so many steps above its smallest.
    pub window_bits: u32,
    /// Read weights from memory: go round so many copies that no cache holds them.
    pub from_memory: bool,
}

/// What one instruction set reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the instruction set.
    pub isa: &'static str,
    /// 10⁹ operations a second, 2 for each weight and sample; best.
    pub gops: f64,
    /// The same of the median time.
    pub gops_median: f64,
    /// Weights read a nanosecond; best.
    pub weights_per_ns: f64,
    /// 10⁹ bytes of weights and exponents read a second; best.
    pub weights_gb_s: f64,
    /// Bytes of weights and exponents.
    pub weight_bytes: usize,
    /// 10⁹ operations a second of the multiply-add on one thread's registers; none for plain Rust.
    pub peak_gops: Option<f64>,
    /// 10⁹ operations a second of the same product with int8 weights, by the instruction set's plain int8 kernels; best.
    /// None where it has none.
    pub int8_gops: Option<f64>,
    /// Milliseconds that packing the matrix takes, on one thread; none for plain Rust.
    pub packing_ms: Option<f64>,
    /// Products timed.
    pub runs: usize,
}

/// What the machine reaches otherwise, on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// The same product in float32 by `ndarray`: 10⁹ operations a second.
    pub f32_gops: f64,
    /// 10⁹ bytes read a second from as many bytes as the first instruction set's weights have.
    pub read_gb_s: f64,
    /// 10⁹ bytes read a second from memory: from eight times the last cache.
    pub memory_gb_s: f64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Zero, or more than memory or the format holds.
    #[error(
        "{rows} × {columns} at batch {batch} cannot be measured; give at most 2^28 weights, inputs and outputs, and at \
         most {most} columns"
    )]
    Shape {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Samples.
        batch: u32,
        /// Most columns whose sums fit int32.
        most: u32,
    },
    /// No row with such a window fits int32.
    #[error("a window of {0} bits does not fit int32; give at most {MAX_WINDOW_BITS}")]
    Window(u32),
    /// An instruction set that is not there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The random matrix does not fit the format.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The random matrix was refused.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Turns of each instruction set, and the time that one takes at least.
pub(super) const ROUNDS: usize = 8;
pub(super) const TURN: Duration = Duration::from_millis(80);

/// Rounds of a peak's loop, some tenths of a millisecond; it and reading are timed so many times a turn.
const PEAK_ROUNDS: u64 = 50_000;
const PASSES: usize = 10;

/// Width of the random exponents' window, as trained models have it.
pub const WINDOW_BITS: u32 = 5;

/// Widest window of which a few hundred columns fit int32.
pub const MAX_WINDOW_BITS: u32 = 16;

/// Bytes of the last cache where the system does not say.
const LAST_CACHE: usize = 32 << 20;

/// Measures every instruction set on one random matrix, or the one that `TRISHIFT_ISA` names.
///
/// # Errors
/// [`BenchError`] for sizes that cannot be measured, and instruction sets that are not there.
pub fn measure(shape: &Shape) -> Result<(Vec<Measurement>, Machine), BenchError> {
    let Shape { rows, columns, batch, window_bits, .. } = *shape;
    if window_bits > MAX_WINDOW_BITS {
        return Err(BenchError::Window(window_bits));
    }
    // A full row of the widest exponents still fits int32. In wider windows than usual that would leave few columns: there
    // the mean over all exponents counts, at most 2/(window + 1) of the widest; random trits are 0 often enough.
    let means = if window_bits > WINDOW_BITS { window_bits.div_ceil(2) } else { 1 };
    let most = (i32::MAX as u32) / (128 << window_bits) * means;
    let limit = 1u64 << 28;
    let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let sizes = [product(rows, columns), product(rows, batch), product(columns, batch)];
    if columns > most || sizes.iter().any(|size| *size == 0 || *size > limit) {
        return Err(BenchError::Shape { rows, columns, batch, most });
    }
    let sets: Vec<&'static Kernels> = match std::env::var_os(VARIABLE) {
        Some(name) if !name.is_empty() => vec![trishift::kernels::from_environment()?],
        _ => trishift::kernels::available().collect(),
    };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    // Each thread has a file with its share of the rows.
    let share = rows.div_ceil(shape.threads.get().min(rows as usize) as u32);
    let mut files = Vec::new();
    let mut left = rows;
    while left > 0 {
        let rows = share.min(left);
        files.push(random_layer(rows, shape, &mut random)?);
        left -= rows;
    }
    let models = files.iter().map(|file| Model::parse(file)).collect::<Result<Vec<_>, _>>()?;
    let input: Vec<i8> = (0..columns as usize * batch as usize).map(|_| random.next_u32() as i8).collect();
    let cold = if shape.from_memory { memory_bytes() } else { 0 };
    let mut contestants: Vec<Contestant<'_>> = sets.iter().map(|set| Contestant::new(set, &models, cold)).collect();
    let mut machine = MachineTimes::new(shape, contestants.first().map_or(1, |first| first.weight_bytes));
    for _ in 0..ROUNDS {
        for contestant in &mut contestants {
            contestant.turn(shape, &input);
        }
        machine.turn();
    }
    Ok((contestants.iter().map(|contestant| contestant.measurement(shape)).collect(), machine.machine()))
}

/// 10⁹ operations a second of an instruction set's multiply-add, the best of some passes; 0 for plain Rust.
pub(super) fn peak_gops(kernels: &Kernels) -> f64 {
    let Some(packed) = &kernels.packed else { return 0.0 };
    let pass = || {
        let started = Instant::now();
        let operations = (packed.peak)(PEAK_ROUNDS);
        operations as f64 / started.elapsed().as_secs_f64() / 1e9
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}

/// One instruction set and what was measured of it.
struct Contestant<'a> {
    kernels: &'static Kernels,
    shares: Vec<Share<'a>>,
    weight_bytes: usize,
    packing: Option<Duration>,
    peak_gops: f64,
    /// Of each turn's products: the time of the slowest share.
    times: Vec<Duration>,
    /// The best such time of plain int8.
    int8: Option<Duration>,
}

/// What one thread computes.
struct Share<'a> {
    matrix: TernaryMatrix<'a>,
    exponent: i32,
    /// As many as are needed to read from memory; none for plain Rust.
    packed: Vec<PackedMatrix>,
    /// Plain int8 weights, as many copies; none where the instruction set has no kernels for them.
    int8: Option<(Int8Kernels, Vec<Int8Matrix>)>,
    workspace: Workspace,
    output: Vec<i32>,
    next: usize,
}

impl<'a> Contestant<'a> {
    /// `cold`: bytes that no cache holds.
    fn new(kernels: &'static Kernels, models: &[Model<'a>], cold: usize) -> Self {
        let (mut shares, mut weight_bytes, mut packing) = (Vec::new(), 0, None);
        for model in models {
            let Some(Operator::Linear(op)) = model.operators().next() else { continue };
            let matrix = model.matrix(&op.weights);
            let mut packed = Vec::new();
            if let Some(kernels) = &kernels.packed {
                let mut best = Duration::MAX;
                for _ in 0..5 {
                    let started = Instant::now();
                    let matrix = black_box((kernels.pack)(&matrix));
                    best = best.min(started.elapsed());
                    packed = vec![matrix];
                }
                packing = Some(packing.unwrap_or_default() + best);
                let bytes: usize = packed.iter().map(PackedMatrix::stream_bytes).sum();
                let copies = (cold / models.len() / bytes.max(1)).max(1);
                packed.extend((1..copies).map(|_| (kernels.pack)(&matrix)));
                weight_bytes += bytes;
            } else {
                weight_bytes += matrix.bytes();
            }
            let int8 = trishift::kernels::simd::int8(kernels.name).map(|kernels| {
                let (rows, columns) = (matrix.rows(), matrix.columns());
                let weights: Vec<i8> = (0..rows * columns).map(|i| (i * 89 % 255) as u8 as i8).collect();
                let copies = (cold / models.len() / weights.len().max(1)).max(1);
                (kernels, (0..copies).map(|_| (kernels.pack)(rows, columns, &weights)).collect())
            });
            let exponent = i32::from(model.output().exponent);
            let (workspace, output) = (Workspace::new(), Vec::new());
            shares.push(Share { matrix, exponent, packed, int8, workspace, output, next: 0 });
        }
        Self { kernels, shares, weight_bytes, packing, peak_gops: 0.0, times: Vec::new(), int8: None }
    }

    /// Peaks, then products for a while.
    fn turn(&mut self, shape: &Shape, input: &[i8]) {
        self.peak_gops = self.peak_gops.max(peak_gops(self.kernels));
        let kernels = self.kernels;
        let times = self.on_all_shares(|share| share.products(kernels, shape.batch, input));
        self.times.extend(times);
        let int8 = self.on_all_shares(|share| share.int8_products(input)).into_iter().min();
        self.int8 = self.int8.into_iter().chain(int8).min();
    }

    /// The times of products that all shares compute at once.
    fn on_all_shares(&mut self, products: impl Fn(&mut Share<'_>) -> Vec<Duration> + Sync) -> Vec<Duration> {
        let products = &products;
        let times: Vec<Vec<Duration>> = std::thread::scope(|scope| {
            let workers: Vec<_> = self.shares.iter_mut().map(|share| scope.spawn(|| products(share))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
        });
        // All threads work through the same time; a product is done when the slowest share is.
        let runs = times.iter().map(Vec::len).min().unwrap_or(0);
        (0..runs)
            .map(|run| times.iter().filter_map(|times| times.get(run)).max().copied().unwrap_or_default())
            .collect()
    }

    fn measurement(&self, shape: &Shape) -> Measurement {
        let mut times = self.times.clone();
        times.sort_unstable();
        let best = times.first().copied().unwrap_or(Duration::MAX).as_secs_f64();
        let median = times.get(times.len() / 2).copied().unwrap_or(Duration::MAX).as_secs_f64();
        let weights = f64::from(shape.rows) * f64::from(shape.columns);
        let operations = 2.0 * weights * f64::from(shape.batch);
        Measurement {
            isa: self.kernels.name,
            gops: operations / best / 1e9,
            gops_median: operations / median / 1e9,
            weights_per_ns: weights / best / 1e9,
            weights_gb_s: self.weight_bytes as f64 / best / 1e9,
            weight_bytes: self.weight_bytes,
            peak_gops: (self.peak_gops > 0.0).then_some(self.peak_gops),
            int8_gops: self.int8.map(|time| operations / time.as_secs_f64() / 1e9),
            packing_ms: self.packing.map(|time| time.as_secs_f64() * 1e3),
            runs: times.len(),
        }
    }
}

impl Share<'_> {
    /// The times of products, one after another.
    fn products(&mut self, kernels: &'static Kernels, batch: u32, input: &[i8]) -> Vec<Duration> {
        self.output.resize(self.matrix.rows() * batch as usize, 0);
        let mut times = Vec::new();
        let started = Instant::now();
        // With copies, one turn goes round all of them.
        while times.is_empty() || times.len() < self.packed.len() || started.elapsed() < TURN {
            let run = Instant::now();
            if let (Some(packed), Some(matrix)) = (&kernels.packed, self.packed.get(self.next)) {
                let layer = PackedI32 { matrix, bias: None, exponent: self.exponent, rows: 0..matrix.rows() };
                (packed.linear_i32)(&layer, black_box(input), &mut self.workspace, black_box(&mut self.output));
                self.next = (self.next + 1) % self.packed.len();
            } else {
                let layer = LinearI32 { matrix: self.matrix, bias: None, exponent: self.exponent };
                (kernels.linear_i32)(&layer, black_box(input), &mut [], black_box(&mut self.output));
            }
            times.push(run.elapsed());
        }
        times
    }

    /// The same of plain int8; none where there are no kernels for it.
    fn int8_products(&mut self, input: &[i8]) -> Vec<Duration> {
        let mut times = Vec::new();
        let Some((kernels, matrices)) = &self.int8 else { return times };
        let started = Instant::now();
        for matrix in matrices.iter().cycle() {
            let run = Instant::now();
            (kernels.multiply)(matrix, black_box(input), &mut self.workspace, black_box(&mut self.output));
            times.push(run.elapsed());
            if times.len() >= matrices.len() && started.elapsed() >= TURN {
                break;
            }
        }
        times
    }
}

/// What is measured beside the instruction sets.
struct MachineTimes {
    weights: Array2<f32>,
    inputs: Array2<f32>,
    operations: f64,
    memory: Vec<u64>,
    near: usize,
    best: [Duration; 3],
}

impl MachineTimes {
    fn new(shape: &Shape, weight_bytes: usize) -> Self {
        let [rows, columns, batch] = [shape.rows, shape.columns, shape.batch].map(|size| size as usize);
        let near = (weight_bytes / 8).max(1);
        Self {
            weights: Array2::from_shape_fn((rows, columns), |(n, k)| ((k + n) % 3) as f32 - 1.0),
            inputs: Array2::from_shape_fn((batch, columns), |(b, k)| ((b + k) % 255) as f32 - 127.0),
            operations: 2.0 * rows as f64 * columns as f64 * batch as f64,
            memory: vec![1; (memory_bytes() / 8).max(near)],
            near,
            best: [Duration::MAX; 3],
        }
    }

    fn turn(&mut self) {
        let near = self.memory.get(..self.near).unwrap_or(&[]);
        // The first passes bring it into a cache, if it fits one.
        let pass = || {
            let started = Instant::now();
            black_box(read(black_box(near)));
            started.elapsed()
        };
        let near = (0..PASSES).map(|_| pass()).min().unwrap_or(Duration::MAX);
        let started = Instant::now();
        black_box(read(black_box(&self.memory)));
        let far = started.elapsed();
        let started = Instant::now();
        if self.inputs.nrows() == 1 {
            // A matrix by a vector, for which ndarray has loops of its own.
            black_box(self.weights.dot(&self.inputs.row(0)));
        } else {
            black_box(self.inputs.dot(&self.weights.t()));
        }
        let times = [started.elapsed(), near, far];
        for (best, time) in self.best.iter_mut().zip(times) {
            *best = (*best).min(time);
        }
    }

    fn machine(&self) -> Machine {
        let [product, near, far] = self.best.map(|time| time.as_secs_f64());
        Machine {
            f32_gops: self.operations / product / 1e9,
            read_gb_s: (self.near * 8) as f64 / near / 1e9,
            memory_gb_s: (self.memory.len() * 8) as f64 / far / 1e9,
        }
    }
}

/// Reads everything once.
fn read(words: &[u64]) -> u64 {
    match &trishift::kernels::best().packed {
        Some(packed) => (packed.read)(words),
        None => words.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word)),
    }
}

/// Eight times the last cache, at most half a gibibyte.
fn memory_bytes() -> usize {
    let size = |index: u32| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        std::fs::read_to_string(path).ok()?.trim().strip_suffix('K')?.parse::<usize>().ok()
    };
    let last = (0..8).filter_map(size).max().map_or(LAST_CACHE, |kibibytes| kibibytes << 10);
    (8 * last).min(1 << 29)
}

/// A model file of one linear layer with random trits and exponents.
fn random_layer(rows: u32, shape: &Shape, random: &mut ChaCha8Rng) -> Result<Vec<u8>, BenchError> {
    let (n, k, group) = (rows as usize, shape.columns as usize, shape.group);
    let trits: Vec<i8> = (0..n * k).map(|_| (random.next_u32() % 3) as i8 - 1).collect();
    let smallest = -8;
    let exponents: Vec<i8> =
        (0..n * group.count(k)).map(|_| smallest + (random.next_u32() % (shape.window_bits + 1)) as i8).collect();
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
        tensor(TensorClass::Input, DataType::I8, 0, shape.columns),
        tensor(TensorClass::Output, DataType::I32, i16::from(smallest), rows),
    ];
    Ok(writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 })?)
}

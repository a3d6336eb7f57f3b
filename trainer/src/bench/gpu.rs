//! `trishift bench gpu`: one training step of a ternary linear layer on a card, beside the dense products that it is made
//! of.
//!
//! A step is expansion of the weights, forward product, input gradient, weight gradient, votes and the update of the state.
//! Beside it stand cuBLASLt's three bfloat16 products of the same shapes, bfloat16 results included, and nothing else.
//! Both are captured in CUDA graphs and replayed in turns, timed by events; the medians are compared.

use crate::backend::BackendError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::Card;
use crate::backend::cuda::layer::{Input, Layer, LayerInput, Shared, Surroundings};
use crate::backend::cuda::product::{Format, Lies, ProductShape, Products};
use crate::backend::cuda::{Step, load_host_state};
use crate::config::{Activations, Config, ConfigError, ForwardProduct};
use crate::network::{Stage, StageOutput};
use crate::rule::RuleName;
use crate::rule::gradient::{from_bfloat16, to_bfloat16};
use cudarc::driver::CudaGraph;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use std::sync::Arc;
use thiserror::Error;
use trishift_format::GroupSize;

/// Shape of the layer and the rule that trains it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Samples M.
    pub batch: u32,
    /// Rows N (outputs).
    pub rows: u32,
    /// Columns K (inputs).
    pub columns: u32,
    /// Group size G.
    pub group: GroupSize,
    /// The rule.
    pub rule: RuleName,
    /// How the outputs are made.
    pub forward: ForwardProduct,
}

/// Milliseconds of a step, and of its parts each timed alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measurement {
    /// The whole step; median.
    pub step_ms: f64,
    /// cuBLASLt's three products; median.
    pub cublas_bf16_ms: f64,
    /// Weights T·2^E to bfloat16.
    pub expand_ms: f64,
    /// x·Wᵀ.
    pub forward_ms: f64,
    /// gy·W.
    pub input_gradient_ms: f64,
    /// gyᵀ·x.
    pub weight_gradient_ms: f64,
    /// Votes and the update of the state.
    pub update_ms: f64,
    /// 10⁹ bytes read and written a second in copies on the card.
    pub copy_gb_s: f64,
    /// Bytes of the state for each weight.
    pub state_bytes_per_weight: f64,
    /// Bytes of memory that a step needs for each weight and drops.
    pub scratch_bytes_per_weight: f64,
    /// Replays timed of each.
    pub runs: usize,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Nothing to multiply.
    #[error(
        "a product of {rows} × {columns} at batch {batch} cannot be measured; give at least 1 of each, and at most 2^31 weights"
    )]
    Shape {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Samples.
        batch: u32,
    },
    /// The card.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl From<CudaError> for BenchError {
    fn from(error: CudaError) -> Self {
        Self::Backend(error.into())
    }
}

/// Rounds of measuring, and replays in each that are timed as one.
const ROUNDS: usize = 40;
const MIN_REPLAYS: usize = 5;

/// Milliseconds that one timing takes at least.
const TIMING_MS: f64 = 4.0;

/// Bytes of the copies that show the memory's speed.
const COPY_BYTES: usize = 1 << 30;

/// Measures one shape.
///
/// # Errors
/// [`BenchError`] where the card has no room.
pub fn measure(card: &Arc<Card>, shape: &Shape) -> Result<Measurement, BenchError> {
    let Shape { batch, rows, columns, .. } = *shape;
    if batch == 0 || rows == 0 || columns == 0 || u64::from(rows) * u64::from(columns) > 1 << 31 {
        return Err(BenchError::Shape { rows, columns, batch });
    }
    let [batch, rows, columns] = [batch, rows, columns].map(|size| size as usize);
    let output = StageOutput::Logits;
    let stage = Stage::linear(rows, columns, shape.group, output);
    let mut config = Config::preset("mnist-mlp")?;
    config.training.rule = shape.rule;
    config.training.forward = shape.forward;
    let products = Products::new(card)?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (pitch, row_pitch) = (columns.next_multiple_of(16), rows.next_multiple_of(16));
    // int8 activations after a ReLU, half of them 0; gradients with the spread of a layer's in training.
    let mut matrix = |pitch: usize, own: usize, value: &dyn Fn(&mut ChaCha8Rng) -> f32| -> Vec<u16> {
        let row = |column| if column < own { to_bfloat16(value(&mut random)) } else { 0 };
        (0..batch).flat_map(|_| 0..pitch).map(row).collect()
    };
    let activation = |random: &mut ChaCha8Rng| f32::from((random.next_u32() as i8).max(0));
    let slope = |random: &mut ChaCha8Rng| 1e-5 * Distribution::<f32>::sample(&StandardNormal, random);
    let activations = matrix(pitch, columns, &activation);
    let bytes: Vec<i8> = activations.iter().map(|bits| from_bfloat16(*bits) as i8).collect();
    let input = card.upload("inputs", &activations)?;
    let bytes = card.upload("inputs", &bytes)?;
    let (training, activations) = (&config.training, Activations::Int8);
    let surroundings =
        Surroundings { card, products: &products, training, activations, batch, shards: 1, voting: None };
    let bytes = Layer::takes_bytes(&surroundings, &stage).then_some(&bytes);
    let mut layer = Layer::new(&surroundings, &stage, LayerInput { is_first: false, bytes, gives_bytes: false })?;
    load_host_state(card, crate::rule::create(&config, &stage, 0).as_ref(), &mut layer, 0)?;
    let gradient = matrix(row_pitch, rows, &slope);
    card.write(layer.gradient_mut(), &gradient)?;
    let input_gradient = card.zeros::<u16>("the inputs' gradient", batch * pitch)?;
    let scratch = card.zeros::<u16>("the weights", row_pitch * pitch)?;
    let row_squares = card.zeros::<f64>("sums of squares", rows)?;
    let step = card.upload("a step's parameters", &[Step { lambda: 1.0, ..Step::default() }])?;
    let (products, scratch, row_squares) = (&products, &scratch, &row_squares);
    let shared = Shared { card, products, scratch, row_squares, step: &step, together: None };
    let (layer, source) = (&layer, Input::Activations(&input));

    let whole = || {
        layer.forward(&shared, source)?;
        layer.backward(&shared, source, (Some(&input_gradient), layer.leaves_weights()), &mut None)
    };
    let plan = |rows, columns, inner, lies| {
        products.plan(ProductShape { rows, columns, inner, lies, factors: Format::Bf16, result: Format::Bf16 })
    };
    let dense = [
        plan(batch, row_pitch, pitch, [Lies::Straight, Lies::Transposed])?,
        plan(batch, pitch, row_pitch, [Lies::Straight, Lies::Straight])?,
        plan(row_pitch, pitch, batch, [Lies::Transposed, Lies::Straight])?,
    ];
    // Results of the dense products, weights apart from their gradient as any dense trainer has them.
    let outputs = card.zeros::<u16>("the dense outputs", batch * row_pitch)?;
    let weights = card.zeros::<u16>("the dense weights", row_pitch * pitch)?;
    let weight_gradient = card.zeros::<u16>("the dense weights' gradient", row_pitch * pitch)?;
    layer.rule.expand(card, &weights)?;
    let cublas = || {
        products.multiply(&dense[0], &input, &weights, &outputs)?;
        products.multiply(&dense[1], layer.gradient(), &weights, &input_gradient)?;
        products.multiply(&dense[2], layer.gradient(), &input, &weight_gradient)
    };
    let parts: [&dyn Fn() -> Result<(), CudaError>; 7] = [
        &whole,
        &cublas,
        &|| layer.rule.expand(card, scratch),
        &|| layer.multiply_forward(&shared, &input),
        &|| layer.multiply_input_gradient(&shared, &input_gradient),
        &|| layer.multiply_weight_gradient(&shared, &input, 0),
        &|| layer.update(&shared),
    ];
    let mut timers = Vec::new();
    for part in parts {
        card.rehearse(part)?;
        timers.push(Timer::new(card, card.capture(part)?)?);
    }
    // The parts read what a whole step leaves.
    for _ in 0..ROUNDS {
        for timer in &mut timers {
            timer.turn(card)?;
        }
    }
    let mut medians = timers.iter_mut().map(Timer::median);
    let mut next = || medians.next().unwrap_or_default();
    let [step_ms, cublas_bf16_ms, expand_ms, forward_ms, input_gradient_ms, weight_gradient_ms, update_ms] =
        std::array::from_fn(|_| next());
    let count = (rows * columns) as f64;
    Ok(Measurement {
        step_ms,
        cublas_bf16_ms,
        expand_ms,
        forward_ms,
        input_gradient_ms,
        weight_gradient_ms,
        update_ms,
        copy_gb_s: copy_rate(card)?,
        state_bytes_per_weight: layer.rule.state_bytes() as f64 / count,
        scratch_bytes_per_weight: (scratch.bytes() + row_squares.bytes() + layer.weight_bytes()) as f64 / count,
        runs: timers.first().map_or(0, |timer| timer.times.len() * timer.replays),
    })
}

/// A graph and the times of its replays.
struct Timer {
    graph: CudaGraph,
    replays: usize,
    times: Vec<f64>,
}

impl Timer {
    /// Warms up and finds out how many replays make one timing.
    fn new(card: &Card, graph: CudaGraph) -> Result<Self, CudaError> {
        let mut timer = Self { graph, replays: MIN_REPLAYS, times: Vec::new() };
        timer.turn(card)?;
        timer.turn(card)?;
        let once = timer.times.pop().unwrap_or(TIMING_MS);
        timer.replays = ((TIMING_MS / once.max(1e-4)) as usize).max(MIN_REPLAYS);
        timer.times.clear();
        Ok(timer)
    }

    fn turn(&mut self, card: &Card) -> Result<(), CudaError> {
        let during = || CudaError::during("replaying a step");
        // Fills the pipeline before the first event.
        self.graph.launch().map_err(during())?;
        let start = card.mark()?;
        for _ in 0..self.replays {
            self.graph.launch().map_err(during())?;
        }
        let end = card.mark()?;
        card.wait()?;
        self.times.push(f64::from(start.elapsed_ms(&end).map_err(during())?) / self.replays as f64);
        Ok(())
    }

    fn median(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }
}

fn copy_rate(card: &Card) -> Result<f64, CudaError> {
    let from = card.zeros::<u8>("memory to copy", COPY_BYTES)?;
    let mut to = card.zeros::<u8>("memory to copy to", COPY_BYTES)?;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = card.mark()?;
        card.copy(&from, &mut to)?;
        let end = card.mark()?;
        card.wait()?;
        let elapsed = start.elapsed_ms(&end).map_err(CudaError::during("timing copies"))?;
        best = best.min(f64::from(elapsed));
    }
    Ok(2.0 * COPY_BYTES as f64 / best / 1e6)
}

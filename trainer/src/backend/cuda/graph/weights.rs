//! A layer with weights in a graph: its state, what a step makes for it, and the products that make it.
//!
//! A convolution is the linear layer that it is on the matrix of its windows. That matrix is made in the forward pass and, to
//! save memory, again in the backward pass, unless the card has room for those of all layers. Depthwise convolutions have
//! kernels of their own.

use super::columns::Matrix;
use super::norm::{Channels, Pass};
use super::shape::{CHUNK, Image, MOST_BLOCKS, Windows, sample_grid};
use super::sums::SampleNorm;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use crate::backend::cuda::extent::{Extent, padded};
use crate::backend::cuda::layer::Shared;
use crate::backend::cuda::product::{Format, Lies, Product, ProductShape, Products};
use crate::backend::cuda::rule::{self, CardRule, Update};
use crate::backend::cuda::together::{Ballot, BallotLayout, Voting};
use crate::config::TrainingConfig;
use crate::network::{Operation, Stage, StageOutput};
use crate::rule::ballot::Shards;
use trishift_format::Window;
use trishift_kernels::cuda::{CONVOLUTION, DEPTHWISE, IMAGE};

/// Threads of a block.
const THREADS: u32 = 256;

/// Blocks that share the samples of a depthwise convolution's weight gradient.
const STRETCHES: usize = 64;

/// Chunks of channels that lie beside each other in such a block.
const TILE: usize = 32;

/// What a layer is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) card: &'a Card,
    pub(super) products: &'a Products,
    pub(super) training: &'a TrainingConfig,
    /// Samples of a step.
    pub(super) batch: usize,
    /// Equal parts of them that are multiplied one by one, and vote if they do.
    pub(super) shards: usize,
    /// Into how many shards the whole batch is cut, where shards vote.
    pub(super) voting: Option<Shards>,
    /// Whether matrices of windows are kept from the forward to the backward pass.
    pub(super) keeps_windows: bool,
}

/// What a layer is in its network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) operation: Operation,
    pub(super) stage: Stage,
    pub(super) input: Image,
    pub(super) output: Image,
    /// Whether a shift batch norm takes its sums.
    pub(super) is_normed: bool,
    /// Lower clamp of its output at 0.
    pub(super) relu: bool,
    /// Whether nothing before wants a gradient.
    pub(super) is_first: bool,
}

/// A gradient that a layer gives to what is before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) gradient: &'a Buffer<u16>,
    /// To what is there already.
    pub(super) adds: bool,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Weights {
    extent: Extent,
    pub(super) rule: Box<dyn CardRule>,
    batch: usize,
    /// Parts of the batch that are multiplied one by one.
    shards: usize,
    /// Where their votes go; none where they are one gradient.
    pub(super) ballot: Option<BallotLayout>,
    /// Of all shards.
    matrix: Matrix,
    /// W of the forward pass in bfloat16, shifts included.
    weights: Buffer<u16>,
    /// Bits of every row's smallest weight.
    smallest: Buffer<u32>,
    /// Sums, [windows, pitch].
    sums: Buffer<f32>,
    source: Source,
    output: Output,
    has_bias: bool,
}

/// What is multiplied with the weights.
#[derive(Debug)]
enum Source {
    /// The input as it lies.
    Straight(Factors),
    /// The matrix of windows.
    Windows { windows: Windows, kept: Option<Buffer<u16>>, factors: Factors },
    /// Channel by channel.
    Depthwise { windows: Windows, turned: Buffer<u16>, partial: Buffer<f32>, stretches: usize },
}

#[derive(Debug)]
struct Factors {
    forward: Product,
    input_gradient: Option<Product>,
    weight_gradient: WeightGradient,
    /// Columns of the matrix.
    columns: usize,
}

/// D = gyᵀ·x. A convolution's is small and has many windows to be summed: they are cut into parts, so that all of a card
/// works on it, whose sums are added in one order.
#[derive(Debug)]
struct WeightGradient {
    product: Product,
    parts: usize,
    /// D of every part; none where there is one.
    partial: Option<Buffer<f32>>,
    weights: usize,
}

/// Most parts of a weight gradient, and fewest windows that are worth one.
const MOST_PARTS: usize = 128;
const PART_WINDOWS: usize = 512;

/// Weights that one block of a product takes, about: from so many of them on no parts are needed.
const BLOCK_WEIGHTS: usize = 128 * 128;

/// How many parts the windows are cut into: a power of two that divides them.
fn parts(weights: usize, windows: usize) -> usize {
    let wanted = MOST_PARTS.div_ceil(weights.div_ceil(BLOCK_WEIGHTS).max(1));
    let mut parts = 1;
    while 2 * parts <= wanted && windows.is_multiple_of(2 * parts) && windows / (2 * parts) >= PART_WINDOWS {
        parts *= 2;
    }
    parts
}

impl WeightGradient {
    fn new(card: &Card, products: &Products, extent: Extent, windows: usize) -> Result<Self, CudaError> {
        let (rows, columns, weights) = (extent.padded_rows(), extent.pitch(), extent.padded_weights());
        let parts = parts(weights, windows);
        let result = if parts > 1 { Format::F32 } else { Format::Bf16 };
        let lies = [Lies::Transposed, Lies::Straight];
        let shape = ProductShape { rows, columns, inner: windows / parts, lies, factors: Format::Bf16, result };
        let partial = if parts > 1 { Some(card.zeros("a layer's partial gradients", parts * weights)?) } else { None };
        Ok(Self { product: products.plan_batches(shape, parts)?, parts, partial, weights })
    }

    /// Enqueues D to `result`.
    fn multiply(
        &self,
        shared: &Shared<'_>,
        gradient: Span<'_>,
        input: Span<'_>,
        result: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Some(partial) = &self.partial else {
            return shared.products.multiply(&self.product, gradient, input, result);
        };
        shared.products.multiply(&self.product, gradient, input, partial)?;
        let vectors = self.weights / 4;
        let arguments = arguments![partial, self.parts as i32, vectors, result];
        let grid = Grid::new(vectors.div_ceil(32) as u32, THREADS);
        shared.card.launch(Kernel::new(CONVOLUTION, "add_parts"), grid, arguments)
    }
}

/// What becomes of the sums.
#[derive(Debug)]
enum Output {
    /// Logits stay sums.
    Logits,
    /// int8, channel by channel.
    Channels(Box<Channels>),
    /// int8, after a norm over the sample.
    Sample(SampleNorm),
}

impl Place {
    /// The window of a layer that has to make a matrix of windows.
    fn window(&self) -> Option<Window> {
        match self.operation {
            Operation::Conv2d(_, window) if window != Window::new([1, 1]) => Some(window),
            _ => None,
        }
    }

    /// Windows of a sample.
    fn windows(&self) -> usize {
        self.output.pixels()
    }

    /// Values of the matrix of windows, 0 where there is none.
    pub(super) fn matrix_len(&self, batch: usize) -> usize {
        self.window().map_or(0, |_| batch * self.windows() * padded(self.stage.columns))
    }

    /// Values of memory that gradients of the matrix, or of an input that has one already, take.
    pub(super) fn scratch_len(&self, batch: usize) -> usize {
        match self.operation {
            Operation::DepthwiseConv2d(..) => 0,
            _ => self.matrix_len(batch).max(batch * self.windows() * padded(self.stage.columns)),
        }
    }
}

impl Weights {
    /// Memory and products of a layer; its state is loaded after.
    pub(super) fn new(plan: &Plan<'_>, place: &Place) -> Result<Self, CudaError> {
        let Plan { card, training, batch, shards, voting, .. } = *plan;
        let Place { stage, .. } = place;
        let extent = Extent::of(stage);
        let matrix = Matrix { rows: batch * place.windows(), pitch: extent.padded_rows() };
        let output = match stage.output {
            StageOutput::Logits => Output::Logits,
            StageOutput::Requantized { .. } => {
                Output::Channels(Channels::new(card, (matrix, shards), stage.rows, place.relu, place.is_normed)?.into())
            }
            StageOutput::ShiftNorm { .. } | StageOutput::RmsNorm { .. } => {
                Output::Sample(SampleNorm::new(card, batch, place.output, stage.output, place.relu)?)
            }
        };
        let rule = rule::create(card, training, stage)?;
        Ok(Self {
            extent,
            ballot: voting.and_then(|shards| BallotLayout::new(rule.as_ref(), stage, shards, place.is_normed)),
            rule,
            batch,
            shards,
            matrix,
            weights: card.zeros("a layer's weights", extent.padded_weights())?,
            smallest: card.zeros("a layer's smallest weights", extent.padded_rows())?,
            sums: card.zeros("a layer's sums", matrix.rows * matrix.pitch)?,
            source: Source::new(plan, place, extent, matrix.rows / shards)?,
            output,
            has_bias: stage.bias,
        })
    }

    /// Enqueues the forward pass.
    pub(super) fn forward(
        &self,
        shared: &Shared<'_>,
        matrices: &Buffer<u16>,
        pass: Pass,
        input: &Buffer<u16>,
        activations: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Shared { card, products, .. } = *shared;
        self.rule.expand(card, &self.weights)?;
        self.rule.round_bias(card, &self.weights)?;
        if let Output::Channels(channels) = &self.output {
            let units = match self.rule.units() {
                Some(units) => units,
                None => {
                    if channels.is_normed() {
                        rule::find_units(card, &self.extent, &self.weights, &self.smallest)?;
                    }
                    &self.smallest
                }
            };
            channels.prepare(card, (&self.weights, self.extent.pitch()), units, self.rule.bias())?;
        }
        match &self.source {
            Source::Straight(factors) => self.each_shard(|own| {
                let (input, sums) = (self.inputs_from(input, own), self.outputs_from(&self.sums, own));
                products.multiply(&factors.forward, input, &self.weights, sums)
            })?,
            Source::Windows { windows, kept, factors } => {
                let matrix = kept.as_ref().unwrap_or(matrices);
                self.spread(card, windows, input, matrix)?;
                self.each_shard(|own| {
                    let (matrix, sums) = (self.inputs_from(matrix, own), self.outputs_from(&self.sums, own));
                    products.multiply(&factors.forward, matrix, &self.weights, sums)
                })?;
            }
            Source::Depthwise { windows, turned, .. } => {
                let (taps, pitch) = (windows.taps(), self.matrix.pitch);
                let arguments =
                    arguments![&self.weights, self.extent.pitch() as i32, taps as i32, pitch as i32, turned];
                card.launch(Kernel::new(DEPTHWISE, "turn"), Grid::covering(taps * pitch, THREADS), arguments)?;
                let grid = sample_grid(self.batch, windows.output.len() / CHUNK)?;
                let arguments = arguments![windows.fields(), input, turned, &self.sums];
                card.launch(Kernel::new(DEPTHWISE, "forward"), grid, arguments)?;
            }
        }
        match &self.output {
            Output::Logits => Ok(()),
            Output::Channels(channels) => channels.forward(shared, pass, &self.sums, activations),
            Output::Sample(norm) => norm.forward(card, &self.sums, self.rule.bias(), activations),
        }
    }

    /// Enqueues the backward pass and the update, given the gradient with respect to the activations, or the logits.
    pub(super) fn backward<'a>(
        &'a self,
        shared: &Shared<'a>,
        matrices: &Buffer<u16>,
        (input, gradient): (&Buffer<u16>, &Buffer<u16>),
        target: Option<Target<'_>>,
        voting: &mut Option<Voting<'a>>,
    ) -> Result<(), CudaError> {
        let Shared { card, products, step, scratch, .. } = *shared;
        match &self.output {
            Output::Logits => {}
            Output::Channels(channels) => channels.backward(shared, &self.sums, gradient, self.has_bias)?,
            Output::Sample(norm) => norm.backward(card, &self.sums, self.rule.bias(), gradient)?,
        }
        match &self.source {
            Source::Straight(factors) => {
                if let (Some(product), Some(Target { gradient: before, adds })) = (&factors.input_gradient, target) {
                    let result = if adds { matrices } else { before };
                    self.each_shard(|own| {
                        let (gradient, result) = (self.outputs_from(gradient, own), self.inputs_from(result, own));
                        products.multiply(product, gradient, &self.weights, result)
                    })?;
                    if adds {
                        let chunks = self.matrix.rows * factors.columns / CHUNK;
                        let arguments = arguments![matrices, chunks, before];
                        card.launch(Kernel::new(IMAGE, "add_to"), Grid::covering(chunks, THREADS), arguments)?;
                    }
                }
            }
            Source::Windows { windows, factors, .. } => {
                if let (Some(product), Some(Target { gradient: before, adds })) = (&factors.input_gradient, target) {
                    self.each_shard(|own| {
                        let (gradient, result) = (self.outputs_from(gradient, own), self.inputs_from(matrices, own));
                        products.multiply(product, gradient, &self.weights, result)
                    })?;
                    let grid = sample_grid(self.batch, windows.input.len() / CHUNK)?;
                    let arguments = arguments![windows.fields(), matrices, i32::from(adds), before];
                    card.launch(Kernel::new(CONVOLUTION, "collect"), grid, arguments)?;
                }
            }
            Source::Depthwise { windows, turned, .. } => {
                if let Some(Target { gradient: before, adds }) = target {
                    let grid = sample_grid(self.batch, windows.input.len() / CHUNK)?;
                    let arguments = arguments![windows.fields(), gradient, turned, i32::from(adds), before];
                    card.launch(Kernel::new(DEPTHWISE, "image_gradient"), grid, arguments)?;
                }
            }
        }
        // What the weight gradient is made from.
        let factor = match &self.source {
            Source::Windows { kept: Some(matrix), .. } => matrix,
            Source::Windows { windows, kept: None, .. } => {
                self.spread(card, windows, input, matrices)?;
                matrices
            }
            Source::Straight(_) | Source::Depthwise { .. } => input,
        };
        let (Some(voting), Some(layout)) = (voting, self.ballot) else {
            self.find_weight_gradient(shared, (factor, gradient), 0)?;
            if let Some(together) = shared.together {
                together.sum_gradient(scratch, self.extent.padded_weights())?;
            }
            return self.rule.update(card, &self.update_of(shared, gradient, 0));
        };
        let ballot = voting.begin(&layout);
        for (own, turn) in voting.turns().enumerate() {
            self.find_weight_gradient(shared, (factor, gradient), own)?;
            self.rule.vote(card, &self.update_of(shared, gradient, own), &ballot, turn)?;
            if let Output::Channels(channels) = &self.output {
                channels.vote(shared, own, &ballot, turn)?;
            }
        }
        let apply = move |ballot: Ballot<'a>| {
            self.rule.apply(card, &ballot, step)?;
            match &self.output {
                Output::Channels(channels) => channels.apply(card, &ballot),
                _ => Ok(()),
            }
        };
        voting.end(layout, Box::new(apply))
    }

    /// The weight gradient of this card's shard number `own`, to the scratch memory.
    fn find_weight_gradient(
        &self,
        shared: &Shared<'_>,
        (factor, gradient): (&Buffer<u16>, &Buffer<u16>),
        own: usize,
    ) -> Result<(), CudaError> {
        let of_output = self.outputs_from(gradient, own);
        match &self.source {
            Source::Straight(factors) | Source::Windows { factors, .. } => {
                factors.weight_gradient.multiply(shared, of_output, self.inputs_from(factor, own), shared.scratch)
            }
            Source::Depthwise { windows, partial, stretches, .. } => {
                let samples = self.batch / self.shards;
                let images = factor.from(own * samples * windows.input.len());
                let parts = (windows, partial, *stretches);
                self.depthwise_gradient(shared.card, parts, (images, of_output, samples), shared.scratch)
            }
        }
    }

    /// What an update, or the votes of this card's shard number `own`, are made from.
    fn update_of<'b>(&'b self, shared: &Shared<'b>, gradient: &'b Buffer<u16>, own: usize) -> Update<'b> {
        let Shared { scratch, row_squares, step, together, .. } = *shared;
        let bias_sums = match &self.output {
            Output::Channels(channels) if self.has_bias => Some(channels.bias_sums(own)),
            _ => None,
        };
        let output = Some(self.outputs_from(gradient, own));
        let batch = self.matrix.rows / self.shards;
        Update { gradient: scratch, output, bias_sums, batch, step, row_squares, together }
    }

    fn each_shard(&self, f: impl FnMut(usize) -> Result<(), CudaError>) -> Result<(), CudaError> {
        (0..self.shards).try_for_each(f)
    }

    /// A matrix of what is multiplied with the weights, [rows, pitch], from the rows of this card's shard number `own` on.
    fn inputs_from<'b>(&self, matrix: &'b Buffer<u16>, own: usize) -> Span<'b> {
        matrix.from(own * (self.matrix.rows / self.shards) * self.extent.pitch())
    }

    /// The same of sums, or of their gradient.
    fn outputs_from<'b, T>(&self, matrix: &'b Buffer<T>, own: usize) -> Span<'b> {
        matrix.from(own * (self.matrix.rows / self.shards) * self.matrix.pitch)
    }

    /// Enqueues making the matrix of windows.
    fn spread(
        &self,
        card: &Card,
        windows: &Windows,
        input: &Buffer<u16>,
        matrix: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let grid = sample_grid(self.batch, windows.output.pixels() * self.extent.pitch() / CHUNK)?;
        card.launch(Kernel::new(CONVOLUTION, "spread"), grid, arguments![windows.fields(), input, matrix])
    }

    /// Enqueues the weight gradient of a depthwise convolution.
    fn depthwise_gradient(
        &self,
        card: &Card,
        (windows, partial, stretches): (&Windows, &Buffer<f32>, usize),
        (input, gradient, samples): (Span<'_>, Span<'_>, usize),
        scratch: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let (taps, pitch, weights_pitch) = (windows.taps(), self.matrix.pitch, self.extent.pitch());
        let chunks = pitch / CHUNK;
        let tile = chunks.min(TILE);
        let tiles = chunks.div_ceil(tile);
        let arguments =
            arguments![windows.fields(), input, gradient, samples as i32, tile as i32, tiles as i32, partial];
        let grid = Grid { blocks: [stretches as u32, (taps * tiles) as u32], threads: THREADS, shared: 0 };
        card.launch(Kernel::new(DEPTHWISE, "partial_gradient"), grid, arguments)?;
        let sizes = [stretches, taps, pitch, weights_pitch].map(|size| size as i32);
        let arguments = arguments![partial, sizes[0], sizes[1], sizes[2], sizes[3], scratch];
        card.launch(Kernel::new(DEPTHWISE, "add_up"), Grid::covering(weights_pitch * pitch, THREADS), arguments)
    }

    /// Sums of the last forward pass, [batch, pitch].
    pub(super) fn sums(&self) -> &Buffer<f32> {
        &self.sums
    }

    /// Values from one row of sums to the next.
    pub(super) fn pitch(&self) -> usize {
        self.matrix.pitch
    }

    /// What becomes of the sums channel by channel, where that is all.
    pub(super) fn channels(&self) -> Option<&Channels> {
        match &self.output {
            Output::Channels(channels) => Some(channels),
            _ => None,
        }
    }

    /// The same, to be loaded.
    pub(super) fn channels_mut(&mut self) -> Option<&mut Channels> {
        match &mut self.output {
            Output::Channels(channels) => Some(channels),
            _ => None,
        }
    }

    /// Bytes that a step makes for the weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.smallest.bytes()
    }

    /// Bytes that a step makes for the samples.
    pub(super) fn activation_bytes(&self) -> usize {
        let source = match &self.source {
            Source::Straight(factors) => factors.bytes(),
            Source::Windows { kept, factors, .. } => kept.as_ref().map_or(0, Buffer::bytes) + factors.bytes(),
            Source::Depthwise { turned, partial, .. } => turned.bytes() + partial.bytes(),
        };
        let output = match &self.output {
            Output::Logits => 0,
            Output::Channels(channels) => channels.bytes(),
            Output::Sample(norm) => norm.bytes(),
        };
        self.sums.bytes() + source + output
    }
}

impl Source {
    fn new(plan: &Plan<'_>, place: &Place, extent: Extent, rows: usize) -> Result<Self, CudaError> {
        let Plan { card, batch, shards, keeps_windows, .. } = *plan;
        let windows = |window| Windows::new(card, window, place.input, place.output, extent.pitch());
        if let Operation::DepthwiseConv2d(_, window) = place.operation {
            let windows = windows(window)?;
            let (taps, pitch, stretches) = (windows.taps(), extent.padded_rows(), (batch / shards).min(STRETCHES));
            if taps * pitch.div_ceil(CHUNK * TILE) > MOST_BLOCKS {
                return Err(CudaError::Unsupported { what: "a depthwise convolution with windows as large as these" });
            }
            return Ok(Self::Depthwise {
                windows,
                turned: card.zeros("a layer's weights", taps * pitch)?,
                partial: card.zeros("a layer's partial sums", stretches * taps * pitch)?,
                stretches,
            });
        }
        let factors = Factors::new(plan, extent, rows, place.is_first)?;
        let Some(window) = place.window() else { return Ok(Self::Straight(factors)) };
        let kept = if keeps_windows { Some(card.zeros("a layer's windows", place.matrix_len(batch))?) } else { None };
        Ok(Self::Windows { windows: windows(window)?, kept, factors })
    }
}

impl Factors {
    fn new(plan: &Plan<'_>, extent: Extent, windows: usize, is_first: bool) -> Result<Self, CudaError> {
        let Plan { card, products, .. } = *plan;
        let (rows, columns) = (extent.padded_rows(), extent.pitch());
        let plan = |rows, columns, inner, lies, result| {
            products.plan(ProductShape { rows, columns, inner, lies, factors: Format::Bf16, result })
        };
        let straight = [Lies::Straight, Lies::Straight];
        Ok(Self {
            forward: plan(windows, rows, columns, [Lies::Straight, Lies::Transposed], Format::F32)?,
            input_gradient: if is_first { None } else { Some(plan(windows, columns, rows, straight, Format::Bf16)?) },
            weight_gradient: WeightGradient::new(card, products, extent, windows)?,
            columns,
        })
    }

    /// Bytes of the parts of the weight gradient.
    fn bytes(&self) -> usize {
        self.weight_gradient.partial.as_ref().map_or(0, Buffer::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_divide_the_windows() {
        // ResNet-8's layers at batch 256, a layer with weights enough, and windows that nothing divides.
        let found = [
            parts(16 * 144, 262_144),
            parts(64 * 576, 16_384),
            parts(512 * 4608, 4096),
            parts(16 * 144, 262_143),
            parts(16 * 32, 256),
        ];
        assert_eq!(found, [128, 32, 1, 1, 1]);
    }
}

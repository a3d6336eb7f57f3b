//! One stage of a network on a card: its state, what a step makes for it, and the products that make it.

use super::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use super::extent::{Extent, padded};
use super::product::{Format, Lies, Product, ProductShape, Products};
use super::rule::{self, CardRule};
use super::ternary_product::TernaryProduct;
use super::together::{BallotLayout, Together, Voting};
use super::{CudaError, Step};
use crate::config::{Activations, ForwardProduct, TrainingConfig};
use crate::network::{Stage, StageKind, StageOutput};
use crate::rule::ballot::Shards;
use trishift_kernels::cuda::{ACTIVATION, EMBEDDING};

/// Threads of a block that takes one sample.
fn threads_of_sample(pitch: usize) -> u32 {
    (pitch / 4).next_multiple_of(32).clamp(32, 256) as u32
}

/// One stage.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) stage: Stage,
    pub(crate) rule: Box<dyn CardRule>,
    batch: usize,
    /// Parts of the batch that are multiplied one by one.
    shards: usize,
    /// Where their votes go; none where they are one gradient.
    pub(crate) ballot: Option<BallotLayout>,
    continuous: bool,
    /// Accumulators, [batch, pitch of the outputs].
    accumulators: Buffer<f32>,
    /// Activations in bfloat16, of the same shape; none for logits.
    activations: Option<Buffer<u16>>,
    /// What each sample was multiplied by.
    scales: Buffer<f32>,
    /// The activations as int8, for a layer that multiplies them so.
    bytes: Option<Buffer<i8>>,
    /// Gradient with respect to activations, then accumulators, in bfloat16, of the same shape.
    gradient: Buffer<u16>,
    /// Products of a linear layer; the one that gives the input's gradient is left out in the first.
    products: Option<LinearProducts>,
}

#[derive(Debug)]
struct LinearProducts {
    forward: Forward,
    input_gradient: Option<Product>,
    weight_gradient: Product,
}

/// How a layer's outputs are made.
#[derive(Debug)]
enum Forward {
    /// From weights in bfloat16.
    Dense(Product),
    /// From trits.
    Ternary(Box<TernaryProduct>),
}

/// What comes into a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// Activations in bfloat16, [batch, pitch of the inputs].
    Activations(&'a Buffer<u16>),
    /// Rows of a table, [batch, positions].
    Indices(&'a Buffer<u8>),
}

/// What all layers of a network are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) card: &'a Card,
    pub(crate) products: &'a Products,
    pub(crate) training: &'a TrainingConfig,
    pub(crate) activations: Activations,
    /// Samples of a step on this card.
    pub(crate) batch: usize,
    /// Equal parts of them that are multiplied one by one, and vote if they do.
    pub(crate) shards: usize,
    /// Into how many shards the whole batch is cut, where shards vote.
    pub(crate) voting: Option<Shards>,
}

/// What a layer is told of its neighbours when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerInput<'a> {
    /// Whether nothing comes before that wants a gradient.
    pub(crate) is_first: bool,
    /// The input as int8, where the layer is to multiply it so.
    pub(crate) bytes: Option<&'a Buffer<i8>>,
    /// Whether the next layer wants this one's output as int8.
    pub(crate) gives_bytes: bool,
}

/// What a step shares among layers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) card: &'a Card,
    pub(crate) products: &'a Products,
    /// The weights of one layer, then its weight gradient, in bfloat16.
    pub(crate) scratch: &'a Buffer<u16>,
    pub(crate) row_squares: &'a Buffer<f64>,
    pub(crate) step: &'a Buffer<Step>,
    /// With whom steps are made, if with anyone.
    pub(crate) together: Option<&'a Together>,
}

impl<'a> Shared<'a> {
    /// The votes of a backward pass, where shards vote.
    pub(crate) fn voting(&self) -> Option<Voting<'a>> {
        let together = self.together.filter(|together| together.share.has_ballots());
        together.map(|together| together.voting(self.card))
    }
}

impl Layer {
    /// Memory and products of a stage; its state is loaded after.
    ///
    /// # Errors
    /// [`CudaError`].
    pub(crate) fn new(
        surroundings: &Surroundings<'_>,
        stage: &Stage,
        input: LayerInput<'_>,
    ) -> Result<Self, CudaError> {
        let Surroundings { card, products, training, activations, batch, shards, voting } = *surroundings;
        // A shard's products are of the same shape whoever makes them.
        let samples = batch / shards;
        let outputs = batch * padded(stage.outputs());
        let extent = Extent::of(stage);
        let (rows, columns) = (extent.padded_rows(), extent.pitch());
        let plan = |rows, columns, inner, lies, result| {
            products.plan(ProductShape { rows, columns, inner, lies, factors: Format::Bf16, result })
        };
        let products = match stage.kind {
            StageKind::Embedding { .. } => None,
            StageKind::Linear => Some(LinearProducts {
                forward: match input.bytes {
                    Some(bytes) => Forward::Ternary(Box::new(TernaryProduct::new(card, extent, batch, bytes)?)),
                    None => {
                        Forward::Dense(plan(samples, rows, columns, [Lies::Straight, Lies::Transposed], Format::F32)?)
                    }
                },
                input_gradient: if input.is_first {
                    None
                } else {
                    Some(plan(samples, columns, rows, [Lies::Straight, Lies::Straight], Format::Bf16)?)
                },
                weight_gradient: plan(rows, columns, samples, [Lies::Transposed, Lies::Straight], Format::Bf16)?,
            }),
        };
        let is_last = stage.output == StageOutput::Logits;
        let rule = rule::create(card, training, stage)?;
        let ballot = voting.and_then(|shards| BallotLayout::new(rule.as_ref(), stage, shards, false));
        Ok(Self {
            stage: *stage,
            rule,
            batch,
            shards,
            ballot,
            continuous: activations == Activations::Float,
            accumulators: card.zeros("a layer's accumulators", outputs)?,
            activations: if is_last { None } else { Some(card.zeros("a layer's activations", outputs)?) },
            scales: card.zeros("a layer's scales", batch)?,
            bytes: if input.gives_bytes { Some(card.zeros("a layer's activations", outputs)?) } else { None },
            gradient: card.zeros("a layer's gradient", outputs)?,
            products,
        })
    }

    /// Whether a stage multiplies int8 activations by trits: where the configuration wants it, under this rule, on this card,
    /// with this batch.
    pub(crate) fn takes_bytes(surroundings: &Surroundings<'_>, stage: &Stage) -> bool {
        let Surroundings { card, training, activations, batch, .. } = *surroundings;
        let has_trits = training.forward == ForwardProduct::Trits && rule::is_ternary(training.rule, stage);
        let is_exact = activations == Activations::Int8 && stage.kind == StageKind::Linear && !stage.bias;
        has_trits && is_exact && TernaryProduct::suits(card, &Extent::of(stage), batch)
    }

    /// Whether the scratch memory holds the weights after the forward pass.
    pub(crate) fn leaves_weights(&self) -> bool {
        !matches!(&self.products, Some(LinearProducts { forward: Forward::Ternary(_), .. }))
    }

    /// Values of one sample's outputs with padding.
    pub(crate) fn pitch(&self) -> usize {
        padded(self.stage.outputs())
    }

    pub(crate) fn accumulators(&self) -> &Buffer<f32> {
        &self.accumulators
    }

    pub(crate) fn activations(&self) -> Option<&Buffer<u16>> {
        self.activations.as_ref()
    }

    pub(crate) fn bytes(&self) -> Option<&Buffer<i8>> {
        self.bytes.as_ref()
    }

    pub(crate) fn gradient(&self) -> &Buffer<u16> {
        &self.gradient
    }

    /// For whoever measures a layer alone.
    pub(crate) fn gradient_mut(&mut self) -> &mut Buffer<u16> {
        &mut self.gradient
    }

    /// Bytes that a step makes for this layer alone.
    pub(crate) fn activation_bytes(&self) -> usize {
        let Self { accumulators, activations, scales, bytes, gradient, .. } = self;
        let activations = activations.as_ref().map_or(0, Buffer::bytes) + bytes.as_ref().map_or(0, Buffer::bytes);
        accumulators.bytes() + activations + scales.bytes() + gradient.bytes()
    }

    /// Bytes that a step makes for this layer's weights apart from the scratch memory.
    pub(crate) fn weight_bytes(&self) -> usize {
        match &self.products {
            Some(LinearProducts { forward: Forward::Ternary(product), .. }) => product.bytes(),
            _ => 0,
        }
    }

    /// Forward pass; leaves the layer's weights in the scratch memory where [`Layer::leaves_weights`] says so.
    pub(crate) fn forward(&self, shared: &Shared<'_>, input: Input<'_>) -> Result<(), CudaError> {
        let Shared { card, scratch, .. } = *shared;
        if self.leaves_weights() {
            self.rule.expand(card, scratch)?;
            self.rule.round_bias(card, scratch)?;
        }
        match input {
            Input::Activations(input) => self.multiply_forward(shared, input)?,
            Input::Indices(indices) => self.look_up(card, indices, scratch)?,
        }
        let Some(activations) = &self.activations else { return Ok(()) };
        let arguments = arguments![
            &self.accumulators,
            self.rule.bias(),
            self.stage.outputs() as i32,
            self.pitch() as i32,
            self.norm(),
            i32::from(self.stage.output.relu()),
            i32::from(self.continuous),
            &self.scales,
            activations,
            self.bytes.as_ref(),
        ];
        card.launch(Kernel::new(ACTIVATION, "activate"), self.sample_grid(), arguments)
    }

    /// Backward pass and update, given the gradient with respect to the activations, or to the logits. `previous` is the
    /// gradient of the layer before, where there is one; `expanded` says that the scratch memory still holds the weights.
    pub(crate) fn backward<'a>(
        &'a self,
        shared: &Shared<'a>,
        input: Input<'_>,
        (previous, expanded): (Option<&Buffer<u16>>, bool),
        voting: &mut Option<Voting<'a>>,
    ) -> Result<(), CudaError> {
        let card = shared.card;
        if self.activations.is_some() {
            let arguments = arguments![
                &self.accumulators,
                self.rule.bias(),
                &self.scales,
                self.stage.outputs() as i32,
                self.pitch() as i32,
                self.norm(),
                i32::from(self.stage.output.relu()),
                i32::from(self.continuous),
                &self.gradient,
            ];
            card.launch(Kernel::new(ACTIVATION, "activation_gradient"), self.sample_grid(), arguments)?;
        }
        // The input gradient uses the weights of the forward pass, so it comes before the update.
        if let (Input::Activations(_), Some(previous)) = (input, previous) {
            if !expanded {
                self.rule.expand(card, shared.scratch)?;
            }
            self.multiply_input_gradient(shared, previous)?;
        }
        let (Some(voting), Some(layout)) = (voting, self.ballot) else {
            self.find_weight_gradient(shared, input, 0)?;
            if let Some(together) = shared.together {
                together.sum_gradient(shared.scratch, Extent::of(&self.stage).padded_weights())?;
            }
            return self.update(shared);
        };
        let ballot = voting.begin(&layout);
        for (own, turn) in voting.turns().enumerate() {
            self.find_weight_gradient(shared, input, own)?;
            self.rule.vote(card, &self.update_of(shared, own), &ballot, turn)?;
        }
        let step = shared.step;
        voting.end(layout, Box::new(move |ballot| self.rule.apply(card, &ballot, step)))
    }

    /// The weight gradient of this card's shard number `own`, to the scratch memory.
    fn find_weight_gradient(&self, shared: &Shared<'_>, input: Input<'_>, own: usize) -> Result<(), CudaError> {
        match input {
            Input::Activations(input) => self.multiply_weight_gradient(shared, input, own),
            Input::Indices(indices) => self.add_up(shared.card, indices, shared.scratch, own),
        }
    }

    /// y = x·Wᵀ, W in the scratch memory or from its trits.
    pub(crate) fn multiply_forward(&self, shared: &Shared<'_>, input: &Buffer<u16>) -> Result<(), CudaError> {
        match self.products.as_ref().map(|plan| &plan.forward) {
            None => Ok(()),
            Some(Forward::Dense(plan)) => (0..self.shards).try_for_each(|own| {
                let (input, sums) = (self.inputs_from(input, own), self.outputs_from(&self.accumulators, own));
                shared.products.multiply(plan, input, shared.scratch, sums)
            }),
            Some(Forward::Ternary(product)) => match self.rule.ternary() {
                Some(weights) => product.multiply(shared.card, &weights, shared.scratch, &self.accumulators),
                None => Ok(()),
            },
        }
    }

    /// gx = gy·W, W in the scratch memory.
    pub(crate) fn multiply_input_gradient(
        &self,
        shared: &Shared<'_>,
        input_gradient: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Some(product) = self.products.as_ref().and_then(|plan| plan.input_gradient.as_ref()) else {
            return Ok(());
        };
        (0..self.shards).try_for_each(|own| {
            let gradient = self.outputs_from(&self.gradient, own);
            shared.products.multiply(product, gradient, shared.scratch, self.inputs_from(input_gradient, own))
        })
    }

    /// D = gyᵀ·x of this card's shard number `own`, to the scratch memory.
    pub(crate) fn multiply_weight_gradient(
        &self,
        shared: &Shared<'_>,
        input: &Buffer<u16>,
        own: usize,
    ) -> Result<(), CudaError> {
        let Some(plan) = &self.products else { return Ok(()) };
        let (gradient, input) = (self.outputs_from(&self.gradient, own), self.inputs_from(input, own));
        shared.products.multiply(&plan.weight_gradient, gradient, input, shared.scratch)
    }

    /// A matrix [batch, pitch of the inputs] from this card's shard number `own` on.
    fn inputs_from<'b>(&self, matrix: &'b Buffer<u16>, own: usize) -> Span<'b> {
        matrix.from(own * self.samples() * Extent::of(&self.stage).pitch())
    }

    /// The same of a matrix [batch, pitch of the outputs].
    fn outputs_from<'b, T>(&self, matrix: &'b Buffer<T>, own: usize) -> Span<'b> {
        matrix.from(own * self.samples() * self.pitch())
    }

    /// Samples of a shard.
    fn samples(&self) -> usize {
        self.batch / self.shards
    }

    /// Votes and update, given the weight gradient in the scratch memory.
    pub(crate) fn update(&self, shared: &Shared<'_>) -> Result<(), CudaError> {
        self.rule.update(shared.card, &self.update_of(shared, 0))
    }

    /// What an update, or the votes of this card's shard number `own`, are made from.
    fn update_of<'b>(&'b self, shared: &Shared<'b>, own: usize) -> rule::Update<'b> {
        let Shared { scratch, row_squares, step, together, .. } = *shared;
        let is_linear = self.stage.kind == StageKind::Linear;
        rule::Update {
            gradient: scratch,
            output: is_linear.then(|| self.outputs_from(&self.gradient, own)),
            bias_sums: None,
            batch: self.samples(),
            step,
            row_squares,
            together,
        }
    }

    /// Accumulators of an embedding.
    fn look_up(&self, card: &Card, indices: &Buffer<u8>, table: &Buffer<u16>) -> Result<(), CudaError> {
        let extent = Extent::of(&self.stage);
        let arguments = arguments![
            indices,
            (self.stage.inputs()) as i32,
            self.stage.columns as i32,
            table,
            extent.pitch() as i32,
            self.pitch() as i32,
            &self.accumulators,
        ];
        card.launch(Kernel::new(EMBEDDING, "look_up"), self.sample_grid(), arguments)
    }

    /// Weight gradient of an embedding.
    fn add_up(
        &self,
        card: &Card,
        indices: &Buffer<u8>,
        table_gradient: &Buffer<u16>,
        own: usize,
    ) -> Result<(), CudaError> {
        let extent = Extent::of(&self.stage);
        let positions = self.stage.inputs();
        let arguments = arguments![
            indices.from(own * self.samples() * positions),
            self.samples() as i32,
            positions as i32,
            self.stage.columns as i32,
            self.outputs_from(&self.gradient, own),
            self.pitch() as i32,
            extent.pitch() as i32,
            table_gradient,
        ];
        // A block for each row and 32 columns of the table.
        let blocks = extent.padded_rows() * extent.pitch().div_ceil(32);
        card.launch(Kernel::new(EMBEDDING, "add_up"), Grid::new(blocks as u32, 512), arguments)
    }

    fn sample_grid(&self) -> Grid {
        Grid::new(self.batch as u32, threads_of_sample(self.pitch()))
    }

    fn norm(&self) -> i32 {
        match self.stage.output {
            StageOutput::Requantized { .. } | StageOutput::Logits => 0,
            StageOutput::ShiftNorm { .. } => 1,
            StageOutput::RmsNorm { .. } => 2,
        }
    }
}

//! One stage of a network on a card: its state, what a step makes for it, and the products that make it.

use super::card::{Buffer, Card, Grid, Kernel, arguments};
use super::extent::{Extent, padded};
use super::product::{Format, Lies, Product, ProductShape, Products};
use super::rule::{self, CardRule};
use super::ternary_product::TernaryProduct;
use super::{CudaError, Step};
use crate::config::{Activations, ForwardProduct, TrainingConfig};
use crate::network::{Stage, StageKind, StageOutput};
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
    /// Samples of a step.
    pub(crate) batch: usize,
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
        let Surroundings { card, products, training, activations, batch } = *surroundings;
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
                        Forward::Dense(plan(batch, rows, columns, [Lies::Straight, Lies::Transposed], Format::F32)?)
                    }
                },
                input_gradient: if input.is_first {
                    None
                } else {
                    Some(plan(batch, columns, rows, [Lies::Straight, Lies::Straight], Format::Bf16)?)
                },
                weight_gradient: plan(rows, columns, batch, [Lies::Transposed, Lies::Straight], Format::Bf16)?,
            }),
        };
        let is_last = stage.output == StageOutput::Logits;
        Ok(Self {
            stage: *stage,
            rule: rule::create(card, training, stage)?,
            batch,
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
    pub(crate) fn backward(
        &self,
        shared: &Shared<'_>,
        input: Input<'_>,
        previous: Option<&Buffer<u16>>,
        expanded: bool,
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
        match input {
            Input::Activations(input) => {
                // The input gradient uses the weights of the forward pass, so it comes before the update.
                if let Some(previous) = previous {
                    if !expanded {
                        self.rule.expand(card, shared.scratch)?;
                    }
                    self.multiply_input_gradient(shared, previous)?;
                }
                self.multiply_weight_gradient(shared, input)?;
            }
            Input::Indices(indices) => self.add_up(card, indices, shared.scratch)?,
        }
        self.update(shared)
    }

    /// y = x·Wᵀ, W in the scratch memory or from its trits.
    pub(crate) fn multiply_forward(&self, shared: &Shared<'_>, input: &Buffer<u16>) -> Result<(), CudaError> {
        match self.products.as_ref().map(|plan| &plan.forward) {
            None => Ok(()),
            Some(Forward::Dense(plan)) => shared.products.multiply(plan, input, shared.scratch, &self.accumulators),
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
        shared.products.multiply(product, &self.gradient, shared.scratch, input_gradient)
    }

    /// D = gyᵀ·x, to the scratch memory.
    pub(crate) fn multiply_weight_gradient(&self, shared: &Shared<'_>, input: &Buffer<u16>) -> Result<(), CudaError> {
        let Some(plan) = &self.products else { return Ok(()) };
        shared.products.multiply(&plan.weight_gradient, &self.gradient, input, shared.scratch)
    }

    /// Votes and update, given the weight gradient in the scratch memory.
    pub(crate) fn update(&self, shared: &Shared<'_>) -> Result<(), CudaError> {
        let Shared { card, scratch, row_squares, step, .. } = *shared;
        let output = (self.stage.kind == StageKind::Linear).then_some(&self.gradient);
        self.rule.update(
            card,
            &rule::Update { gradient: scratch, output, bias_sums: None, batch: self.batch, step, row_squares },
        )
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
    fn add_up(&self, card: &Card, indices: &Buffer<u8>, table_gradient: &Buffer<u16>) -> Result<(), CudaError> {
        let extent = Extent::of(&self.stage);
        let positions = self.stage.inputs();
        let arguments = arguments![
            indices,
            self.batch as i32,
            positions as i32,
            self.stage.columns as i32,
            &self.gradient,
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

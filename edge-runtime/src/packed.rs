//! A model whose ternary weights are packed for the vector unit of the machine (feature `std`).
//!
//! The file's order, five trits to a byte, is made for flash. A vector unit wants two bits a trit, many rows side by side: a
//! copy in memory, made once when a model is loaded, in less time than checking the file takes.

use trishift_format::Model;
use trishift_kernels::Kernels;
#[cfg(feature = "conv2d")]
use trishift_kernels::simd::conv2d::PackedConv2d;
#[cfg(feature = "depthwise-conv2d")]
use trishift_kernels::simd::depthwise::PackedDepthwise;
#[cfg(feature = "linear")]
use {std::vec::Vec, trishift_format::Operator, trishift_kernels::simd::linear::PackedMatrix};

/// A model with its weights in the order of one instruction set. It is never changed: engines and threads share it by
/// reference.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trishift::{Engine, HeapArena, Model, PackedModel};
///
/// # let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm")?;
/// let packed = PackedModel::new(&Model::parse(&file)?);
/// let mut logits = [[0i32; 3]; 2];
/// std::thread::scope(|scope| {
///     for logits in &mut logits {
///         scope.spawn(|| {
///             let mut arena = HeapArena::new(packed.model(), 1).unwrap();
///             Engine::shared(&packed, arena.bytes(), 1).unwrap().run(&[7; 12], logits).unwrap();
///         });
///     }
/// });
/// assert_eq!(logits[0], logits[1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PackedModel<'model> {
    model: Model<'model>,
    kernels: &'static Kernels,
    /// Of each operator.
    #[cfg(feature = "linear")]
    weights: Vec<PackedWeights<'model>>,
}

/// The weights of an operator, where it has some that the instruction set packs.
#[cfg(feature = "linear")]
#[derive(Debug)]
enum PackedWeights<'model> {
    None,
    Linear(PackedMatrix),
    #[cfg(feature = "conv2d")]
    Conv2d(PackedConv2d<'model>),
    #[cfg(feature = "depthwise-conv2d")]
    Depthwise(PackedDepthwise<'model>),
}

impl<'model> PackedModel<'model> {
    /// Packs for the best kernels of this machine.
    pub fn new(model: &Model<'model>) -> Self {
        Self::with_kernels(model, trishift_kernels::best())
    }

    /// The same for kernels of the caller's choice. Kernels without vector unit take the weights as they lie in the file:
    /// then nothing is copied.
    pub fn with_kernels(model: &Model<'model>, kernels: &'static Kernels) -> Self {
        Self {
            model: *model,
            kernels,
            #[cfg(feature = "linear")]
            weights: model.operators().map(|operator| pack(model, &operator, kernels)).collect(),
        }
    }

    /// The same, the layers dealt out to threads.
    #[cfg(feature = "threads")]
    pub(crate) fn on_threads(model: &Model<'model>, kernels: &'static Kernels, threads: &rayon::ThreadPool) -> Self {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        let operators: Vec<Operator> = model.operators().collect();
        let pack = |operator: Operator| pack(model, &operator, kernels);
        Self { model: *model, kernels, weights: threads.install(|| operators.into_par_iter().map(pack).collect()) }
    }

    /// The model.
    pub const fn model(&self) -> &Model<'model> {
        &self.model
    }

    /// The kernels it is packed for.
    pub const fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Bytes of memory that the packed weights take.
    pub fn bytes(&self) -> usize {
        #[cfg(feature = "linear")]
        return self.weights.iter().map(PackedWeights::bytes).sum();
        #[cfg(not(feature = "linear"))]
        0
    }

    /// The packed matrix of a linear layer.
    #[cfg(feature = "linear")]
    pub(crate) fn matrix(&self, operator: usize) -> Option<&PackedMatrix> {
        match self.weights.get(operator)? {
            PackedWeights::Linear(matrix) => Some(matrix),
            _ => None,
        }
    }

    /// The packed convolution.
    #[cfg(feature = "conv2d")]
    pub(crate) fn conv2d(&self, operator: usize) -> Option<&PackedConv2d<'model>> {
        match self.weights.get(operator)? {
            PackedWeights::Conv2d(convolution) => Some(convolution),
            _ => None,
        }
    }

    /// The packed depthwise convolution.
    #[cfg(feature = "depthwise-conv2d")]
    pub(crate) fn depthwise(&self, operator: usize) -> Option<&PackedDepthwise<'model>> {
        match self.weights.get(operator)? {
            PackedWeights::Depthwise(convolution) => Some(convolution),
            _ => None,
        }
    }

    /// True where the operator's weights are packed.
    #[cfg(feature = "linear")]
    pub(crate) fn has(&self, operator: usize) -> bool {
        self.weights.get(operator).is_some_and(|weights| !matches!(weights, PackedWeights::None))
    }
}

#[cfg(feature = "linear")]
impl PackedWeights<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Linear(matrix) => matrix.bytes(),
            #[cfg(feature = "conv2d")]
            Self::Conv2d(convolution) => convolution.bytes(),
            #[cfg(feature = "depthwise-conv2d")]
            Self::Depthwise(convolution) => convolution.bytes(),
        }
    }
}

/// An operator's weights, where it has some that the kernels want packed.
#[cfg(feature = "linear")]
fn pack<'model>(model: &Model<'model>, operator: &Operator, kernels: &Kernels) -> PackedWeights<'model> {
    match (operator, kernels.packed) {
        (Operator::Linear(op), Some(packed)) => PackedWeights::Linear((packed.pack)(&model.matrix(&op.weights))),
        #[cfg(feature = "conv2d")]
        (Operator::Conv2d(op), Some(packed)) => {
            let layer = crate::engine::convolution(model, op, model.matrix(&op.weights), op.weights.rows);
            PackedWeights::Conv2d((packed.pack_conv2d)(&layer))
        }
        #[cfg(feature = "depthwise-conv2d")]
        (Operator::DepthwiseConv2d(op), _) if kernels.packed_depthwise_conv2d.is_some() => {
            let layer = crate::engine::convolution(model, op, model.matrix(&op.weights), op.weights.rows);
            PackedWeights::Depthwise(PackedDepthwise::new(&layer))
        }
        _ => PackedWeights::None,
    }
}

/// Where an engine has its packed weights from.
#[derive(Debug)]
#[cfg_attr(not(feature = "linear"), allow(dead_code, reason = "only linear layers have packed weights"))]
pub(crate) enum Weights<'engine, 'model> {
    /// Packed for this engine.
    Own(PackedModel<'model>),
    /// Others may use them too.
    Shared(&'engine PackedModel<'model>),
}

#[cfg(feature = "linear")]
impl<'model> Weights<'_, 'model> {
    pub(crate) const fn model(&self) -> &PackedModel<'model> {
        match self {
            Self::Own(model) => model,
            Self::Shared(model) => model,
        }
    }
}

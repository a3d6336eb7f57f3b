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
use trishift_kernels::simd::linear::PackedMatrix;
#[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
use {std::vec::Vec, trishift_format::Operator};

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
    #[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
    weights: Vec<Option<PackedWeights<'model>>>,
}

/// The weights of an operator that the instruction set packs.
#[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
#[derive(Debug)]
enum PackedWeights<'model> {
    #[cfg(feature = "linear")]
    Linear(PackedMatrix),
    #[cfg(feature = "conv2d")]
    Conv2d(PackedConv2d<'model>),
    #[cfg(feature = "depthwise-conv2d")]
    Depthwise(PackedDepthwise<'model>),
    /// Of a build that keeps nothing of the model.
    #[cfg(not(any(feature = "conv2d", feature = "depthwise-conv2d")))]
    #[allow(dead_code, reason = "matrices alone are packed then")]
    Nothing(core::marker::PhantomData<&'model ()>),
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
            #[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
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
        #[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
        return self.weights.iter().flatten().map(PackedWeights::bytes).sum();
        #[cfg(not(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
        0
    }

    /// The packed matrix of a linear layer.
    #[cfg(feature = "linear")]
    pub(crate) fn matrix(&self, operator: usize) -> Option<&PackedMatrix> {
        match self.weights.get(operator)?.as_ref()? {
            PackedWeights::Linear(matrix) => Some(matrix),
            _ => None,
        }
    }

    /// The packed convolution.
    #[cfg(feature = "conv2d")]
    pub(crate) fn conv2d(&self, operator: usize) -> Option<&PackedConv2d<'model>> {
        match self.weights.get(operator)?.as_ref()? {
            PackedWeights::Conv2d(convolution) => Some(convolution),
            #[allow(unreachable_patterns, reason = "reached where several kinds of operators are built in")]
            _ => None,
        }
    }

    /// The packed depthwise convolution.
    #[cfg(feature = "depthwise-conv2d")]
    pub(crate) fn depthwise(&self, operator: usize) -> Option<&PackedDepthwise<'model>> {
        match self.weights.get(operator)?.as_ref()? {
            PackedWeights::Depthwise(convolution) => Some(convolution),
            #[allow(unreachable_patterns, reason = "reached where several kinds of operators are built in")]
            _ => None,
        }
    }

    /// True where the operator's weights are packed.
    #[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
    pub(crate) fn has(&self, operator: usize) -> bool {
        self.weights.get(operator).is_some_and(Option::is_some)
    }
}

#[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
impl PackedWeights<'_> {
    fn bytes(&self) -> usize {
        match self {
            #[cfg(feature = "linear")]
            Self::Linear(matrix) => matrix.bytes(),
            #[cfg(feature = "conv2d")]
            Self::Conv2d(convolution) => convolution.bytes(),
            #[cfg(feature = "depthwise-conv2d")]
            Self::Depthwise(convolution) => convolution.bytes(),
            #[cfg(not(any(feature = "conv2d", feature = "depthwise-conv2d")))]
            Self::Nothing(_) => 0,
        }
    }
}

/// Windows of the largest image whose convolutions are packed: packing takes a few bytes for each.
#[cfg(any(feature = "conv2d", feature = "depthwise-conv2d"))]
const MOST_WINDOWS: u64 = 1 << 24;

/// True where window, tensors and weights go together, as in every parsed model: sizes of another one may be anything, and
/// packing would take as much memory.
#[cfg(feature = "conv2d")]
fn fits(model: &Model<'_>, op: &trishift_format::Conv2d) -> bool {
    let channels = u64::from(model.tensor(op.input).shape[2]);
    slides(model, op) && u64::from(op.weights.columns) == op.window.area() as u64 * channels
}

/// The same of a depthwise convolution.
#[cfg(feature = "depthwise-conv2d")]
fn fits_depthwise(model: &Model<'_>, op: &trishift_format::Conv2d) -> bool {
    slides(model, op) && op.weights.columns as usize == op.window.area()
}

/// True where the window makes the output of the input, with a channel for each row of weights.
#[cfg(any(feature = "conv2d", feature = "depthwise-conv2d"))]
fn slides(model: &Model<'_>, op: &trishift_format::Conv2d) -> bool {
    let ([height, width, _], output) = (model.tensor(op.input).shape, model.tensor(op.output).shape);
    let windows = u64::from(output[0]) * u64::from(output[1]);
    op.window.output([height, width]) == Some([output[0], output[1]])
        && op.weights.rows == output[2]
        && windows <= MOST_WINDOWS
        && !model.tensor(op.input).is_empty()
}

/// An operator's weights, where it has some that the kernels want packed.
#[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
fn pack<'model>(model: &Model<'model>, operator: &Operator, kernels: &Kernels) -> Option<PackedWeights<'model>> {
    match (operator, kernels.packed) {
        #[cfg(feature = "linear")]
        (Operator::Linear(op), Some(packed)) => Some(PackedWeights::Linear((packed.pack)(&model.matrix(&op.weights)))),
        #[cfg(feature = "conv2d")]
        (Operator::Conv2d(op), Some(packed)) if fits(model, op) => {
            let layer = crate::engine::convolution(model, op, model.matrix(&op.weights), op.weights.rows);
            Some(PackedWeights::Conv2d((packed.pack_conv2d)(&layer)))
        }
        #[cfg(feature = "depthwise-conv2d")]
        (Operator::DepthwiseConv2d(op), _)
            if kernels.packed_depthwise_conv2d.is_some() && fits_depthwise(model, op) =>
        {
            let layer = crate::engine::convolution(model, op, model.matrix(&op.weights), op.weights.rows);
            Some(PackedWeights::Depthwise(PackedDepthwise::new(&layer)))
        }
        _ => None,
    }
}

/// Where an engine has its packed weights from.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")),
    allow(dead_code, reason = "only matrices are packed")
)]
pub(crate) enum Weights<'engine, 'model> {
    /// Packed for this engine.
    Own(PackedModel<'model>),
    /// Others may use them too.
    Shared(&'engine PackedModel<'model>),
}

#[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
impl<'model> Weights<'_, 'model> {
    pub(crate) const fn model(&self) -> &PackedModel<'model> {
        match self {
            Self::Own(model) => model,
            Self::Shared(model) => model,
        }
    }
}

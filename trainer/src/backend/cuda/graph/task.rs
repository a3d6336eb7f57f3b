//! Nodes without weights: pooling, sums of two ways, channels side by side, other shapes.

use super::Tensor;
use super::shape::{CHUNK, Image, Windows, sample_grid};
use super::weights::Target;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use trishift_kernels::cuda::{IMAGE, POOL};

/// Threads of a block.
const THREADS: u32 = 256;

/// What a node does to its inputs' images.
#[derive(Debug)]
pub(super) enum Task {
    /// The largest element under a window, and which it was.
    MaxPool { windows: Windows, places: Buffer<u16> },
    /// The mean element under a window, and what it was before it was rounded.
    AvgPool { windows: Windows, means: Buffer<f32> },
    /// The sum of two.
    Add { relu: bool },
    /// The channels of two.
    Concat,
    /// max(x, 0).
    Relu,
    /// The same elements in another shape.
    Reshape,
    /// Zeros around: rows above, columns left.
    Pad { top: usize, left: usize },
}

/// Values that are moved from one image to another: from channel `from` of one to channel `to` of the other, `channels` of
/// each pixel; all of a sample's elements, in order, where both are `None`.
#[derive(Clone, Copy, Debug)]
struct Moved {
    from: usize,
    to: usize,
    channels: Option<usize>,
}

impl Moved {
    /// All elements of a sample, in order.
    const ALL: Self = Self { from: 0, to: 0, channels: None };

    /// Enqueues moving.
    fn enqueue(
        self,
        card: &Card,
        batch: usize,
        (source, from): (&Buffer<u16>, Image),
        (destination, to): (&Buffer<u16>, Image),
        adds: bool,
    ) -> Result<(), CudaError> {
        let elements = self.channels.map_or(from.elements(), |channels| from.pixels() * channels);
        let [from_length, to_length] = [from, to].map(|image| self.channels.unwrap_or(image.channels()) as i32);
        let arguments = arguments![
            source,
            self.from as i32,
            from_length,
            from.pitch() as i32,
            from.len(),
            self.to as i32,
            to_length,
            to.pitch() as i32,
            to.len(),
            elements as i32,
            i32::from(adds),
            destination,
        ];
        card.launch(Kernel::new(IMAGE, "rearrange"), sample_grid(batch, elements)?, arguments)
    }
}

impl Task {
    /// Enqueues the forward pass.
    pub(super) fn forward(
        &self,
        card: &Card,
        batch: usize,
        inputs: &[&Tensor],
        output: &Tensor,
    ) -> Result<(), CudaError> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(()) };
        let chunks = batch * output.image.len() / CHUNK;
        let all = Grid::covering(chunks, THREADS);
        let (input, activations) = (&first.activations, &output.activations);
        match self {
            Self::MaxPool { windows, places } => {
                let arguments = arguments![windows.fields(), input, activations, places];
                card.launch(Kernel::new(POOL, "largest"), sample_grid(batch, output.image.len() / CHUNK)?, arguments)
            }
            Self::AvgPool { windows, means } => {
                let arguments = arguments![windows.fields(), input, means, activations];
                card.launch(Kernel::new(POOL, "mean"), sample_grid(batch, output.image.len() / CHUNK)?, arguments)
            }
            Self::Add { relu } => {
                let arguments = arguments![input, &last.activations, chunks, i32::from(*relu), activations];
                card.launch(Kernel::new(IMAGE, "add"), all, arguments)
            }
            Self::Concat => {
                let [left, right] = halves(first, last);
                for (tensor, moved) in [(first, left.forward), (last, right.forward)] {
                    let (from, to) = ((&tensor.activations, tensor.image), (activations, output.image));
                    moved.enqueue(card, batch, from, to, false)?;
                }
                Ok(())
            }
            Self::Relu => card.launch(Kernel::new(IMAGE, "relu"), all, arguments![input, chunks, activations]),
            Self::Reshape => Moved::ALL.enqueue(card, batch, (input, first.image), (activations, output.image), false),
            Self::Pad { top, left } => {
                let corner = [*top as i32, *left as i32];
                shift(card, batch, (input, first.image), (activations, output.image), corner, false)
            }
        }
    }

    /// Enqueues the backward pass: the output's gradient goes to the inputs' that are wanted.
    pub(super) fn backward(
        &self,
        card: &Card,
        batch: usize,
        inputs: &[&Tensor],
        output: &Tensor,
        targets: [Option<Target<'_>>; 2],
    ) -> Result<(), CudaError> {
        let (Some(first), Some(last), Some(gradient)) = (inputs.first(), inputs.last(), &output.gradient) else {
            return Ok(());
        };
        if let Self::Add { relu } = self {
            let chunks = batch * output.image.len() / CHUNK;
            let [left, right] = targets;
            let adds = |target: Option<Target<'_>>| i32::from(target.is_some_and(|target| target.adds));
            let place = |target: Option<Target<'_>>| target.map_or(0, |target| target.gradient.address());
            let arguments = arguments![
                &first.activations,
                &last.activations,
                gradient,
                chunks,
                i32::from(*relu),
                adds(left),
                adds(right),
                place(left),
                place(right),
            ];
            return card.launch(Kernel::new(IMAGE, "add_gradient"), Grid::covering(chunks, THREADS), arguments);
        }
        if let Self::Concat = self {
            let halves = halves(first, last);
            for ((tensor, half), target) in [first, last].into_iter().zip(halves).zip(targets) {
                let Some(Target { gradient: before, adds }) = target else { continue };
                half.backward.enqueue(card, batch, (gradient, output.image), (before, tensor.image), adds)?;
            }
            return Ok(());
        }
        let [Some(Target { gradient: before, adds }), _] = targets else { return Ok(()) };
        let chunks = batch * first.image.len() / CHUNK;
        let of_samples = sample_grid(batch, first.image.len() / CHUNK)?;
        let added = i32::from(adds);
        match self {
            Self::MaxPool { windows, places } => {
                let arguments = arguments![windows.fields(), places, gradient, added, before];
                card.launch(Kernel::new(POOL, "largest_gradient"), of_samples, arguments)
            }
            Self::AvgPool { windows, means } => {
                let arguments = arguments![windows.fields(), means, gradient, added, before];
                card.launch(Kernel::new(POOL, "mean_gradient"), of_samples, arguments)
            }
            Self::Relu => {
                let arguments = arguments![&first.activations, gradient, chunks, added, before];
                card.launch(Kernel::new(IMAGE, "relu_gradient"), Grid::covering(chunks, THREADS), arguments)
            }
            Self::Reshape => Moved::ALL.enqueue(card, batch, (gradient, output.image), (before, first.image), adds),
            Self::Pad { top, left } => {
                let corner = [-(*top as i32), -(*left as i32)];
                shift(card, batch, (gradient, output.image), (before, first.image), corner, adds)
            }
            Self::Add { .. } | Self::Concat => Ok(()),
        }
    }

    /// Bytes that a step makes beside the output.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::MaxPool { places, .. } => places.bytes(),
            Self::AvgPool { means, .. } => means.bytes(),
            _ => 0,
        }
    }
}

/// One of two whose channels lie side by side.
struct Half {
    forward: Moved,
    backward: Moved,
}

fn halves(left: &Tensor, right: &Tensor) -> [Half; 2] {
    let half = |channels, place| Half {
        forward: Moved { from: 0, to: place, channels: Some(channels) },
        backward: Moved { from: place, to: 0, channels: Some(channels) },
    };
    let channels = left.image.channels();
    [half(channels, 0), half(right.image.channels(), channels)]
}

/// Enqueues moving an image down and to the right.
fn shift(
    card: &Card,
    batch: usize,
    (source, from): (&Buffer<u16>, Image),
    (destination, to): (&Buffer<u16>, Image),
    [top, left]: [i32; 2],
    adds: bool,
) -> Result<(), CudaError> {
    let [height, width, _] = from.0.map(|side| side as i32);
    let [to_height, to_width, _] = to.0.map(|side| side as i32);
    let chunks = (to.pitch() / CHUNK) as i32;
    let arguments =
        arguments![source, height, width, top, left, to_height, to_width, chunks, i32::from(adds), destination];
    card.launch(Kernel::new(IMAGE, "move"), sample_grid(batch, to.len() / CHUNK)?, arguments)
}

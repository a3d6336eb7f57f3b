//! A network on a card whose answers another one learns: a forward pass beside every step, on the same samples.

use super::body::Body;
use super::card::Buffer;
use super::extent::Extent;
use super::graph::{Logits, Pass};
use super::layer::{Shared, Surroundings};
use super::{BackendError, CudaError, MemoryUse, prefix};
use crate::teacher::Teacher;

/// A trained network that answers.
#[derive(Debug)]
pub(super) struct CardTeacher {
    body: Body,
    share: f32,
    temperature: f32,
    /// Its own: the network that learns may keep weights in its scratch memory between its passes.
    scratch: Buffer<u16>,
    row_squares: Buffer<f64>,
}

impl CardTeacher {
    /// A teacher for the same samples.
    ///
    /// # Errors
    /// [`BackendError`] where the card has no room or the state does not fit.
    pub(super) fn new(surroundings: &Surroundings<'_>, teacher: &Teacher) -> Result<Self, BackendError> {
        let Teacher { config, network, share, temperature, .. } = teacher;
        let card = surroundings.card;
        let (training, activations) = (&config.training, network.activations);
        let surroundings = Surroundings { training, activations, voting: None, ..*surroundings };
        let mut body = Body::new(&surroundings, network)?;
        let reader = teacher.reader()?;
        for index in 0..network.stages.len() {
            body.load(card, index, &prefix(index), &reader)?;
        }
        let largest = network.stages.iter().map(|stage| Extent::of(stage).padded_weights()).max().unwrap_or(0);
        Ok(Self {
            body,
            share: *share,
            temperature: *temperature,
            scratch: card.zeros("the weights of the teacher's largest layer", largest)?,
            row_squares: card.zeros("sums of squares", 1)?,
        })
    }

    /// Where its samples go.
    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Enqueues its answers to the batch that is there; `shared` is what the network that learns is made with.
    pub(super) fn forward(&self, shared: &Shared<'_>) -> Result<(), CudaError> {
        let own = Shared { scratch: &self.scratch, row_squares: &self.row_squares, ..*shared };
        self.body.forward(&own, Pass::Inference)
    }

    /// Its logits.
    pub(super) fn logits(&self) -> Option<Logits<'_>> {
        self.body.last().map(|(logits, _)| logits)
    }

    /// Share of the loss that compares with it, and what both answers are divided by before.
    pub(super) fn weights(&self) -> [f32; 2] {
        [self.share, self.temperature]
    }

    /// Its bytes: none of them is state of the run.
    pub(super) fn memory(&self) -> MemoryUse {
        let MemoryUse { state, scratch, activations } = self.body.memory();
        MemoryUse { state: 0, scratch: state + scratch + self.scratch.bytes(), activations }
    }
}

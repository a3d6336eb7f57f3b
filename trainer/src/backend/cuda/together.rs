//! Steps whose batch is cut into shards, or divided among cards: where votes are added up, and when cards exchange them.
//!
//! Votes of a layer's shards are added up in one of two pieces of memory, in turn. While the cards exchange one layer's, they go
//! on to the gradients of the layer before it; the update follows when the exchange is done.
//!
//! Two cards that reach each other's memory give each other their ballots, which takes copy engines alone, and each adds up the
//! parts as it updates. Otherwise NCCL makes sums, which takes processors from the products. The integers are the same.

use super::CudaError;
use super::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use super::extent::{Extent, WORD, padded};
use super::nccl::{Element, Message, Nccl, SharedMemory};
use super::rule::{BallotKind, CardRule};
use crate::config::ExchangeKind;
use crate::network::Stage;
use crate::parallel::{Link, Share, Worker};
use crate::rule::ballot::Shards;
use cudarc::driver::CudaEvent;
use std::sync::{Arc, Mutex, PoisonError};
use trishift_kernels::cuda::{BIAS, VOTES};

/// What a card does of every step, with what others.
#[derive(Debug)]
pub(crate) struct Together {
    pub(crate) share: Share,
    nccl: Option<Arc<Nccl>>,
    slots: [Slot; 2],
    /// Bytes of all ballots of a step.
    of_ballots: usize,
}

/// Memory for the votes on one layer.
#[derive(Debug)]
struct Slot {
    small: Ballots,
    scores: Buffer<i32>,
    /// When the sums over all cards are there.
    arrived: Mutex<Option<CudaEvent>>,
}

/// Memory for small integers.
#[derive(Debug)]
enum Ballots {
    /// One ballot, of which the cards make sums.
    Summed(Buffer<i8>),
    /// One for each card.
    Parts(SharedMemory),
}

impl Ballots {
    fn from(&self, byte: usize) -> Span<'_> {
        match self {
            Self::Summed(buffer) => buffer.from(byte),
            Self::Parts(memory) => memory.from(byte),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Summed(buffer) => buffer.bytes(),
            Self::Parts(memory) => memory.bytes(),
        }
    }
}

/// A ballot of its own, for whoever looks at a rule alone.
#[derive(Debug)]
pub struct BallotMemory {
    layout: BallotLayout,
    slot: Slot,
}

impl BallotMemory {
    /// For a layer with this rule; none where nobody votes.
    ///
    /// # Errors
    /// [`CudaError`] where the card has no room.
    pub fn new(card: &Card, rule: &dyn CardRule, stage: &Stage, shards: Shards) -> Result<Option<Self>, CudaError> {
        let layout = BallotLayout::new(rule, stage, shards, false);
        layout.map(|layout| Ok(Self { layout, slot: Slot::new(card, None, layout.len, layout.scores)? })).transpose()
    }

    /// The ballot, for a first shard to begin.
    pub fn begin(&self) -> Ballot<'_> {
        self.layout.begin(&self.slot)
    }
}

impl Slot {
    fn new(card: &Card, nccl: Option<&Arc<Nccl>>, small: usize, scores: usize) -> Result<Self, CudaError> {
        let shared = match nccl {
            Some(nccl) => nccl.shared_memory(padded(small) * nccl.world())?,
            None => None,
        };
        let small = match shared {
            Some(memory) => Ballots::Parts(memory),
            None => Ballots::Summed(card.zeros("votes of a layer", small)?),
        };
        Ok(Self { small, scores: card.zeros("scores of a layer", scores)?, arrived: Mutex::default() })
    }
}

/// Where the parts of a ballot lie. int8: votes on weights, on biases, on a norm's biases, then exponents of scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BallotLayout {
    shards: Shards,
    votes: usize,
    biases: usize,
    norm: usize,
    len: usize,
    scores: usize,
    /// Whether the rule adds up the parts, which then are votes on weights and exponents of their scales alone.
    rule_adds: bool,
}

/// Parts whose sum votes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// How many there are.
    pub count: usize,
    /// Words of 16 bytes from one to the next.
    pub words: usize,
}

impl Parts {
    const ONE: Self = Self { count: 1, words: 0 };
}

/// Where the shards' votes on one layer are added up.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// Into how many shards a batch is cut.
    pub shards: Shards,
    /// Votes on weights, int8 [rows, pitch].
    pub votes: Span<'a>,
    /// What these and the exponents of their scales are sums of.
    pub parts: Parts,
    /// Scores of groups, int8 where those of all shards fit, else int32, [rows, groups].
    pub scores: Span<'a>,
    is_narrow: bool,
    /// Exponents of the shards' scales, int8 `[shards]`.
    pub scales: Span<'a>,
    /// Votes on biases, int8 `[rows]`, and exponents of their scales.
    pub biases: [Span<'a>; 2],
    /// The same for the biases of a norm.
    pub norm: [Span<'a>; 2],
}

impl Ballot<'_> {
    /// Whether scores are int8, for kernels.
    pub(super) fn narrow(&self) -> i32 {
        i32::from(self.is_narrow)
    }
}

/// A shard that votes.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Its number, of all shards.
    pub shard: usize,
    /// Whether it is this card's first: what the ballot holds is old.
    pub is_first: bool,
}

impl Turn {
    /// For kernels: how many shards there are, this one's number, whether there are votes to add to.
    pub(super) fn arguments(self, shards: Shards) -> [i32; 3] {
        [shards.count() as i32, self.shard as i32, i32::from(!self.is_first)]
    }
}

impl BallotLayout {
    /// For a layer with this rule; none where nobody votes.
    pub(crate) fn new(rule: &dyn CardRule, stage: &Stage, shards: Shards, is_normed: bool) -> Option<Self> {
        let extent = Extent::of(stage);
        let (votes, scores) = match rule.ballot()? {
            BallotKind::Weights => (extent.rows * extent.pitch(), 0),
            // Where the scores of all shards fit into an int8, they lie where votes would.
            BallotKind::Groups(vote) if vote * (shards.count() * extent.group.get()) as i32 <= 127 => {
                (padded(extent.rows * extent.groups()), 0)
            }
            BallotKind::Groups(_) => (0, extent.rows * extent.groups()),
        };
        let rows = |present: bool| if present { extent.padded_rows() } else { 0 };
        let (biases, norm) = (rows(stage.bias), rows(is_normed));
        let scales = 1 + usize::from(stage.bias) + usize::from(is_normed);
        let len = votes + biases + norm + scales * shards.count();
        let rule_adds = rule.adds_parts() && scales == 1;
        Some(Self { shards, votes, biases, norm, len, scores, rule_adds })
    }

    /// Bytes from one card's ballot to the next.
    fn stride(&self) -> usize {
        padded(self.len)
    }

    /// This card's ballot, for its first shard to begin.
    fn begin<'a>(&self, slot: &'a Slot) -> Ballot<'a> {
        let first = match &slot.small {
            Ballots::Summed(_) => 0,
            Ballots::Parts(memory) => memory.nccl().rank() * self.stride(),
        };
        self.ballot(slot, first, Parts::ONE)
    }

    /// The ballot of all shards, after the exchange.
    fn counted<'a>(&self, card: &Card, slot: &'a Slot) -> Result<Ballot<'a>, CudaError> {
        let Ballots::Parts(memory) = &slot.small else { return Ok(self.ballot(slot, 0, Parts::ONE)) };
        let parts = Parts { count: memory.nccl().world(), words: self.stride() / WORD };
        if self.rule_adds {
            return Ok(self.ballot(slot, 0, parts));
        }
        let arguments = arguments![memory.from(0), parts.words, parts.count as i32, parts.words];
        card.launch(Kernel::new(VOTES, "add_parts"), Grid::covering(parts.words, 256), arguments)?;
        Ok(self.ballot(slot, 0, Parts::ONE))
    }

    fn ballot<'a>(&self, slot: &'a Slot, first: usize, parts: Parts) -> Ballot<'a> {
        let Self { shards, votes, biases, norm, .. } = *self;
        let at = |offset| slot.small.from(first + offset);
        let scales = votes + biases + norm;
        let of_norm = scales + shards.count() * (1 + usize::from(biases > 0));
        Ballot {
            shards,
            votes: at(0),
            parts,
            scores: if self.scores > 0 { Span::from(&slot.scores) } else { at(0) },
            is_narrow: self.scores == 0,
            scales: at(scales),
            biases: [at(votes), at(scales + shards.count())],
            norm: [at(votes + biases), at(of_norm)],
        }
    }
}

impl Together {
    /// Memory for ballots that lie so.
    ///
    /// # Errors
    /// [`CudaError`] where the card has no room.
    pub(crate) fn new(
        card: &Card,
        worker: &Worker,
        share: Share,
        layouts: impl Iterator<Item = BallotLayout>,
    ) -> Result<Self, CudaError> {
        let nccl = match &worker.link {
            Link::Cards(nccl) if share.world > 1 => Some(nccl.clone()),
            _ => None,
        };
        let (mut small, mut scores, mut of_ballots) = (0, 0, 0);
        for layout in layouts {
            (small, scores) = (layout.len.max(small), layout.scores.max(scores));
            of_ballots += layout.len + layout.scores * size_of::<i32>();
        }
        let slot = || Slot::new(card, nccl.as_ref(), small, scores);
        let slots = [slot()?, slot()?];
        Ok(Self { share, nccl, slots, of_ballots })
    }

    /// The votes of one backward pass.
    pub(crate) fn voting<'a>(&'a self, card: &'a Card) -> Voting<'a> {
        Voting { together: self, card, slot: 0, pending: None }
    }

    /// Enqueues summing statistics over the cards.
    pub(crate) fn sum_moments(&self, sums: &Buffer<i64>) -> Result<(), CudaError> {
        self.nccl.as_ref().map_or(Ok(()), |nccl| nccl.sum(sums.into(), Element::I64, sums.len()))
    }

    /// Enqueues summing a layer's gradient over the cards, where gradients are exchanged.
    pub(crate) fn sum_gradient(&self, gradient: &Buffer<u16>, count: usize) -> Result<(), CudaError> {
        self.exchanging_gradients(|nccl| nccl.sum(gradient.into(), Element::Bf16, count))
    }

    /// The same for the gradients of biases, with their squares.
    pub(crate) fn sum_bias_gradient(
        &self,
        card: &Card,
        gradients: &Buffer<f64>,
        squares: &Buffer<f64>,
        count: usize,
    ) -> Result<(), CudaError> {
        self.exchanging_gradients(|nccl| {
            nccl.sum(gradients.into(), Element::F64, count)?;
            let arguments = arguments![gradients, count as i32, squares];
            card.launch(Kernel::new(BIAS, "square"), Grid::covering(count, 256), arguments)
        })
    }

    /// Whether cards exchange gradients and no votes.
    pub(crate) fn exchanges_gradients(&self) -> bool {
        self.nccl.is_some() && self.share.kind == ExchangeKind::Gradient
    }

    fn exchanging_gradients(&self, sum: impl FnOnce(&Nccl) -> Result<(), CudaError>) -> Result<(), CudaError> {
        match &self.nccl {
            Some(nccl) if self.exchanges_gradients() => sum(nccl),
            _ => Ok(()),
        }
    }

    /// Bytes of votes that this card gives to others in a step.
    pub(crate) fn exchanged(&self) -> usize {
        if self.nccl.is_some() { self.of_ballots } else { 0 }
    }

    /// Bytes of the ballots.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.small.bytes() + slot.scores.bytes()).sum()
    }
}

/// An update by votes that are on their way.
type Apply<'a> = Box<dyn FnOnce(Ballot<'a>) -> Result<(), CudaError> + 'a>;

/// The votes of one backward pass, layer after layer, and the updates by them, each one layer behind.
pub(crate) struct Voting<'a> {
    together: &'a Together,
    card: &'a Card,
    /// Number of the slot that the next layer takes.
    slot: usize,
    /// The slot of the layer before, and its update.
    pending: Option<(usize, BallotLayout, Apply<'a>)>,
}

impl<'a> Voting<'a> {
    /// This card's ballot for the next layer.
    pub(crate) fn begin(&self, layout: &BallotLayout) -> Ballot<'a> {
        layout.begin(&self.together.slots[self.slot])
    }

    /// The turns of this card's shards.
    pub(crate) fn turns(&self) -> impl Iterator<Item = Turn> + use<> {
        let first = self.together.share.first_shard();
        (0..self.together.share.own_shards()).map(move |own| Turn { shard: first + own, is_first: own == 0 })
    }

    /// All shards of this card have voted: the cards exchange that, while the layer before is updated.
    pub(crate) fn end(&mut self, layout: BallotLayout, apply: Apply<'a>) -> Result<(), CudaError> {
        let slot = &self.together.slots[self.slot];
        if let Some(nccl) = &self.together.nccl {
            let small = match &slot.small {
                Ballots::Summed(buffer) => Message::Sum(buffer.into(), Element::I8, layout.len),
                Ballots::Parts(memory) => Message::Parts(memory.from(0), layout.stride()),
            };
            let scores = Message::Sum((&slot.scores).into(), Element::I32, layout.scores);
            let arrived = nccl.exchange_aside(&[small, scores][..1 + usize::from(layout.scores > 0)])?;
            *slot.arrived.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrived);
        }
        let before = self.pending.replace((self.slot, layout, apply));
        self.slot = 1 - self.slot;
        self.update(before)
    }

    /// The last update.
    pub(crate) fn finish(mut self) -> Result<(), CudaError> {
        let last = self.pending.take();
        self.update(last)
    }

    fn update(&self, pending: Option<(usize, BallotLayout, Apply<'a>)>) -> Result<(), CudaError> {
        let Some((slot, layout, apply)) = pending else { return Ok(()) };
        let slot = &self.together.slots[slot];
        if let Some(arrived) = slot.arrived.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.card.stream().wait(&arrived).map_err(CudaError::during("waiting for votes"))?;
        }
        apply(layout.counted(self.card, slot)?)
    }
}

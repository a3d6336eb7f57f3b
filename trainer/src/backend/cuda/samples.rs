//! Where a step finds its samples: on the card where they fit, else brought there ahead of it.
//!
//! Streamed samples go through two pieces of pinned memory and two on the card, in turn: while the card trains on one, the
//! host gathers the other, and a stream of its own copies it.
#![allow(unsafe_code, reason = "pinned memory")]

use super::card::{Buffer, Card};
use super::{CudaError, Step};
use crate::data::augment::Edge;
use crate::data::{Augmentation, Dataset};
use cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice, result};
use rayon::prelude::*;
use std::sync::Arc;

/// Steps that are launched before the host looks again.
pub(super) const MOST_STEPS: usize = 4096;

/// Bytes of one piece of streamed samples.
const PIECE_BYTES: usize = 64 << 20;

/// Share of the card's free memory that samples may take.
const RESIDENT_SHARE: f64 = 0.8;

/// Where training samples are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// On the card where they fit.
    #[default]
    Auto,
    /// On the card.
    Card,
    /// In the host's memory.
    Host,
}

/// How images are changed while a network trains on them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    seed: u64,
    augmentation: Augmentation,
}

impl Changes {
    /// Those of a run with this seed.
    pub(super) fn new(seed: u64, augmentation: Augmentation) -> Self {
        Self { seed, augmentation }
    }

    /// `Augmentation` of the kernels: a seed and two pairs of integers.
    pub(super) fn fields(&self) -> [u64; 3] {
        let Augmentation { reach, edge, flip, cutout, .. } = self.augmentation;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [self.seed, pair(reach, u32::from(edge == Edge::Repeat)), pair(u32::from(flip), cutout)]
    }
}

/// The training samples.
pub(super) enum Samples<'a> {
    Resident(Resident),
    Streamed(Box<Streamed<'a>>),
}

impl std::fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resident(_) => "Resident",
            Self::Streamed(_) => "Streamed",
        })
    }
}

/// All of them on the card.
pub(super) struct Resident {
    samples: Buffer<i8>,
    labels: Buffer<u16>,
    order: Buffer<u32>,
}

/// Where the next steps read: what `Control` of the kernels needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) samples: u64,
    pub(super) labels: u64,
    /// 0 where samples lie in order.
    pub(super) order: u64,
    /// Places before the first batch.
    pub(super) first_place: u64,
    /// Steps that can be done from here.
    pub(super) steps: usize,
    /// The epoch, from 0.
    pub(super) epoch: u64,
}

impl<'a> Samples<'a> {
    /// Samples from one to the next in bytes.
    pub(super) fn stride(&self, data: &Dataset) -> usize {
        match self {
            Self::Resident(_) => data.stride,
            Self::Streamed(_) => data.features(),
        }
    }

    /// Brings samples to the card, or prepares to. `changes` is what the host does to those that it gathers.
    pub(super) fn new(
        card: &Card,
        data: &'a Dataset,
        batch: usize,
        placement: Placement,
        changes: Option<Changes>,
    ) -> Result<Self, CudaError> {
        let bytes = data.samples.len() + data.labels.len() * 6;
        let fits = || -> Result<bool, CudaError> { Ok((bytes as f64) < RESIDENT_SHARE * card.memory()?.0 as f64) };
        let resident = match placement {
            Placement::Auto => fits()?,
            Placement::Card => true,
            Placement::Host => false,
        };
        tracing::debug!(bytes, resident, "training samples");
        if !resident {
            return Ok(Self::Streamed(Box::new(Streamed::new(card, data, batch, changes)?)));
        }
        Ok(Self::Resident(Resident {
            samples: card.upload("the training samples", &data.samples)?,
            labels: card.upload("the training samples' labels", &data.labels)?,
            order: card.zeros("the order of the samples", data.len())?,
        }))
    }

    pub(super) fn set_order(&mut self, card: &Card, order: Vec<u32>) -> Result<(), CudaError> {
        match self {
            Self::Resident(resident) => card.write(&mut resident.order, &order),
            Self::Streamed(streamed) => {
                streamed.order = order;
                Ok(())
            }
        }
    }

    /// Makes ready the samples of up to `steps` batches, from batch `first` of the epoch, which has a number, on.
    pub(super) fn prepare(
        &mut self,
        card: &Card,
        (epoch, first): (u64, usize),
        steps: usize,
        batch: usize,
    ) -> Result<Source, CudaError> {
        let place = first * batch;
        match self {
            Self::Resident(resident) => Ok(Source {
                samples: resident.samples.address(),
                labels: resident.labels.address(),
                order: resident.order.address(),
                first_place: place as u64,
                steps: steps.min(MOST_STEPS),
                epoch,
            }),
            Self::Streamed(streamed) => streamed.prepare(card, (epoch, place), steps, batch),
        }
    }

    /// Says that the steps launched from the last prepared samples have all been enqueued.
    pub(super) fn enqueued(&mut self, card: &Card) -> Result<(), CudaError> {
        match self {
            Self::Resident(_) => Ok(()),
            Self::Streamed(streamed) => streamed.enqueued(card),
        }
    }
}

/// Samples in the host's memory, brought to the card piece by piece.
pub(super) struct Streamed<'a> {
    data: &'a Dataset,
    changes: Option<Changes>,
    order: Vec<u32>,
    stream: Arc<CudaStream>,
    pieces: [Piece; 2],
    next: usize,
    steps_per_piece: usize,
}

struct Piece {
    host_samples: PinnedHostSlice<i8>,
    host_labels: PinnedHostSlice<u16>,
    samples: Buffer<i8>,
    labels: Buffer<u16>,
    /// When the card is done with this piece.
    used: Option<CudaEvent>,
}

impl<'a> Streamed<'a> {
    fn new(card: &Card, data: &'a Dataset, batch: usize, changes: Option<Changes>) -> Result<Self, CudaError> {
        let features = data.features();
        let steps = (PIECE_BYTES / (batch * features).max(1)).clamp(1, MOST_STEPS);
        let len = steps * batch;
        let piece = || -> Result<Piece, CudaError> {
            let during = || CudaError::during("allocating pinned memory");
            let context = card.stream().context();
            // SAFETY: zeros are valid; every value is written before it is copied.
            let host_samples = unsafe { context.alloc_pinned::<i8>(len * features) }.map_err(during())?;
            // SAFETY: as above.
            let host_labels = unsafe { context.alloc_pinned::<u16>(len) }.map_err(during())?;
            Ok(Piece {
                host_samples,
                host_labels,
                samples: card.zeros("a piece of the training samples", len * features)?,
                labels: card.zeros("a piece of the training samples' labels", len)?,
                used: None,
            })
        };
        let pieces = [piece()?, piece()?];
        let stream = card.new_stream()?;
        Ok(Self { data, changes, order: Vec::new(), stream, pieces, next: 0, steps_per_piece: steps })
    }

    fn prepare(
        &mut self,
        card: &Card,
        (epoch, place): (u64, usize),
        steps: usize,
        batch: usize,
    ) -> Result<Source, CudaError> {
        let during = || CudaError::during("bringing samples to the card");
        let steps = steps.min(self.steps_per_piece);
        let features = self.data.features();
        let piece = &mut self.pieces[self.next];
        if let Some(used) = piece.used.take() {
            used.synchronize().map_err(during())?;
        }
        let order = self.order.get(place..place + steps * batch).unwrap_or_default();
        let samples = piece.host_samples.as_mut_slice().map_err(during())?;
        let labels = piece.host_labels.as_mut_slice().map_err(during())?;
        let data = self.data;
        let places = order.par_iter().zip(samples.par_chunks_mut(features.max(1)));
        let changes = self.changes;
        places.for_each(|(index, sample)| match &changes {
            None => sample.copy_from_slice(data.row(*index as usize)),
            Some(Changes { seed, augmentation }) => {
                augmentation.augment(*seed, epoch, u64::from(*index), data.row(*index as usize), sample);
            }
        });
        for (label, index) in labels.iter_mut().zip(order) {
            *label = data.labels.get(*index as usize).copied().unwrap_or_default();
        }
        let (samples, labels) = (&samples[..order.len() * features], &labels[..order.len()]);
        let stream = self.stream.cu_stream();
        // SAFETY: the pieces on the card hold as many values; the host's are not written again before the card is done
        // with this piece, which is after these copies.
        unsafe {
            result::memcpy_htod_async(piece.samples.address(), samples, stream).map_err(during())?;
            result::memcpy_htod_async(piece.labels.address(), labels, stream).map_err(during())?;
        }
        let copied = self.stream.record_event(None).map_err(during())?;
        card.stream().wait(&copied).map_err(during())?;
        let (samples, labels) = (piece.samples.address(), piece.labels.address());
        Ok(Source { samples, labels, order: 0, first_place: 0, steps, epoch })
    }

    fn enqueued(&mut self, card: &Card) -> Result<(), CudaError> {
        self.pieces[self.next].used = Some(card.mark()?);
        self.next = 1 - self.next;
        Ok(())
    }
}

/// What kernels read of a stretch of steps: `Control` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control {
    pub(super) steps: u64,
    pub(super) samples: u64,
    pub(super) labels: u64,
    pub(super) order: u64,
    pub(super) first_place: u64,
    pub(super) cursor: u64,
    pub(super) epoch: u64,
}

// SAFETY: seven 64-bit integers without padding.
unsafe impl cudarc::driver::DeviceRepr for Control {}
// SAFETY: as above.
unsafe impl cudarc::driver::ValidAsZeroBits for Control {}
// SAFETY: a float and two integers without padding.
unsafe impl cudarc::driver::DeviceRepr for Step {}
// SAFETY: as above.
unsafe impl cudarc::driver::ValidAsZeroBits for Step {}

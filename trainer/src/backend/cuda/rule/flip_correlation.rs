//! Integer flip + correlation on a card; see `rule/flip_correlation.rs` for the definition.
//!
//! State for each weight: two bits of a trit, an int8; for each group: an int8, an int32: within ±2^15.

use super::scale::VoteScale;
use super::{CardRule, TernaryView, Update};
use crate::backend::BackendError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::checkpoint::StateReader;
use crate::rule::flip_correlation::{CORRELATION_STEP, VOTE_GAIN};
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::FLIP_CORRELATION;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct FlipCorrelation {
    extent: Extent,
    trits: Buffer<u32>,
    flips: Buffer<i8>,
    exponents: Buffer<i8>,
    correlations: Buffer<i32>,
    scale: VoteScale,
}

impl FlipCorrelation {
    pub(super) fn new(card: &Card, extent: Extent) -> Result<Self, CudaError> {
        let (rows, groups) = (extent.padded_rows(), extent.groups());
        Ok(Self {
            extent,
            trits: card.zeros("a layer's trits", rows * extent.words())?,
            flips: card.zeros("a layer's votes", extent.padded_weights())?,
            exponents: card.zeros("a layer's exponents", rows * groups)?,
            correlations: card.zeros("a layer's correlations", rows * groups)?,
            scale: VoteScale::new(card)?,
        })
    }
}

impl CardRule for FlipCorrelation {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        let arguments = arguments![
            &self.trits,
            &self.exponents,
            &self.correlations,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            weights,
        ];
        let kernel = Kernel::of_group(FLIP_CORRELATION, extent.group, "expand");
        card.launch(kernel, extent.half_word_grid(), arguments)
    }

    fn ternary(&self) -> Option<TernaryView<'_>> {
        let Self { trits, exponents, correlations, .. } = self;
        Some(TernaryView { trits, exponents, correlations: Some(correlations) })
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        self.scale.find(card, extent, update)?;
        let arguments = arguments![
            update.gradient,
            self.scale.fields(),
            update.step,
            VOTE_GAIN,
            CORRELATION_STEP,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            &self.trits,
            &self.flips,
            &self.correlations,
        ];
        card.launch(Kernel::of_group(FLIP_CORRELATION, extent.group, "update"), extent.row_grid(extent.rows), arguments)
    }

    fn state_bytes(&self) -> usize {
        let Self { trits, flips, exponents, correlations, scale, .. } = self;
        trits.bytes() + flips.bytes() + exponents.bytes() + correlations.bytes() + scale.fields().bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let Self { extent, .. } = self;
        let (rows, groups) = (extent.rows, extent.own_groups());
        let trits = extent.unpack_trits(&card.read(&self.trits)?);
        let exponents = extent.unpad(&card.read(&self.exponents)?, groups, extent.groups());
        let correlations = extent.unpad(&card.read(&self.correlations)?, groups, extent.groups());
        let flips = extent.unpad(&card.read(&self.flips)?, extent.columns, extent.pitch());
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&exponents))?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I32(&correlations))?;
        writer.push(&format!("{prefix}.flips"), rows, StateValues::I8(&flips))?;
        self.scale.save(card, &format!("{prefix}.scale"), writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let Self { extent, .. } = self;
        let (weights, groups) = (extent.rows * extent.columns, extent.own_groups());
        let trits = reader.trits(&format!("{prefix}.trits"), weights)?;
        let exponents = reader.i8s(&format!("{prefix}.exponents"), extent.rows * groups)?;
        let correlations = reader.i32s(&format!("{prefix}.corr"), extent.rows * groups)?;
        let flips = reader.i8s(&format!("{prefix}.flips"), weights)?;
        card.write(&mut self.trits, &extent.pack_trits(&trits))?;
        card.write(&mut self.exponents, &extent.pad(&exponents, groups, extent.groups()))?;
        card.write(&mut self.correlations, &extent.pad(&correlations, groups, extent.groups()))?;
        card.write(&mut self.flips, &extent.pad(&flips, extent.columns, extent.pitch()))?;
        self.scale.load(card, &format!("{prefix}.scale"), reader)
    }
}

//! The scale of a layer's votes on a card.

use super::Update;
use crate::backend::BackendError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::checkpoint::StateReader;

use crate::rule::ballot::{SILENT, Shards};
use crate::rule::magnitude::ScaleState;
use trishift_format::write::CheckpointWriter;
use trishift_kernels::cuda::{SCALE, VOTES};

/// Largest exponent so far, the one that shards share, this step's, whether there is one, blocks that are done.
const FIELDS: usize = 5;

/// Threads of a block that finds a scale, and rows that it takes.
const THREADS: u32 = 512;
const ROWS: usize = THREADS as usize / 16;

/// A layer's scale: `Scale` of the kernels.
#[derive(Debug)]
pub(super) struct VoteScale {
    fields: Buffer<i32>,
}

impl VoteScale {
    pub(super) fn new(card: &Card) -> Result<Self, CudaError> {
        let mut fields = [0; FIELDS];
        fields[..2].fill(i32::from(SILENT));
        Ok(Self { fields: card.upload("a layer's scale", &fields)? })
    }

    /// Enqueues finding the scale of this update's gradient.
    pub(super) fn find(&self, card: &Card, extent: &Extent, update: &Update<'_>) -> Result<(), CudaError> {
        self.find_with(card, extent, update, None)
    }

    /// The same for the gradient of a shard, whose exponent goes to the ballot.
    fn find_with(
        &self,
        card: &Card,
        extent: &Extent,
        update: &Update<'_>,
        of_shard: Option<(&Ballot<'_>, Turn)>,
    ) -> Result<(), CudaError> {
        let weights = (extent.rows * extent.columns) as f64;
        let blocks = extent.rows.div_ceil(ROWS) as u32;
        let pitch = extent.pitch() as i32;
        let exponents = of_shard.map(|(ballot, _)| ballot.scales);
        let [shards, shard, adds] = of_shard.map_or([0; 3], |(ballot, turn)| turn.arguments(ballot.shards));
        let arguments = arguments![
            update.gradient,
            extent.rows,
            pitch,
            weights,
            update.row_squares,
            &self.fields,
            exponents,
            shards,
            shard,
            adds,
        ];
        card.launch(Kernel::new(SCALE, "find_scale"), Grid::new(blocks, THREADS), arguments)
    }

    /// Enqueues finding the scale of a shard's gradient.
    pub(super) fn find_of_shard(
        &self,
        card: &Card,
        extent: &Extent,
        update: &Update<'_>,
        of_shard: (&Ballot<'_>, Turn),
    ) -> Result<(), CudaError> {
        self.find_with(card, extent, update, Some(of_shard))
    }

    /// Enqueues adding a shard's votes on weights, of the gain that shards have; `scheduled` says that they go with λ.
    pub(super) fn vote(
        &self,
        card: &Card,
        extent: &Extent,
        update: &Update<'_>,
        (gain, scheduled): (f32, bool),
        (ballot, turn): (&Ballot<'_>, Turn),
    ) -> Result<(), CudaError> {
        self.find_of_shard(card, extent, update, (ballot, turn))?;
        let words = extent.rows * extent.words();
        let (limit, adds) = (ballot.shards.limit(), i32::from(!turn.is_first));
        let shard = if ballot.shards == Shards::ONE { -1 } else { turn.shard as i32 };
        let arguments = arguments![
            update.gradient,
            &self.fields,
            update.step,
            gain,
            i32::from(scheduled),
            limit,
            shard,
            extent.words() as i32,
            words,
            adds,
            ballot.votes,
        ];
        card.launch(Kernel::new(VOTES, "vote"), Grid::covering(words, 256), arguments)
    }

    /// Enqueues following the scales of all shards.
    pub(super) fn follow(&self, card: &Card, ballot: &Ballot<'_>) -> Result<(), CudaError> {
        let arguments = arguments![ballot.scales, ballot.shards.count() as i32, &self.fields];
        card.launch(Kernel::new(SCALE, "follow_scales"), Grid::new(1, 1), arguments)
    }

    /// Where kernels find it.
    pub(super) fn fields(&self) -> &Buffer<i32> {
        &self.fields
    }

    pub(super) fn save(&self, card: &Card, name: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let fields = card.read(&self.fields)?;
        let [largest, shared] = [fields[0] as i8, fields[1] as i8];
        Ok(ScaleState { largest, shared }.save(name, writer)?)
    }

    pub(super) fn load(&mut self, card: &Card, name: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let ScaleState { largest, shared } = ScaleState::load(name, reader)?;
        Ok(card.write(&mut self.fields, &[largest, shared].map(i32::from))?)
    }
}

//! Biases on a card; see `rule/bias.rs` for the definition, and `frozen.rs` for the units that they are rounded to.
//!
//! A row's unit is the exponent of its smallest weight that is not 0, found in the expanded weights. Where exponents are
//! fractional (rule `correlation`) it is rounded as the weight's bfloat16 has it, which next to a half may differ from what
//! export does.

use super::Update;
use super::scale::VoteScale;
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::network::Stage;
use crate::rule::ballot::Shards;
use crate::rule::bias::VOTE_GAIN;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::{BIAS, STRAIGHT_THROUGH};

/// Threads of a block that works alone.
const ALONE: u32 = 1024;

/// Threads of a block that sums over samples, and rows that it takes.
const SUM_THREADS: u32 = 512;
const SUM_ROWS: usize = 32;

/// Threads of a block that looks for smallest weights: a warp takes a row.
const SMALLEST_THREADS: u32 = 256;

/// What biases of both kinds need beside their state.
#[derive(Debug)]
struct Workspace {
    extent: Extent,
    /// Whether the layer's outputs have one unit.
    is_wide: bool,
    /// The bias gradient, [padded rows].
    gradient: Buffer<f64>,
    /// Bits of each row's smallest magnitude, [padded rows].
    smallest: Buffer<u32>,
    /// Rounded biases in output steps, [padded rows].
    rounded: Buffer<f32>,
}

impl Workspace {
    fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        let rows = extent.padded_rows();
        Ok(Self {
            extent,
            is_wide: stage.output.is_wide(),
            gradient: card.zeros("a layer's bias gradient", rows)?,
            smallest: card.zeros("a layer's smallest weights", rows)?,
            rounded: card.zeros("a layer's rounded biases", rows)?,
        })
    }

    /// Enqueues summing the output gradient over the samples, where nobody has: the squares then take the place of the rows'
    /// in the update's memory. `None` for a layer whose biases learn nothing.
    fn sum<'a>(&'a self, card: &Card, update: &Update<'a>) -> Result<Option<BiasSums<'a>>, CudaError> {
        if update.bias_sums.is_some() {
            return Ok(update.bias_sums);
        }
        let Some(output) = update.output else { return Ok(None) };
        let rows = self.extent.padded_rows();
        let arguments = arguments![
            output,
            update.batch as i32,
            rows as i32,
            self.extent.rows as i32,
            &self.gradient,
            update.row_squares,
        ];
        let blocks = rows.div_ceil(SUM_ROWS) as u32;
        card.launch(Kernel::new(BIAS, "sum_samples"), Grid::new(blocks, SUM_THREADS), arguments)?;
        if let Some(together) = update.together {
            together.sum_bias_gradient(card, &self.gradient, update.row_squares, self.extent.rows)?;
        }
        Ok(Some(BiasSums { gradients: (&self.gradient).into(), squares: update.row_squares.into() }))
    }

    /// Enqueues rounding `values` to units of the weights.
    fn round<T>(
        &self,
        card: &Card,
        weights: &Buffer<u16>,
        kernel: &'static str,
        values: &Buffer<T>,
    ) -> Result<(), CudaError> {
        find_units(card, &self.extent, weights, &self.smallest)?;
        self.round_to(card, &self.smallest, kernel, values)
    }

    /// Enqueues rounding `values` to the units whose bits are at `units`.
    fn round_to<T>(
        &self,
        card: &Card,
        units: &Buffer<u32>,
        kernel: &'static str,
        values: &Buffer<T>,
    ) -> Result<(), CudaError> {
        let rows = self.extent.rows as i32;
        let arguments = arguments![units, rows, i32::from(self.is_wide), values, &self.rounded];
        card.launch(Kernel::new(BIAS, kernel), Grid::new(1, ALONE), arguments)
    }

    fn bytes(&self) -> usize {
        self.gradient.bytes() + self.smallest.bytes() + self.rounded.bytes()
    }
}

/// Gradients of biases, summed over samples and windows.
#[derive(Clone, Copy, Debug)]
pub struct BiasSums<'a> {
    /// The gradient of every bias, float64 [padded rows].
    pub gradients: Span<'a>,
    /// Their squares, likewise.
    pub squares: Span<'a>,
}

/// Enqueues finding the smallest weight of every row that is not 0; `smallest` receives the bits of its magnitude, 0 for a row
/// of zeros: [padded rows].
pub(in crate::backend::cuda) fn find_units(
    card: &Card,
    extent: &Extent,
    weights: &Buffer<u16>,
    smallest: &Buffer<u32>,
) -> Result<(), CudaError> {
    let arguments = arguments![weights, extent.rows, (extent.pitch() / 8) as i32, smallest];
    let grid = Grid::covering(extent.rows * 32, SMALLEST_THREADS);
    card.launch(Kernel::new(BIAS, "find_smallest"), grid, arguments)
}

/// Enqueues votes on `rows` integer biases.
fn vote(
    card: &Card,
    sums: BiasSums<'_>,
    step: &Buffer<Step>,
    rows: usize,
    scale: &VoteScale,
    values: &Buffer<i32>,
) -> Result<(), CudaError> {
    let BiasSums { gradients, squares } = sums;
    let arguments = arguments![gradients, squares, rows as i32, step, scale.fields(), values];
    card.launch(Kernel::new(BIAS, "move_biases"), Grid::new(1, ALONE), arguments)
}

/// Enqueues adding a shard's votes on `rows` integer biases.
fn vote_of_shard(
    card: &Card,
    sums: BiasSums<'_>,
    step: &Buffer<Step>,
    (rows, scale): (usize, &VoteScale),
    ([votes, exponents], shards, turn): ([Span<'_>; 2], Shards, Turn),
) -> Result<(), CudaError> {
    let BiasSums { gradients, squares } = sums;
    let (gain, limit) = (shards.gain(VOTE_GAIN), shards.limit());
    let [count, shard, adds] = turn.arguments(shards);
    let arguments = arguments![
        gradients,
        squares,
        rows as i32,
        step,
        gain,
        limit,
        scale.fields(),
        exponents,
        count,
        shard,
        adds,
        votes,
    ];
    card.launch(Kernel::new(BIAS, "vote_biases"), Grid::new(1, ALONE), arguments)
}

/// Enqueues moving `rows` integer biases by the votes of all shards.
fn apply(
    card: &Card,
    [votes, exponents]: [Span<'_>; 2],
    shards: Shards,
    (rows, scale): (usize, &VoteScale),
    values: &Buffer<i32>,
) -> Result<(), CudaError> {
    let arguments = arguments![votes, exponents, shards.count() as i32, rows as i32, scale.fields(), values];
    card.launch(Kernel::new(BIAS, "apply_biases"), Grid::new(1, ALONE), arguments)
}

/// Integer biases of a shift batch norm, under every rule.
#[derive(Debug)]
pub(in crate::backend::cuda) struct NormBias {
    rows: usize,
    values: Buffer<i32>,
    scale: VoteScale,
}

impl NormBias {
    /// Zeros for `rows` channels, with padding.
    pub(in crate::backend::cuda) fn new(card: &Card, padded: usize, rows: usize) -> Result<Self, CudaError> {
        Ok(Self { rows, values: card.zeros("a norm's biases", padded)?, scale: VoteScale::new(card)? })
    }

    /// Where kernels find them.
    pub(in crate::backend::cuda) fn values(&self) -> &Buffer<i32> {
        &self.values
    }

    /// Enqueues the votes of an update.
    pub(in crate::backend::cuda) fn vote(
        &self,
        card: &Card,
        sums: BiasSums<'_>,
        step: &Buffer<Step>,
    ) -> Result<(), CudaError> {
        vote(card, sums, step, self.rows, &self.scale, &self.values)
    }

    /// Enqueues adding the votes of a shard.
    pub(in crate::backend::cuda) fn vote_of_shard(
        &self,
        card: &Card,
        sums: BiasSums<'_>,
        step: &Buffer<Step>,
        (ballot, turn): (&Ballot<'_>, Turn),
    ) -> Result<(), CudaError> {
        vote_of_shard(card, sums, step, (self.rows, &self.scale), (ballot.norm, ballot.shards, turn))
    }

    /// Enqueues moving the biases by the votes of all shards.
    pub(in crate::backend::cuda) fn apply(&self, card: &Card, ballot: &Ballot<'_>) -> Result<(), CudaError> {
        apply(card, ballot.norm, ballot.shards, (self.rows, &self.scale), &self.values)
    }

    pub(in crate::backend::cuda) fn bytes(&self) -> usize {
        self.values.bytes() + self.scale.fields().bytes()
    }

    pub(in crate::backend::cuda) fn save(
        &self,
        card: &Card,
        name: &str,
        writer: &mut CheckpointWriter,
    ) -> Result<(), BackendError> {
        writer.push(name, 1, StateValues::I32(&card.read(&self.values)?[..self.rows]))?;
        self.scale.save(card, &format!("{name}_scale"), writer)
    }

    pub(in crate::backend::cuda) fn load(
        &mut self,
        card: &Card,
        name: &str,
        reader: &StateReader<'_>,
    ) -> Result<(), BackendError> {
        card.write(&mut self.values, &reader.i32s(name, self.rows)?)?;
        self.scale.load(card, &format!("{name}_scale"), reader)
    }
}

/// Integer biases that votes move; nothing for a layer without.
#[derive(Debug)]
pub(super) struct VotedBias(Option<Voted>);

#[derive(Debug)]
struct Voted {
    values: Buffer<i32>,
    scale: VoteScale,
    workspace: Workspace,
}

impl VotedBias {
    pub(super) fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        if !stage.bias {
            return Ok(Self(None));
        }
        Ok(Self(Some(Voted {
            values: card.zeros("a layer's biases", Extent::of(stage).padded_rows())?,
            scale: VoteScale::new(card)?,
            workspace: Workspace::new(card, stage)?,
        })))
    }

    /// Enqueues the votes of an update, after those of the weights.
    pub(super) fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let Some(Voted { values, scale, workspace }) = &self.0 else { return Ok(()) };
        let Some(sums) = workspace.sum(card, update)? else { return Ok(()) };
        vote(card, sums, update.step, workspace.extent.rows, scale, values)
    }

    /// Enqueues adding the votes of a shard.
    pub(super) fn vote(
        &self,
        card: &Card,
        update: &Update<'_>,
        ballot: &Ballot<'_>,
        turn: Turn,
    ) -> Result<(), CudaError> {
        let Some(Voted { scale, workspace, .. }) = &self.0 else { return Ok(()) };
        let Some(sums) = workspace.sum(card, update)? else { return Ok(()) };
        let of_shard = (ballot.biases, ballot.shards, turn);
        vote_of_shard(card, sums, update.step, (workspace.extent.rows, scale), of_shard)
    }

    /// Enqueues moving the biases by the votes of all shards.
    pub(super) fn apply(&self, card: &Card, ballot: &Ballot<'_>) -> Result<(), CudaError> {
        let Some(Voted { values, scale, workspace }) = &self.0 else { return Ok(()) };
        apply(card, ballot.biases, ballot.shards, (workspace.extent.rows, scale), values)
    }

    /// Enqueues rounding to units of the weights.
    pub(super) fn round(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let Some(Voted { values, workspace, .. }) = &self.0 else { return Ok(()) };
        workspace.round(card, weights, "round_biases", values)
    }

    /// Enqueues rounding to units that are known.
    pub(super) fn round_to(&self, card: &Card, units: &Buffer<u32>) -> Result<(), CudaError> {
        let Some(Voted { values, workspace, .. }) = &self.0 else { return Ok(()) };
        workspace.round_to(card, units, "round_biases", values)
    }

    /// The rounded biases in output steps.
    pub(super) fn rounded(&self) -> Option<&Buffer<f32>> {
        self.0.as_ref().map(|voted| &voted.workspace.rounded)
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |voted: &Voted| voted.values.bytes() + voted.scale.fields().bytes() + voted.workspace.bytes();
        self.0.as_ref().map_or(0, bytes)
    }

    pub(super) fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let Some(Voted { values, scale, workspace }) = &self.0 else { return Ok(()) };
        let values = card.read(values)?;
        writer.push(&format!("{prefix}.bias"), 1, StateValues::I32(&values[..workspace.extent.rows]))?;
        scale.save(card, &format!("{prefix}.bias_scale"), writer)
    }

    pub(super) fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let Some(Voted { values, scale, workspace }) = &mut self.0 else { return Ok(()) };
        card.write(values, &reader.i32s(&format!("{prefix}.bias"), workspace.extent.rows)?)?;
        scale.load(card, &format!("{prefix}.bias_scale"), reader)
    }
}

/// Floating-point biases that Adam moves, of the rule `straight-through`; nothing for a layer without.
#[derive(Debug)]
pub(super) struct FloatBias(Option<Float>);

#[derive(Debug)]
struct Float {
    values: Buffer<f32>,
    means: Buffer<f32>,
    squares: Buffer<f32>,
    workspace: Workspace,
}

impl FloatBias {
    pub(super) fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        if !stage.bias {
            return Ok(Self(None));
        }
        let rows = Extent::of(stage).padded_rows();
        Ok(Self(Some(Float {
            values: card.zeros("a layer's biases", rows)?,
            means: card.zeros("a layer's mean bias gradients", rows)?,
            squares: card.zeros("a layer's squared bias gradients", rows)?,
            workspace: Workspace::new(card, stage)?,
        })))
    }

    /// Enqueues an update, after that of the weights. `learning_rate` is theirs.
    pub(super) fn update(&self, card: &Card, update: &Update<'_>, learning_rate: f32) -> Result<(), CudaError> {
        let Some(Float { values, means, squares, workspace }) = &self.0 else { return Ok(()) };
        let Some(sums) = workspace.sum(card, update)? else { return Ok(()) };
        let Extent { rows, group, .. } = workspace.extent;
        let arguments = arguments![sums.gradients, update.step, learning_rate, rows as i32, values, means, squares];
        card.launch(Kernel::of_group(STRAIGHT_THROUGH, group, "update_biases"), Grid::covering(rows, 256), arguments)
    }

    /// Enqueues rounding to units of the weights.
    pub(super) fn round(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let Some(Float { values, workspace, .. }) = &self.0 else { return Ok(()) };
        workspace.round(card, weights, "round_float_biases", values)
    }

    /// Enqueues rounding to units that are known.
    pub(super) fn round_to(&self, card: &Card, units: &Buffer<u32>) -> Result<(), CudaError> {
        let Some(Float { values, workspace, .. }) = &self.0 else { return Ok(()) };
        workspace.round_to(card, units, "round_float_biases", values)
    }

    /// The rounded biases in output steps.
    pub(super) fn rounded(&self) -> Option<&Buffer<f32>> {
        self.0.as_ref().map(|float| &float.workspace.rounded)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |float| 3 * float.values.bytes() + float.workspace.bytes())
    }

    pub(super) fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let Some(Float { values, means, squares, workspace }) = &self.0 else { return Ok(()) };
        for (name, buffer) in [("values", values), ("first", means), ("second", squares)] {
            let values = card.read(buffer)?;
            writer.push(&format!("{prefix}.bias.{name}"), 1, StateValues::F32(&values[..workspace.extent.rows]))?;
        }
        Ok(())
    }

    pub(super) fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let Some(Float { values, means, squares, workspace }) = &mut self.0 else { return Ok(()) };
        for (name, buffer) in [("values", values), ("first", means), ("second", squares)] {
            card.write(buffer, &reader.f32s(&format!("{prefix}.bias.{name}"), workspace.extent.rows)?)?;
        }
        Ok(())
    }
}

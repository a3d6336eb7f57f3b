//! The CUDA backend: bfloat16 products by cuBLASLt, kernels of our own for everything ternary, integers for everything
//! that lasts.
//!
//! A step is enqueued once, captured in a graph and replayed; what changes from step to step (schedule, samples) kernels
//! read from the card's memory. Nothing is stored that is as large as a layer in float32: a layer's weights exist in
//! bfloat16 from the moment they are multiplied with, and its gradient takes their place until it has been turned into
//! votes. Matrices of activations are [batch, features], padded as [`extent`] says.
//!
//! The host keeps a copy of every layer's state, as the CPU's rules hold it: it makes the initial state and gives
//! checkpoints their form. It is brought up to date when somebody asks.

mod body;
mod calibration;
pub mod card;
pub mod compile;
mod error;
pub mod extent;
pub mod graph;
pub(crate) mod layer;
pub mod nccl;
pub mod primitives;
pub mod product;
pub mod rule;
mod samples;
mod teacher;
mod ternary_product;
mod together;

pub use error::CudaError;
pub use nccl::Nccl;
pub use samples::Placement;
pub use together::{Ballot, BallotMemory, Turn};

use super::{Backend, BackendError, MemoryUse, Steps};
use crate::checkpoint::{StateReader, Totals};
use crate::config::{Config, Loss};
use crate::data::Dataset;
use crate::network::Network;
use crate::parallel::{Share, Worker};
use crate::rule::LayerState;
use crate::rule::ballot::Shards;
use crate::rule::batch_norm::Phase;
use crate::schedule;
use crate::teacher::Teacher;
use body::{Body, FirstInput};
use card::{Buffer, Card, Grid, Kernel, arguments};
use cudarc::driver::CudaGraph;
use extent::{Extent, padded};
use graph::{Logits, Pass};
use layer::{Layer, Shared, Surroundings};
use product::Products;
use rayon::prelude::*;
use samples::{Changes, Control, MOST_STEPS, Samples, Source};
use std::path::Path;
use std::sync::Arc;
use teacher::CardTeacher;
use together::Together;
use trishift_format::write::CheckpointWriter;
use trishift_kernels::cuda::{BATCH, GATHER, LOSS};

/// Steps of the longer one of the two graphs.
const GRAPH_STEPS: usize = 16;

/// Samples that one block of the loss takes.
const LOSS_WARPS: usize = 8;

/// What a step is told: `Step` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The schedule's λ.
    pub lambda: f32,
    /// Bits of what this part of the run does: [`Step::USES_BATCH`], [`Step::MOVES_SHIFTS`].
    pub phase: u32,
    /// Updates done before this one.
    pub index: u64,
}

impl Step {
    /// Batch norms use the batch's own statistics in the forward pass.
    pub const USES_BATCH: u32 = 1;
    /// Batch norms move their shifts.
    pub const MOVES_SHIFTS: u32 = 2;

    /// Update number `index` of a run.
    fn of(index: u64, steps: &Steps) -> Self {
        let Steps { total, warm_up, .. } = *steps;
        let Phase { moves_shifts, uses_batch } = Phase::of(index, total);
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        let phase = bit(uses_batch, Self::USES_BATCH) | bit(moves_shifts, Self::MOVES_SHIFTS);
        Self { lambda: schedule::lambda(index, warm_up, total), phase, index }
    }
}

/// A network in training on a card.
pub struct CudaBackend<'a> {
    card: Arc<Card>,
    products: Products,
    network: Network,
    /// Every layer's state as the CPU's rules hold it; `is_current` says whether it is the card's.
    host: Vec<Box<dyn LayerState>>,
    is_current: bool,
    body: Body,
    teacher: Option<CardTeacher>,
    data: &'a Dataset,
    samples: Samples<'a>,
    loss: Loss,
    smoothing: f32,
    /// Samples of a step on this card.
    batch: usize,
    share: Share,
    worker: Worker,
    /// None where a step is one gradient of this card alone.
    together: Option<Together>,
    labels: Buffer<u16>,
    scratch: Buffer<u16>,
    row_squares: Buffer<f64>,
    /// The parameters of the step that runs.
    step: Buffer<Step>,
    /// The parameters of the stretch.
    steps: Buffer<Step>,
    control: Buffer<Control>,
    totals: Buffer<i64>,
    /// How kernels change images on their way to a step.
    changes: Option<Buffer<u64>>,
    /// Samples that are judged, and labels that nobody reads.
    judged: Buffer<i8>,
    judged_labels: Buffer<u16>,
    /// One step, and [`GRAPH_STEPS`].
    graphs: Option<[CudaGraph; 2]>,
}

impl std::fmt::Debug for CudaBackend<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CudaBackend").field("card", &self.card).field("network", &self.network).finish()
    }
}

impl<'a> CudaBackend<'a> {
    /// A fresh network for the training samples of `data`, which has at least one.
    ///
    /// # Errors
    /// [`BackendError`] where the card has no room or a kernel does not compile.
    pub fn new(
        card: &Arc<Card>,
        config: &Config,
        network: &Network,
        data: &'a Dataset,
        placement: Placement,
    ) -> Result<Self, BackendError> {
        Self::with_teacher(card, config, network, data, placement, None)
    }

    /// The same with another network's answers to learn, if there is a teacher.
    ///
    /// # Errors
    /// [`BackendError`] as [`CudaBackend::new`], or where the teacher's state does not fit its network.
    pub fn with_teacher(
        card: &Arc<Card>,
        config: &Config,
        network: &Network,
        data: &'a Dataset,
        placement: Placement,
        teacher: Option<&Teacher>,
    ) -> Result<Self, BackendError> {
        let worker = Worker::alone();
        let batch = (config.training.batch as usize).min(data.len()).max(1);
        let kind = config.training.exchange;
        let share = Share { rank: 0, world: 1, batch, shards: Shards::ONE, kind };
        Self::with_share(card, config, network, data, placement, teacher, (&worker, share))
    }

    /// The same as one of several workers, or with batches that are cut into shards, and with another network's answers to learn,
    /// if there is a teacher.
    ///
    /// # Errors
    /// [`BackendError`] as [`CudaBackend::new`], or where the teacher's state does not fit its network.
    pub fn with_share(
        card: &Arc<Card>,
        config: &Config,
        network: &Network,
        data: &'a Dataset,
        placement: Placement,
        teacher: Option<&Teacher>,
        (worker, share): (&Worker, Share),
    ) -> Result<Self, BackendError> {
        let batch = share.own_samples();
        let shards = if share.has_ballots() { share.own_shards() } else { 1 };
        let voting = share.has_ballots().then_some(share.shards);
        let products = Products::new(card)?;
        let stages = || network.stages.iter();
        let host: Vec<Box<dyn LayerState>> =
            network.stages.par_iter().enumerate().map(|(i, stage)| crate::rule::create(config, stage, i)).collect();
        let largest = stages().map(|stage| Extent::of(stage).padded_weights()).max().unwrap_or(0);
        let rows = stages().map(|stage| stage.rows).max().unwrap_or(0);
        let scratch = card.zeros("the weights of the largest layer", largest)?;
        let inputs = network.inputs();
        let (training, activations) = (&config.training, network.activations);
        let surroundings = Surroundings { card, products: &products, training, activations, batch, shards, voting };
        let body = Body::new(&surroundings, network)?;
        let teacher = teacher.map(|teacher| CardTeacher::new(&surroundings, teacher)).transpose()?;
        let is_shared = share.shards != Shards::ONE || share.world > 1;
        let together = || Together::new(card, worker, share, body.ballots().into_iter());
        let together = if is_shared { Some(together()?) } else { None };
        // Kernels change images that lie on the card as the network takes them; the host all others, on their way there.
        let changes =
            training.augmentation.of_images(data.shape).map(|augmentation| Changes::new(training.seed, augmentation));
        let by_kernels = matches!(body, Body::Graph(_)) && network.input_shape() == data.shape;
        let placement = if changes.is_some() && !by_kernels { Placement::Host } else { placement };
        // Last: it asks for the memory that the network leaves.
        let samples = Samples::new(card, data, batch, placement, changes)?;
        let changes = match (&samples, changes) {
            (Samples::Resident(_), Some(changes)) => Some(card.upload("how images are changed", &changes.fields())?),
            _ => None,
        };
        let mut backend = Self {
            network: network.clone(),
            host,
            is_current: true,
            body,
            teacher,
            data,
            loss: config.training.loss,
            smoothing: config.training.label_smoothing as f32,
            batch,
            share,
            worker: worker.clone(),
            together,
            labels: card.zeros("a batch's labels", batch)?,
            scratch,
            row_squares: card.zeros("sums of squares", rows)?,
            step: card.zeros("a step's parameters", 1)?,
            steps: card.zeros("a stretch's parameters", MOST_STEPS)?,
            control: card.zeros("control of a stretch", 1)?,
            totals: card.zeros("sums of losses", 4)?,
            judged: card.zeros("samples to be judged", batch * inputs)?,
            judged_labels: card.zeros("samples to be judged", batch)?,
            graphs: None,
            samples,
            changes,
            products,
            card: card.clone(),
        };
        backend.prepare_graphs()?;
        backend.upload()?;
        Ok(backend)
    }

    /// The card that trains.
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// Sends the host's state to the card.
    fn upload(&mut self) -> Result<(), BackendError> {
        let (card, body) = (&self.card, &mut self.body);
        for (index, host) in self.host.iter().enumerate() {
            transfer(
                |writer| Ok(host.save(&prefix(index), writer)?),
                |reader| body.load(card, index, &prefix(index), reader),
            )?;
        }
        self.is_current = true;
        Ok(())
    }

    /// Brings the host's state up to date.
    fn download(&mut self) -> Result<(), BackendError> {
        if self.is_current {
            return Ok(());
        }
        let (card, body) = (&self.card, &self.body);
        for (index, host) in self.host.iter_mut().enumerate() {
            transfer(
                |writer| body.save(card, index, &prefix(index), writer),
                |reader| Ok(host.load(&prefix(index), reader)?),
            )?;
        }
        self.is_current = true;
        Ok(())
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            card: &self.card,
            products: &self.products,
            scratch: &self.scratch,
            row_squares: &self.row_squares,
            step: &self.step,
            together: self.together.as_ref(),
        }
    }

    /// Enqueues fetching the batch of step `offset` of the stretch for `body`. `stride` is from one sample to the next;
    /// `changes` says that images may be changed on the way.
    fn gather(
        &self,
        body: &Body,
        control: &Buffer<Control>,
        offset: usize,
        stride: usize,
        changes: bool,
    ) -> Result<(), CudaError> {
        let inputs = self.network.inputs();
        let grid = Grid::new(self.batch as u32, inputs.next_multiple_of(32).clamp(32, 256) as u32);
        let [offset, batch, features] = [offset, self.batch, inputs].map(|value| value as i32);
        let (labels, step) = (&self.labels, &self.step);
        match body {
            Body::Chain { input: FirstInput::Activations(input), bytes, .. } => {
                let (pitch, bytes) = (padded(inputs) as i32, bytes.as_ref());
                let arguments = arguments![control, offset, batch, stride, features, pitch, input, bytes, labels, step];
                self.card.launch(Kernel::new(BATCH, "gather"), grid, arguments)
            }
            Body::Chain { input: FirstInput::Indices(indices), .. } => {
                let arguments = arguments![control, offset, batch, stride, features, indices, labels, step];
                self.card.launch(Kernel::new(BATCH, "gather_indices"), grid, arguments)
            }
            Body::Graph(graph) => {
                let Some((images, image)) = graph.input() else { return Ok(()) };
                let [height, width, channels] = image.0.map(|side| side as i32);
                let (pitch, changes) = (image.pitch() as i32, self.changes.as_ref().filter(|_| changes));
                let arguments = arguments![
                    control, offset, batch, stride, height, width, channels, pitch, changes, images, labels, step
                ];
                self.card.launch(Kernel::new(GATHER, "gather_images"), Grid::new(self.batch as u32, 256), arguments)
            }
        }
    }

    /// Enqueues the loss, the backward pass and the updates.
    fn backward(&self) -> Result<(), CudaError> {
        let Some((Logits { sums, bias, pitch }, gradient)) = self.body.last() else { return Ok(()) };
        let taught = self.teacher.as_ref().and_then(CardTeacher::logits);
        let [share, temperature] = self.teacher.as_ref().map_or([0.0, 1.0], CardTeacher::weights);
        let arguments = arguments![
            sums,
            bias,
            &self.labels,
            self.batch as i32,
            self.share.mean_samples() as i32,
            self.network.outputs() as i32,
            pitch as i32,
            i32::from(self.loss == Loss::SquaredError),
            self.smoothing,
            taught.map(|taught| taught.sums),
            taught.and_then(|taught| taught.bias),
            taught.map_or(0, |taught| taught.pitch) as i32,
            share,
            temperature,
            gradient,
            &self.totals,
        ];
        let grid = Grid::covering(self.batch * 32, 32 * LOSS_WARPS as u32);
        self.card.launch(Kernel::new(LOSS, "loss"), grid, arguments)?;
        self.body.backward(&self.shared())
    }

    /// Enqueues `count` steps of the stretch and moves its cursor.
    fn enqueue(&self, count: usize) -> Result<(), CudaError> {
        for offset in 0..count {
            let stride = self.samples.stride(self.data);
            self.gather(&self.body, &self.control, offset, stride, true)?;
            self.body.forward(&self.shared(), Pass::Training)?;
            if let Some(teacher) = &self.teacher {
                self.gather(teacher.body(), &self.control, offset, stride, true)?;
                teacher.forward(&self.shared())?;
            }
            self.backward()?;
        }
        let arguments = arguments![&self.control, count as i32];
        self.card.launch(Kernel::new(BATCH, "advance"), Grid::new(1, 1), arguments)
    }

    /// Compiles and loads what a step launches and captures the graphs, so that training does nothing but train.
    fn prepare_graphs(&mut self) -> Result<(), CudaError> {
        self.card.rehearse(|| self.enqueue(1))?;
        let graphs = [1, GRAPH_STEPS].map(|count| self.card.capture(|| self.enqueue(count)));
        let [one, many] = graphs;
        self.graphs = Some([one?, many?]);
        Ok(())
    }

    /// Tells kernels of the steps of a stretch, and where their samples are.
    fn tell(&mut self, source: &Source, steps: &[Step]) -> Result<(), CudaError> {
        self.card.write(&mut self.steps, steps)?;
        let control = Control {
            steps: self.steps.address(),
            samples: source.samples,
            labels: source.labels,
            order: source.order,
            first_place: source.first_place,
            cursor: 0,
            epoch: source.epoch,
        };
        self.card.write(&mut self.control, &[control])
    }

    /// Enqueues the steps of a stretch for which `source` has the samples.
    fn run(&mut self, source: &Source, steps: &[Step]) -> Result<(), CudaError> {
        self.tell(source, steps)?;
        let Some([one, many]) = &self.graphs else { return Ok(()) };
        let launch = |graph: &CudaGraph| graph.launch().map_err(CudaError::during("launching a step"));
        for _ in 0..steps.len() / GRAPH_STEPS {
            launch(many)?;
        }
        for _ in 0..steps.len() % GRAPH_STEPS {
            launch(one)?;
        }
        self.samples.enqueued(&self.card)
    }
}

/// Sends the state of layer number `index` to the card.
pub(crate) fn load_host_state(
    card: &Card,
    host: &dyn LayerState,
    layer: &mut Layer,
    index: usize,
) -> Result<(), BackendError> {
    let prefix = prefix(index);
    transfer(|writer| Ok(host.save(&prefix, writer)?), |reader| layer.rule.load(card, &prefix, reader))
}

fn prefix(layer: usize) -> String {
    format!("layer{layer}")
}

/// Takes named tensors from one holder of a layer's state to another.
fn transfer(
    save: impl FnOnce(&mut CheckpointWriter) -> Result<(), BackendError>,
    load: impl FnOnce(&StateReader<'_>) -> Result<(), BackendError>,
) -> Result<(), BackendError> {
    let mut writer = CheckpointWriter::new("");
    save(&mut writer)?;
    let bytes = writer.finish().map_err(crate::checkpoint::CheckpointError::from)?;
    load(&StateReader::new(&bytes, Path::new("a layer's state"))?)
}

impl Backend for CudaBackend<'_> {
    fn set_order(&mut self, order: Vec<u32>) -> Result<(), BackendError> {
        Ok(self.samples.set_order(&self.card, self.share.of_order(order))?)
    }

    fn train(&mut self, steps: Steps) -> Result<(), BackendError> {
        if steps.first == 0 && steps.count > 0 {
            self.calibrate(&steps)?;
        }
        self.is_current = false;
        let mut done = 0;
        while done < steps.count {
            let first = (steps.first_batch + done) as usize;
            let source =
                self.samples.prepare(&self.card, (steps.epoch, first), (steps.count - done) as usize, self.batch)?;
            let parameters: Vec<Step> = (0..source.steps as u64)
                .map(|offset| steps.first + done + offset)
                .map(|index| Step::of(index, &steps))
                .collect();
            self.run(&source, &parameters)?;
            done += source.steps as u64;
        }
        Ok(())
    }

    fn take_totals(&mut self) -> Result<Totals, BackendError> {
        let totals = self.card.read(&self.totals)?;
        self.card.clear(&mut self.totals)?;
        let [loss, correct, samples, not_finite] = totals[..] else { return Ok(Totals::default()) };
        let loss = if not_finite > 0 { i64::MAX } else { loss };
        let totals = Totals { loss, correct: correct as u64, samples: samples as u64 };
        Ok(totals.over(self.worker.link.exchange())?)
    }

    fn layers(&mut self) -> Result<&[Box<dyn LayerState>], BackendError> {
        self.download()?;
        Ok(&self.host)
    }

    fn logits(&mut self, samples: &[i8]) -> Result<Vec<f32>, BackendError> {
        let (inputs, outputs) = (self.network.inputs().max(1), self.network.outputs());
        let mut logits = Vec::with_capacity(samples.len() / inputs * outputs);
        let source = Control {
            steps: self.steps.address(),
            samples: self.judged.address(),
            labels: self.judged_labels.address(),
            ..Control::default()
        };
        let control = self.card.upload("control of a judgement", &[source])?;
        for chunk in samples.chunks(self.batch * inputs) {
            self.card.write(&mut self.judged, chunk)?;
            self.gather(&self.body, &control, 0, inputs, false)?;
            self.body.forward(&self.shared(), Pass::Inference)?;
            let Some((last, _)) = self.body.last() else { break };
            let accumulators = self.card.read(last.sums)?;
            let bias = last.bias.map(|bias| self.card.read(bias)).transpose()?;
            for row in accumulators.chunks(last.pitch).take(chunk.len() / inputs) {
                match &bias {
                    Some(bias) => logits.extend(row.iter().zip(bias).take(outputs).map(|(logit, bias)| logit + bias)),
                    None => logits.extend(&row[..outputs]),
                }
            }
        }
        Ok(logits)
    }

    fn load(&mut self, reader: &StateReader<'_>) -> Result<(), BackendError> {
        reader.load(&mut self.host)?;
        self.upload()
    }

    fn exchanged(&self) -> usize {
        let Some(together) = &self.together else { return 0 };
        if !together.exchanges_gradients() {
            return together.exchanged();
        }
        self.network.stages.iter().map(|stage| Extent::of(stage).padded_weights() * size_of::<u16>()).sum()
    }

    fn memory(&self) -> MemoryUse {
        let MemoryUse { state, scratch, activations } = self.body.memory();
        let teacher = self.teacher.as_ref().map_or(MemoryUse::default(), CardTeacher::memory);
        let ballots = self.together.as_ref().map_or(0, Together::bytes);
        MemoryUse {
            state,
            scratch: self.scratch.bytes() + self.row_squares.bytes() + scratch + ballots + teacher.scratch,
            activations: activations + teacher.activations,
        }
    }
}

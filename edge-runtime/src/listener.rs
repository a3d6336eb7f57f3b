//! From samples to detections: the front end, a model that streams and the detector in a row.
//!
//! What a device does with a microphone, hop by hop; `trishift listen` does the same with a recording, with the same
//! integers. Nothing allocates: the caller lends the memory.

use crate::audio::{self, AudioConfig, AudioError, AudioFrontEnd};
use crate::detector::{Detection, Detector, DetectorConfig, DetectorError};
use crate::{Engine, EngineError, Profiler, RunError};
use thiserror::Error;
use trishift_format::Model;

/// The property of a model that streams: how many rows, here frames, it judges at a time.
pub const STREAM_ROWS: &str = "stream-rows";

/// Most features of a frame.
const BANDS: usize = 40;

/// Listens with up to `CLASSES` classes, over means of up to `RUNS` runs.
///
/// ```
/// # use trishift::{Arena, Model, audio::AudioConfig, detector::Detection};
/// use trishift::listener::{Heard, Listener, ListenerMemory};
///
/// # fn device(model: &Model<'_>, mut microphone: impl FnMut(&mut [i16])) -> Result<(), Box<dyn core::error::Error>> {
/// // In firmware, each in a `StaticCell`; how much of each is needed, an error says.
/// let (mut front_end, mut input, mut arena) = ([0u32; 512], [0i8; 64], Arena::<8192>::new());
/// let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
/// let mut listener = Listener::<10, 16>::new(model, memory)?;
/// let mut samples = [0i16; 160];                                // a hop
/// loop {
///     microphone(&mut samples);
///     if let Heard::Detected(Detection { class, .. }) = listener.hop(&samples)? {
///         // model.labels().nth(class), at listener.milliseconds()
///     }
/// #   return Ok(());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Listener<'model, 'memory, const CLASSES: usize, const RUNS: usize> {
    front_end: AudioFrontEnd<'memory>,
    engine: Engine<'model, 'memory>,
    detector: Detector<CLASSES, RUNS>,
    /// What a run takes: whole frames.
    input: &'memory mut [i8],
    features: [u16; BANDS],
    scores: [i32; CLASSES],
    /// Runs until a whole window has been heard: what the model gives before is about zeros.
    blind: usize,
    hops: u64,
}

/// The memory that a listener works in. What it holds does not matter; of a longer one the rest is unused.
#[derive(Debug)]
pub struct ListenerMemory<'memory> {
    /// [`AudioFrontEnd::memory_len`] words.
    pub front_end: &'memory mut [u32],
    /// A value for each element of the model's input.
    pub input: &'memory mut [i8],
    /// [`Engine::arena_len`] bytes.
    pub arena: &'memory mut [u8],
}

/// What a hop led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Heard {
    /// A frame; the model waits for more of them.
    Frame,
    /// The model has run; nothing new has appeared.
    Run,
    /// The model has run, and a class has appeared.
    Detected(Detection),
}

/// Why nothing can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ListenerError {
    /// A model without front end.
    #[error("the model says nothing about sound: it has no property audio-sample-rate")]
    NoFrontEnd,
    /// Properties that describe no front end, or memory or samples of another length.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// An input that is not made of frames.
    #[error("the model takes {inputs} values a run, which is no whole number of frames of {bands}")]
    Frames {
        /// Values that a run takes.
        inputs: usize,
        /// Features of a frame.
        bands: usize,
    },
    /// A window that is no number of frames.
    #[error("the model's property stream-rows is no number of frames; export the model again")]
    Window,
    /// Too little memory for an input.
    #[error("there is room for {found} values of an input, the model takes {needed}")]
    InputMemory {
        /// Values there is room for.
        found: usize,
        /// Values that a run takes.
        needed: usize,
    },
    /// Too little memory for the engine, or an operator that is not in the build.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Scores that make no detections.
    #[error(transparent)]
    Detector(#[from] DetectorError),
}

impl<'model, 'memory, const CLASSES: usize, const RUNS: usize> Listener<'model, 'memory, CLASSES, RUNS> {
    /// A listener that has heard nothing yet, with [`DetectorConfig::every`] as its detector's settings.
    ///
    /// # Errors
    /// [`ListenerError`] for a model that cannot listen, or too little memory.
    pub fn new(model: &Model<'model>, memory: ListenerMemory<'memory>) -> Result<Self, ListenerError> {
        let (front_end, frames) = shape(model)?;
        let samples = frames as u64 * u64::from(front_end.hop);
        // At most what 2^32 inputs of 10 bands and a hop of 1,024 samples take.
        let milliseconds = (samples * 1000 / u64::from(front_end.sample_rate)).min(u64::from(u32::MAX));
        Self::with_detector(model, memory, DetectorConfig::every(milliseconds as u32))
    }

    /// The same with other settings of the detector.
    ///
    /// # Errors
    /// As [`Listener::new`], and for settings that make no sense.
    pub fn with_detector(
        model: &Model<'model>,
        memory: ListenerMemory<'memory>,
        config: DetectorConfig,
    ) -> Result<Self, ListenerError> {
        let (front_end, frames) = shape(model)?;
        let inputs = model.input().len();
        let ListenerMemory { front_end: words, input, arena } = memory;
        let found = input.len();
        let input = input.get_mut(..inputs).ok_or(ListenerError::InputMemory { found, needed: inputs })?;
        let window: usize = match model.properties().get(STREAM_ROWS) {
            None => frames,
            Some(rows) => rows.parse().map_err(|_| ListenerError::Window)?,
        };
        Ok(Self {
            front_end: AudioFrontEnd::new(front_end, words)?,
            engine: Engine::new(model, arena, 1)?,
            detector: Detector::of_model(model, config)?,
            input,
            features: [0; BANDS],
            scores: [0; CLASSES],
            blind: window.div_ceil(frames).saturating_sub(1),
            hops: 0,
        })
    }

    /// Takes the next hop of samples. Every so many of them, [`Listener::frames_per_run`], the model runs.
    ///
    /// # Errors
    /// [`ListenerError::Audio`] where there are more or fewer samples than a hop has; nothing is taken then.
    pub fn hop(&mut self, samples: &[i16]) -> Result<Heard, ListenerError> {
        if !self.frame(samples)? {
            return Ok(Heard::Frame);
        }
        let Self { engine, input, scores, detector, .. } = self;
        engine.run(input, scores.get_mut(..detector.classes()).unwrap_or_default())?;
        self.observe()
    }

    /// The same, with a hook called around every operator of the model.
    ///
    /// # Errors
    /// As [`Listener::hop`].
    pub fn hop_profiled(&mut self, samples: &[i16], profiler: &mut impl Profiler) -> Result<Heard, ListenerError> {
        if !self.frame(samples)? {
            return Ok(Heard::Frame);
        }
        let Self { engine, input, scores, detector, .. } = self;
        engine.run_profiled(input, scores.get_mut(..detector.classes()).unwrap_or_default(), profiler)?;
        self.observe()
    }

    /// Makes the next frame of the input; whether it is the last one.
    fn frame(&mut self, samples: &[i16]) -> Result<bool, ListenerError> {
        let bands = usize::from(self.front_end.config().bands);
        let frames = self.frames_per_run();
        let number = (self.hops % frames as u64) as usize;
        let features = self.features.get_mut(..bands).unwrap_or_default();
        self.front_end.hop(samples, features)?;
        let row = self.input.chunks_exact_mut(bands).nth(number).unwrap_or_default();
        audio::quantize(self.engine.model(), number, features, row)?;
        self.hops += 1;
        Ok(number + 1 == frames)
    }

    /// Looks at the scores of a run.
    fn observe(&mut self) -> Result<Heard, ListenerError> {
        if self.blind > 0 {
            self.blind -= 1;
            return Ok(Heard::Run);
        }
        let scores = self.scores.get(..self.detector.classes()).unwrap_or_default();
        Ok(self.detector.observe(scores)?.map_or(Heard::Run, Heard::Detected))
    }

    /// Frames, one a hop, of a run.
    pub fn frames_per_run(&self) -> usize {
        self.input.len() / usize::from(self.front_end.config().bands)
    }

    /// The front end's configuration: how many samples a hop has, and how many a second.
    pub const fn front_end(&self) -> &AudioConfig {
        self.front_end.config()
    }

    /// The model.
    pub const fn model(&self) -> &Model<'model> {
        self.engine.model()
    }

    /// The features of the latest frame.
    pub fn features(&self) -> &[u16] {
        self.features.get(..self.front_end.config().bands.into()).unwrap_or_default()
    }

    /// The scores of the latest run.
    pub fn scores(&self) -> &[i32] {
        self.scores.get(..self.detector.classes()).unwrap_or_default()
    }

    /// The detector: mean shares, and what is held.
    pub const fn detector(&self) -> &Detector<CLASSES, RUNS> {
        &self.detector
    }

    /// Milliseconds from the first sample to the end of the latest hop.
    pub fn milliseconds(&self) -> u64 {
        let AudioConfig { sample_rate, hop, .. } = *self.front_end.config();
        self.hops * u64::from(hop) * 1000 / u64::from(sample_rate)
    }
}

/// The model's front end, and the frames of a run.
fn shape(model: &Model<'_>) -> Result<(AudioConfig, usize), ListenerError> {
    let front_end = AudioConfig::from_properties(model)?.ok_or(ListenerError::NoFrontEnd)?;
    let (inputs, bands) = (model.input().len(), usize::from(front_end.bands));
    if inputs == 0 || !inputs.is_multiple_of(bands) {
        return Err(ListenerError::Frames { inputs, bands });
    }
    Ok((front_end, inputs / bands))
}

//! Listening on a PC as a device does: a recording goes hop by hop through the runtime's own listener.
//!
//! A model that judges whole windows is made to stream first, which changes no integer of what it gives.

mod picture;

pub use picture::{PictureError, picture};

use crate::export::{StreamError, stream};
use thiserror::Error;
use trishift::audio::{AudioConfig, AudioError, AudioFrontEnd};
use trishift::detector::{Detection, DetectorConfig};
use trishift::listener::{Heard as Hop, Listener, ListenerError, ListenerMemory, STREAM_ROWS};
use trishift::{EngineError, HeapArena, Model, ParseError};

/// Most classes of a model to listen with.
const CLASSES: usize = 256;

/// Most runs whose shares are averaged.
const RUNS: usize = 256;

/// A share of 1 in the detector's units.
const WHOLE: f64 = 32768.0;

/// Why a model cannot listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A model without front end.
    #[error("the model says nothing about sound; train one on recordings, `trishift train --preset spoken-digits`")]
    NoFrontEnd,
    /// Properties that describe no front end.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A model that cannot stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A streaming model that was just made and is none.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No memory.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A model that nothing can be heard with.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// A time that is no number of runs.
    #[error("{name} is {value} seconds; {expected} are accepted")]
    Seconds {
        /// Which.
        name: &'static str,
        /// How many.
        value: f64,
        /// What there is room for.
        expected: &'static str,
    },
    /// A share that is none.
    #[error("{name} is {value}; a share above 0 and up to 1 is needed, the release no more than the threshold")]
    Share {
        /// Which.
        name: &'static str,
        /// The share.
        value: f64,
    },
}

/// How scores become detections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Seconds whose shares are averaged.
    pub smoothing: f64,
    /// Mean share from which a class is detected, up to 1.
    pub threshold: f64,
    /// Mean share below which it may be detected again.
    pub release: f64,
    /// Seconds after a detection without another one.
    pub pause: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { smoothing: 0.4, threshold: 0.8, release: 0.4, pause: 0.3 }
    }
}

impl Settings {
    /// The detector's settings for a model that runs every so many seconds.
    fn detector(&self, seconds: f64) -> Result<DetectorConfig, ListenError> {
        let runs = |name, value: f64, most: usize, expected| match (value / seconds).round() {
            runs if (0.0..=most as f64).contains(&runs) => Ok(runs as u16),
            _ => Err(ListenError::Seconds { name, value, expected }),
        };
        let share = |name, value: f64| match value {
            value if value > 0.0 && value <= 1.0 => Ok((value * WHOLE).round().max(1.0) as u16),
            _ => Err(ListenError::Share { name, value }),
        };
        let (threshold, release) = (share("the threshold", self.threshold)?, share("the release", self.release)?);
        if release > threshold {
            return Err(ListenError::Share { name: "the release", value: self.release });
        }
        let smoothing = runs("smoothing", self.smoothing, RUNS, "0 to 256 runs of the model")?.max(1);
        let pause = runs("the pause", self.pause, u16::MAX.into(), "0 to 65535 runs of the model")?;
        Ok(DetectorConfig { smoothing, threshold, release, pause })
    }
}

/// A class that appeared in a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was detected: the end of the run's last frame, in seconds from the recording's start.
    pub seconds: f64,
    /// The class's number.
    pub class: usize,
    /// Its mean share, up to 1.
    pub share: f64,
}

/// What there was to hear.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples of a hop.
    pub hop: usize,
    /// Features of a frame.
    pub bands: usize,
    /// [frames, bands], in 1/32 of an octave of power.
    pub features: Vec<u16>,
    /// Frames of a run.
    pub frames_per_run: usize,
    /// Labels of the classes, or their numbers.
    pub labels: Vec<String>,
    /// Mean shares after every run, [runs, classes], up to 1; of runs that had not yet heard a whole window 0.
    pub shares: Vec<f32>,
    /// What was detected.
    pub events: Vec<Event>,
}

impl Heard {
    /// Seconds from the recording's start to the end of a run.
    fn seconds(&self, run: usize) -> f64 {
        ((run + 1) * self.frames_per_run * self.hop) as f64 / f64::from(self.sample_rate)
    }
}

/// Listens to samples of the model's rate.
///
/// # Errors
/// [`ListenError`] for a model that cannot listen, or settings that it cannot follow.
pub fn listen(model: &Model<'_>, samples: &[i16], settings: &Settings) -> Result<Heard, ListenError> {
    let front_end = AudioConfig::from_properties(model)?.ok_or(ListenError::NoFrontEnd)?;
    let made = match model.properties().get(STREAM_ROWS) {
        Some(_) => None,
        None => Some(stream(model, None)?.file),
    };
    match &made {
        None => hear(model, front_end, samples, settings),
        Some(file) => hear(&Model::parse(file)?, front_end, samples, settings),
    }
}

/// The sample rate that a model listens at.
///
/// # Errors
/// [`ListenError`] for a model that cannot listen.
pub fn sample_rate(model: &Model<'_>) -> Result<u32, ListenError> {
    Ok(AudioConfig::from_properties(model)?.ok_or(ListenError::NoFrontEnd)?.sample_rate)
}

/// Listens with a streaming model.
fn hear(model: &Model<'_>, front_end: AudioConfig, samples: &[i16], settings: &Settings) -> Result<Heard, ListenError> {
    let (hop, bands) = (usize::from(front_end.hop), usize::from(front_end.bands));
    let classes = model.output().len();
    // What a listener refuses, it shall say itself.
    let frames_per_run = (model.input().len() / bands.max(1)).max(1);
    let seconds = (frames_per_run * hop) as f64 / f64::from(front_end.sample_rate);
    let (mut words, mut input) = (vec![0; AudioFrontEnd::memory_len(&front_end)], vec![0; model.input().len()]);
    let mut arena = HeapArena::new(model, 1)?;
    let memory = ListenerMemory { front_end: &mut words, input: &mut input, arena: arena.bytes() };
    let listener = Listener::<CLASSES, RUNS>::with_detector(model, memory, settings.detector(seconds)?)?;
    // As large as a thread's stack on some systems, for the classes of any model.
    let mut listener = Box::new(listener);
    let mut labels: Vec<String> = model.labels().map(String::from).collect();
    labels.extend((labels.len()..classes).map(|class| class.to_string()));
    let mut heard = Heard {
        sample_rate: front_end.sample_rate,
        hop,
        bands,
        features: Vec::with_capacity(samples.len() / hop * bands),
        frames_per_run,
        labels,
        shares: Vec::new(),
        events: Vec::new(),
    };
    for (run, samples) in samples.chunks_exact(frames_per_run * hop).enumerate() {
        for samples in samples.chunks_exact(hop) {
            let found = listener.hop(samples)?;
            heard.features.extend(listener.features());
            if let Hop::Detected(Detection { class, share, .. }) = found {
                heard.events.push(Event { seconds: heard.seconds(run), class, share: f64::from(share) / WHOLE });
            }
        }
        heard.shares.extend((0..classes).map(|class| (f64::from(listener.detector().share(class)) / WHOLE) as f32));
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::export::{self, Metadata};
    use crate::network::Network;
    use crate::random;
    use trishift_format::{InputScale, Layout};

    #[test]
    fn settings_become_runs_and_shares() {
        let settings = Settings { smoothing: 0.2, threshold: 0.5, release: 0.25, pause: 0.3 };
        let found = settings.detector(0.04).unwrap();
        assert_eq!((found.smoothing, found.threshold, found.release, found.pause), (5, 16384, 8192, 8));
        assert_eq!(Settings { smoothing: 0.0, ..settings }.detector(0.04).unwrap().smoothing, 1);
        for (bad, part) in [
            (Settings { smoothing: 99.0, ..settings }, "smoothing is 99 seconds"),
            (Settings { pause: -1.0, ..settings }, "the pause is -1 seconds"),
            (Settings { threshold: 0.0, ..settings }, "the threshold is 0"),
            (Settings { threshold: f64::NAN, ..settings }, "the threshold is NaN"),
            (Settings { release: 0.6, ..settings }, "the release is 0.6"),
        ] {
            let error = bad.detector(0.04).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn models_that_cannot_listen_say_why() {
        let config = Config::preset("spoken-digits").unwrap();
        let frozen = random::network(&Network::without_data(&config).unwrap(), 1).unwrap();
        let listened = |properties: &[(&str, String)]| {
            let scales = &[InputScale::IDENTITY];
            let metadata = Metadata { name: "", labels: &[], scales, properties, layout: Layout::Rows };
            let file = export::export(&frozen, &metadata).unwrap().file;
            listen(&Model::parse(&file).unwrap(), &[0; 16_000], &Settings::default())
        };
        let mut properties = config.data.audio().properties();
        assert_eq!(listened(&properties).unwrap().features.len(), 100 * 32);
        assert!(matches!(listened(&[]), Err(ListenError::NoFrontEnd)));
        properties.push((STREAM_ROWS, "many".into()));
        assert!(matches!(listened(&properties), Err(ListenError::Listener(ListenerError::Window))));
        properties.retain(|(key, _)| *key != "audio-hop");
        assert!(matches!(listened(&properties), Err(ListenError::Audio(AudioError::PropertyMissing { .. }))));
    }
}

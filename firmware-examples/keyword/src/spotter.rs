//! Microphone, listener and light in a row.

use core::fmt;
use embedded_hal::digital::OutputPin;
use embedded_io::{Read, ReadExactError};
use firmware::Refusal;
use trishift::detector::Detection;
use trishift::listener::{Heard, Listener, ListenerError, ListenerMemory};
use trishift::{Arena, Model};

/// The application, with up to `CLASSES` classes and means over up to `RUNS` runs.
#[derive(Debug)]
pub struct Spotter<'model, 'memory, Microphone, Light, const CLASSES: usize, const RUNS: usize> {
    microphone: Microphone,
    light: Light,
    is_lit: bool,
    samples: &'memory mut [i16],
    listener: Listener<'model, 'memory, CLASSES, RUNS>,
}

/// The memory that the application works in, for a model of these sizes: `board_build` writes them down. In firmware, in a
/// `ConstStaticCell`.
#[derive(Debug)]
pub struct Memory<const HOP: usize, const FRONT_END_WORDS: usize, const INPUTS: usize, const ARENA_BYTES: usize> {
    samples: [i16; HOP],
    front_end: [u32; FRONT_END_WORDS],
    input: [i8; INPUTS],
    arena: Arena<ARENA_BYTES>,
}

/// The same, lent.
#[derive(Debug)]
pub struct SpotterMemory<'memory> {
    /// A hop.
    pub samples: &'memory mut [i16],
    /// The listener's.
    pub listener: ListenerMemory<'memory>,
}

impl<const HOP: usize, const FRONT_END_WORDS: usize, const INPUTS: usize, const ARENA_BYTES: usize>
    Memory<HOP, FRONT_END_WORDS, INPUTS, ARENA_BYTES>
{
    /// Zeros.
    pub const fn new() -> Self {
        Self { samples: [0; HOP], front_end: [0; FRONT_END_WORDS], input: [0; INPUTS], arena: Arena::new() }
    }

    /// Lends all of it.
    pub fn lend(&mut self) -> SpotterMemory<'_> {
        let Self { samples, front_end, input, arena } = self;
        SpotterMemory { samples, listener: ListenerMemory { front_end, input, arena: arena.bytes() } }
    }
}

impl<const HOP: usize, const FRONT_END_WORDS: usize, const INPUTS: usize, const ARENA_BYTES: usize> Default
    for Memory<HOP, FRONT_END_WORDS, INPUTS, ARENA_BYTES>
{
    fn default() -> Self {
        Self::new()
    }
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Found {
    /// A frame; the model waits for more of them.
    Frame,
    /// The model has run; nothing new has appeared.
    Nothing,
    /// A class has appeared, and the light is on.
    Class {
        /// Its number: that of its label.
        class: usize,
        /// Its mean share, in units of 2^−15.
        share: u16,
        /// When: at the end of this hop, since the first sample.
        milliseconds: u64,
    },
}

/// Why a step failed. The next one may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpotError<Microphone, Light> {
    /// The microphone; the hop is lost.
    Microphone(Microphone),
    /// The microphone has nothing more to say.
    Silent,
    /// The model does not take what is heard.
    Listener(ListenerError),
    /// The light.
    Light(Light),
}

impl<Microphone: fmt::Debug, Light: fmt::Debug> fmt::Display for SpotError<Microphone, Light> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Microphone(error) => write!(f, "the microphone fails: {error:?}"),
            Self::Silent => f.write_str("the microphone gives no more samples"),
            Self::Listener(error) => error.fmt(f),
            Self::Light(error) => write!(f, "the light's pin fails: {error:?}"),
        }
    }
}

impl<Microphone: fmt::Debug, Light: fmt::Debug> core::error::Error for SpotError<Microphone, Light> {}

impl<'model, 'memory, Microphone: Read, Light: OutputPin, const CLASSES: usize, const RUNS: usize>
    Spotter<'model, 'memory, Microphone, Light, CLASSES, RUNS>
{
    /// The application, before its first sample. Looks for damage of the model since the build, when `board-build` checked
    /// the whole file. The light is on while its pin is high.
    ///
    /// # Errors
    /// [`Refusal`] where the model is damaged, cannot listen, or memory or build are not made for it.
    pub fn new(
        file: &'model [u8],
        memory: SpotterMemory<'memory>,
        microphone: Microphone,
        light: Light,
    ) -> Result<Self, Refusal> {
        let model = Model::checked_before(file)?;
        let listener = Listener::new(&model, memory.listener).map_err(|error| match error {
            ListenerError::Engine(error) => error.into(),
            _ => Refusal::Sound,
        })?;
        let samples = memory.samples.get_mut(..listener.front_end().hop.into()).ok_or(Refusal::Sound)?;
        Ok(Self { microphone, light, is_lit: false, samples, listener })
    }

    /// Waits for a hop of samples, and does what follows from it.
    ///
    /// # Errors
    /// [`SpotError`] where microphone, model or light fails.
    pub fn step(&mut self) -> Result<Found, SpotError<Microphone::Error, Light::Error>> {
        self.microphone.read_exact(bytemuck::cast_slice_mut(self.samples)).map_err(|error| match error {
            ReadExactError::UnexpectedEof => SpotError::Silent,
            ReadExactError::Other(error) => SpotError::Microphone(error),
        })?;
        self.samples.iter_mut().for_each(|sample| *sample = i16::from_le(*sample));
        let heard = self.listener.hop(self.samples).map_err(SpotError::Listener)?;
        self.show().map_err(SpotError::Light)?;
        Ok(match heard {
            Heard::Frame => Found::Frame,
            Heard::Run => Found::Nothing,
            Heard::Detected(Detection { class, share, .. }) => {
                Found::Class { class, share, milliseconds: self.listener.milliseconds() }
            }
        })
    }

    /// The light is on as long as what was detected has not gone.
    fn show(&mut self) -> Result<(), Light::Error> {
        let is_held = self.listener.detector().held().is_some();
        if is_held != self.is_lit {
            if is_held { self.light.set_high() } else { self.light.set_low() }?;
            self.is_lit = is_held;
        }
        Ok(())
    }

    /// What listens: its model, features and scores.
    pub const fn listener(&self) -> &Listener<'model, 'memory, CLASSES, RUNS> {
        &self.listener
    }

    /// The microphone.
    pub const fn microphone(&mut self) -> &mut Microphone {
        &mut self.microphone
    }

    /// The light.
    pub const fn light(&self) -> &Light {
        &self.light
    }
}

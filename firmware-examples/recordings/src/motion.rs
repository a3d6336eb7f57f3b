//! What an accelerometer at ±4 g measures while it lies still, is shaken, or is turned over, at 100 samples a second.

use crate::random::Random;

/// One g in the sensor's numbers: ±4 g are the range of an int16.
const GRAVITY: i32 = 8192;

/// What happens to the sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// It shakes to and fro along some direction, 7 to 14 times a second.
    Shaking,
    /// It lies on any of its six sides.
    Still,
    /// It is turned over and over, once in 0.4 to 0.9 seconds.
    Turning,
}

impl Motion {
    /// All, by name: the order of a model's labels.
    pub const ALL: [Self; 3] = [Self::Shaking, Self::Still, Self::Turning];

    /// The name in the training data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shaking => "shaking",
            Self::Still => "still",
            Self::Turning => "turning",
        }
    }
}

/// An endless recording of one motion: x, y and z, in 1/8192 g.
#[derive(Clone, Debug)]
pub struct Recording {
    motion: Motion,
    random: Random,
    time: i32,
    /// Samples of one to and fro, or of one turn.
    period: i32,
    /// What shaking adds at its strongest, for each axis.
    swing: [i32; 3],
    /// The axes that gravity acts on: the one that it starts from, and the one that turning goes to.
    axes: [usize; 2],
    gravity: i32,
}

impl Recording {
    /// The recording of this seed.
    pub fn new(motion: Motion, seed: u32) -> Self {
        let mut random = Random(u64::from(seed) << 8 | motion as u64);
        let first = random.below(3) as usize;
        let second = (first + 1 + random.below(2) as usize) % 3;
        let gravity = if random.below(2) == 0 { GRAVITY } else { -GRAVITY };
        let (period, reach) = match motion {
            Motion::Shaking => (7 + random.below(8), 5000 + random.below(8000)),
            Motion::Still => (1, 0),
            Motion::Turning => (40 + random.below(50), 0),
        };
        let swing = [0; 3].map(|_: i32| reach / 2 + random.below(reach / 2 + 1));
        let time = random.below(period);
        Self { motion, random, time, period, swing, axes: [first, second], gravity }
    }
}

impl Iterator for Recording {
    type Item = [i16; 3];

    fn next(&mut self) -> Option<[i16; 3]> {
        let mut sample = [0; 3].map(|_: i32| self.random.below(301) - 150);
        let [first, second] = self.axes;
        let phase = self.time % self.period * 1024 / self.period;
        if self.motion == Motion::Turning {
            sample[first] += self.gravity * triangle(phase + 256) / 256;
            sample[second] += self.gravity * triangle(phase) / 256;
        } else {
            sample[first] += self.gravity;
        }
        for (value, swing) in sample.iter_mut().zip(self.swing) {
            *value += swing * triangle(phase) / 256;
        }
        self.time = (self.time + 1) % self.period;
        Some(sample.map(|value| value.clamp(i16::MIN.into(), i16::MAX.into()) as i16))
    }
}

/// From 0 over 256, 0 and −256 back to 0 in 1024 steps: a sine of straight lines.
fn triangle(phase: i32) -> i32 {
    let phase = phase % 1024;
    match phase {
        0..256 => phase,
        256..768 => 512 - phase,
        _ => phase - 1024,
    }
}

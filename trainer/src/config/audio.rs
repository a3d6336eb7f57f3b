//! `[data.audio]`: how recordings become samples, and `[training.audio]`: copies of them to train on.

use super::ConfigError;
use crate::data::DataError;
use crate::data::audio::{AudioAugmentation, AudioConfig, AudioOptions, Condition, FrontEnd, Pattern};
use serde::{Deserialize, Serialize};
use trishift::Model;

/// How recordings become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AudioDataConfig {
    /// Samples a second; recordings of other rates are converted.
    pub sample_rate: u32,
    /// Samples of a frame.
    pub window: u16,
    /// Samples from the start of one frame to that of the next.
    pub hop: u16,
    /// Features of a frame.
    pub bands: u8,
    /// Where the lowest band begins, in hertz.
    pub low: u16,
    /// Where the highest band ends, in hertz.
    pub high: u16,
    /// Frames of a sample.
    pub frames: u32,
    /// What the names of recordings say, such as `{label}_{speaker}_{index}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Which recordings are tested on, such as `speaker=george` or `index=0-4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_where: Option<String>,
    /// Labels that make one class, `_unknown_`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Recordings of nothing, the class `_silence_`, that are made for each recording there is.
    #[serde(skip_serializing_if = "is_none")]
    pub silence: f64,
}

impl Default for AudioDataConfig {
    fn default() -> Self {
        let AudioOptions { front_end: FrontEnd { config, frames }, .. } = AudioOptions::default();
        let AudioConfig { sample_rate, window, hop, bands, low, high } = config;
        let (pattern, test_where, unknown, silence) = (None, None, Vec::new(), 0.0);
        Self { sample_rate, window, hop, bands, low, high, frames, pattern, test_where, unknown, silence }
    }
}

const PATTERN: &str = "recordings-pattern";
const TEST_WHERE: &str = "recordings-test-where";
const UNKNOWN: &str = "recordings-unknown";
const SILENCE: &str = "recordings-silence";

/// Most frames of a sample: a network's input has at most 2^24 elements.
const MOST_FRAMES: u32 = 65_536;

/// Most bands of a front end.
const MOST_BANDS: u32 = 40;

impl AudioDataConfig {
    /// Checks every number and text.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |setting, value: String, expected| Err(ConfigError::Value { setting, value, expected });
        if !(1..=MOST_FRAMES).contains(&self.frames) {
            return refuse("frames", self.frames.to_string(), "1 to 65536 are accepted");
        }
        if !(0.0..=1.0).contains(&self.silence) {
            return refuse("silence", self.silence.to_string(), "a share from 0 to 1 is needed, such as 0.1");
        }
        self.options(None).map(drop).map_err(|error| ConfigError::Audio(Box::new(error)))
    }

    /// What a model file says about how its samples were made: enough to make others in the same way. The frames of a sample
    /// are those of the model's input.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        let front_end = self.front_end().properties();
        let mut properties: Vec<_> = front_end.map(|(key, number)| (key, number.to_string())).to_vec();
        let share = if self.silence == 0.0 { String::new() } else { self.silence.to_string() };
        properties.extend([
            (PATTERN, self.pattern.clone().unwrap_or_default()),
            (TEST_WHERE, self.test_where.clone().unwrap_or_default()),
            // A label that comes from the name of a file or folder has no slash in it.
            (UNKNOWN, self.unknown.join("/")),
            (SILENCE, share),
        ]);
        properties
    }

    /// What a model file says; `None` where it says nothing about sound.
    ///
    /// # Errors
    /// [`ConfigError::Audio`] and [`ConfigError::Value`] for properties that describe no front end.
    pub fn of_model(model: &Model<'_>) -> Result<Option<Self>, ConfigError> {
        let refused = |source| ConfigError::Audio(Box::new(DataError::FrontEnd { source }));
        let Some(front_end) = AudioConfig::from_properties(model).map_err(refused)? else { return Ok(None) };
        let text = |key: &str| model.properties().get(key).filter(|text| !text.is_empty()).map(String::from);
        let AudioConfig { sample_rate, window, hop, bands, low, high } = front_end;
        let silence = text(SILENCE).unwrap_or_else(|| "0".into());
        let expected = "the model file is to hold a share there; export it again";
        Ok(Some(Self {
            sample_rate,
            window,
            hop,
            bands,
            low,
            high,
            frames: (model.input().len() / usize::from(bands).max(1)) as u32,
            pattern: text(PATTERN),
            test_where: text(TEST_WHERE),
            unknown: text(UNKNOWN).map_or(Vec::new(), |labels| labels.split('/').map(String::from).collect()),
            silence: silence.parse().map_err(|_| ConfigError::Value { setting: SILENCE, value: silence, expected })?,
        }))
    }

    fn front_end(&self) -> AudioConfig {
        let Self { sample_rate, window, hop, bands, low, high, .. } = *self;
        AudioConfig { sample_rate, window, hop, bands, low, high }
    }

    /// What the reader of recordings takes.
    ///
    /// # Errors
    /// [`DataError`] for a front end, a pattern or a condition that is none.
    pub fn options(&self, augmentation: Option<AudioAugmentation>) -> Result<AudioOptions, DataError> {
        let given = |text: &&String| !text.is_empty();
        Ok(AudioOptions {
            front_end: FrontEnd::new(self.front_end(), self.frames)?,
            pattern: self.pattern.as_ref().filter(given).map(|text| text.parse::<Pattern>()).transpose()?,
            test_where: self.test_where.as_ref().filter(given).map(|text| text.parse::<Condition>()).transpose()?,
            unknown: self.unknown.clone(),
            silence: self.silence,
            augmentation,
        })
    }
}

/// Copies of recordings to train on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AudioTrainingConfig {
    /// Changed copies of each training recording, besides itself.
    pub copies: u32,
    /// Most that a copy is faster and higher, or slower and lower, as a share.
    #[serde(skip_serializing_if = "is_none")]
    pub speed: f64,
    /// Most that a copy is faster or slower, as high as it is, as a share.
    #[serde(skip_serializing_if = "is_none")]
    pub tempo: f64,
    /// Most decibels by which low frequencies become louder than high ones, or softer.
    #[serde(skip_serializing_if = "is_none")]
    pub tilt_db: f64,
    /// Most milliseconds that a copy is moved by.
    #[serde(skip_serializing_if = "is_none")]
    pub shift_ms: f64,
    /// Least and most decibels that a copy is louder by; softer, where below 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<[f64; 2]>,
    /// Least and most decibels that noise, white, pink or blue, lies below the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_db: Option<[f64; 2]>,
    /// Most decibels by which a curve over the bands lifts and lowers features.
    #[serde(skip_serializing_if = "is_none")]
    pub curve_db: f64,
    /// Most bands next to each other that are hidden.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden_bands: u32,
    /// Most frames, one after the other, that are hidden.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden_frames: u32,
}

impl AudioTrainingConfig {
    /// Whether there are no copies and nothing is said about them.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |setting, value: String, expected| Err(ConfigError::Value { setting, value, expected });
        if self.copies > 1000 {
            return refuse("copies", self.copies.to_string(), "0 to 1000 are accepted");
        }
        for (setting, share) in [("speed", self.speed), ("tempo", self.tempo)] {
            if !(0.0..=0.5).contains(&share) {
                return refuse(setting, share.to_string(), "a share from 0 to 0.5 is needed, such as 0.1");
            }
        }
        for (setting, decibels) in [("tilt-db", self.tilt_db), ("curve-db", self.curve_db)] {
            if !(0.0..=40.0).contains(&decibels) {
                return refuse(setting, decibels.to_string(), "0 to 40 are accepted");
            }
        }
        if !(0.0..=10_000.0).contains(&self.shift_ms) {
            return refuse("shift-ms", self.shift_ms.to_string(), "0 to 10000 are accepted");
        }
        for (setting, levels, expected) in [
            (
                "gain-db",
                self.gain_db,
                "two numbers from -120 to 120 are needed, the smaller one first, such as [-20, 6]",
            ),
            (
                "noise-db",
                self.noise_db,
                "two numbers from -120 to 120 are needed, the smaller one first, such as [5, 40]",
            ),
        ] {
            if let Some([least, most]) = levels
                && !(-120.0 <= least && least <= most && most <= 120.0)
            {
                return refuse(setting, format!("[{least}, {most}]"), expected);
            }
        }
        if self.hidden_bands > MOST_BANDS {
            return refuse("hidden-bands", self.hidden_bands.to_string(), "0 to 40 are accepted");
        }
        if self.hidden_frames > MOST_FRAMES {
            return refuse("hidden-frames", self.hidden_frames.to_string(), "0 to 65536 are accepted");
        }
        if self.copies == 0 && !self.is_none() {
            return refuse("copies", "0".into(), "at least 1 is needed where it is said how copies differ");
        }
        Ok(())
    }

    /// The same for samples of this rate; `None` without copies.
    pub fn of_rate(&self, sample_rate: u32, seed: u64) -> Option<AudioAugmentation> {
        let tenths = |decibels: f64| (decibels * 10.0).round() as i32;
        (self.copies > 0).then(|| AudioAugmentation {
            copies: self.copies,
            speed: (self.speed * 100.0).round() as u32,
            tempo: (self.tempo * 100.0).round() as u32,
            tilt: tenths(self.tilt_db) as u32,
            shift: (self.shift_ms * f64::from(sample_rate) / 1000.0).round() as u32,
            gain: self.gain_db.unwrap_or_default().map(tenths),
            noise: self.noise_db.map(|levels| levels.map(tenths)),
            curve: tenths(self.curve_db) as u32,
            hidden: [self.hidden_bands, self.hidden_frames],
            seed,
        })
    }
}

fn is_none(value: &f64) -> bool {
    *value == 0.0
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn config(data: &str, training: &str) -> Result<Config, String> {
        let text = format!(
            "name = 'x'\n[data]\n[data.audio]\n{data}\n[network]\ngroup = 8\nlayers = []\n[training]\nbatch = 1\nepochs = 1\n\
             [training.audio]\n{training}"
        );
        let config = Config::from_toml(&text, "").map_err(|error| error.to_string())?;
        assert_eq!(Config::from_toml(&config.to_toml().unwrap(), "").unwrap(), config);
        config.validate().map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_become_samples_and_tenths() {
        let training = "copies = 3\nspeed = 0.12\ntempo = 0.25\ntilt-db = 9\nshift-ms = 50\ngain-db = [-12, 4.5]\nnoise-db = [5, 40]\n\
                        hidden-bands = 6\nhidden-frames = 9\ncurve-db = 5.5";
        let config = config("sample-rate = 8000\ntest-where = 'index=0-4'", training).unwrap();
        let augmentation = config.training.audio.of_rate(8000, 7).unwrap();
        assert_eq!((augmentation.copies, augmentation.speed, augmentation.tilt, augmentation.shift), (3, 12, 90, 400));
        assert_eq!((augmentation.tempo, augmentation.hidden, augmentation.curve), (25, [6, 9], 55));
        assert_eq!((augmentation.gain, augmentation.noise, augmentation.seed), ([-120, 45], Some([50, 400]), 7));
        assert_eq!(config.data.audio().options(None).unwrap().test_where.unwrap().to_string(), "index=0-4");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (data, training, part) in [
            ("frames = 0", "", "frames is 0; 1 to 65536"),
            ("silence = 2", "", "silence is 2"),
            ("pattern = 'label'", "", "the pattern of names is \"label\""),
            ("test-where = 'george'", "", "the condition is \"george\""),
            ("", "copies = 1001", "copies is 1001"),
            ("", "copies = 1\nspeed = 0.6", "speed is 0.6"),
            ("", "copies = 1\ntempo = -0.1", "tempo is -0.1"),
            ("", "copies = 1\ntilt-db = 41", "tilt-db is 41"),
            ("", "copies = 1\nshift-ms = -1", "shift-ms is -1"),
            ("", "copies = 1\ngain-db = [6, -6]", "gain-db is [6, -6]; two numbers"),
            ("", "copies = 1\nnoise-db = [40, 5]", "noise-db is [40, 5]; two numbers"),
            ("", "copies = 1\nhidden-bands = 41", "0 to 40"),
            ("", "copies = 1\ncurve-db = 41", "0 to 40"),
            ("", "copies = 1\nhidden-frames = 65537", "0 to 65536"),
            ("", "gain-db = [0, 6]", "at least 1 is needed where"),
            ("hops = 3", "", "unknown field"),
        ] {
            let error = config(data, training).unwrap_err();
            assert!(error.contains(part), "{data} {training}: {error}");
        }
    }
}

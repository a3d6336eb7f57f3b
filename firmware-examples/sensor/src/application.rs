//! Sensor, windows, engine, decision and indicator in a row.

use crate::{AGREEING, Accelerometer, AccelerometerError, CLASSES, Debounce, Indicator, Windows};
use core::fmt;
use embedded_hal::digital::OutputPin;
use embedded_hal::i2c::I2c;
use embedded_hal::pwm::SetDutyCycle;
use firmware::Classifier;
use trishift::RunError;

/// The application.
#[derive(Debug)]
pub struct Application<'model, 'arena, I2C, Light, Dimmer> {
    accelerometer: Accelerometer<I2C>,
    windows: Windows,
    classifier: Classifier<'model, 'arena, CLASSES>,
    debounce: Debounce,
    indicator: Indicator<Light, Dimmer>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was no new sample.
    Waited,
    /// A sample was taken.
    Sampled,
    /// A window was complete, and is of this class.
    Classified(usize),
    /// A window changed the decision to this class, which is shown.
    Decided(usize),
}

/// Why a step failed. The next one may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SensorError<Bus, Light, Dimmer> {
    /// The sensor.
    Accelerometer(AccelerometerError<Bus>),
    /// The model does not take a window.
    Run(RunError),
    /// The light.
    Light(Light),
    /// The dimmer.
    Dimmer(Dimmer),
}

impl<Bus: fmt::Debug, Light: fmt::Debug, Dimmer: fmt::Debug> fmt::Display for SensorError<Bus, Light, Dimmer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerometer(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Light(error) => write!(f, "the light's pin fails: {error:?}"),
            Self::Dimmer(error) => write!(f, "the dimmer fails: {error:?}"),
        }
    }
}

impl<Bus: fmt::Debug, Light: fmt::Debug, Dimmer: fmt::Debug> core::error::Error for SensorError<Bus, Light, Dimmer> {}

type StepError<I2C, Light, Dimmer> = SensorError<
    <I2C as embedded_hal::i2c::ErrorType>::Error,
    <Light as embedded_hal::digital::ErrorType>::Error,
    <Dimmer as embedded_hal::pwm::ErrorType>::Error,
>;

impl<'model, 'arena, I2C: I2c, Light: OutputPin, Dimmer: SetDutyCycle> Application<'model, 'arena, I2C, Light, Dimmer> {
    /// The application, before its first sample.
    pub const fn new(
        accelerometer: Accelerometer<I2C>,
        classifier: Classifier<'model, 'arena, CLASSES>,
        indicator: Indicator<Light, Dimmer>,
    ) -> Self {
        Self { accelerometer, windows: Windows::new(), classifier, debounce: Debounce::new(AGREEING), indicator }
    }

    /// Takes a sample if there is one, and does what follows from it.
    ///
    /// # Errors
    /// [`SensorError`] where the sensor, the model or the indicator fails.
    pub fn step(&mut self) -> Result<Step, StepError<I2C, Light, Dimmer>> {
        let Some(sample) = self.accelerometer.sample().map_err(SensorError::Accelerometer)? else {
            return Ok(Step::Waited);
        };
        if !self.windows.push(sample) {
            return Ok(Step::Sampled);
        }
        let input = self.windows.quantize(self.classifier.model().input_scales());
        let class = self.classifier.classify(&input).map_err(SensorError::Run)?;
        let Some(class) = self.debounce.observe(class) else { return Ok(Step::Classified(class)) };
        match self.indicator.show(class) {
            Ok(()) => Ok(Step::Decided(class)),
            Err(Ok(error)) => Err(SensorError::Light(error)),
            Err(Err(error)) => Err(SensorError::Dimmer(error)),
        }
    }

    /// Gives bus, light and dimmer back.
    pub fn release(self) -> (I2C, Light, Dimmer) {
        let (light, dimmer) = self.indicator.release();
        (self.accelerometer.release(), light, dimmer)
    }
}

//! The accelerometers of the LIS3DH family (LIS3DH, LIS2DH12, LSM303AGR) on an I²C bus: 100 samples a second, ±4 g.

use crate::AXES;
use core::fmt;
use embedded_hal::i2c::I2c;

const WHO_AM_I: u8 = 0x0F;
const IDENTITY: u8 = 0x33;
const CONTROL_1: u8 = 0x20;
/// 100 Hz, all three axes.
const RATE: u8 = 0x57;
const CONTROL_4: u8 = 0x23;
/// No update between the two bytes of a value, ±4 g, high resolution.
const RANGE: u8 = 0x98;
const STATUS: u8 = 0x27;
/// In the status: all axes have a new value.
const READY: u8 = 0x08;
/// In a register's number: the registers that follow are read, too.
const CONSECUTIVE: u8 = 0x80;

/// The sensor.
#[derive(Debug)]
pub struct Accelerometer<I2C> {
    i2c: I2C,
    address: u8,
}

/// Why there is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccelerometerError<E> {
    /// The bus.
    Bus(E),
    /// Another chip answers at this address.
    Identity(u8),
}

impl<E: fmt::Debug> fmt::Display for AccelerometerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "the bus of the accelerometer fails: {error:?}"),
            Self::Identity(found) => write!(f, "a chip that calls itself {found:#04x} is no LIS3DH ({IDENTITY:#04x})"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for AccelerometerError<E> {}

impl<E> From<E> for AccelerometerError<E> {
    fn from(error: E) -> Self {
        Self::Bus(error)
    }
}

impl<I2C: I2c> Accelerometer<I2C> {
    /// Finds the sensor and starts it. Its address is 0x18 or 0x19, by a pin of its own.
    ///
    /// # Errors
    /// [`AccelerometerError`] where the bus fails or another chip answers.
    pub fn new(mut i2c: I2C, address: u8) -> Result<Self, AccelerometerError<I2C::Error>> {
        let mut identity = [0];
        i2c.write_read(address, &[WHO_AM_I], &mut identity)?;
        if identity != [IDENTITY] {
            return Err(AccelerometerError::Identity(identity[0]));
        }
        i2c.write(address, &[CONTROL_1, RATE])?;
        i2c.write(address, &[CONTROL_4, RANGE])?;
        Ok(Self { i2c, address })
    }

    /// A sensor that [`Accelerometer::new`] has started before, on a borrowed bus.
    pub const fn started(i2c: I2C, address: u8) -> Self {
        Self { i2c, address }
    }

    /// The next sample in 1/8192 g, or `None` where there is no new one.
    ///
    /// # Errors
    /// [`AccelerometerError::Bus`].
    pub fn sample(&mut self) -> Result<Option<[i16; AXES]>, AccelerometerError<I2C::Error>> {
        let mut bytes = [0; 1 + 2 * AXES];
        self.i2c.write_read(self.address, &[CONSECUTIVE | STATUS], &mut bytes)?;
        let [status, x0, x1, y0, y1, z0, z1] = bytes;
        let sample = [[x0, x1], [y0, y1], [z0, z1]].map(i16::from_le_bytes);
        Ok((status & READY != 0).then_some(sample))
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.i2c
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    #[test]
    fn a_sample_is_read_once_it_is_ready() {
        let read = |bytes: [u8; 7]| Transaction::write_read(0x19, [0xA7].into(), bytes.into());
        let mut i2c = Mock::new(&[
            Transaction::write_read(0x19, [0x0F].into(), [0x33].into()),
            Transaction::write(0x19, [0x20, 0x57].into()),
            Transaction::write(0x19, [0x23, 0x98].into()),
            read([0, 1, 2, 3, 4, 5, 6]),
            read([0x0F, 0x00, 0x20, 0xFF, 0xFF, 0x00, 0x80]),
        ]);
        let mut accelerometer = Accelerometer::new(&mut i2c, 0x19).unwrap();
        assert_eq!(accelerometer.sample(), Ok(None));
        assert_eq!(accelerometer.sample(), Ok(Some([0x2000, -1, i16::MIN])));
        i2c.done();
    }

    #[test]
    fn another_chip_is_refused() {
        let mut i2c = Mock::new(&[Transaction::write_read(0x18, [0x0F].into(), [0xEA].into())]);
        assert_eq!(Accelerometer::new(&mut i2c, 0x18).err(), Some(AccelerometerError::Identity(0xEA)));
        i2c.done();
    }
}

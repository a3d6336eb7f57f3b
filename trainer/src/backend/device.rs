//! Where a run computes.

use std::fmt;
use thiserror::Error;

/// Where a run is asked to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first CUDA card where there is one that can be used, else the CPU.
    #[default]
    Auto,
    /// All cores of this machine.
    Cpu,
    /// The CUDA card of this number.
    Cuda(u32),
}

/// Where a run computes.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// All cores of this machine.
    Cpu,
    /// A card that is open.
    #[cfg(feature = "cuda")]
    Cuda {
        /// Its number.
        number: u32,
        /// The card.
        card: std::sync::Arc<super::cuda::card::Card>,
    },
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda { number, .. } => write!(f, "cuda:{number}"),
        }
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not a device.
    #[error("there is no device {name:?}; the devices are auto, cpu, cuda and cuda:N")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// Built without CUDA.
    #[cfg(not(feature = "cuda"))]
    #[error("this trishift was built without the feature cuda and trains on the CPU only; use --device cpu")]
    NoCuda,
    /// The card.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] super::cuda::CudaError),
}

impl std::str::FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { name: name.into() };
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => name.strip_prefix("cuda:").and_then(|n| n.parse().ok()).map(Self::Cuda).ok_or_else(unknown),
        }
    }
}

impl Device {
    /// The device that will be used, opened. `Auto` takes the CPU where there is no card; where there is one that cannot
    /// be used, it says so in the log.
    ///
    /// # Errors
    /// [`DeviceError`] where a card is asked for and cannot be used.
    pub fn resolve(self) -> Result<Resolved, DeviceError> {
        match self {
            Self::Cpu => Ok(Resolved::Cpu),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => Ok(Resolved::Cuda { number, card: super::cuda::card::Card::open(number)?.into() }),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NoCuda),
            #[cfg(feature = "cuda")]
            Self::Auto => {
                use super::cuda::CudaError;
                match Self::Cuda(0).resolve() {
                    Err(DeviceError::Cuda(CudaError::NoDriver | CudaError::NoCard)) => Ok(Resolved::Cpu),
                    Err(error) => {
                        tracing::warn!("training on the CPU: {error}");
                        Ok(Resolved::Cpu)
                    }
                    Ok(resolved) => Ok(resolved),
                }
            }
            #[cfg(not(feature = "cuda"))]
            Self::Auto => Ok(Resolved::Cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_devices() {
        for (name, device) in
            [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))]
        {
            assert_eq!(name.parse(), Ok(device));
        }
        for name in ["", "gpu", "cuda:", "cuda:-1", "CUDA"] {
            assert!(name.parse::<Device>().unwrap_err().to_string().contains("auto, cpu, cuda and cuda:N"));
        }
    }
}

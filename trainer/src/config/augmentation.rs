//! `[training.augmentation]`: how images are changed while a network trains on them.

use super::ConfigError;
use crate::data::Augmentation;
use crate::data::augment::Edge;
use serde::{Deserialize, Serialize};

/// How images are changed while a network trains on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AugmentationConfig {
    /// Pixels of zeros around an image, out of which one of its own size is cut at random.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crop: u32,
    /// Most pixels that an image is moved by in each direction; what it leaves behind is its edge, repeated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shift: u32,
    /// Mirrors half of the images, left to right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flip: bool,
    /// Side of a square of zeros that is laid on each image.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cutout: u32,
}

impl AugmentationConfig {
    /// Whether nothing is changed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether images of this height, width and number of channels can be changed so.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says what is accepted.
    pub fn check(&self, shape: [usize; 3]) -> Result<(), ConfigError> {
        let refuse = |setting, value: String, expected| Err(ConfigError::Value { setting, value, expected });
        let [height, width, _] = shape;
        if self.is_none() {
            return Ok(());
        }
        if height == 1 || width == 1 {
            let value = format!("there, but a sample has {height} × {width} pixels");
            return refuse("augmentation", value, "it takes images of at least 2 × 2");
        }
        if self.crop > 0 && self.shift > 0 {
            return refuse("shift", "there beside crop".into(), "only one of the two can move an image");
        }
        let smaller = height.min(width);
        for (setting, size, most) in
            [("crop", self.crop, smaller - 1), ("shift", self.shift, smaller - 1), ("cutout", self.cutout, smaller)]
        {
            if size as usize > most {
                let value = format!("{size} for images of {height} × {width} pixels");
                return refuse(setting, value, "a size that leaves something of them is needed");
            }
        }
        Ok(())
    }

    /// The same for images of this height, width and number of channels, for which [`AugmentationConfig::check`] has been
    /// asked; `None` where nothing is changed.
    pub fn of_images(&self, shape: [usize; 3]) -> Option<Augmentation> {
        let (reach, edge) = if self.shift > 0 { (self.shift, Edge::Repeat) } else { (self.crop, Edge::Zero) };
        let (flip, cutout) = (self.flip, self.cutout);
        (!self.is_none()).then_some(Augmentation { shape, reach, edge, flip, cutout })
    }
}

fn is_zero(size: &u32) -> bool {
    *size == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_nothing_of_an_image_is_refused() {
        let none = AugmentationConfig::default();
        assert!(none.check([1, 1, 64]).is_ok() && none.of_images([8, 8, 1]).is_none());
        let says = |config: AugmentationConfig, shape| config.check(shape).unwrap_err().to_string();
        let flip = AugmentationConfig { flip: true, ..none };
        assert!(flip.check([8, 8, 1]).is_ok());
        assert!(says(flip, [1, 1, 64]).contains("1 × 1 pixels; it takes images"));
        let crop = AugmentationConfig { crop: 4, ..none };
        assert!(crop.check([5, 9, 1]).is_ok());
        assert!(says(crop, [4, 9, 1]).contains("crop is 4 for images of 4 × 9 pixels"));
        assert!(says(AugmentationConfig { shift: 1, ..crop }, [8, 8, 1]).contains("there beside crop"));
        let cutout = AugmentationConfig { cutout: 4, ..none };
        assert!(cutout.check([4, 9, 1]).is_ok() && cutout.check([3, 9, 1]).is_err());
    }

    #[test]
    fn both_ways_to_move_differ_at_the_edge() {
        let none = AugmentationConfig::default();
        let of = |config: AugmentationConfig| config.of_images([8, 8, 1]).map(|a| (a.reach, a.edge, a.flip, a.cutout));
        assert_eq!(of(AugmentationConfig { crop: 3, flip: true, ..none }), Some((3, Edge::Zero, true, 0)));
        assert_eq!(of(AugmentationConfig { shift: 2, cutout: 5, ..none }), Some((2, Edge::Repeat, false, 5)));
    }
}

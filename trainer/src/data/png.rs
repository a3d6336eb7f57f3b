//! One image in PNG: grey or colour, eight bits a channel, no transparency.
//!
//! Palettes and narrow greys are widened to what they stand for, exactly. Deeper channels would have to be rounded and
//! transparency be laid on some background; both are the choice of whoever made the images, so that they are refused.
//!
//! The size that a header declares is held against the length of the file before anything is allocated for it.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use super::open::MOST_PER_PACKED_BYTE;
use super::{DataError, ImageFault};

/// What a file holds.
pub(super) struct Image {
    /// Height, width and channels, 1 or 3.
    pub(super) shape: [usize; 3],
    /// Row by row from the top, the channels of a pixel side by side.
    pub(super) pixels: Vec<u8>,
}

/// Decodes the file at `path`.
pub(super) fn decode(path: &Path) -> Result<Image, DataError> {
    let refused = |source| DataError::Io { path: path.to_owned(), source };
    let broken = |error| match error {
        DecodingError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => refused(source),
        source => DataError::Png { path: path.to_owned(), source },
    };
    let fault = |fault| DataError::Image { path: path.to_owned(), fault };

    let file = File::open(path).map_err(refused)?;
    let stored = file.metadata().map_err(refused)?.len();
    let mut decoder = Decoder::new(BufReader::with_capacity(1 << 16, file));
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(broken)?;

    let info = reader.info();
    let (width, height) = (info.width, info.height);
    if info.bit_depth == BitDepth::Sixteen {
        return Err(fault(ImageFault::Deep));
    }
    let channels = match reader.output_color_type().0 {
        ColorType::Grayscale => 1,
        ColorType::Rgb => 3,
        _ => return Err(fault(ImageFault::Alpha)),
    };
    let unpacked = (info.raw_row_length() as u64).saturating_mul(height.into());
    let bytes = reader.output_buffer_size().filter(|_| unpacked <= stored.saturating_mul(MOST_PER_PACKED_BYTE));
    let mut pixels = vec![0; bytes.ok_or_else(|| fault(ImageFault::Sizes { width, height, stored }))?];
    reader.next_frame(&mut pixels).map_err(broken)?;
    reader.finish().map_err(broken)?;
    Ok(Image { shape: [height as usize, width as usize, channels], pixels })
}

/// A PNG of these pixels.
#[cfg(test)]
pub(super) fn encode(width: u32, height: u32, color: ColorType, depth: BitDepth, pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette([10u8, 20, 30, 40, 50, 60].as_slice());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(content: &[u8]) -> Result<Image, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.png");
        std::fs::write(&path, content).unwrap();
        decode(&path)
    }

    /// Two rows of three pixels.
    fn colour() -> Vec<u8> {
        encode(3, 2, ColorType::Rgb, BitDepth::Eight, &(0..18).collect::<Vec<u8>>())
    }

    fn decoded(content: &[u8]) -> ([usize; 3], Vec<u8>) {
        let image = outcome(content).unwrap();
        (image.shape, image.pixels)
    }

    #[test]
    fn pixels_come_row_by_row() {
        assert_eq!(decoded(&colour()), ([2, 3, 3], (0..18).collect()));
        let grey = encode(2, 1, ColorType::Grayscale, BitDepth::Eight, &[7, 255]);
        assert_eq!(decoded(&grey), ([1, 2, 1], vec![7, 255]));
    }

    #[test]
    fn narrow_greys_and_palettes_are_widened() {
        let narrow = encode(9, 1, ColorType::Grayscale, BitDepth::One, &[0b1010_0000, 0b1000_0000]);
        assert_eq!(decoded(&narrow), ([1, 9, 1], vec![255, 0, 255, 0, 0, 0, 0, 0, 255]));
        let palette = encode(2, 1, ColorType::Indexed, BitDepth::Eight, &[1, 0]);
        assert_eq!(decoded(&palette), ([1, 2, 3], vec![40, 50, 60, 10, 20, 30]));
        // A wide image of one colour is as small as a file can be.
        let wide = encode(80_000, 400, ColorType::Grayscale, BitDepth::One, &vec![0; 10_000 * 400]);
        assert_eq!(decoded(&wide).0, [400, 80_000, 1]);
    }

    #[test]
    fn alpha_and_deep_channels_are_refused() {
        for color in [ColorType::GrayscaleAlpha, ColorType::Rgba] {
            let image = encode(1, 1, color, BitDepth::Eight, &vec![0; color.samples()]);
            assert!(matches!(outcome(&image), Err(DataError::Image { fault: ImageFault::Alpha, .. })));
        }
        let deep = encode(1, 1, ColorType::Grayscale, BitDepth::Sixteen, &[0, 1]);
        assert!(matches!(outcome(&deep), Err(DataError::Image { fault: ImageFault::Deep, .. })));
    }

    #[test]
    fn every_cut_is_noticed() {
        let image = colour();
        for length in 0..image.len() {
            assert!(matches!(outcome(&image[..length]), Err(DataError::Png { .. })), "{length}");
        }
        assert!(matches!(outcome(b"<!DOCTYPE html><html>"), Err(DataError::Png { .. })));
    }

    #[test]
    fn absurd_sizes_cost_no_memory() {
        let mut image = colour();
        image[16..24].copy_from_slice(&[0, 0x10, 0, 0, 0, 0x10, 0, 0]);
        let checksum = crc(&image[12..29]);
        image[29..33].copy_from_slice(&checksum.to_be_bytes());
        match outcome(&image) {
            Err(DataError::Image { fault: ImageFault::Sizes { width, height, stored }, .. }) => {
                assert_eq!((width, height, stored), (1 << 20, 1 << 20, image.len() as u64));
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("decoded"),
        }
    }

    /// The checksum of a chunk's name and content, bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }

    proptest! {
        #[test]
        fn any_damage_gives_an_image_or_an_error(
            damage in prop::collection::vec((0usize..100, any::<u8>()), 0..4),
            length in 0usize..100,
        ) {
            let mut file = colour();
            for (place, value) in damage {
                file.iter_mut().skip(place).take(1).for_each(|byte| *byte = value);
            }
            file.truncate(length);
            if let Ok(image) = outcome(&file) {
                prop_assert_eq!(image.pixels.len(), image.shape.iter().product::<usize>());
            }
        }
    }
}

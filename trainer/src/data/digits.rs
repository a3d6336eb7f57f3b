//! The small data set that comes with the program, so that a first network trains without a download.
//!
//! 1,797 handwritten digits of 8 × 8 pixels, each pixel a count from 0 to 16: the test part of "Optical Recognition of
//! Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0,
//! <https://doi.org/10.24432/C50P49>. `data/ATTRIBUTION.md` says where the file was taken from.

use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::{DataError, LabelColumn, Source, csv};

/// The table: one row a digit, 64 pixels row by row, then the digit itself; no header.
const TABLE: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// Reads the digits: shape `[8, 8, 1]`, ten classes, no test samples of their own.
///
/// # Errors
///
/// None that a user can cause; reading goes the way of any other table.
pub fn read() -> Result<Source, DataError> {
    let mut source =
        csv::read_content(MultiGzDecoder::new(TABLE), Path::new("data/digits.csv.gz"), &LabelColumn::Last)?;
    source.train.shape = [8, 8, 1];
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::super::Values;
    use super::*;

    #[test]
    fn the_digits_are_all_there() {
        let source = read().unwrap();
        assert!(source.train.check().is_ok());
        assert_eq!((source.train.len(), source.train.features()), (1_797, 64));
        assert_eq!(source.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        let mut counts = [0; 10];
        source.train.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        match &source.train.values {
            Values::U8(pixels) => {
                assert_eq!(pixels[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
                assert_eq!(pixels.iter().max(), Some(&16));
                assert_eq!(pixels.iter().map(|&pixel| u32::from(pixel)).sum::<u32>(), 561_718);
            }
            other => panic!("{other:?}"),
        }
    }
}

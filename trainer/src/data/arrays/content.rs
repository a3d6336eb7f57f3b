//! The values of one array, as samples or as labels.

use std::io::{ErrorKind, Read};

use super::super::{ArrayFault, DataError, Values};
use super::Place;
use super::element::Number;
use super::header::{self, Header, Refused};

/// Bytes that are read at once; a multiple of every value's size.
const CHUNK: u64 = 1 << 16;

/// An array that is still to be read.
pub(super) struct Content<'a> {
    /// Its bytes, decompressed.
    pub(super) reader: &'a mut dyn Read,
    /// Its bytes on disk.
    pub(super) stored: u64,
    /// The most bytes that those can stand for.
    pub(super) most: u64,
    /// Where it lies.
    pub(super) place: &'a Place,
}

impl Content<'_> {
    /// Reads samples: height, width and channels of one, and all values.
    pub(super) fn into_samples(mut self) -> Result<([usize; 3], Values), DataError> {
        let header = self.header()?;
        let size = |size: u64| usize::try_from(size).map_err(|_| self.place.fault(unholdable(&header, self.stored)));
        let shape = match header.shape[..] {
            [_, columns] => [1, 1, size(columns)?],
            [_, height, width] => [size(height)?, size(width)?, 1],
            [_, height, width, channels] => [size(height)?, size(width)?, size(channels)?],
            _ => return Err(self.place.fault(ArrayFault::SampleShape { shape: header.shape })),
        };
        let values = self.length(&header)?;
        let features = values / header.shape.first().copied().unwrap_or(1).max(1);
        let mut kept = Values::U8(Vec::new());
        self.each(&header, values, |index, number| {
            let refused = || ArrayFault::NotFinite { sample: index / features.max(1), value: number.to_f64() };
            kept.push(number.to_f32().ok_or_else(refused)?);
            Ok(())
        })?;
        Ok((shape, kept))
    }

    /// Reads labels: a whole number for each sample.
    pub(super) fn into_labels(mut self) -> Result<Vec<i64>, DataError> {
        let header = self.header()?;
        match header.shape[..] {
            [_] | [_, 1] => (),
            [_, classes] => return Err(self.place.fault(ArrayFault::OneHot { classes })),
            _ => return Err(self.place.fault(ArrayFault::LabelShape { shape: header.shape })),
        }
        let values = self.length(&header)?;
        let mut labels = Vec::new();
        self.each(&header, values, |sample, number| {
            labels.push(number.to_label().ok_or(ArrayFault::NotWhole { sample, value: number.to_f64() })?);
            Ok(())
        })?;
        Ok(labels)
    }

    fn header(&mut self) -> Result<Header, DataError> {
        header::read(self.reader).map_err(|refused| match refused {
            Refused::Fault(fault) => self.place.fault(fault),
            Refused::Io(source) => DataError::Io { path: self.place.path.clone(), source },
        })
    }

    /// The number of values, once the array's length on disk allows for them.
    fn length(&self, header: &Header) -> Result<u64, DataError> {
        let values = header.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let bytes = |values: u64| values.checked_mul(header.element.size() as u64)?.checked_add(header.bytes);
        match values.map(|values| (values, bytes(values))) {
            Some((0, _)) => Err(self.place.fault(ArrayFault::NoValues { shape: header.shape.clone() })),
            Some((values, Some(bytes))) if bytes <= self.most => Ok(values),
            Some((_, Some(expected))) if self.most == self.stored => {
                Err(self.place.fault(ArrayFault::Truncated { expected, found: self.stored }))
            }
            _ => Err(self.place.fault(unholdable(header, self.stored))),
        }
    }

    /// Calls `visit` with each of the `count` values and its index; after them nothing may follow.
    fn each(
        self,
        header: &Header,
        count: u64,
        mut visit: impl FnMut(u64, Number) -> Result<(), ArrayFault>,
    ) -> Result<(), DataError> {
        let size = header.element.size();
        // `length` has found this to be no overflow.
        let declared = count * size as u64;
        let truncated =
            |found| ArrayFault::Truncated { expected: header.bytes + declared, found: header.bytes + found };
        let mut chunk = Vec::new();
        let mut found = 0;
        loop {
            chunk.clear();
            // At the end one byte more than declared, so that what follows is seen, and a checksum checked.
            let wanted = (declared - found).clamp(1, CHUNK);
            let read = (&mut *self.reader).take(wanted).read_to_end(&mut chunk);
            let first = found / size as u64;
            found += chunk.len() as u64;
            match read {
                Ok(0) if found == declared => return Ok(()),
                Ok(0) => return Err(self.place.fault(truncated(found))),
                Ok(_) if found > declared => {
                    return Err(self.place.fault(ArrayFault::TrailingBytes { expected: header.bytes + declared }));
                }
                Ok(_) => (),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && found < declared => {
                    return Err(self.place.fault(truncated(found)));
                }
                Err(source) => return Err(DataError::Io { path: self.place.path.clone(), source }),
            }
            for (value, index) in chunk.chunks_exact(size).zip(first..) {
                visit(index, header.element.decode(value)).map_err(|fault| self.place.fault(fault))?;
            }
        }
    }
}

fn unholdable(header: &Header, stored: u64) -> ArrayFault {
    ArrayFault::Sizes { shape: header.shape.clone(), stored }
}

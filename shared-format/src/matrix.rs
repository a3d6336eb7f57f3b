//! Ternary matrices as they lie in the weight section, and views of them, their rows and their groups.

use crate::exponents::{ExponentEncoding, RowExponents};
use crate::group::GroupSize;
use crate::{MatrixFault, trits};
use serde::{Deserialize, Serialize};

/// Where a matrix's bytes lie: part of an operator's record. Offsets are relative to the weight section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixRecord {
    /// Rows N (outputs; of a table, its entries).
    pub rows: u32,
    /// Columns K (inputs; of a table, the elements of an entry).
    pub columns: u32,
    /// Group size G.
    pub group: u8,
    /// Exponent encoding: 0 int8, 1 four-bit offsets.
    pub encoding: u8,
    /// Order of the trit bytes: 0 is row after row. Others are reserved for targets that want another order.
    pub layout: u8,
    /// Offset of the trit bytes.
    pub trits: u32,
    /// Offset of the exponents.
    pub exponents: u32,
}

/// A view of a ternary matrix W = T·2^E, [rows, columns] with one exponent per group of a row.
#[derive(Clone, Copy, Debug)]
pub struct TernaryMatrix<'a> {
    rows: usize,
    columns: usize,
    group: GroupSize,
    encoding: ExponentEncoding,
    trits: &'a [u8],
    bases: &'a [u8],
    exponents: &'a [u8],
}

impl MatrixRecord {
    /// The matrix in the weight section `weights`. Lengths, offsets and tags are checked, contents are not.
    pub(crate) fn view<'a>(&self, weights: &'a [u8]) -> Result<TernaryMatrix<'a>, MatrixFault> {
        let group = GroupSize::new(u32::from(self.group)).map_err(MatrixFault::GroupSize)?;
        let encoding = ExponentEncoding::from_code(self.encoding).ok_or(MatrixFault::Encoding(self.encoding))?;
        if self.layout != 0 {
            return Err(MatrixFault::Layout(self.layout));
        }
        if self.rows == 0 || self.columns == 0 {
            return Err(MatrixFault::Empty);
        }
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let groups = group.count(columns);
        // Both factors are below 2^32, so the products fit u64.
        let trits = section(weights, self.trits, u64::from(self.rows) * group.row_bytes(columns) as u64)?;
        let exponent_bytes = encoding.bytes(u64::from(self.rows), groups as u64).ok_or(MatrixFault::OutsideSection)?;
        let exponents = section(weights, self.exponents, exponent_bytes)?;
        let bases = match encoding {
            ExponentEncoding::Int8 => 0,
            ExponentEncoding::Offset4 => rows,
        };
        let (bases, exponents) = exponents.split_at_checked(bases).ok_or(MatrixFault::OutsideSection)?;
        Ok(TernaryMatrix { rows, columns, group, encoding, trits, bases, exponents })
    }
}

/// `bytes` bytes from `offset` of the weight section.
pub(crate) fn section(weights: &[u8], offset: u32, bytes: u64) -> Result<&[u8], MatrixFault> {
    let end = u64::from(offset).checked_add(bytes).and_then(|end| usize::try_from(end).ok());
    end.and_then(|end| weights.get(offset as usize..end)).ok_or(MatrixFault::OutsideSection)
}

impl<'a> TernaryMatrix<'a> {
    /// A matrix without rows.
    pub(crate) const fn empty() -> Self {
        let Ok(group) = GroupSize::new(4) else { unreachable!() };
        Self { rows: 0, columns: 0, group, encoding: ExponentEncoding::Int8, trits: &[], bases: &[], exponents: &[] }
    }

    /// Rows N (outputs).
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns K (inputs).
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Group size G.
    pub const fn group(&self) -> GroupSize {
        self.group
    }

    /// How the exponents are stored.
    pub const fn encoding(&self) -> ExponentEncoding {
        self.encoding
    }

    /// Bytes of trits and exponents in the file.
    pub const fn bytes(&self) -> usize {
        self.trits.len() + self.bases.len() + self.exponents.len()
    }

    /// The trit bytes, row after row, each group starting on a byte.
    pub const fn trit_bytes(&self) -> &'a [u8] {
        self.trits
    }

    /// The smallest exponent of the matrix: the unit of its int32 outputs.
    pub fn smallest_exponent(&self) -> i32 {
        self.iter().map(|row| row.exponents.smallest()).min().unwrap_or(0)
    }

    /// The rows, from the first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let matrix = *self;
        // A chunk size of 0 would panic; a matrix without columns has no chunks either way.
        let trits = self.trits.chunks_exact(self.trit_bytes_of_row().max(1));
        let exponents = self.exponents.chunks_exact(self.exponent_bytes_of_row().max(1));
        trits.zip(exponents).enumerate().map(move |(row, (trits, bytes))| matrix.row_of(row, trits, bytes))
    }

    /// Row number `row`, in constant time; `None` where the matrix has no such row.
    pub fn row(&self, row: usize) -> Option<Row<'a>> {
        if row >= self.rows {
            return None;
        }
        // The rows before end inside the slices, so their lengths fit too.
        let (trits, exponents) = (self.trit_bytes_of_row(), self.exponent_bytes_of_row());
        let trits = self.trits.get(row * trits..)?.get(..trits)?;
        Some(self.row_of(row, trits, self.exponents.get(row * exponents..)?.get(..exponents)?))
    }

    const fn trit_bytes_of_row(&self) -> usize {
        self.group.row_bytes(self.columns)
    }

    /// Without the row's base.
    const fn exponent_bytes_of_row(&self) -> usize {
        let groups = self.group.count(self.columns);
        match self.encoding {
            ExponentEncoding::Int8 => groups,
            ExponentEncoding::Offset4 => groups.div_ceil(2),
        }
    }

    fn row_of(&self, row: usize, trits: &'a [u8], bytes: &'a [u8]) -> Row<'a> {
        let Self { group, columns, encoding, bases, .. } = *self;
        let base = bases.get(row).map_or(0, |base| *base as i8);
        let exponents = RowExponents { encoding, base, bytes, groups: group.count(columns), next: 0 };
        Row { trits, exponents, group, columns }
    }
}

/// One row: its trit bytes and its exponents.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The row's trit bytes, each group starting on a byte.
    pub trits: &'a [u8],
    /// The row's exponents, one for each group.
    pub exponents: RowExponents<'a>,
    pub(crate) group: GroupSize,
    pub(crate) columns: usize,
}

/// One group of a row.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// ⌈len/5⌉ bytes of trits.
    pub bytes: &'a [u8],
    /// The group's exponent.
    pub exponent: i32,
    /// Columns of the group: G, or fewer in the last group of a row.
    pub len: usize,
}

impl<'a> Row<'a> {
    /// The row's groups, from column 0.
    pub fn groups(&self) -> impl Iterator<Item = Group<'a>> + use<'a> {
        let (group, columns) = (self.group.get(), self.columns);
        self.trits
            .chunks(self.group.bytes())
            .zip(self.exponents)
            .enumerate()
            .map(move |(index, (bytes, exponent))| Group { bytes, exponent, len: group.min(columns - index * group) })
    }

    /// Writes the row's trits to `out`, which holds as many as the matrix has columns.
    pub fn unpack(&self, out: &mut [i8]) {
        for (group, out) in self.groups().zip(out.chunks_mut(self.group.get())) {
            trits::unpack(group.bytes, out);
        }
    }
}

/// The int32 biases of a layer, little-endian, read at any alignment.
#[derive(Clone, Copy, Debug)]
pub struct Bias<'a>(pub(crate) &'a [u8]);

impl<'a> Bias<'a> {
    /// The biases, row after row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i32> + use<'a> {
        self.0.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

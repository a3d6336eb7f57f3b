//! Matrices of int8 weights, one power-of-two exponent a row: W = w·2^E.
//!
//! For the few layers where ternary weights cost too much accuracy, usually the first and the last one.

use crate::MatrixFault;
use crate::fields::Fields;
use crate::matrix::section;
use serde::Serialize;

/// Where a matrix's bytes lie: part of an operator's record. Offsets are relative to the weight section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Int8Record {
    /// Rows N (outputs).
    pub rows: u32,
    /// Columns K (inputs).
    pub columns: u32,
    /// Offset of the weights: int8, row after row.
    pub values: u32,
    /// Offset of the rows' exponents, int8.
    pub exponents: u32,
}

impl Int8Record {
    /// The record of an operator that has none.
    pub(crate) const NONE: Self = Self { rows: 0, columns: 0, values: 0, exponents: 0 };

    /// The next fields of a record, in the order in which they stand above.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self { rows: fields.number(), columns: fields.number(), values: fields.number(), exponents: fields.number() }
    }

    /// The matrix in the weight section `weights`.
    pub(crate) fn view<'a>(&self, weights: &'a [u8]) -> Result<Int8Matrix<'a>, MatrixFault> {
        if self.rows == 0 || self.columns == 0 {
            return Err(MatrixFault::Empty);
        }
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let values = section(weights, self.values, rows.checked_mul(columns))?;
        let exponents = section(weights, self.exponents, Some(rows))?;
        Ok(Int8Matrix { columns, values, exponents })
    }
}

/// A view of an int8 matrix W = w·2^E, [rows, columns] with one exponent a row.
#[derive(Clone, Copy, Debug)]
pub struct Int8Matrix<'a> {
    columns: usize,
    values: &'a [u8],
    exponents: &'a [u8],
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Int8Row<'a> {
    /// The weights, one int8 for each column.
    pub values: &'a [u8],
    /// The row's exponent.
    pub exponent: i32,
}

impl<'a> Int8Matrix<'a> {
    /// A matrix without rows.
    pub(crate) const fn empty() -> Self {
        Self { columns: 0, values: &[], exponents: &[] }
    }

    /// Rows N (outputs).
    pub const fn rows(&self) -> usize {
        self.exponents.len()
    }

    /// Columns K (inputs).
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of weights and exponents in the file.
    pub const fn bytes(&self) -> usize {
        self.values.len() + self.exponents.len()
    }

    /// The rows, from the first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Int8Row<'a>> + use<'a> {
        let matrix = *self;
        (0..self.rows()).map(move |row| matrix.row_of(row))
    }

    /// Row number `row`, in constant time; `None` where the matrix has no such row.
    pub fn row(&self, row: usize) -> Option<Int8Row<'a>> {
        (row < self.rows()).then(|| self.row_of(row))
    }

    /// The smallest exponent of the matrix: the unit of its int32 outputs.
    pub fn smallest_exponent(&self) -> i32 {
        self.exponents.iter().map(|exponent| i32::from(*exponent as i8)).min().unwrap_or(0)
    }

    /// A row that the matrix has: what lies before it ends inside the slices, so no product overflows.
    fn row_of(&self, row: usize) -> Int8Row<'a> {
        let values = self.values.get(row * self.columns..).and_then(|values| values.get(..self.columns));
        let exponent = self.exponents.get(row).map_or(0, |exponent| i32::from(*exponent as i8));
        Int8Row { values: values.unwrap_or(&[]), exponent }
    }
}

//! Builds a model file: weights first, then the operators that use them.

use super::{WriteError, container};
use crate::container::{KIND_MODEL, SECTION_GRAPH, SECTION_WEIGHTS};
use crate::exponents::ExponentEncoding;
use crate::group::GroupSize;
use crate::int8_matrix::Int8Record;
use crate::layout::Layout;
use crate::matrix::MatrixRecord;
use crate::model::{GraphRecord, Model};
use crate::operator::Operator;
use crate::scaling::InputScale;
use crate::tensor::Tensor;
use crate::trits;
use alloc::vec::Vec;

/// Collects the parts of a model; [`ModelWriter::finish`] gives the file.
#[derive(Clone, Debug, Default)]
pub struct ModelWriter {
    name: alloc::string::String,
    weights: Vec<u8>,
    operators: Vec<u8>,
    labels: Vec<u8>,
    properties: Vec<u8>,
    scales: Vec<u8>,
}

/// A ternary matrix to write.
#[derive(Clone, Copy, Debug)]
pub struct MatrixValues<'a> {
    /// Rows N.
    pub rows: usize,
    /// Columns K.
    pub columns: usize,
    /// Group size G.
    pub group: GroupSize,
    /// Trits, [rows, columns].
    pub trits: &'a [i8],
    /// Exponents, [rows, ⌈columns/G⌉]; those of groups of zeros do not matter.
    pub exponents: &'a [i8],
}

/// The graph around the operators: tensors, which of them are input and output, and the arena they share.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// The tensors, by number.
    pub tensors: &'a [Tensor],
    /// Number of the input tensor.
    pub input: u16,
    /// Number of the output tensor.
    pub output: u16,
    /// Arena bytes of one sample.
    pub arena_bytes: u64,
}

impl ModelWriter {
    /// An empty model of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A model of this name with the weight section of another one, whose operators keep their offsets.
    pub fn with_weights_of(name: &str, model: &Model<'_>) -> Self {
        Self { weights: model.weights.into(), ..Self::new(name) }
    }

    /// Adds a matrix to the weight section, row after row. Exponents are stored as 4-bit offsets where every row's window
    /// allows, as int8 otherwise; a group without a non-zero trit takes its row's smallest exponent.
    ///
    /// # Errors
    /// [`WriteError::Count`] where the slices do not match the shape, [`WriteError::TooLarge`] past 4 GiB.
    pub fn add_matrix(&mut self, matrix: &MatrixValues<'_>) -> Result<MatrixRecord, WriteError> {
        self.add_matrix_in(matrix, Layout::Rows)
    }

    /// The same in another order; [`Layout::Groups`] takes the exponents among the trits.
    ///
    /// # Errors
    /// As [`ModelWriter::add_matrix`].
    pub fn add_matrix_in(&mut self, matrix: &MatrixValues<'_>, layout: Layout) -> Result<MatrixRecord, WriteError> {
        let MatrixValues { rows, columns, group, trits, exponents } = *matrix;
        let groups = group.count(columns);
        check_count("trits", trits.len(), rows.checked_mul(columns))?;
        check_count("exponents", exponents.len(), rows.checked_mul(groups))?;
        let mut record = MatrixRecord {
            rows: u32::try_from(rows).map_err(|_| WriteError::TooLarge)?,
            columns: u32::try_from(columns).map_err(|_| WriteError::TooLarge)?,
            group: group.get() as u8,
            encoding: ExponentEncoding::Offset4.code(),
            layout: layout.code(),
            trits: self.align_weights()?,
            exponents: 0,
        };
        let mut canonical = Vec::with_capacity(exponents.len());
        // A matrix without rows or columns is the parser's to refuse; chunk sizes only must not be 0.
        for (row, exponents) in trits.chunks(columns.max(1)).zip(exponents.chunks(groups.max(1))) {
            canonical.extend(row_exponents(row, exponents, group));
        }
        if layout == Layout::Groups {
            self.write_records(matrix, &canonical);
            record.encoding = ExponentEncoding::Offset8.code();
            record.exponents = self.align_weights()?;
            self.weights.extend(canonical.chunks(groups.max(1)).map(|row| base(row) as u8));
            return Ok(record);
        }
        for group in trits.chunks(columns.max(1)).flat_map(|row| row.chunks(group.get())) {
            self.weights.extend(trits::pack_group(group));
        }
        let windows = canonical.chunks(groups.max(1)).map(|row| {
            let (low, high) = row.iter().fold((i8::MAX, i8::MIN), |(low, high), e| (low.min(*e), high.max(*e)));
            (i32::from(high) - i32::from(low)).unsigned_abs()
        });
        record.exponents = self.align_weights()?;
        if windows.max().unwrap_or(0) <= ExponentEncoding::Offset4.window() {
            self.write_offsets(&canonical, groups.max(1));
        } else {
            record.encoding = ExponentEncoding::Int8.code();
            self.weights.extend(canonical.iter().map(|e| *e as u8));
        }
        Ok(record)
    }

    /// Group after group, and in each row after row, the exponent's offset from the row's base and the trits.
    fn write_records(&mut self, matrix: &MatrixValues<'_>, exponents: &[i8]) {
        let groups = matrix.group.count(matrix.columns);
        for group in 0..groups {
            let rows = matrix.trits.chunks(matrix.columns.max(1)).zip(exponents.chunks(groups.max(1)));
            for (trits, exponents) in rows {
                // Both have such a group, and no offset exceeds a byte.
                let exponent = exponents.get(group).copied().unwrap_or(0);
                self.weights.push(exponent.wrapping_sub(base(exponents)) as u8);
                let trits = trits.chunks(matrix.group.get()).nth(group).unwrap_or(&[]);
                self.weights.extend(trits::pack_group(trits));
            }
        }
    }

    /// Bases of all rows, then each row's offsets, two to a byte.
    fn write_offsets(&mut self, exponents: &[i8], groups: usize) {
        self.weights.extend(exponents.chunks(groups).map(|row| base(row) as u8));
        for row in exponents.chunks(groups) {
            let base = base(row);
            // At most 15, so the difference fits.
            let offset = |e: i8| e.wrapping_sub(base) as u8;
            self.weights.extend(row.chunks(2).map(|pair| match *pair {
                [low, high] => offset(low) | offset(high) << 4,
                [low] => offset(low),
                _ => 0,
            }));
        }
    }

    /// Adds int8 weights, [rows, columns] with an exponent for each row, to the weight section.
    ///
    /// # Errors
    /// [`WriteError::Count`] where the slices do not match each other, [`WriteError::TooLarge`] past 4 GiB.
    pub fn add_int8(&mut self, columns: usize, values: &[i8], exponents: &[i8]) -> Result<Int8Record, WriteError> {
        check_count("int8 weights", values.len(), exponents.len().checked_mul(columns))?;
        let offset = self.align_weights()?;
        self.weights.extend(values.iter().map(|value| *value as u8));
        let record = Int8Record {
            rows: u32::try_from(exponents.len()).map_err(|_| WriteError::TooLarge)?,
            columns: u32::try_from(columns).map_err(|_| WriteError::TooLarge)?,
            values: offset,
            exponents: self.align_weights()?,
        };
        self.weights.extend(exponents.iter().map(|exponent| *exponent as u8));
        Ok(record)
    }

    /// Adds int32 biases to the weight section and returns their offset.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] past 4 GiB.
    pub fn add_bias(&mut self, bias: &[i32]) -> Result<u32, WriteError> {
        let offset = self.align_weights()?;
        self.weights.extend(bias.iter().flat_map(|value| value.to_le_bytes()));
        Ok(offset)
    }

    fn align_weights(&mut self) -> Result<u32, WriteError> {
        self.weights.resize(self.weights.len().next_multiple_of(4), 0);
        u32::try_from(self.weights.len()).map_err(|_| WriteError::TooLarge)
    }

    /// Appends an operator; they run in the order in which they are added.
    ///
    /// # Errors
    /// [`WriteError::Encoding`] where the record cannot be encoded.
    pub fn push(&mut self, operator: &Operator) -> Result<(), WriteError> {
        let record = operator.encode()?;
        self.operators.extend(postcard::to_allocvec(&record.as_slice())?);
        Ok(())
    }

    /// Adds the name of the next output element.
    ///
    /// # Errors
    /// [`WriteError::Encoding`] where the record cannot be encoded.
    pub fn label(&mut self, label: &str) -> Result<(), WriteError> {
        self.labels.extend(postcard::to_allocvec(label)?);
        Ok(())
    }

    /// Adds a further fact.
    ///
    /// # Errors
    /// [`WriteError::Encoding`] where the record cannot be encoded.
    pub fn property(&mut self, key: &str, value: &str) -> Result<(), WriteError> {
        self.properties.extend(postcard::to_allocvec(key)?);
        self.properties.extend(postcard::to_allocvec(value)?);
        Ok(())
    }

    /// Sets how raw values become the input: one record, or one for each element.
    pub fn input_scales(&mut self, scales: &[InputScale]) {
        self.scales = scales.iter().flat_map(|scale| scale.to_bytes()).collect();
    }

    /// The file, parsed once to prove it valid.
    ///
    /// # Errors
    /// [`WriteError::Invalid`] with what [`Model::parse`] found.
    pub fn finish(&self, region: &Region<'_>) -> Result<Vec<u8>, WriteError> {
        let tensors: Vec<u8> = region.tensors.iter().flat_map(|tensor| tensor.to_bytes()).collect();
        let graph = postcard::to_allocvec(&GraphRecord {
            name: self.name.as_bytes(),
            input: region.input,
            output: region.output,
            tensors: &tensors,
            operators: &self.operators,
            scales: &self.scales,
            labels: &self.labels,
            properties: &self.properties,
        })?;
        let sections = [(SECTION_GRAPH, graph.as_slice()), (SECTION_WEIGHTS, self.weights.as_slice())];
        let file = container::assemble(KIND_MODEL, region.arena_bytes, &sections);
        Model::parse(&file)?;
        Ok(file)
    }
}

/// A row's base: its smallest exponent.
fn base(row: &[i8]) -> i8 {
    row.iter().copied().min().unwrap_or(0)
}

fn check_count(what: &'static str, found: usize, expected: Option<usize>) -> Result<(), WriteError> {
    let expected = expected.ok_or(WriteError::TooLarge)?;
    if found == expected { Ok(()) } else { Err(WriteError::Count { what, found, expected }) }
}

/// A row's exponents with those of its zero groups set to the smallest of the others (0 where all are zero).
fn row_exponents(row: &[i8], exponents: &[i8], group: GroupSize) -> Vec<i8> {
    let used: Vec<bool> = row.chunks(group.get()).map(|trits| trits.iter().any(|trit| *trit != 0)).collect();
    let smallest = used.iter().zip(exponents).filter_map(|(used, e)| used.then_some(*e)).min().unwrap_or(0);
    used.iter().zip(exponents).map(|(used, e)| if *used { *e } else { smallest }).collect()
}

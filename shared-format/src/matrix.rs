//! Ternary matrices as they lie in the weight section, and views of them, their rows and their groups.

use crate::exponents::ExponentEncoding;
use crate::fields::Fields;
use crate::group::GroupSize;
use crate::layout::Layout;
use crate::trits::PER_BYTE;
use crate::{MatrixFault, trits};
use serde::Serialize;

/// Where a matrix's bytes lie: part of an operator's record. Offsets are relative to the weight section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixRecord {
    /// Rows N (outputs; of a table, its entries).
    pub rows: u32,
    /// Columns K (inputs; of a table, the elements of an entry).
    pub columns: u32,
    /// Group size G.
    pub group: u8,
    /// Exponent encoding: 0 int8, 1 four-bit offsets, 2 bytes among the trits.
    pub encoding: u8,
    /// Order of the trit bytes: 0 row after row, 1 group after group. The latter goes with encoding 2 and no other.
    pub layout: u8,
    /// Offset of the trit bytes.
    pub trits: u32,
    /// Offset of the exponents; with encoding 2, of the rows' bases.
    pub exponents: u32,
}

/// A view of a ternary matrix W = T·2^E, [rows, columns] with one exponent per group of a row.
#[derive(Clone, Copy, Debug)]
pub struct TernaryMatrix<'a> {
    rows: usize,
    columns: usize,
    group: GroupSize,
    encoding: ExponentEncoding,
    layout: Layout,
    trits: &'a [u8],
    bases: &'a [u8],
    exponents: &'a [u8],
    // Products and quotients of the above, computed once: a core without multiplier steps by them.
    group_bytes: usize,
    groups: usize,
    row_bytes: usize,
    exponent_bytes_of_row: usize,
    /// Bytes of a full group's records, all rows.
    block: usize,
}

impl MatrixRecord {
    /// The record of an operator that has none.
    pub(crate) const NONE: Self =
        Self { rows: 0, columns: 0, group: 0, encoding: 0, layout: 0, trits: 0, exponents: 0 };

    /// The next fields of a record, in the order in which they stand above.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            rows: fields.number(),
            columns: fields.number(),
            group: fields.byte(),
            encoding: fields.byte(),
            layout: fields.byte(),
            trits: fields.number(),
            exponents: fields.number(),
        }
    }

    /// The matrix in the weight section `weights`. Lengths, offsets and tags are checked, contents are not.
    pub(crate) fn view<'a>(&self, weights: &'a [u8]) -> Result<TernaryMatrix<'a>, MatrixFault> {
        let group = GroupSize::new(u32::from(self.group)).map_err(MatrixFault::GroupSize)?;
        let encoding = ExponentEncoding::from_code(self.encoding).ok_or(MatrixFault::Encoding(self.encoding))?;
        let layout = Layout::from_code(self.layout).ok_or(MatrixFault::Layout(self.layout))?;
        if (layout == Layout::Groups) != (encoding == ExponentEncoding::Offset8) {
            return Err(MatrixFault::LayoutEncoding);
        }
        if self.rows == 0 || self.columns == 0 {
            return Err(MatrixFault::Empty);
        }
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let groups = group.count(columns);
        let row_bytes = group.row_bytes(columns).checked_add(layout.prefix() * groups);
        let trits = section(weights, self.trits, row_bytes.and_then(|bytes| bytes.checked_mul(rows)))?;
        let exponents = section(weights, self.exponents, encoding.bytes(rows, groups))?;
        let bases = match encoding {
            ExponentEncoding::Int8 => 0,
            ExponentEncoding::Offset4 | ExponentEncoding::Offset8 => rows,
        };
        let (bases, exponents) = exponents.split_at_checked(bases).ok_or(MatrixFault::OutsideSection)?;
        // Only where no group is full can it be too large, and then nobody asks for it.
        let group_bytes = group.bytes();
        let block = rows.saturating_mul(layout.prefix() + group_bytes);
        let row_bytes = group.row_bytes(columns);
        let exponent_bytes_of_row = match encoding {
            ExponentEncoding::Int8 => groups,
            ExponentEncoding::Offset4 => groups.div_ceil(2),
            ExponentEncoding::Offset8 => 0,
        };
        Ok(TernaryMatrix {
            rows,
            columns,
            group,
            encoding,
            layout,
            trits,
            bases,
            exponents,
            group_bytes,
            groups,
            row_bytes,
            exponent_bytes_of_row,
            block,
        })
    }
}

/// `bytes` bytes from `offset` of the weight section; `None` are more than this machine can address.
pub(crate) fn section(weights: &[u8], offset: u32, bytes: Option<usize>) -> Result<&[u8], MatrixFault> {
    let end = bytes.and_then(|bytes| (offset as usize).checked_add(bytes));
    end.and_then(|end| weights.get(offset as usize..end)).ok_or(MatrixFault::OutsideSection)
}

impl<'a> TernaryMatrix<'a> {
    /// A matrix without rows.
    pub(crate) const fn empty() -> Self {
        let Ok(group) = GroupSize::new(4) else { unreachable!() };
        Self {
            rows: 0,
            columns: 0,
            group,
            encoding: ExponentEncoding::Int8,
            layout: Layout::Rows,
            trits: &[],
            bases: &[],
            exponents: &[],
            group_bytes: 0,
            groups: 0,
            row_bytes: 0,
            exponent_bytes_of_row: 0,
            block: 0,
        }
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

    /// The order of the trit bytes.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes of trits and exponents in the file.
    pub const fn bytes(&self) -> usize {
        self.trits.len() + self.bases.len() + self.exponents.len()
    }

    /// The trit bytes as they lie in the file, in the order of [`TernaryMatrix::layout`]: rows, or records.
    pub const fn trit_bytes(&self) -> &'a [u8] {
        self.trits
    }

    /// The smallest exponent of the matrix: the unit of its int32 outputs.
    pub fn smallest_exponent(&self) -> i32 {
        self.smallest_exponents().min().unwrap_or(0)
    }

    /// The smallest exponent of each row, from the first.
    pub fn smallest_exponents(&self) -> impl Iterator<Item = i32> + use<'a> {
        // Where rows have bases, those are the smallest: `Model::parse` refuses a row where they are not.
        let bases = self.bases.iter().map(|base| i32::from(*base as i8));
        let rows = if self.bases.is_empty() { self.rows } else { 0 };
        bases.chain(self.iter().take(rows).map(|row| row.smallest_exponent()))
    }

    /// The rows, from the first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let matrix = *self;
        (0..self.rows).map(move |row| matrix.row_of(row))
    }

    /// Row number `row`, in constant time; `None` where the matrix has no such row.
    pub fn row(&self, row: usize) -> Option<Row<'a>> {
        (row < self.rows).then(|| self.row_of(row))
    }

    /// The records of each group, group after group; none in [`Layout::Rows`].
    pub const fn blocks(&self) -> Blocks<'a> {
        let columns = match self.layout {
            Layout::Rows => 0,
            Layout::Groups => self.columns,
        };
        Blocks { records: self.trits, columns, group: self.group.get(), block: self.block }
    }

    /// The smallest exponent of each row, as int8; none where exponents are stored one by one.
    pub const fn bases(&self) -> &'a [u8] {
        self.bases
    }

    /// Bytes of a row's trits in [`Layout::Rows`].
    pub const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The exponents as they lie in the file, row after row, without bases and what stands among the trits.
    pub const fn exponent_bytes(&self) -> &'a [u8] {
        self.exponents
    }

    /// Bytes of a row's exponents, without its base and what stands among the trits.
    pub const fn exponent_bytes_of_row(&self) -> usize {
        self.exponent_bytes_of_row
    }

    /// A row that the matrix has: what lies before it ends inside the slices, so no product overflows.
    fn row_of(&self, row: usize) -> Row<'a> {
        let part = |bytes: &'a [u8], of_row: usize| bytes.get(row * of_row..).and_then(|b| b.get(..of_row));
        let (trits, exponents) = match self.layout {
            Layout::Rows => (part(self.trits, self.row_bytes), part(self.exponents, self.exponent_bytes_of_row)),
            Layout::Groups => (Some(self.trits), None),
        };
        Row {
            trits: trits.unwrap_or(&[]),
            exponents: exponents.unwrap_or(&[]),
            base: self.bases.get(row).map_or(0, |base| *base as i8),
            encoding: self.encoding,
            layout: self.layout,
            group: self.group,
            columns: self.columns,
            group_bytes: self.group_bytes,
            groups: self.groups,
            index: row,
            block: self.block,
        }
    }
}

/// The records of one group in [`Layout::Groups`], row after row.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// A record for each row: the group's exponent less the row's smallest, a byte, then ⌈columns/5⌉ bytes of trits.
    pub records: &'a [u8],
    /// Columns of the group: G, or fewer in the last one.
    pub columns: usize,
}

/// The groups of a matrix in [`Layout::Groups`], one by one.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    records: &'a [u8],
    columns: usize,
    group: usize,
    block: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let columns = self.columns.min(self.group);
        if columns == 0 {
            return None;
        }
        self.columns -= columns;
        // The last group has what is left, be it short or not.
        let bytes = if self.columns == 0 { self.records.len() } else { self.block };
        let (records, rest) = self.records.split_at_checked(bytes)?;
        self.records = rest;
        Some(Block { records, columns })
    }
}

/// One row: its trit bytes and its exponents.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The row's own in [`Layout::Rows`], all the matrix's records in [`Layout::Groups`].
    pub(crate) trits: &'a [u8],
    /// The row's own, without its base and what stands in records.
    pub(crate) exponents: &'a [u8],
    /// 0 where exponents are stored one by one.
    pub(crate) base: i8,
    pub(crate) encoding: ExponentEncoding,
    pub(crate) layout: Layout,
    pub(crate) group: GroupSize,
    pub(crate) columns: usize,
    /// Bytes of a full group's trits.
    pub(crate) group_bytes: usize,
    pub(crate) groups: usize,
    /// Position in the matrix.
    index: usize,
    /// Bytes of a full group's records, all rows.
    block: usize,
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
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'a>> + use<'a> {
        let row = *self;
        (0..self.groups).map(move |group| row.group(group))
    }

    /// Group number `group`, in constant time; `None` where the row has no such group. For who walks a row without a copy of
    /// it, which [`Row::groups`] makes.
    pub fn get(&self, group: usize) -> Option<Group<'a>> {
        (group < self.groups).then(|| self.group(group))
    }

    /// The row's exponents, one for each group.
    pub fn exponents(&self) -> impl ExactSizeIterator<Item = i32> + use<'a> {
        self.groups().map(|group| group.exponent)
    }

    /// The row's smallest exponent; 0 for a row without groups.
    pub fn smallest_exponent(&self) -> i32 {
        match self.encoding {
            // The base is the smallest: `Model::parse` refuses a row where it is not.
            ExponentEncoding::Offset4 | ExponentEncoding::Offset8 => i32::from(self.base),
            ExponentEncoding::Int8 => self.exponents.iter().map(|e| i32::from(*e as i8)).min().unwrap_or(0),
        }
    }

    /// A group that the row has. One function, where code is dear, for all who walk a row.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(crate) fn group(&self, group: usize) -> Group<'a> {
        // Only the last group can be short: no other one takes a division.
        let (full, rest) = (self.group.get(), self.columns - group * self.group.get());
        let (len, bytes) = if rest < full { (rest, rest.div_ceil(PER_BYTE)) } else { (full, self.group_bytes) };
        // Offsets and trits of one group stand together, or apart.
        let (offset, start) = match self.layout {
            Layout::Rows => (0, group * self.group_bytes),
            Layout::Groups => {
                let record = group * self.block + self.index * (1 + bytes);
                (self.trits.get(record).copied().unwrap_or(0), record + 1)
            }
        };
        let of_row = |index: usize| self.exponents.get(index).copied().unwrap_or(0);
        let exponent = match self.encoding {
            ExponentEncoding::Int8 => i32::from(of_row(group) as i8),
            ExponentEncoding::Offset4 => i32::from(self.base) + i32::from(of_row(group / 2) >> (4 * (group % 2)) & 15),
            ExponentEncoding::Offset8 => i32::from(self.base) + i32::from(offset),
        };
        Group { bytes: self.trits.get(start..start + bytes).unwrap_or(&[]), exponent, len }
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
    /// The biases as they lie in the file, four bytes each.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The bias of row number `row`; `None` where there is no such row.
    pub fn get(&self, row: usize) -> Option<i32> {
        self.0.as_chunks::<4>().0.get(row).map(|bytes| i32::from_le_bytes(*bytes))
    }

    /// The biases, row after row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i32> + use<'a> {
        self.0.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

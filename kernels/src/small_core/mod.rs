//! Linear layers for cores without vector unit: prepare a group's inputs once, then take every row through it.
//!
//! A byte of weights names five trits, so the product of a byte with its five inputs is one of 243 sums. Where there
//! are many rows, all 243 are computed, by additions, and a byte is the index of its sum; where there are few, something
//! smaller is prepared ([`Sums`] has the choices). Either way a row's part in a group is Σ of its bytes' sums, shifted
//! once by the group's exponent. Nothing is prepared twice and nothing stored but for one group: scratch does not grow
//! with the number of columns.
//!
//! [`Layout::Groups`] is this order of the weights; a matrix in [`Layout::Rows`] is brought into it a few rows at a time.
//! With one int8 for each exponent (windows above 15) a matrix of rows goes to the scalar definition.
//!
//! What is here is plain Rust and runs everywhere. The files of instruction sets replace the two inner steps, preparing
//! and adding, for groups of 32 and 40 columns.

#[cfg(any(test, small_core = "thumbv7m"))]
mod lanes;
mod pair_table;
#[cfg(small_core = "riscv32")]
mod riscv32;
mod split_table;
#[cfg(small_core = "thumbv6m")]
mod thumbv6m;
#[cfg(small_core = "thumbv7m")]
mod thumbv7m;

use crate::Scratch;
use crate::linear::{LinearI8, LinearI32};
use crate::requantize::requantize_one;
use trishift_format::{Bias, Layout, TernaryMatrix};

#[cfg(small_core = "riscv32")]
pub(crate) use riscv32::Core;
#[cfg(small_core = "thumbv6m")]
pub(crate) use thumbv6m::Core;
#[cfg(small_core = "thumbv7m")]
pub(crate) use thumbv7m::Core;

use pair_table::PairTable;
use split_table::SplitTable;

/// Bytes of weights that are prepared for at a time, two of them together.
const BYTES: usize = 8;

/// The columns of [`BYTES`].
const COLUMNS: usize = 40;

/// Inputs of two bytes.
type Inputs = [i8; 10];

/// How the sums of weight bytes and inputs are found.
pub(crate) trait Sums {
    /// Words prepared for the inputs of two bytes.
    const WORDS: usize;

    /// The kernel's name in a profile.
    const NAME: &'static str;

    /// Prepares for two bytes, or for the first alone where `both` is false: then any inputs may stand behind its five.
    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool);

    /// What byte number `byte` adds to a group's sum, up to a constant that cancels out between the bytes prepared for
    /// together.
    fn sum(words: &[i32], byte: usize, code: u8) -> i32;

    /// Adds each record's sum, shifted by its first byte, to its accumulator.
    fn add(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
        add_one_by_one::<Self>(words, records, accumulators);
    }
}

/// Part of a group's records: up to [`BYTES`] bytes of trits from each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a> {
    /// Record after record.
    bytes: &'a [u8],
    /// Bytes from one record to the next.
    stride: usize,
    /// Where in a record the trit bytes begin: 1, or later in a large group.
    first: usize,
    /// How many of them are taken.
    count: usize,
}

/// [`Sums::add`] for any number of bytes.
fn add_one_by_one<S: Sums + ?Sized>(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
    let mut rest = records.bytes;
    for accumulator in accumulators {
        let Some((record, behind)) = rest.split_at_checked(records.stride) else { return };
        rest = behind;
        let codes = record.get(records.first..).unwrap_or(&[]);
        let mut sum = 0i32;
        for (byte, code) in codes.iter().take(records.count).enumerate() {
            sum += S::sum(words, byte, *code);
        }
        let shift = record.first().copied().unwrap_or(0);
        *accumulator = accumulator.wrapping_add(sum.wrapping_shl(shift.into()));
    }
}

/// The add function of an instruction set: adds to the accumulators from `sums` to `end` what as many records of one
/// length behind each other say, by means of what is prepared.
#[cfg(small_core)]
type Add = unsafe extern "C" fn(sums: *mut i32, end: *const i32, records: *const u8, prepared: *const i32);

/// [`Sums::add`] by `add`, which takes whole records, `at_a_time` of them and at least one time; the rest one by one.
#[cfg(small_core)]
#[allow(unsafe_code, reason = "calls assembly")]
fn add_fast<S: Sums>(words: &[i32], records: &Records<'_>, sums: &mut [i32], at_a_time: usize, add: Add) {
    let rows = sums.len() & !(at_a_time - 1);
    // Records of a large group are longer than the part of them that is taken.
    let whole = records.first == 1 && records.stride == records.count + 1;
    let behind = length(rows, records.stride).and_then(|length| records.bytes.get(length..));
    let prepared = words.len() >= 4 * S::WORDS;
    let (Some(behind), true, true) = (behind, whole && rows > 0, prepared) else {
        return add_one_by_one::<S>(words, records, sums);
    };
    let (fast, rest) = sums.split_at_mut(rows);
    let ends = fast.as_mut_ptr_range();
    // SAFETY: the accumulators from `start` to `end` are borrowed exclusively and are a multiple of `at_a_time`, not none;
    // for each of them there is a record in `bytes` of the length that `add` was chosen for; and `words` holds what is
    // prepared for `BYTES` bytes, whose tables have a place for every value that a byte can have.
    unsafe { add(ends.start, ends.end, records.bytes.as_ptr(), words.as_ptr()) }
    if !rest.is_empty() {
        add_one_by_one::<S>(words, &Records { bytes: behind, ..*records }, rest);
    }
}

/// Bytes of `rows` records of `stride` bytes, by shifts; `None` for longer records than [`BYTES`] make, which are none of
/// the fast functions'.
#[cfg(small_core)]
fn length(rows: usize, stride: usize) -> Option<usize> {
    // Accumulators of four bytes are in memory, so that sixteen times their number fits.
    let bit = |bit: u32| if stride >> bit & 1 == 1 { rows << bit } else { 0 };
    (stride < 16).then(|| bit(0).wrapping_add(bit(1)).wrapping_add(bit(2)).wrapping_add(bit(3)))
}

/// Bytes that hold the trits of so many columns: a table, because a division by five is a multiplication.
static TRIT_BYTES: [u8; trishift_format::GroupSize::MAX + 1] = {
    let mut table = [0; trishift_format::GroupSize::MAX + 1];
    let mut columns = 0;
    while columns < table.len() {
        table[columns] = columns.div_ceil(trishift_format::trits::PER_BYTE) as u8;
        columns += 1;
    }
    table
};

fn trit_bytes(columns: usize) -> usize {
    TRIT_BYTES.get(columns).copied().unwrap_or(0).into()
}

/// Rows of a matrix in [`Layout::Rows`] that are brought into the other layout at a time.
const TURNED: usize = 16;

/// Adds every group of one sample to the rows' accumulators, each in units of its row's smallest exponent.
fn accumulate<S: Sums>(matrix: &TernaryMatrix<'_>, sample: &[i8], scratch: &mut [i32], accumulators: &mut [i32]) {
    match matrix.layout() {
        Layout::Groups => {
            let mut inputs = sample;
            for block in matrix.blocks() {
                let stride = 1 + trit_bytes(block.columns);
                for_parts::<S>(block.columns, inputs, scratch, |words, first, count| {
                    S::add(words, &Records { bytes: block.records, stride, first, count }, accumulators);
                });
                inputs = inputs.get(block.columns..).unwrap_or(&[]);
            }
        }
        Layout::Rows => {
            let mut inputs = sample;
            let (mut byte, mut group) = (0, 0);
            while !inputs.is_empty() {
                let columns = inputs.len().min(matrix.group().get());
                for_parts::<S>(columns, inputs, scratch, |words, first, count| {
                    turn_and_add::<S>(matrix, group, byte + first - 1, count, words, accumulators);
                });
                inputs = inputs.get(columns..).unwrap_or(&[]);
                byte += trit_bytes(columns);
                group += 1;
            }
        }
    }
}

/// Prepares for a group, [`COLUMNS`] columns at a time, and calls `f(words, first, count)` for each part: where in a
/// record its trit bytes begin, and how many there are.
fn for_parts<S: Sums>(columns: usize, inputs: &[i8], scratch: &mut [i32], mut f: impl FnMut(&[i32], usize, usize)) {
    let (mut left, mut inputs, mut first) = (columns, inputs, 1);
    while left > 0 {
        let mut words = &mut *scratch;
        let mut part = left.min(COLUMNS);
        let count = trit_bytes(part);
        left -= part;
        if let Some(forty) = inputs.first_chunk::<COLUMNS>() {
            let (tens, _) = forty.as_chunks::<10>();
            for ten in tens {
                let Some((pair, rest)) = core::mem::take(&mut words).split_at_mut_checked(S::WORDS) else { break };
                S::prepare(pair, ten, part > 5);
                if part <= 10 {
                    break;
                }
                part -= 10;
                words = rest;
            }
            inputs = inputs.get(COLUMNS..).unwrap_or(&[]);
            f(scratch, first, count);
            first += BYTES;
            continue;
        }
        while let Some((pair, rest)) = core::mem::take(&mut words).split_at_mut_checked(S::WORDS) {
            let both = part > 5;
            match inputs.first_chunk() {
                Some(inputs) => S::prepare(pair, inputs, both),
                // Past the last column trits are padding, and what they meet does not matter.
                None => {
                    let mut padded = [0; 10];
                    padded.iter_mut().zip(inputs).for_each(|(padded, input)| *padded = *input);
                    S::prepare(pair, &padded, both);
                }
            }
            if part <= 10 {
                break;
            }
            part -= 10;
            inputs = inputs.get(10..).unwrap_or(&[]);
            words = rest;
        }
        inputs = inputs.get(10..).unwrap_or(&[]);
        f(scratch, first, count);
        first += BYTES;
    }
}

/// Makes records of a group's bytes, `count` from `byte` of each row, and adds them.
fn turn_and_add<S: Sums>(
    matrix: &TernaryMatrix<'_>,
    group: usize,
    byte: usize,
    count: usize,
    words: &[i32],
    accumulators: &mut [i32],
) {
    let mut rows = matrix.trit_bytes();
    let mut offsets = matrix.exponent_bytes();
    let (row_bytes, offset_bytes) = (matrix.row_bytes(), matrix.exponent_bytes_of_row());
    let stride = 1 + count;
    let mut accumulators = accumulators;
    while !accumulators.is_empty() {
        let mut records = [0; TURNED * (1 + BYTES)];
        let (some, behind) = accumulators.split_at_mut(accumulators.len().min(TURNED));
        let mut rest = &mut records[..];
        for _ in 0..some.len() {
            let Some((record, behind)) = rest.split_at_mut_checked(stride) else { break };
            let (trits, pairs) = (rows.get(byte..byte + count), offsets.get(group >> 1));
            if let (Some((offset, codes)), Some(trits), Some(pair)) = (record.split_first_mut(), trits, pairs) {
                *offset = if group & 1 == 0 { pair & 15 } else { pair >> 4 };
                // Of one length, which the compiler cannot see.
                codes.iter_mut().zip(trits).for_each(|(code, trits)| *code = *trits);
            }
            rest = behind;
            rows = rows.get(row_bytes..).unwrap_or(&[]);
            offsets = offsets.get(offset_bytes..).unwrap_or(&[]);
        }
        S::add(words, &Records { bytes: &records, stride, first: 1, count }, some);
        accumulators = behind;
    }
}

/// What an instruction set chooses between.
pub(crate) trait Family {
    /// The instruction set's name.
    const NAME: &'static str;
    /// For many rows.
    type Many: Sums;
    /// For few rows.
    type Few: Sums;
    /// The least number of rows that are many, as measured.
    const MANY: usize;

    /// How much scratch a layer takes.
    const SCRATCH: Scratch = Scratch {
        few: scratch_bytes::<Self::Few>(),
        many: scratch_bytes::<Self::Many>(),
        from: Self::MANY,
        row: size_of::<i32>(),
    };
}

/// Plain Rust.
pub(crate) struct Portable;

impl Family for Portable {
    const NAME: &'static str = "portable";
    type Many = PairTable;
    type Few = SplitTable;
    const MANY: usize = 28;
}

const fn scratch_bytes<S: Sums>() -> usize {
    4 * S::WORDS * (BYTES / 2)
}

/// True where the matrix's exponents are offsets from a base, as the kernels here take them.
fn has_offsets(matrix: &TernaryMatrix<'_>) -> bool {
    matrix.encoding() != trishift_format::ExponentEncoding::Int8
}

/// The name of the kernel that runs a layer.
pub(crate) fn name_of<F: Family>(matrix: &TernaryMatrix<'_>) -> &'static str {
    match (has_offsets(matrix), matrix.rows() >= F::MANY) {
        (false, _) => "scalar",
        (true, true) => F::Many::NAME,
        (true, false) => F::Few::NAME,
    }
}

/// A linear layer with int8 outputs; `scratch` holds as much as [`Family::SCRATCH`] says.
pub(crate) fn linear_i8<F: Family>(layer: &LinearI8<'_>, input: &[i8], scratch: &mut [i32], output: &mut [i8]) {
    let words = F::SCRATCH.tables(layer.matrix.rows()) / 4;
    let split = scratch.split_at_mut_checked(words);
    let Some((tables, accumulators)) = split.filter(|_| has_offsets(&layer.matrix)) else {
        return crate::linear::linear_i8(layer, input, output);
    };
    let rows = layer.matrix.rows();
    let Some(accumulators) = accumulators.get_mut(..rows) else {
        return crate::linear::linear_i8(layer, input, output);
    };
    if rows >= F::MANY {
        batch_i8::<F::Many>(layer, input, tables, accumulators, output);
    } else {
        batch_i8::<F::Few>(layer, input, tables, accumulators, output);
    }
}

/// A linear layer with int32 outputs; `scratch` holds as much as [`Family::SCRATCH`] says.
pub(crate) fn linear_i32<F: Family>(layer: &LinearI32<'_>, input: &[i8], scratch: &mut [i32], output: &mut [i32]) {
    let rows = layer.matrix.rows();
    let tables = scratch.get_mut(..F::SCRATCH.tables(rows) / 4);
    let Some(tables) = tables.filter(|_| has_offsets(&layer.matrix)) else {
        return crate::linear::linear_i32(layer, input, output);
    };
    if rows >= F::MANY {
        batch_i32::<F::Many>(layer, input, tables, output);
    } else {
        batch_i32::<F::Few>(layer, input, tables, output);
    }
}

fn batch_i8<S: Sums>(layer: &LinearI8<'_>, input: &[i8], tables: &mut [i32], sums: &mut [i32], output: &mut [i8]) {
    let LinearI8 { ref matrix, bias, scale, relu } = *layer;
    for_each_sample(matrix, input, output, |sample, output| {
        start(bias, sums);
        accumulate::<S>(matrix, sample, tables, sums);
        let lowest = if relu { 0 } else { i32::from(i8::MIN) };
        for ((output, sum), base) in output.iter_mut().zip(&*sums).zip(matrix.bases()) {
            let shift = scale - i32::from(*base as i8);
            *output = match shift {
                // The rounding constant is part of the int32 bound.
                1..=31 => (sum.wrapping_add(1 << (shift - 1)) >> shift).clamp(lowest, 127) as i8,
                _ => requantize_one(*sum, shift, relu),
            };
        }
    });
}

fn batch_i32<S: Sums>(layer: &LinearI32<'_>, input: &[i8], tables: &mut [i32], output: &mut [i32]) {
    let LinearI32 { ref matrix, bias, exponent } = *layer;
    for_each_sample(matrix, input, output, |sample, output| {
        output.fill(0);
        accumulate::<S>(matrix, sample, tables, output);
        for (output, base) in output.iter_mut().zip(matrix.bases()) {
            // In 0..=31 by the int32 bound, but for rows of zeros, whose sum is 0 whatever the shift.
            *output <<= (i32::from(*base as i8) - exponent).clamp(0, 31);
        }
        for (output, bias) in output.iter_mut().zip(bias.iter().flat_map(|bias| bias.iter())) {
            *output = output.wrapping_add(bias);
        }
    });
}

/// Accumulators begin with the bias.
fn start(bias: Option<Bias<'_>>, sums: &mut [i32]) {
    match bias {
        None => sums.fill(0),
        Some(bias) => match words(bias) {
            Some(words) => sums.iter_mut().zip(words).for_each(|(sum, bias)| *sum = *bias),
            None => sums.iter_mut().zip(bias.iter()).for_each(|(sum, bias)| *sum = bias),
        },
    }
}

/// The biases as words, where they lie on a word's boundary, as writers place them: cores that cannot read a word
/// elsewhere would put each together from bytes.
#[allow(unsafe_code, reason = "bytes read as words")]
fn words(bias: Bias<'_>) -> Option<&[i32]> {
    // SAFETY: four bytes of any value are an i32, and `align_to` keeps to its alignment.
    let (before, words, _) = unsafe { bias.bytes().align_to::<i32>() };
    (cfg!(target_endian = "little") && before.is_empty()).then_some(words)
}

/// Calls `f(inputs, outputs)` for every sample.
fn for_each_sample<T>(matrix: &TernaryMatrix<'_>, input: &[i8], output: &mut [T], mut f: impl FnMut(&[i8], &mut [T])) {
    let (columns, rows) = (matrix.columns(), matrix.rows());
    let (mut input, mut output) = (input, output);
    while let (Some((sample, samples)), Some((result, results))) =
        (input.split_at_checked(columns), core::mem::take(&mut output).split_at_mut_checked(rows))
    {
        if columns == 0 {
            return;
        }
        f(sample, result);
        (input, output) = (samples, results);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trishift_format::trits::DECODE;

    /// The sum of `codes` and the inputs they meet, as the kernels find it.
    fn found<S: Sums>(codes: &[u8], inputs: &[i8; COLUMNS]) -> i32 {
        let mut words = [0x5A5A_5A5A; 1024];
        let mut sum = 0;
        for_parts::<S>(5 * codes.len(), inputs, &mut words, |words, _, count| {
            assert_eq!(count, codes.len());
            sum = codes.iter().enumerate().map(|(byte, code)| S::sum(words, byte, *code)).sum();
        });
        sum
    }

    proptest! {
        #[test]
        fn every_table_has_the_sums(
            codes in proptest::collection::vec(0u8..243, 1..=BYTES),
            inputs in proptest::collection::vec(prop_oneof![any::<i8>(), Just(-128)], COLUMNS),
        ) {
            let inputs: [i8; COLUMNS] = inputs.try_into().unwrap();
            let trits = codes.iter().flat_map(|code| DECODE[usize::from(*code)]);
            let expected: i32 = trits.zip(inputs).map(|(trit, input)| i32::from(trit) * i32::from(input)).sum();
            prop_assert_eq!(found::<PairTable>(&codes, &inputs), expected);
            prop_assert_eq!(found::<SplitTable>(&codes, &inputs), expected);
            prop_assert_eq!(found::<lanes::Lanes>(&codes, &inputs), expected);
        }
    }
}

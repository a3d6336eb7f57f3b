//! Linear layers for cores without vector unit: prepare a group's inputs once, then take every row through it.
//!
//! A byte of weights names five trits, so the product of a byte with its five inputs is one of 243 sums. Where there
//! are many rows, all 243 are computed, by additions, and a byte is the index of its sum; where there are few, something
//! smaller is prepared. Either way a row's part in a group is Σ of its bytes' sums, shifted once by the group's exponent.
//! Nothing is prepared twice and nothing stored but for up to 40 columns: scratch does not grow with the matrix.
//!
//! An [`Algorithm`] is two inner steps, preparing and adding, which every instruction set has in assembly and [`Portable`]
//! in plain Rust. What is around them is here, once, and not generic: all matrices take one path through it.
//! [`Layout::Groups`](trishift_format::Layout::Groups) is the order in which the weights are read; in [`Layout::Rows`] a row's bytes are found by their
//! distance, and exponents become shifts a few rows at a time.

#[cfg(feature = "conv2d")]
mod convolution;
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
#[cfg(feature = "conv2d")]
use crate::{conv2d::Conv2d, geometry::Geometry, values::Outputs};
#[cfg(any(feature = "int8-conv2d", feature = "int8-depthwise-conv2d"))]
use trishift_format::Int8Matrix;
#[cfg(feature = "conv2d")]
use trishift_format::bound::Accumulators;
use trishift_format::{Bias, ExponentEncoding, TernaryMatrix};

#[cfg(feature = "conv2d")]
pub(crate) use convolution::{
    LANES, LIST_WORDS, conv2d_scratch, depthwise_scratch, has_too_many, is_gathered, is_linear, window_elements,
};
#[cfg(small_core = "riscv32")]
pub(crate) use riscv32::Core;
#[cfg(small_core = "thumbv6m")]
pub(crate) use thumbv6m::Core;
#[cfg(small_core = "thumbv7m")]
pub(crate) use thumbv7m::Core;

use pair_table::PairTable;
use split_table::SplitTable;

/// Bytes of weights that are prepared for at a time.
const BYTES: usize = 8;

/// The columns of [`BYTES`].
const COLUMNS: usize = 40;

/// Part of a group: up to [`BYTES`] bytes of trits from each row. Assembly reads it.
#[repr(C)]
pub(crate) struct Part {
    /// The first row's bytes.
    trits: *const u8,
    /// What is prepared for them.
    words: *const i32,
    /// The first row's shift. In [`Layout::Groups`] it stands in front of the group's bytes.
    shifts: *const u8,
    /// From a row's bytes to the next row's.
    stride: usize,
    /// From a row's shift to the next row's.
    shift_stride: usize,
    /// How many bytes, at least one.
    bytes: usize,
}

/// Writes words for so many bytes of weights, from five times as many inputs.
///
/// # Safety
/// There are as many inputs, [`Algorithm::words`] words, and up to [`BYTES`] bytes but not none.
type Prepare = unsafe extern "C" fn(words: *mut i32, inputs: *const i8, bytes: usize);

/// Writes words for a byte that is the first of two and has two trits, from two inputs.
///
/// # Safety
/// There are both, and a quarter of [`Algorithm::words`] words.
type PrepareTwo = unsafe extern "C" fn(words: *mut i32, inputs: *const i8);

/// Adds what each row has in a part, shifted, to the rows' accumulators from `sums` to `end`.
///
/// # Safety
/// There is an accumulator, and for each of them the part has a row and its words were prepared for as many bytes.
type Add = unsafe extern "C" fn(sums: *mut i32, end: *const i32, part: &Part);

/// How the sums of weight bytes and inputs are found.
pub(crate) struct Algorithm {
    /// In a profile.
    name: &'static str,
    /// Words of scratch.
    words: usize,
    /// Those for two bytes: a quarter.
    pair: usize,
    /// The first step.
    prepare: Prepare,
    /// The same for the seventh byte of 32 columns, which has little to prepare for.
    prepare_two: PrepareTwo,
    /// The second one.
    add: Add,
    /// The same for records of eight bytes right behind each other, the shift in front of each.
    add_eight: Add,
    /// For records of seven, which are 32 columns.
    add_seven: Add,
    /// For records of two.
    add_two: Add,
    /// True where those of eight and seven take an even number of rows.
    even: bool,
}

/// What an instruction set chooses between.
pub(crate) trait Family {
    /// The instruction set's name.
    const NAME: &'static str;
    /// For many rows.
    const MANY: Algorithm;
    /// For few rows.
    const FEW: Algorithm;
    /// The least number of rows that are many, as measured.
    const FROM: usize;
    /// Accumulators to int8.
    const REQUANTIZE: Requantize;
    /// Convolutions.
    #[cfg(feature = "conv2d")]
    const STEPS: &'static convolution::Steps;

    /// How much scratch a layer takes.
    const SCRATCH: Scratch = Scratch {
        few: size_of::<i32>() * Self::FEW.words,
        many: size_of::<i32>() * Self::MANY.words,
        from: Self::FROM,
        row: size_of::<i32>(),
        tiles: cfg!(feature = "conv2d"),
    };
}

fn choose<F: Family>(rows: usize) -> &'static Algorithm {
    if rows >= F::FROM { &F::MANY } else { &F::FEW }
}

/// The name of the kernel that runs a layer.
pub(crate) fn name_of<F: Family>(matrix: &TernaryMatrix<'_>) -> &'static str {
    choose::<F>(matrix.rows()).name
}

/// A linear layer with int8 outputs; `scratch` holds as much as [`Family::SCRATCH`] says.
pub(crate) fn linear_i8<F: Family>(layer: &LinearI8<'_>, input: &[i8], scratch: &mut [i32], output: &mut [i8]) {
    let algorithm = choose::<F>(layer.matrix.rows());
    let Some((words, sums)) = scratch.split_at_mut_checked(algorithm.words) else { return };
    run(algorithm, Layer::I8(layer, F::REQUANTIZE), input, words, sums, output);
}

/// A linear layer with int32 outputs; `scratch` holds as much as [`Family::SCRATCH`] says.
pub(crate) fn linear_i32<F: Family>(layer: &LinearI32<'_>, input: &[i8], scratch: &mut [i32], output: &mut [i32]) {
    let algorithm = choose::<F>(layer.matrix.rows());
    let Some(words) = scratch.get_mut(..algorithm.words) else { return };
    run(algorithm, Layer::I32(layer), input, words, output, &mut []);
}

/// A convolution; `scratch` holds as much as [`Scratch::conv2d`] says.
#[cfg(feature = "conv2d")]
pub(crate) fn conv2d<F: Family>(layer: &Conv2d<'_>, input: &[i8], scratch: &mut [i32], output: Outputs<'_>) {
    let Conv2d { matrix, bias, accumulators, relu, ref geometry } = *layer;
    let is_linear = convolution::is_linear(geometry, matrix.rows());
    if !is_linear && !convolution::is_gathered(geometry) {
        return match convolution::Layer::of_all_channels(layer) {
            Some(layer) => convolution::conv2d(F::STEPS, &layer, input, scratch, output),
            None => crate::conv2d::conv2d(layer, input, output),
        };
    }
    let elements = if is_linear { 0 } else { convolution::window_elements(geometry) };
    let Some((window, scratch)) = scratch.split_at_mut_checked(elements.div_ceil(size_of::<i32>())) else { return };
    let Some(window) = crate::conv2d::bytes_of(window).get_mut(..elements) else { return };
    match (accumulators, output) {
        (Accumulators::PerRow { scale }, Outputs::I8(output)) => {
            let layer = LinearI8 { matrix, bias, scale, relu };
            each_window(geometry, input, window, output, |window, output| {
                linear_i8::<F>(&layer, window, scratch, output)
            });
        }
        (Accumulators::Layer { exponent }, Outputs::I32(output)) => {
            let layer = LinearI32 { matrix, bias, exponent };
            each_window(geometry, input, window, output, |window, output| {
                linear_i32::<F>(&layer, window, scratch, output)
            });
        }
        _ => {}
    }
}

/// Windows one after another; those of one pixel all at once. Where `window` has room they are gathered there, else their
/// elements lie side by side.
#[cfg(feature = "conv2d")]
fn each_window<T>(
    geometry: &Geometry,
    input: &[i8],
    window: &mut [i8],
    output: &mut [T],
    mut product: impl FnMut(&[i8], &mut [T]),
) {
    if window.is_empty() && convolution::is_pointwise(geometry) {
        return product(input, output);
    }
    let row = geometry.input[1] * geometry.input[2];
    // Only of a file that nobody parsed can they wrap: then there is no such window.
    let (length, step) = (geometry.kernel[0].wrapping_mul(row), geometry.stride[0].wrapping_mul(row));
    let width = geometry.output[1].max(1);
    let samples = input.chunks_exact(geometry.input_len().max(1));
    for (sample, output) in samples.zip(output.chunks_exact_mut(geometry.output_len().max(1))) {
        for (place, output) in output.chunks_exact_mut(geometry.output[2].max(1)).enumerate() {
            if !window.is_empty() {
                convolution::gather(geometry, sample, [place / width, place % width], window);
                product(window, output);
                continue;
            }
            let start = place.wrapping_mul(step);
            let Some(window) = sample.get(start..).and_then(|rest| rest.get(..length)) else { return };
            product(window, output);
        }
    }
}

/// A depthwise convolution; `scratch` holds as much as [`Scratch::depthwise_conv2d`] says.
#[cfg(feature = "depthwise-conv2d")]
pub(crate) fn depthwise_conv2d<F: Family>(layer: &Conv2d<'_>, input: &[i8], scratch: &mut [i32], output: Outputs<'_>) {
    match convolution::Layer::of_each_channel(layer) {
        Some(layer) => convolution::depthwise_conv2d(F::STEPS, &layer, input, scratch, output),
        None => crate::conv2d::depthwise_conv2d(layer, input, output),
    }
}

/// The same where the output takes the input's place.
#[cfg(feature = "depthwise-conv2d")]
pub(crate) fn depthwise_conv2d_in_place<F: Family>(layer: &Conv2d<'_>, scratch: &mut [i32], data: &mut [i8]) {
    match convolution::Layer::of_each_channel(layer) {
        Some(layer) => convolution::depthwise_conv2d_in_place(F::STEPS, &layer, scratch, data),
        None => crate::conv2d::depthwise_conv2d_in_place(layer, scratch, data),
    }
}

/// A convolution with int8 weights; `scratch` holds as much as [`Scratch::int8_conv2d`] says.
#[cfg(feature = "int8-conv2d")]
pub(crate) fn int8_conv2d<F: Family>(
    layer: &Conv2d<'_, Int8Matrix<'_>>,
    input: &[i8],
    scratch: &mut [i32],
    output: Outputs<'_>,
) {
    match convolution::Layer::of_all_channels(layer) {
        Some(layer) => convolution::conv2d(F::STEPS, &layer, input, scratch, output),
        None => crate::conv2d::int8_conv2d(layer, input, output),
    }
}

/// A depthwise convolution with int8 weights; `scratch` holds as much as [`Scratch::int8_depthwise_conv2d`] says.
#[cfg(feature = "int8-depthwise-conv2d")]
pub(crate) fn int8_depthwise_conv2d<F: Family>(
    layer: &Conv2d<'_, Int8Matrix<'_>>,
    input: &[i8],
    scratch: &mut [i32],
    output: Outputs<'_>,
) {
    match convolution::Layer::of_each_channel(layer) {
        Some(layer) => convolution::depthwise_conv2d(F::STEPS, &layer, input, scratch, output),
        None => crate::conv2d::int8_depthwise_conv2d(layer, input, output),
    }
}

/// A layer of either kind.
#[derive(Clone, Copy)]
enum Layer<'a> {
    /// Its outputs are apart from its accumulators, which serve one sample after the other.
    I8(&'a LinearI8<'a>, Requantize),
    /// Its outputs are the accumulators.
    I32(&'a LinearI32<'a>),
}

/// All samples of a batch, with [`Algorithm::words`] words. `output` is for int8 outputs.
#[inline(never)]
fn run(algorithm: &Algorithm, layer: Layer<'_>, input: &[i8], words: &mut [i32], sums: &mut [i32], output: &mut [i8]) {
    let (matrix, bias, units, narrow) = match layer {
        Layer::I8(layer, _) => (&layer.matrix, layer.bias, None, layer.matrix.rows()),
        Layer::I32(layer) => (&layer.matrix, None, Some(layer.exponent), 0),
    };
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let (mut input, mut output, mut first) = (input, output, 0);
    while columns > 0 && input.len() >= columns {
        let Some(sums) = sums.get_mut(first..).and_then(|sums| sums.get_mut(..rows)) else { return };
        first += rows - narrow;
        let Some((result, results)) = core::mem::take(&mut output).split_at_mut_checked(narrow) else { return };
        start(bias, sums);
        if matrix.encoding() == ExponentEncoding::Int8 {
            smallest_exponents(matrix, result);
        }
        accumulate(algorithm, matrix, input, words, sums, units.map_or(Units::Rows(result), Units::Layer));
        match layer {
            Layer::I8(layer, requantize) => requantize_rows(requantize, layer, sums, result),
            Layer::I32(layer) => finish_rows(layer, sums),
        }
        input = input.get(columns..).unwrap_or(&[]);
        output = results;
    }
}

/// Accumulators, each in its row's unit, to the layer's; then the bias.
#[inline(never)]
fn finish_rows(layer: &LinearI32<'_>, output: &mut [i32]) {
    for (output, base) in output.iter_mut().zip(layer.matrix.bases()) {
        *output <<= shift_between(*base, layer.exponent);
    }
    for (output, bias) in output.iter_mut().zip(layer.bias.iter().flat_map(|bias| bias.iter())) {
        *output = output.wrapping_add(bias);
    }
}

/// Accumulators to int8. Units of rows are the bases, and where there are none, what `output` holds.
#[allow(unsafe_code, reason = "calls assembly")]
fn requantize_rows(requantize: Requantize, layer: &LinearI8<'_>, sums: &[i32], output: &mut [i8]) {
    let bases = layer.matrix.bases();
    let to = output.as_mut_ptr();
    let units = if bases.len() < output.len() { to.cast_const() } else { bases.as_ptr().cast() };
    let lowest = if layer.relu { 0 } else { i8::MIN.into() };
    let mut rows = Rows { to, units, scale: layer.scale, lowest };
    let Some(sums) = sums.get(..output.len()).filter(|sums| !sums.is_empty()) else { return };
    let range = sums.as_ptr_range();
    // SAFETY: there are as many units and outputs as sums, and not none.
    let reached = unsafe { requantize(&mut rows, range.start, range.end) };
    if reached != range.end {
        requantize_far(rows, reached, range.end);
    }
}

/// Requantises the sums up to `end`, or up to one whose shift is not in 1..=31, and says how far it came.
///
/// # Safety
/// There is a sum, and for each of them a unit and an output.
type Requantize = unsafe extern "C" fn(rows: &mut Rows, sums: *const i32, end: *const i32) -> *const i32;

/// The rows whose outputs are next. Assembly reads and writes it.
#[repr(C)]
pub(crate) struct Rows {
    /// The first one's output.
    to: *mut i8,
    /// The first one's unit; the place of its output, where that holds it.
    units: *const i8,
    /// Less a row's unit, its shift.
    scale: i32,
    /// 0 or −128.
    lowest: i32,
}

/// Requantises rows with any shift.
#[allow(unsafe_code, reason = "pointers that may be one")]
#[cold]
#[inline(never)]
fn requantize_far(mut rows: Rows, mut sums: *const i32, end: *const i32) {
    while sums != end {
        // SAFETY: there are as many units and outputs as sums, and one is left.
        unsafe {
            *rows.to = requantize_one(*sums, rows.scale - i32::from(*rows.units), rows.lowest == 0);
        }
        (sums, rows.to, rows.units) = (sums.wrapping_add(1), rows.to.wrapping_add(1), rows.units.wrapping_add(1));
    }
}

/// From an exponent to a unit: in 0..=31 by the int32 bound, but where all is 0, whatever the shift.
fn shift_between(exponent: u8, unit: i32) -> u8 {
    (i32::from(exponent as i8) - unit).clamp(0, 31) as u8
}

/// Accumulators begin with the bias.
#[inline(never)]
fn start(bias: Option<Bias<'_>>, sums: &mut [i32]) {
    let Some(bias) = bias else { return sums.fill(0) };
    match words(bias) {
        Some(words) => copy_few(words, sums),
        None => sums.iter_mut().zip(bias.iter()).for_each(|(sum, bias)| *sum = bias),
    }
}

/// The biases as words, where they lie on a word's boundary, as writers place them: cores that cannot read a word
/// elsewhere would put each together from bytes.
#[allow(unsafe_code, reason = "bytes read as words")]
fn words(bias: Bias<'_>) -> Option<&[i32]> {
    let (bytes, words) = (bias.bytes(), bias.bytes().as_ptr().cast::<i32>());
    let fit = cfg!(target_endian = "little") && words.is_aligned();
    // SAFETY: four bytes of any value are an i32, and the first one is aligned.
    fit.then(|| unsafe { core::slice::from_raw_parts(words, bytes.len() >> 2) })
}

/// What exponents stored one by one are counted from.
#[derive(Clone, Copy)]
enum Units<'a> {
    /// A unit for each row.
    Rows(&'a [i8]),
    /// One for all.
    Layer(i32),
}

/// The smallest exponent of each row, where they are stored one by one.
#[cold]
#[inline(never)]
fn smallest_exponents(matrix: &TernaryMatrix<'_>, smallest: &mut [i8]) {
    let mut exponents = matrix.exponent_bytes();
    for smallest in smallest {
        let Some((row, rows)) = exponents.split_at_checked(matrix.exponent_bytes_of_row()) else { return };
        *smallest = row.iter().fold(i8::MAX, |smallest, exponent| smallest.min(*exponent as i8));
        exponents = rows;
    }
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
    // No group is larger.
    TRIT_BYTES.get(columns).copied().unwrap_or(0).into()
}

/// Adds every group of one sample, which `inputs` begin with, to the rows' accumulators. They count in the units of the
/// rows' bases, and where there are none in `units`. There are `matrix.rows()` accumulators and [`Algorithm::words`] words.
#[inline(always)]
fn accumulate(
    algorithm: &Algorithm,
    matrix: &TernaryMatrix<'_>,
    inputs: &[i8],
    words: &mut [i32],
    sums: &mut [i32],
    units: Units<'_>,
) {
    let group = matrix.group().get();
    match matrix.blocks().next() {
        // All full groups' records take as many bytes as the first one's.
        Some(block) if group <= COLUMNS => {
            accumulate_records(algorithm, matrix, inputs, block.records.len(), words, sums);
        }
        block => {
            accumulate_parts(algorithm, matrix, inputs, block.map(|block| block.records.len()), words, sums, units)
        }
    }
}

/// Groups that are one part, in [`Layout::Groups`](trishift_format::Layout::Groups); from one to the next it is `block`
/// bytes. Here every instruction counts.
#[allow(unsafe_code, reason = "calls assembly")]
#[inline(always)]
fn accumulate_records(
    algorithm: &Algorithm,
    matrix: &TernaryMatrix<'_>,
    inputs: &[i8],
    block: usize,
    words: &mut [i32],
    sums: &mut [i32],
) {
    let mut left = matrix.columns();
    let (mut first, mut available) = (inputs.as_ptr(), inputs.len());
    let mut part = Part::new(matrix.trit_bytes().as_ptr(), words);
    let range = sums.as_mut_ptr_range();
    let odd = algorithm.even && sums.len() & 1 == 1;
    // All full groups, then the last one.
    while left > 0 {
        let columns = left.min(matrix.group().get());
        part.begin_records(columns);
        let add = algorithm.add_for(columns);
        // Whole bytes, and two trits.
        let thirty_two = columns == 32;
        loop {
            if thirty_two {
                // SAFETY: there are as many inputs, and words.
                unsafe {
                    (algorithm.prepare)(words.as_mut_ptr(), first, 6);
                    (algorithm.prepare_two)(
                        words.as_mut_ptr().wrapping_add(algorithm.seventh()),
                        first.wrapping_add(30),
                    );
                }
            } else if available < inputs_of(part.bytes) {
                // SAFETY: so many inputs are left of the slice.
                let inputs = unsafe { core::slice::from_raw_parts(first, available) };
                prepare_padded(algorithm, words, inputs, part.bytes);
            } else {
                // SAFETY: there are as many inputs, and a group of up to `COLUMNS` columns has up to `BYTES` bytes.
                unsafe { (algorithm.prepare)(words.as_mut_ptr(), first, part.bytes) };
            }
            if odd {
                add_odd_records(algorithm, add, sums, &part);
            } else {
                // SAFETY: a matrix has a row. `sums` is an accumulator for each row, and by what `TernaryMatrix` stands
                // for a block has a record for each row, of `stride` bytes: a shift, and the bytes of the group. The
                // functions for eight and seven get whole records, and an even number of them where they want one.
                unsafe { add(range.start, range.end, &part) };
            }
            left -= columns;
            // A sample has as many inputs as the matrix has columns.
            first = first.wrapping_add(columns);
            available = available.wrapping_sub(columns);
            part.shifts = part.shifts.wrapping_add(block);
            part.trits = part.trits.wrapping_add(block);
            if left < columns {
                break;
            }
        }
    }
}

/// Whatever matrix; groups of more than [`COLUMNS`] columns in parts.
#[inline(never)]
fn accumulate_parts(
    algorithm: &Algorithm,
    matrix: &TernaryMatrix<'_>,
    inputs: &[i8],
    block: Option<usize>,
    words: &mut [i32],
    sums: &mut [i32],
    units: Units<'_>,
) {
    let (mut inputs, mut left, mut group) = (inputs, matrix.columns(), 0);
    let mut next = matrix.trit_bytes().as_ptr();
    while left > 0 {
        let mut columns = left.min(matrix.group().get());
        left -= columns;
        let mut part = Part::new(next, words);
        part.begin_records(columns);
        let mut bytes = part.bytes;
        if block.is_none() {
            part.trits = next;
            part.stride = matrix.row_bytes();
        }
        next = next.wrapping_add(block.unwrap_or(bytes));
        loop {
            part.bytes = bytes.min(BYTES);
            if inputs.len() < inputs_of(part.bytes) {
                prepare_padded(algorithm, words, inputs, part.bytes);
            } else {
                prepare(algorithm, words, inputs, part.bytes);
            }
            match block {
                Some(_) => add_part(algorithm, sums, &part),
                None => add_rows(algorithm, sums, &part, matrix, group, units),
            }
            if columns <= COLUMNS {
                break;
            }
            inputs = inputs.get(COLUMNS..).unwrap_or(&[]);
            columns -= COLUMNS;
            bytes -= BYTES;
            part.trits = part.trits.wrapping_add(BYTES);
        }
        inputs = inputs.get(columns..).unwrap_or(&[]);
        group += 1;
    }
}

impl Part {
    fn new(shifts: *const u8, words: &[i32]) -> Self {
        Self { trits: shifts, words: words.as_ptr(), shifts, stride: 0, shift_stride: 0, bytes: 0 }
    }

    /// All of a group of so many columns in [`Layout::Groups`](trishift_format::Layout::Groups).
    #[inline(always)]
    fn begin_records(&mut self, columns: usize) {
        self.bytes = trit_bytes(columns);
        self.trits = self.shifts.wrapping_add(1);
        self.stride = 1 + self.bytes;
        self.shift_stride = self.stride;
    }
}

/// Inputs that so many bytes of weights meet: a table, because compilers make a multiplication of shifts and additions.
static INPUTS: [u8; BYTES + 1] = [0, 5, 10, 15, 20, 25, 30, 35, 40];

fn inputs_of(bytes: usize) -> usize {
    // No part is larger.
    INPUTS.get(bytes).copied().unwrap_or(0).into()
}

/// Prepares for so many bytes from the first input on, of which there are five times as many.
#[allow(unsafe_code, reason = "calls assembly")]
#[inline(always)]
fn prepare(algorithm: &Algorithm, words: &mut [i32], inputs: &[i8], bytes: usize) {
    // SAFETY: callers have split off the algorithm's words, no part has more bytes than `BYTES`, and for each of them
    // there are five inputs.
    unsafe { (algorithm.prepare)(words.as_mut_ptr(), inputs.as_ptr(), bytes) }
}

/// The same where inputs are missing for the last byte. Past a row's last column trits are 0, and what they meet does not
/// matter, but there must be something to meet.
#[cold]
#[inline(never)]
fn prepare_padded(algorithm: &Algorithm, words: &mut [i32], inputs: &[i8], bytes: usize) {
    if bytes > 2 {
        return prepare_long_padded(algorithm, words, inputs, bytes);
    }
    let mut padded = [0; 10];
    copy_few(inputs, &mut padded);
    prepare(algorithm, words, &padded, bytes);
}

/// The same for more than two bytes: first those for which there are inputs.
#[inline(never)]
fn prepare_long_padded(algorithm: &Algorithm, words: &mut [i32], inputs: &[i8], bytes: usize) {
    let pairs = (bytes - 1) >> 1;
    prepare(algorithm, words, inputs, pairs << 1);
    let done = algorithm.pair << (pairs >> 1);
    let done = if pairs == 3 { done + algorithm.pair } else { done };
    let (words, inputs) = (words.get_mut(done..), inputs.get(inputs_of(pairs << 1)..));
    if let (Some(words), Some(inputs)) = (words, inputs) {
        prepare_padded(algorithm, words, inputs, bytes - (pairs << 1));
    }
}

/// Copies what there is, in fewer instructions than `memcpy` as long as it is not much.
#[allow(unsafe_code, reason = "volatile")]
#[inline(always)]
fn copy_few<T: Copy>(from: &[T], to: &mut [T]) {
    let range = from.get(..to.len()).unwrap_or(from).as_ptr_range();
    let (mut from, mut to) = (range.start, to.as_mut_ptr());
    while from != range.end {
        // SAFETY: one is left of both. Volatile, or the compiler would call `memcpy` after all, and twice, or it would copy
        // several at a time.
        unsafe { to.write_volatile(from.read_volatile()) };
        (from, to) = (from.wrapping_add(1), to.wrapping_add(1));
    }
}

/// Adds a part of a group in [`Layout::Groups`](trishift_format::Layout::Groups).
#[allow(unsafe_code, reason = "calls assembly")]
fn add_part(algorithm: &Algorithm, sums: &mut [i32], part: &Part) {
    let range = sums.as_mut_ptr_range();
    // SAFETY: a matrix has a row. `sums` is an accumulator for each row, and by what `TernaryMatrix` stands for a block
    // has a record for each row, of `stride` bytes: a shift, and the bytes of the group, of which these are a part.
    unsafe { (algorithm.add)(range.start, range.end, part) }
}

/// Adds whole records for an odd number of rows, where fast functions want an even one: the first by itself.
#[allow(unsafe_code, reason = "calls assembly")]
#[cold]
#[inline(never)]
fn add_odd_records(algorithm: &Algorithm, add: Add, sums: &mut [i32], part: &Part) {
    let Some((first, rest)) = sums.split_at_mut_checked(1) else { return };
    add_part(algorithm, first, part);
    let (trits, shifts) = (part.trits.wrapping_add(part.stride), part.shifts.wrapping_add(part.stride));
    let part = Part { trits, shifts, ..*part };
    let range = rest.as_mut_ptr_range();
    if !rest.is_empty() {
        // SAFETY: as above for the rows behind the first, whose records begin here; an even number.
        unsafe { add(range.start, range.end, &part) }
    }
}

impl Algorithm {
    /// What adds the records of a group of so many columns.
    #[inline(always)]
    fn add_for(&self, columns: usize) -> Add {
        match columns {
            36..=COLUMNS => self.add_eight,
            32 => self.add_seven,
            6..=10 => self.add_two,
            _ => self.add,
        }
    }

    /// Where the words for the seventh byte begin.
    fn seventh(&self) -> usize {
        self.words - self.pair
    }
}

/// Shifts that are on the stack at a time.
const SHIFTS: usize = 32;

/// Adds a part of group number `group` in [`Layout::Rows`].
#[allow(unsafe_code, reason = "calls assembly")]
#[inline(never)]
fn add_rows(
    algorithm: &Algorithm,
    sums: &mut [i32],
    part: &Part,
    matrix: &TernaryMatrix<'_>,
    group: usize,
    units: Units<'_>,
) {
    let (by_one, step) = (matrix.encoding() == ExponentEncoding::Int8, matrix.exponent_bytes_of_row());
    let mut exponents = matrix.exponent_bytes().get(if by_one { group } else { group >> 1 }..).unwrap_or(&[]);
    let mut units_of_rows = match units {
        Units::Rows(units) => units.iter(),
        Units::Layer(_) => [].iter(),
    };
    let mut trits = part.trits;
    for sums in sums.chunks_mut(SHIFTS) {
        let first = trits;
        let mut shifts = [0; SHIFTS];
        for shift in shifts.iter_mut().take(sums.len()) {
            let exponent = exponents.first().copied().unwrap_or(0);
            *shift = match (by_one, units) {
                (true, Units::Layer(unit)) => shift_between(exponent, unit),
                (true, Units::Rows(_)) => shift_between(exponent, units_of_rows.next().copied().map_or(0, i32::from)),
                (false, _) if group & 1 == 0 => exponent & 15,
                (false, _) => exponent >> 4,
            };
            exponents = exponents.get(step..).unwrap_or(&[]);
            trits = trits.wrapping_add(part.stride);
        }
        let part = Part { trits: first, shifts: shifts.as_ptr(), shift_stride: 1, ..*part };
        let range = sums.as_mut_ptr_range();
        // SAFETY: `sums` are accumulators of rows from `first` on, not none, and by what `TernaryMatrix` stands for every
        // row has as many bytes as the stride, among them these of the group; there are as many shifts as rows.
        unsafe { (algorithm.add)(range.start, range.end, &part) }
    }
}

/// An algorithm in plain Rust.
trait Sums {
    /// Words prepared for the inputs of two bytes.
    const WORDS: usize;

    /// In a profile.
    const NAME: &'static str;

    /// Both steps.
    const ALGORITHM: Algorithm = Algorithm {
        name: Self::NAME,
        words: Self::WORDS * (BYTES / 2),
        pair: Self::WORDS,
        prepare: prepare_portable::<Self>,
        prepare_two: prepare_two_portable::<Self>,
        add: add_portable::<Self>,
        add_eight: add_portable::<Self>,
        add_seven: add_portable::<Self>,
        add_two: add_portable::<Self>,
        even: false,
    };

    /// Prepares for two bytes, or for the first alone where `both` is false: then any inputs may stand behind its five.
    fn prepare(words: &mut [i32], inputs: &[i8; 10], both: bool);

    /// What byte number `byte` adds to a group's sum.
    fn sum(words: &[i32], byte: usize, code: u8) -> i32;
}

/// Plain Rust.
pub(crate) struct Portable;

impl Family for Portable {
    const NAME: &'static str = "portable";
    // As assembly wants it, so that tests on any machine come through there.
    const MANY: Algorithm = Algorithm { even: true, ..PairTable::ALGORITHM };
    const FEW: Algorithm = SplitTable::ALGORITHM;
    const FROM: usize = 28;
    const REQUANTIZE: Requantize = requantize_portable;
    #[cfg(feature = "conv2d")]
    const STEPS: &'static convolution::Steps = &convolution::PORTABLE;
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn requantize_portable(rows: &mut Rows, mut sums: *const i32, end: *const i32) -> *const i32 {
    while sums != end {
        // SAFETY: there are as many units and outputs as sums, as a caller of `Requantize` promises, and one is left.
        let (sum, shift) = unsafe { (*sums, rows.scale - i32::from(*rows.units)) };
        if !(1..=31).contains(&shift) {
            break;
        }
        // The rounding constant is part of the int32 bound.
        let rounded = (sum >> (shift - 1)).wrapping_add(1) >> 1;
        // SAFETY: as above.
        unsafe { *rows.to = rounded.clamp(rows.lowest, i8::MAX.into()) as i8 };
        (sums, rows.to, rows.units) = (sums.wrapping_add(1), rows.to.wrapping_add(1), rows.units.wrapping_add(1));
    }
    sums
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn prepare_portable<S: Sums + ?Sized>(words: *mut i32, inputs: *const i8, bytes: usize) {
    // SAFETY: so many of both are what a caller of `Prepare` promises.
    let (words, inputs) = unsafe {
        let words = core::slice::from_raw_parts_mut(words, S::WORDS * (BYTES / 2));
        (words, core::slice::from_raw_parts(inputs, 5 * bytes))
    };
    for (words, inputs) in words.chunks_mut(S::WORDS).zip(inputs.chunks(10)) {
        let mut ten = [0; 10];
        ten.iter_mut().zip(inputs).for_each(|(ten, input)| *ten = *input);
        S::prepare(words, &ten, inputs.len() == 10);
    }
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn prepare_two_portable<S: Sums + ?Sized>(words: *mut i32, inputs: *const i8) {
    // SAFETY: so many of both are what a caller of `PrepareTwo` promises.
    let (words, inputs) = unsafe { (core::slice::from_raw_parts_mut(words, S::WORDS), &*inputs.cast::<[i8; 2]>()) };
    let [first, second] = *inputs;
    S::prepare(words, &[first, second, 0, 0, 0, 0, 0, 0, 0, 0], false);
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn add_portable<S: Sums + ?Sized>(sums: *mut i32, end: *const i32, part: &Part) {
    // SAFETY: both are of one slice, as a caller of `Add` promises, and it is borrowed exclusively; so many words are
    // prepared.
    let (sums, words) = unsafe {
        let rows = end.offset_from_unsigned(sums);
        (core::slice::from_raw_parts_mut(sums, rows), core::slice::from_raw_parts(part.words, S::WORDS * (BYTES / 2)))
    };
    let (mut trits, mut shift) = (part.trits, part.shifts);
    for accumulator in sums {
        // SAFETY: the part has a row for every accumulator.
        let (codes, by) = unsafe { (core::slice::from_raw_parts(trits, part.bytes), *shift) };
        let sum: i32 = codes.iter().enumerate().map(|(byte, code)| S::sum(words, byte, *code)).sum();
        *accumulator = accumulator.wrapping_add(sum.wrapping_shl(by.into()));
        trits = trits.wrapping_add(part.stride);
        shift = shift.wrapping_add(part.shift_stride);
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
        prepare(&S::ALGORITHM, &mut words, &inputs[..5 * codes.len()], codes.len());
        codes.iter().enumerate().map(|(byte, code)| S::sum(&words, byte, *code)).sum()
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

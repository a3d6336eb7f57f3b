//! What an operator does on a core without vector unit, in amounts that its instructions are proportional to.
//!
//! The amounts follow the kernels: linear layers prepare tables for a group's inputs and take every row through them;
//! convolutions gather tiles of windows and add their columns by lists, one step for each trit that is not 0; everything else
//! goes over its elements.

use std::collections::{BTreeMap, BTreeSet};
use trishift::Model;
use trishift::kernels::geometry::Geometry;
use trishift::kernels::{ConvolutionWay, Scratch};
use trishift_format::{DataType, Operator, Tensor, Window, trits};

/// Amounts, by name.
pub type Work = BTreeMap<String, f64>;

/// Columns that a linear layer prepares for at a time.
const PART: usize = 40;

/// Channels whose means are found at a time.
const CHANNELS: usize = 64;

/// The work of one run of an operator; `None` of one that no exported network has.
pub fn of(model: &Model<'_>, operator: &Operator, scratch: &Scratch) -> Option<Work> {
    let output = model.tensor(operator.output());
    let [input, _] = operator.inputs();
    let input = model.tensor(input);
    let mut work = Amounts::default();
    let (inputs, outputs) = (input.len() as f64, output.len() as f64);
    match operator {
        Operator::Linear(op) => {
            let layer = Linear {
                rows: op.weights.rows as usize,
                columns: op.weights.columns as usize,
                group: model.matrix(&op.weights).group().get(),
                wide: output.data_type == DataType::I32,
                windows: 1.0,
            };
            layer.add(&mut work, scratch);
        }
        Operator::Conv2d(op) => {
            let rows = rows_of(model, operator)?;
            convolution(
                &mut work,
                &rows,
                &op.window,
                [&input, &output],
                scratch,
                Some(model.matrix(&op.weights).group().get()),
            );
        }
        Operator::Int8Conv2d(op) => {
            convolution(&mut work, &rows_of(model, operator)?, &op.window, [&input, &output], scratch, None);
        }
        Operator::DepthwiseConv2d(op) => {
            depthwise(&mut work, &rows_of(model, operator)?, &Geometry::new(&op.window, &input, &output), true);
        }
        Operator::Int8DepthwiseConv2d(op) => {
            depthwise(&mut work, &rows_of(model, operator)?, &Geometry::new(&op.window, &input, &output), false);
        }
        Operator::Int8Linear(op) => {
            let [rows, columns] = [op.weights.rows, op.weights.columns].map(f64::from);
            work.add("int8-linear.products", rows * columns);
            work.add("int8-linear.rows", rows);
            work.add("int8-linear.calls", 1.0);
        }
        Operator::MaxPool(op) => pool(&mut work, "max-pool", &op.window, &output),
        Operator::AvgPool(op) => pool(&mut work, "avg-pool", &op.window, &output),
        Operator::Add(_) => elements(&mut work, "add", outputs),
        Operator::Concat(_) => {
            elements(&mut work, "concat", outputs);
            work.add("concat.pixels", outputs / f64::from(output.shape[2].max(1)));
        }
        Operator::Relu(_) => elements(&mut work, "relu", outputs),
        Operator::Requantize(_) => elements(&mut work, "requantize", outputs),
        Operator::ShiftNorm(_) => elements(&mut work, "shift-norm", outputs),
        Operator::RmsNorm(_) => elements(&mut work, "rms-norm", outputs),
        Operator::Pad(_) => {
            elements(&mut work, "pad", outputs);
            work.add("pad.copied-elements", inputs);
            work.add("pad.rows", f64::from(input.shape[0]));
        }
        Operator::Reshape(_) => elements(&mut work, "reshape", inputs),
        Operator::Embedding(op) => {
            elements(&mut work, "embedding", inputs * f64::from(op.weights.columns));
            work.add("embedding.rows", inputs);
        }
        _ => return None,
    }
    Some(work.0)
}

#[derive(Default)]
struct Amounts(Work);

impl Amounts {
    fn add(&mut self, what: impl Into<String>, amount: f64) {
        if amount != 0.0 {
            *self.0.entry(what.into()).or_default() += amount;
        }
    }
}

fn elements(work: &mut Amounts, kind: &str, count: f64) {
    work.add(format!("{kind}.elements"), count);
    work.add(format!("{kind}.calls"), 1.0);
}

/// Windows are gone through pixel by pixel, and of each pixel channel by channel.
fn pool(work: &mut Amounts, kind: &str, window: &Window, output: &Tensor) {
    let channels = output.shape[2] as usize;
    let outputs = output.len() as f64;
    let windows = outputs / channels.max(1) as f64;
    let mut add = |what: &str, amount: f64| work.add(format!("{kind}.{what}"), amount);
    // Means add up some channels at a time.
    let blocks = if kind == "avg-pool" { channels.div_ceil(CHANNELS) as f64 } else { 1.0 };
    add("windows", windows * blocks);
    add("window-rows", windows * blocks * f64::from(window.kernel[0]));
    add("pixels", windows * blocks * window.area() as f64);
    add("elements", outputs * window.area() as f64);
    add("outputs", outputs);
    add("calls", 1.0);
}

/// A linear layer, on so many windows.
struct Linear {
    rows: usize,
    columns: usize,
    group: usize,
    wide: bool,
    windows: f64,
}

impl Linear {
    fn add(&self, work: &mut Amounts, scratch: &Scratch) {
        let kind = if self.rows >= scratch.from { "linear-many" } else { "linear-few" };
        let rows = self.rows as f64;
        let mut add = |what: &str, amount: f64| work.add(format!("{kind}.{what}"), amount * self.windows);
        let mut left = self.columns;
        while left > 0 {
            let group = left.min(self.group);
            left -= group;
            // Groups of more than one part take another way through the matrix.
            let large = self.group > PART;
            let mut rest = group;
            while rest > 0 {
                let part = rest.min(PART);
                rest -= part;
                let bytes = part.div_ceil(trits::PER_BYTE) as f64;
                add("parts", 1.0);
                add("bytes", bytes);
                match (large, bytes as usize) {
                    (true, _) => {
                        add("rows.large-parts", rows);
                        add("rows.large-bytes", rows * bytes);
                    }
                    (false, 8) => add("rows.eight-bytes", rows),
                    (false, 7) => add("rows.seven-bytes", rows),
                    (false, 2) => add("rows.two-bytes", rows),
                    (false, _) => {
                        add("rows.parts", rows);
                        add("rows.bytes", rows * bytes);
                    }
                }
            }
        }
        add(if self.wide { "int32-outputs" } else { "int8-outputs" }, rows);
        add("calls", 1.0);
    }
}

/// Rows of a matrix as lists: terms that are added or subtracted, and distinct exponents.
struct Rows {
    rows: usize,
    columns: usize,
    terms: usize,
    levels: usize,
}

fn rows_of(model: &Model<'_>, operator: &Operator) -> Option<Rows> {
    if let Some(record) = operator.weights() {
        let matrix = model.matrix(record);
        let mut found = Rows { rows: matrix.rows(), columns: matrix.columns(), terms: 0, levels: 0 };
        let mut trits = vec![0; matrix.columns()];
        let group = matrix.group().get();
        for row in matrix.iter() {
            row.unpack(&mut trits);
            found.terms += trits.iter().filter(|trit| **trit != 0).count();
            let used = trits.chunks(group).map(|group| group.iter().any(|trit| *trit != 0)).zip(row.exponents());
            let levels: BTreeSet<i32> = used.filter_map(|(used, exponent)| used.then_some(exponent)).collect();
            found.levels += levels.len().max(1);
        }
        return Some(found);
    }
    let matrix = model.int8_matrix(operator.int8_weights()?);
    let mut found = Rows { rows: matrix.rows(), columns: matrix.columns(), terms: 0, levels: 0 };
    for row in matrix.iter() {
        let mut levels = BTreeSet::from([0]);
        for value in row.values {
            let digits = signed_digits(i32::from(*value as i8));
            found.terms += digits.count_ones() as usize;
            levels.extend((0..9).filter(|level| digits >> level & 1 == 1));
        }
        found.levels += levels.len();
    }
    Some(found)
}

/// The places of the powers of two, each added or subtracted, that make a value with the fewest of them.
fn signed_digits(value: i32) -> u32 {
    let magnitude = value.unsigned_abs();
    // Where the sum with half of it and that half differ, a digit of the non-adjacent form stands.
    let half = magnitude >> 1;
    ((magnitude + half) ^ half) & 0x1FF
}

fn convolution(
    work: &mut Amounts,
    rows: &Rows,
    window: &Window,
    [input, output]: [&Tensor; 2],
    scratch: &Scratch,
    group: Option<usize>,
) {
    let geometry = Geometry::new(window, input, output);
    let windows = output.shape[0] as f64 * output.shape[1] as f64;
    let wide = output.data_type == DataType::I32;
    let way = scratch.way(&geometry, rows.rows);
    match (way, group) {
        (ConvolutionWay::Linear | ConvolutionWay::Gathered, Some(group)) => {
            if way == ConvolutionWay::Gathered {
                work.add("gathered.elements", windows * rows.columns as f64);
                work.add("gathered.rows", windows * geometry.kernel[0] as f64);
            }
            Linear { rows: rows.rows, columns: rows.columns, group, wide, windows }.add(work, scratch);
            work.add("tiles.calls", 1.0);
        }
        (ConvolutionWay::Definition, Some(_)) => {
            work.add("definition.products", windows * (rows.rows * rows.columns) as f64)
        }
        _ => {
            let flat = flattened(&geometry);
            let halves = rows.terms + 6 * (rows.rows + rows.levels) + rows.rows;
            let blocks = (2 * halves).div_ceil(Scratch::LISTS).max(1) as f64;
            tiles(work, "tiles", rows, &flat, flat.input[2], wide, blocks);
            lists(work, "tiles", rows, group.is_some());
            work.add("tiles.calls", 1.0);
        }
    }
}

/// One long row of pixels, where each window is one.
fn flattened(geometry: &Geometry) -> Geometry {
    let Geometry { input, output, kernel, stride, before } = *geometry;
    if kernel != [1; 2] || stride != [1; 2] || input[..2] != output[..2] {
        return Geometry { input, output, kernel, stride, before };
    }
    let pixels = input[0] * input[1];
    Geometry { input: [1, pixels, input[2]], output: [1, pixels, output[2]], kernel, stride, before }
}

fn depthwise(work: &mut Amounts, rows: &Rows, geometry: &Geometry, ternary: bool) {
    let [height, width, _] = geometry.input;
    let channels = rows.rows as f64;
    // A channel at a time: gathering is for each of them.
    tiles(work, "planes", rows, geometry, 1, false, channels);
    lists(work, "planes", rows, ternary);
    work.add("planes.copied-elements", channels * (height * width) as f64);
    work.add("planes.copied-rows", channels * height as f64);
    work.add("planes.channels", channels);
    work.add("planes.calls", 1.0);
}

/// Rows on tiles; what lies under these is gathered `times` times.
fn tiles(work: &mut Amounts, kind: &str, rows: &Rows, geometry: &Geometry, channels: usize, wide: bool, times: f64) {
    let Geometry { output: [height, width, _], kernel, stride, .. } = *geometry;
    let across = width.div_ceil(Scratch::TILE);
    let count = (height * across) as f64;
    let mut add = |what: &str, amount: f64| work.add(format!("{kind}.{what}"), amount);
    add("terms", count * rows.terms as f64);
    add("levels", count * rows.levels as f64);
    add("rows", count * rows.rows as f64);
    let image_rows = ((height.saturating_sub(1)) * stride[0] + kernel[0]) as f64;
    let gathered = across as f64 * image_rows * times;
    add("gathered-elements", gathered * (kernel[1] * channels) as f64);
    add("gathered-rows", gathered);
    // The last rows of a narrow image are written one output at a time, and so are sums.
    let whole = (height * width + width).saturating_sub(Scratch::TILE.max(width)) / width.max(1);
    let single = if wide { height } else { height.saturating_sub(whole) };
    add("single-tiles", (single * across * rows.rows) as f64);
    add("single-outputs", (single * width * rows.rows) as f64);
}

/// Making lists of rows.
fn lists(work: &mut Amounts, kind: &str, rows: &Rows, ternary: bool) {
    let weights = if ternary { "listed" } else { "listed-int8" };
    work.add(format!("{kind}.{weights}-terms"), rows.terms as f64);
    work.add(format!("{kind}.{weights}-levels"), rows.levels as f64);
    work.add(format!("{kind}.{weights}-columns"), (rows.rows * rows.columns) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_weights_are_sums_and_differences_of_few_powers() {
        for value in -128..=127i32 {
            let digits = signed_digits(value);
            // No two neighbours, and no fewer digits than the binary form's runs allow.
            assert_eq!(digits & digits << 1, 0, "{value}");
            let reachable = (0..1 << digits.count_ones()).any(|signs: u32| {
                let places = (0..9).filter(|place| digits >> place & 1 == 1);
                let sum: i32 = places
                    .enumerate()
                    .map(|(n, place)| if signs >> n & 1 == 1 { -(1 << place) } else { 1 << place })
                    .sum();
                sum == value
            });
            assert!(reachable, "{value}: {digits:b}");
        }
    }

    #[test]
    fn linear_work_follows_the_kernels() {
        let scratch = Scratch { few: 64, many: 4096, from: 36, row: 4, tiles: true };
        let work = |rows, columns, group| {
            let mut work = Amounts::default();
            Linear { rows, columns, group, wide: false, windows: 1.0 }.add(&mut work, &scratch);
            work.0
        };
        let many = work(128, 784, 40);
        // 19 groups of 40 columns, one of 24.
        assert_eq!(many["linear-many.parts"], 20.0);
        assert_eq!(many["linear-many.bytes"], 19.0 * 8.0 + 5.0);
        assert_eq!(many["linear-many.rows.eight-bytes"], 128.0 * 19.0);
        assert_eq!((many["linear-many.rows.parts"], many["linear-many.rows.bytes"]), (128.0, 640.0));
        let few = work(10, 128, 64);
        assert_eq!((few["linear-few.parts"], few["linear-few.rows.large-bytes"]), (4.0, 10.0 * 26.0));
    }
}

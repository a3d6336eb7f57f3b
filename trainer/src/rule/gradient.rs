//! The weight gradient D of a layer, made panel by panel so that nobody has to hold it whole.
//!
//! D is rounded to bfloat16 wherever a rule turns it into votes, and sums over it are taken in f64 in one fixed order
//! ([`sum_of_squares`], [`ordered_sum`]), so that backends with other memory and other parallelism agree bit for bit.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};
use std::cell::RefCell;
use std::ops::Range;

/// Rows of a panel. Fixed: results must not depend on the number of threads.
pub const PANEL_ROWS: usize = 64;

/// Lanes of the ordered sums: one warp of a GPU.
const LANES: usize = 32;

/// A layer's weight gradient D, [rows, columns], in the parts that make it.
#[derive(Clone, Copy, Debug)]
pub enum Gradient<'a> {
    /// Of a linear layer: D[n, k] = Σ_m output[n, m]·input[m, k].
    Product {
        /// Gradient of the mean loss with respect to the layer's outputs, [rows, batch].
        output: ArrayView2<'a, f32>,
        /// The layer's inputs, [batch, columns].
        input: ArrayView2<'a, f32>,
    },
    /// Of an embedding: row n of D is the sum over the positions that looked row n up.
    Lookup {
        /// Which positions looked each row up.
        positions: &'a Positions,
        /// Gradient of the mean loss with respect to what each position gave, [positions, columns].
        output: ArrayView2<'a, f32>,
    },
    /// Of a convolution, small and summed over all windows already.
    Whole {
        /// D itself.
        values: ArrayView2<'a, f32>,
        /// Gradient of the bias of every row.
        bias: &'a [f64],
    },
}

impl Gradient<'_> {
    /// Rows of D.
    pub fn rows(&self) -> usize {
        match self {
            Self::Product { output, .. } => output.nrows(),
            Self::Lookup { positions, .. } => positions.rows(),
            Self::Whole { values, .. } => values.nrows(),
        }
    }

    /// Columns of D.
    pub fn columns(&self) -> usize {
        match self {
            Self::Product { input, .. } => input.ncols(),
            Self::Lookup { output, .. } => output.ncols(),
            Self::Whole { values, .. } => values.ncols(),
        }
    }

    /// The same for these columns alone.
    pub fn of_columns(&self, columns: Range<usize>) -> Gradient<'_> {
        let part = Slice::from(columns);
        match self {
            Self::Product { output, input } => {
                Gradient::Product { output: output.view(), input: input.slice_axis(Axis(1), part) }
            }
            Self::Lookup { positions, output } => {
                Gradient::Lookup { positions, output: output.slice_axis(Axis(1), part) }
            }
            Self::Whole { values, bias } => Gradient::Whole { values: values.slice_axis(Axis(1), part), bias },
        }
    }

    /// Writes rows `rows` of D to `panel`, [rows.len(), columns].
    pub fn panel(&self, rows: Range<usize>, panel: &mut [f32]) {
        let shape = (rows.len(), self.columns());
        // A panel of another length is the caller's defect; it stays as it is then.
        let Ok(mut panel) = ArrayViewMut2::from_shape(shape, panel) else { return };
        match self {
            Self::Product { output, input } => {
                let output = output.slice_axis(Axis(0), Slice::from(rows));
                general_mat_mul(1.0, &output, input, 0.0, &mut panel);
            }
            Self::Lookup { positions, output } => {
                panel.fill(0.0);
                for (mut sum, row) in panel.rows_mut().into_iter().zip(rows) {
                    for position in positions.of_row(row) {
                        sum += &output.row(*position as usize);
                    }
                }
            }
            Self::Whole { values, .. } => panel.assign(&values.slice_axis(Axis(0), Slice::from(rows))),
        }
    }

    /// Gradient of the bias of every row: Σ_m output[n, m], in f64, in the order of the samples. An embedding has none.
    pub fn bias(&self) -> Vec<f64> {
        match self {
            Self::Product { output, .. } => {
                output.rows().into_iter().map(|row| row.iter().map(|g| f64::from(*g)).sum()).collect()
            }
            Self::Lookup { .. } => Vec::new(),
            Self::Whole { bias, .. } => bias.to_vec(),
        }
    }
}

/// The positions of a batch, sorted by the row of a table that each looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Where each row's positions begin in `sorted`, and where the last one's end.
    starts: Vec<usize>,
    /// Positions, row after row, ascending within a row: sums over them have one order.
    sorted: Vec<u32>,
}

impl Positions {
    /// Sorts `indices`, the row of each position, for a table of `rows` rows. Indices beyond it are left out.
    pub fn new(indices: &[usize], rows: usize) -> Self {
        let mut starts = vec![0; rows + 1];
        for index in indices.iter().filter(|index| **index < rows) {
            starts[index + 1] += 1;
        }
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; starts[rows]];
        for (position, index) in (0u32..).zip(indices) {
            if *index < rows {
                sorted[next[*index]] = position;
                next[*index] += 1;
            }
        }
        Self { starts, sorted }
    }

    /// Rows of the table.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The positions that looked this row up.
    fn of_row(&self, row: usize) -> &[u32] {
        let range = self.starts.get(row).copied().zip(self.starts.get(row + 1).copied());
        range.and_then(|(start, end)| self.sorted.get(start..end)).unwrap_or_default()
    }
}

/// Calls `f` with a buffer of `len` floats that the thread keeps from call to call.
pub fn with_buffer<T>(len: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out while in use: work stolen by this thread in the meantime finds an empty one and makes its own.
    let mut buffer = BUFFER.take();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = f(&mut buffer[..len]);
    BUFFER.replace(buffer);
    result
}

/// The bfloat16 nearest to a float (ties to even), as its 16 bits.
#[inline(always)]
pub fn to_bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// The float that 16 bits of bfloat16 mean.
#[inline(always)]
pub fn from_bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Σ d² of a row of bfloat16 values in f64: lane j of 32 takes columns j, j + 32, …; then the lanes are added pairwise,
/// 16 and 16, 8 and 8, down to one.
pub fn sum_of_squares(row: &[u16]) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        for (lane, bits) in lanes.iter_mut().zip(chunk) {
            let value = f64::from(from_bfloat16(*bits));
            *lane += value * value;
        }
    }
    add_lanes(lanes)
}

/// The sum of `values` in the order of [`sum_of_squares`].
pub fn ordered_sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    add_lanes(lanes)
}

fn add_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half /= 2;
    }
    lanes[0]
}

/// round(log2(√mean)) by the bits of `mean`, exact, halves to even; `None` for 0 and for what is not finite.
pub fn rounded_log2_of_root(mean: f64) -> Option<i32> {
    if !mean.is_normal() || mean < 0.0 {
        return None;
    }
    let bits = mean.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let is_power = bits & ((1 << 52) - 1) == 0;
    // log2(mean)/2 lies in [exponent/2, exponent/2 + ½). For an even exponent that rounds down; for an odd one up, but
    // for an exact half, which goes to the even neighbour.
    let low = exponent.div_euclid(2);
    if exponent.rem_euclid(2) == 0 || (is_power && low % 2 == 0) { Some(low) } else { Some(low + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn panels_are_rows_of_the_product() {
        let output = array![[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]];
        let input = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let gradient = Gradient::Product { output: output.view(), input: input.view() };
        let mut panel = [9.0; 6];
        gradient.panel(1..3, &mut panel);
        assert_eq!(panel, [-4.0, -5.0, -6.0, 5.0, 8.5, 12.0]);
        assert_eq!(gradient.bias(), [3.0, -1.0, 3.5]);
    }

    #[test]
    fn lookups_sum_what_each_position_gave() {
        let positions = Positions::new(&[2, 0, 2, 7, 2], 4);
        let output = array![[1.0, 2.0], [4.0, -1.0], [0.5, 0.25], [100.0, 100.0], [-3.0, 0.0]];
        let gradient = Gradient::Lookup { positions: &positions, output: output.view() };
        assert_eq!((gradient.rows(), gradient.columns(), gradient.bias()), (4, 2, vec![]));
        let mut panel = [9.0; 8];
        gradient.panel(0..4, &mut panel);
        assert_eq!(panel, [4.0, -1.0, 0.0, 0.0, -1.5, 2.25, 0.0, 0.0]);
        gradient.panel(2..3, &mut panel[..2]);
        assert_eq!(panel[..2], [-1.5, 2.25]);
    }

    #[test]
    fn bfloat16_rounds_to_nearest_even() {
        let last_bit = 1.0 / 128.0;
        let halves = [(1.0 + 0.5 * last_bit, 0x3F80), (1.0 + 1.5 * last_bit, 0x3F82)];
        for (value, bits) in [(1.0, 0x3F80), (-2.5, 0xC020), (0.0, 0)].into_iter().chain(halves) {
            assert_eq!(to_bfloat16(value), bits, "{value}");
        }
    }

    #[test]
    fn sums_have_the_documented_order() {
        let values: Vec<f64> = (0..100).map(|i| 1.0 / f64::from(i + 1)).collect();
        let mut lanes: Vec<f64> = (0..32).map(|j| values.iter().skip(j).step_by(32).fold(0.0, |s, v| s + v)).collect();
        while lanes.len() > 1 {
            let half = lanes.len() / 2;
            lanes = (0..half).map(|i| lanes[i] + lanes[i + half]).collect();
        }
        assert_eq!(ordered_sum(&values).to_bits(), lanes[0].to_bits());
    }

    #[test]
    fn halves_of_the_logarithm_go_to_even() {
        // √8 = 2^1.5 → 2, √2 = 2^0.5 → 0, √½ = 2^−0.5 → 0, √⅛ = 2^−1.5 → −2.
        assert_eq!([8.0, 2.0, 0.5, 0.125].map(|m| rounded_log2_of_root(m).unwrap()), [2, 0, 0, -2]);
        assert_eq!(rounded_log2_of_root(0.0), None);
        assert_eq!(rounded_log2_of_root(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn logarithms_match_floating_point(mantissa in 1.01f64..1.99, exponent in -300i32..300) {
            let mean = mantissa * 2f64.powi(exponent);
            let expected = (mean.log2() / 2.0).round() as i32;
            prop_assert_eq!(rounded_log2_of_root(mean), Some(expected));
        }
    }
}

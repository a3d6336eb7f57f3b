//! The forward product of ternary weights and int8 activations on Hopper's tensor cores: exact, and in half the time of a
//! bfloat16 one.
//!
//! For cards of compute capability 9.0, group sizes that are multiples of 32 and products large enough to fill the card;
//! everything else is multiplied in bfloat16. How it works stands at the head of `tensor_core.cu`.
#![allow(unsafe_code, reason = "describes activations to the copy engine")]

use super::CudaError;
use super::card::{Buffer, Card, Grid, Kernel, arguments};
use super::compile::Architecture;
use super::extent::Extent;
use super::rule::TernaryView;
use cudarc::driver::sys;
use trishift_kernels::cuda::TENSOR_CORE;

/// Rows of a tile and columns of a stage; see the kernels.
const TILE_ROWS: usize = 64;
const STAGE_COLUMNS: usize = 128;
const TILES: usize = 4;
const SLICES: usize = 4;
const TILE_BYTES: usize = TILE_ROWS * STAGE_COLUMNS / 4;

/// Bytes of shared memory: the kernels' ring of stages and its alignment.
const SHARED: u32 = 226 * 1024;

/// Samples of a block.
const SAMPLES: usize = 128;

/// Blocks of two rounds over a card: with fewer, dense products are as fast.
const FEWEST_BLOCKS: usize = 256;

/// Memory and shape of one layer's product.
#[derive(Debug)]
pub(crate) struct TernaryProduct {
    extent: Extent,
    batch: usize,
    /// Describes the activations to the copy engine.
    map: Buffer<u64>,
    units: Buffer<i32>,
    planes: Buffer<i32>,
}

impl TernaryProduct {
    /// Whether this product is made for these sizes on this card.
    pub(crate) fn suits(card: &Card, extent: &Extent, batch: usize) -> bool {
        let blocks = extent.rows.div_ceil(TILES * TILE_ROWS) * batch.div_ceil(SAMPLES);
        card.architecture() == Architecture { major: 9, minor: 0 }
            && extent.group.get().is_multiple_of(32)
            && blocks >= FEWEST_BLOCKS
            && extent.rows >= 2 * TILE_ROWS
            // The trits in their new order fit the memory of the weights in bfloat16.
            && extent.columns >= STAGE_COLUMNS
    }

    /// For activations [batch, pitch] that stay where they are.
    ///
    /// # Errors
    /// [`CudaError`].
    pub(crate) fn new(card: &Card, extent: Extent, batch: usize, input: &Buffer<i8>) -> Result<Self, CudaError> {
        let tiles = extent.rows.div_ceil(TILE_ROWS).next_multiple_of(TILES);
        card.allow_shared(Kernel::of_group(TENSOR_CORE, extent.group, "multiply"), SHARED)?;
        Ok(Self {
            extent,
            batch,
            map: card.upload("a description", &describe(input, batch, extent.pitch())?)?,
            units: card.zeros("a layer's units", tiles * TILE_ROWS)?,
            planes: card.zeros("a layer's planes", tiles * SLICES)?,
        })
    }

    fn stages(&self) -> usize {
        self.extent.pitch().div_ceil(STAGE_COLUMNS)
    }

    /// Enqueues y = x·Wᵀ, y in float32, [batch, padded rows]. `scratch` is overwritten; the weights in bfloat16 would fit it.
    ///
    /// # Errors
    /// [`CudaError`].
    pub(crate) fn multiply(
        &self,
        card: &Card,
        weights: &TernaryView<'_>,
        scratch: &Buffer<u16>,
        y: &Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Self { extent, units, planes, .. } = self;
        let (tiles, stages) = (planes.len() / SLICES, self.stages() as i32);
        // Trits in their new order, then shifts.
        let code_bytes = self.stages() * tiles * TILE_BYTES;
        debug_assert!(code_bytes + self.stages() * tiles * TILE_ROWS * 4 <= scratch.bytes());
        let (codes, shifts) = (scratch.address(), scratch.address() + code_bytes as u64);
        let group = extent.group;
        let arguments = arguments![
            weights.trits,
            weights.exponents,
            weights.correlations,
            extent.rows as i32,
            extent.words() as i32,
            extent.groups() as i32,
            stages,
            codes,
            shifts,
            units,
            planes,
        ];
        card.launch(Kernel::of_group(TENSOR_CORE, group, "order"), Grid::new(planes.len() as u32, 512), arguments)?;
        let arguments = arguments![
            &self.map,
            codes,
            shifts,
            units,
            planes,
            tiles as i32,
            stages,
            self.batch as i32,
            extent.padded_rows() as i32,
            extent.padded_rows() as i32,
            y,
        ];
        let blocks = [(tiles / TILES) as u32, self.batch.div_ceil(SAMPLES) as u32];
        // One warpgroup more brings what the others multiply.
        let threads = 128 * (TILES as u32 + 1);
        let kernel = Kernel::of_group(TENSOR_CORE, group, "multiply");
        card.launch(kernel, Grid { blocks, threads, shared: SHARED }, arguments)
    }

    /// Bytes that a step makes and drops beside the scratch memory.
    pub(crate) fn bytes(&self) -> usize {
        self.units.bytes() + self.planes.bytes()
    }
}

/// Activations int8 [batch, pitch] in tiles of 128 samples and 128 columns; what lies beyond is read as zeros.
fn describe(input: &Buffer<i8>, batch: usize, pitch: usize) -> Result<[u64; 16], CudaError> {
    let mut map = sys::CUtensorMap { opaque: [0; 16] };
    let (sizes, strides) = ([pitch as u64, batch as u64], [pitch as u64]);
    let (tile, steps) = ([STAGE_COLUMNS as u32, SAMPLES as u32], [1u32, 1]);
    // SAFETY: the driver writes 128 bytes and reads arrays of two dimensions, of strides one fewer; nothing is read from the
    // address.
    let result = unsafe {
        sys::cuTensorMapEncodeTiled(
            &raw mut map,
            sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_UINT8,
            2,
            input.address() as *mut _,
            sizes.as_ptr(),
            strides.as_ptr(),
            tile.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave_enum::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle_enum::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion_enum::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            sys::CUtensorMapFloatOOBfill_enum::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    result.result().map_err(CudaError::during("describing activations"))?;
    Ok(map.opaque)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use trishift_format::GroupSize;

    /// Products of random weights, exponents 0 to `window` above the smallest of a row, against sums in float64.
    fn check(card: &Card, random: &mut ChaCha8Rng, shape: [usize; 3], group: u32, window: u32) {
        let [batch, rows, columns] = shape;
        let extent = Extent { rows, columns, group: GroupSize::new(group).unwrap() };
        let (pitch, groups) = (extent.pitch(), extent.groups());
        let mut draw = |below: u32| random.next_u32() % below;
        let mut trits: Vec<i8> = (0..rows * columns).map(|_| draw(3) as i8 - 1).collect();
        // A row and a group without weights.
        trits[..columns].fill(0);
        let group_len = extent.group.get().min(columns);
        trits[columns..columns + group_len].fill(0);
        let bases: Vec<i8> = (0..rows).map(|_| draw(20) as i8 - 14).collect();
        let exponents: Vec<i8> =
            (0..rows * groups).map(|i| (bases[i / groups] + draw(window + 1) as i8).min(15)).collect();
        let input: Vec<i8> = (0..batch * columns).map(|_| draw(256) as u8 as i8).collect();
        let bytes: Vec<i8> = input
            .chunks(columns)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, pitch - columns)))
            .collect();
        let bytes = card.upload("inputs", &bytes).unwrap();
        let product = TernaryProduct::new(card, extent, batch, &bytes).unwrap();
        let on_card = card.upload("trits", &extent.pack_trits(&trits)).unwrap();
        let on_card_exponents = card.upload("exponents", &extent.pad(&exponents, groups, groups)).unwrap();
        let view = TernaryView { trits: &on_card, exponents: &on_card_exponents, correlations: None };
        let scratch = card.zeros::<u16>("scratch", 2 * (extent.padded_rows() + 256) * (pitch + 128)).unwrap();
        // What is not written shows.
        let y = card.upload("outputs", &vec![f32::NAN; batch * extent.padded_rows()]).unwrap();
        product.multiply(card, &view, &scratch, &y).unwrap();
        let y = card.read(&y).unwrap();
        // All would take long.
        for (sample, values) in y.chunks(extent.padded_rows()).enumerate().step_by(5) {
            for (row, value) in values.iter().enumerate() {
                let sum: f64 = if row < rows {
                    let weights = trits[row * columns..(row + 1) * columns].iter().enumerate();
                    let scale = |column: usize| 2f64.powi(exponents[row * groups + column / group as usize].into());
                    let terms = weights.zip(&input[sample * columns..]);
                    terms.map(|((column, t), x)| f64::from(*t) * scale(column) * f64::from(*x)).sum()
                } else {
                    0.0
                };
                // Planes are added in float32; weights are at most 2^15, inputs 2^7.
                let tolerance = if window < 7 { 0.0 } else { 2f64.powi(15 + 7 - 23) * columns as f64 };
                let difference = (f64::from(*value) - f64::from(sum as f32)).abs();
                assert!(difference <= tolerance, "{shape:?} {group} {window}: [{sample}, {row}] {value} is not {sum}");
            }
        }
    }

    #[test]
    fn products_are_exact() {
        let card = match Card::open(0) {
            Ok(card) if card.architecture() == (Architecture { major: 9, minor: 0 }) => card,
            Ok(card) => return println!("skipped: {} is no Hopper card", card.name()),
            Err(error) => return println!("skipped: {error}"),
        };
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for (shape, group) in [
            ([128, 256, 128], 32),
            ([1, 128, 128], 32),
            ([129, 130, 200], 32),
            ([300, 517, 1000], 64),
            ([77, 1000, 784], 96),
            ([130, 257, 4224], 32),
        ] {
            for window in [0, 6, 7, 13, 29] {
                check(&card, &mut random, shape, group, window);
            }
        }
    }
}

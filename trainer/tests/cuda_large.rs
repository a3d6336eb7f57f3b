//! A matrix of more than 2^31 weights on a card: what lies beyond every 32-bit offset is treated like the rest.
//!
//! The matrix is filled on the card by a formula that the host computes too, row by row.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;
mod cases;

use cases::mixed;
use ndarray::{Array2, Axis, Slice};
use trishift_format::GroupSize;
use trishift_kernels::cuda::Source;
use trishift_trainer::backend::cuda::card::{Argument, Buffer, Card, Grid, Kernel};
use trishift_trainer::backend::cuda::primitives::{CardLinear, CardMatrix, CardTernary, CardVoteMatrix, CardVotes};
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::ternary::{FlipThreshold, Linear, Shape, TernaryState, Votes};

/// 2 624 000 000 weights.
const ROWS: usize = 65_600;
const COLUMNS: usize = 40_000;
const GROUP: u32 = 32;

/// Free memory on the card that the test asks for.
const FREE: usize = 40 << 30;

/// Rows that are compared: the first, those around 2^31 weights, the last.
const COMPARED: [usize; 6] = [0, 53_686, 53_687, 53_688, ROWS - 2, ROWS - 1];

const FILL: Source = Source {
    name: "fill",
    text: r#"
__device__ u64 mixed(u64 value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
}

extern "C" __global__ void fill_bytes(i8 *values, u64 count, u64 salt, int low, u64 choices) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) values[index] = (i8)(low + (int)(mixed(index + salt) % choices));
}

extern "C" __global__ void fill_words(u32 *words, u64 count, u64 salt) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    u32 word = 0;
    for (int i = 0; i < WORD; i++) word |= ((u32)((int)(mixed(index * WORD + i + salt) % 3) - 1) & 3u) << (2 * i);
    words[index] = word;
}

extern "C" __global__ void copy_bytes(const u8 *from, u64 offset, u64 count, u8 *to) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) to[index] = from[offset + index];
}
"#,
    grouped: false,
};

/// What is filled, by the salt that tells one from another; lowest value and how many there are.
#[derive(Clone, Copy)]
struct Filling {
    salt: u64,
    low: i8,
    choices: u64,
}

const TRITS: Filling = Filling { salt: 1 << 40, low: -1, choices: 3 };
const EXPONENTS: Filling = Filling { salt: 2 << 40, low: -9, choices: 12 };
const ACCUMULATORS: Filling = Filling { salt: 3 << 40, low: -90, choices: 181 };
const VOTES: Filling = Filling { salt: 4 << 40, low: -2, choices: 5 };

impl Filling {
    /// Values `first..first + count`.
    fn values(self, first: usize, count: usize) -> Vec<i8> {
        (first..first + count)
            .map(|index| (i64::from(self.low) + (mixed(index as u64 + self.salt) % self.choices) as i64) as i8)
            .collect()
    }

    fn fill(self, card: &Card, buffer: &Buffer<i8>, count: usize) {
        let arguments = [
            Argument::from(buffer),
            Argument::from(count),
            Argument::from(self.salt),
            Argument::from(i32::from(self.low)),
            Argument::from(self.choices),
        ];
        card.launch(Kernel::new(FILL, "fill_bytes"), Grid::covering(count, 256), &arguments).unwrap();
    }
}

/// `count` bytes of a buffer.
fn bytes<T>(card: &Card, buffer: &Buffer<T>, offset: usize, count: usize) -> Vec<u8> {
    let to: Buffer<u8> = card.zeros("a row", count).unwrap();
    let arguments = [Argument::from(buffer), Argument::from(offset), Argument::from(count), Argument::from(&to)];
    card.launch(Kernel::new(FILL, "copy_bytes"), Grid::covering(count, 256), &arguments).unwrap();
    card.read(&to).unwrap()
}

fn row_shape() -> Shape {
    Shape::new(1, COLUMNS, GroupSize::new(GROUP).unwrap()).unwrap()
}

/// A row as it is filled.
fn row(index: usize) -> TernaryState {
    let shape = row_shape();
    let trits = TRITS.values(index * COLUMNS, COLUMNS);
    let exponents = EXPONENTS.values(index * shape.groups(), shape.groups());
    let state = TernaryState::new(shape, trits, exponents).unwrap();
    state.with_trit_accumulators(ACCUMULATORS.values(index * COLUMNS, COLUMNS)).unwrap()
}

/// Compares a row of the card's matrix.
fn compare(card: &Card, found: &mut CardTernary, index: usize, expected: &TernaryState) {
    let words = COLUMNS / 16;
    let trits = bytes(card, found.trits(), index * words * 4, words * 4);
    let trits = trits.iter().flat_map(|byte| (0..4).map(move |i| (byte << (6 - 2 * i)) as i8 >> 6));
    assert!(trits.eq(expected.trits().iter().copied()), "trits of row {index}");
    let groups = row_shape().groups();
    let corr = bytes(card, found.corr(), index * groups * 8, groups * 8);
    let corr = corr.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
    assert!(corr.eq(expected.corr().iter().copied()), "correlations of row {index}");
    let accumulators = bytes(card, found.trit_accumulators(card).unwrap(), index * COLUMNS, COLUMNS);
    let accumulators = accumulators.into_iter().map(|byte| byte as i8);
    assert!(accumulators.eq(expected.trit_accumulators().unwrap().iter().copied()), "accumulators of row {index}");
}

#[test]
fn rows_beyond_2_31_weights_are_like_the_others() {
    let Some(card) = card::first() else { return };
    let card = &card;
    let (free, _) = card.memory().unwrap();
    if free < FREE {
        println!("skipped: {} GiB are free on the card, {} GiB are needed", free >> 30, FREE >> 30);
        return;
    }
    let shape = Shape::new(ROWS, COLUMNS, GroupSize::new(GROUP).unwrap()).unwrap();
    let mut state = CardTernary::zeros(card, shape).unwrap();
    let words = shape.weights() / 16;
    let arguments = [Argument::from(state.trits()), Argument::from(words), Argument::from(TRITS.salt)];
    card.launch(Kernel::new(FILL, "fill_words"), Grid::covering(words, 256), &arguments).unwrap();
    EXPONENTS.fill(card, state.exponents(), shape.groups());
    ACCUMULATORS.fill(card, state.trit_accumulators(card).unwrap(), shape.weights());
    let mut expected = COMPARED.map(row);
    for (index, expected) in COMPARED.iter().zip(&expected) {
        compare(card, &mut state, *index, expected);
    }

    let packed = state.packed(card).unwrap();
    let row_bytes = COLUMNS / 5;
    for (index, expected) in COMPARED.iter().zip(&expected) {
        assert_eq!(packed[index * row_bytes..][..row_bytes], expected.packed(), "packed row {index}");
    }
    drop(packed);

    let votes = CardVoteMatrix::zeros(card, ROWS, COLUMNS).unwrap();
    VOTES.fill(card, votes.values(), shape.weights());
    state.update_correlation(card, CardVotes::Matrix(&votes), 3).unwrap();
    state.step_trits(card, CardVotes::Matrix(&votes), 7, FlipThreshold::Flat(80)).unwrap();
    drop(votes);
    for (index, expected) in COMPARED.iter().zip(&mut expected) {
        let votes = Votes::new(1, COLUMNS, VOTES.values(index * COLUMNS, COLUMNS)).unwrap();
        expected.update_correlation(&votes, 3).unwrap();
        expected.step_trits(&votes, 7, FlipThreshold::Flat(80)).unwrap();
        compare(card, &mut state, *index, expected);
    }

    // Straight from gradients; small integers, whose sums are exact.
    let small = |salt: u64, rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            (mixed((row * columns + column) as u64 + salt) % 7) as f32 - 3.0
        })
    };
    let (input, output_gradient) = (small(5 << 40, 3, COLUMNS), small(6 << 40, 3, ROWS));
    let on_card = [&input, &output_gradient].map(|matrix| CardMatrix::upload(card, matrix.view()).unwrap());
    let votes = CardVotes::Direct { output_gradient: &on_card[1], input: &on_card[0] };
    state.update_correlation(card, votes, 2).unwrap();
    state.step_trits(card, votes, 60, FlipThreshold::Flat(80)).unwrap();
    for (index, expected) in COMPARED.iter().zip(&mut expected) {
        let own = output_gradient.slice_axis(Axis(1), Slice::from(*index..*index + 1));
        let votes = Gradient::Product { output: own.reversed_axes(), input: input.view() };
        expected.update_correlation(&votes, 2).unwrap();
        expected.step_trits(&votes, 60, FlipThreshold::Flat(80)).unwrap();
        compare(card, &mut state, *index, expected);
    }

    let mut layer =
        CardLinear::upload(card, &Linear::new(TernaryState::ones(Shape::new(1, 1, shape.group()).unwrap()))).unwrap();
    layer.state = state;
    let pass = layer.forward(card, &on_card[0]).unwrap();
    let output = pass.output.download(card).unwrap();
    for (index, expected) in COMPARED.iter().zip(expected) {
        // A row's own state counts the same steps.
        let layer = Linear::new(expected);
        let expected = layer.forward(input.view()).unwrap();
        let scale = input.mapv(f32::abs).dot(&expected.weights.mapv(f32::abs).t());
        for sample in 0..input.nrows() {
            let (found, expected) = (output[[sample, *index]], expected.output[[sample, 0]]);
            assert!((found - expected).abs() <= 1e-5 * scale[[sample, 0]], "y of row {index}: {found} {expected}");
        }
    }
}

//! The definitions of convolutions and of linear layers with int8 weights against the formula, written out in 128-bit
//! integers: every kernel, stride and padding, every group size, every kind of output, rows at the int32 bound.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod case;
#[path = "../random/mod.rs"]
mod random;

use case::Kind::{Int8, Int8Depthwise, Ternary, TernaryDepthwise};
use case::{Case, Kind, Output};
use random::Random;
use trishift_format::{GroupSize, Layout, Window};

const CONVOLUTIONS: [Kind; 4] = [Ternary, TernaryDepthwise, Int8, Int8Depthwise];

/// Every kernel up to 5 × 5, the one that keyword spotting begins with, and those of sequences.
fn kernels() -> impl Iterator<Item = [u8; 2]> {
    let small = (1..=5).flat_map(|height| (1..=5).map(move |width| [height, width]));
    small.chain([[10, 4], [4, 10]]).chain((6..=11).map(|width| [1, width]))
}

#[test]
fn every_kernel_stride_and_padding() {
    let mut random = Random(1);
    let mut cases = 0;
    for kernel in kernels() {
        for stride in [[1, 1], [2, 1], [1, 2], [2, 2], [3, 5]] {
            for kind in CONVOLUTIONS {
                // More windows than the definition takes at once, and images smaller than the window.
                let size =
                    |axis: usize, random: &mut Random| random.between(1, 9) as usize + usize::from(kernel[axis]) / 2;
                let channels = random.of(&[1, 2, 3, 5, 8, 13]);
                let input = [size(0, &mut random), size(1, &mut random), channels];
                let same = Window::same(kernel, stride, [input[0] as u32, input[1] as u32]).unwrap();
                let ragged = [0, 1, 0, 1].map(|axis: usize| random.between(0, i32::from(kernel[axis]) - 1) as u8);
                for padding in [[0; 4], same.padding, ragged] {
                    let window = Window { padding, ..same };
                    if window.output([input[0] as u32, input[1] as u32]).is_some() {
                        let samples = random.between(1, 3) as usize;
                        Case::random(kind, input, window, &mut random).check(samples, &mut random);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 1500, "{cases}");
}

/// Columns that leave a short last group, and rows of a single short one.
#[test]
fn every_group_size_in_every_layout_with_every_kind_of_output() {
    let mut random = Random(2);
    for group in GroupSize::ALL {
        for (layout, span) in [Layout::Rows, Layout::Groups].into_iter().flat_map(|layout| [(layout, 4), (layout, 24)])
        {
            for output in [Output::I8 { scale: 0, relu: false }, Output::I32 { unit: 0 }] {
                for (kind, channels, kernel) in
                    [(Ternary, 7, [3, 3]), (Ternary, 25, [3, 3]), (Ternary, 1, [1, 1]), (TernaryDepthwise, 3, [5, 7])]
                {
                    let window = Window::same(kernel, [1, 1], [5, 6]).unwrap();
                    let mut case = Case::random(kind, [5, 6, channels], window, &mut random);
                    (case.group, case.layout, case.output) = (group.get(), layout, output);
                    for base in [-20, -100] {
                        case.fill(base, span, &mut random);
                        case.check(2, &mut random);
                    }
                }
            }
        }
    }
}

#[test]
fn depthwise_convolutions_in_place() {
    let mut random = Random(3);
    let mut cases = 0;
    for kernel in kernels() {
        for channels in [1, 3, 16, 33] {
            let input = [random.between(1, 12) as usize, random.between(1, 12) as usize, channels];
            let window = Window::same(kernel, [1, 1], [input[0] as u32, input[1] as u32]).unwrap();
            let mut case = Case::random(TernaryDepthwise, input, window, &mut random);
            case.output = Output::I8 { scale: 0, relu: false };
            case.fill(-9, random.between(0, 12), &mut random);
            assert_eq!(case.output_shape(), input);
            // A sample by itself, and several.
            for samples in [1, 3] {
                case.check(samples, &mut random);
                cases += 1;
            }
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn int8_linear_layers() {
    let mut random = Random(4);
    for columns in [1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 99, 100, 101, 130, 1000] {
        for _ in 0..20 {
            let case = Case::random(Kind::Int8Linear, [1, 1, columns], Window::new([1, 1]), &mut random);
            for samples in 1..=3 {
                case.check(samples, &mut random);
            }
        }
    }
}

/// |b| + Σ 128·|w|·2^(E − e) + h = 2³¹ − 1 exactly, h the rounding constant of an int8 output.
#[test]
fn rows_at_the_int32_bound() {
    for (scale, sign) in [None, Some(1), Some(20), Some(31)].into_iter().flat_map(|scale| [(scale, 1), (scale, -1)]) {
        let output = scale.map_or(Output::I32 { unit: 0 }, |scale| Output::I8 { scale, relu: false });
        let room = i64::from(i32::MAX) - scale.map_or(0, |scale| 1 << (scale - 1));
        for case in [ternary_at_the_bound(room, sign, output), int8_at_the_bound(room, sign, output)] {
            let elements = case.input.iter().product();
            for value in [i8::MIN, i8::MAX] {
                case.check_on(&vec![value; elements]);
            }
            let sum = Case { output: Output::I32 { unit: 0 }, ..case }.expected(&vec![i8::MIN; elements]);
            assert_eq!(sum, [i128::from(room) * -i128::from(sign)]);
        }
    }
}

/// One trit for each power of two, in a group of its own.
fn ternary_at_the_bound(room: i64, sign: i8, output: Output) -> Case {
    let trits = room / 128;
    let (mut weights, mut exponents) = (vec![0; 96], vec![0; 24]);
    for bit in (0..24).filter(|bit| trits >> bit & 1 == 1) {
        weights[4 * bit + bit % 4] = sign;
        exponents[bit] = bit as i8;
    }
    Case {
        kind: Ternary,
        input: [3, 4, 8],
        window: Window::new([3, 4]),
        rows: 1,
        group: 4,
        layout: Layout::Rows,
        weights,
        exponents,
        // Of the sign that a sum of inputs −128 has.
        bias: Some(vec![(room - 128 * trits) as i32 * -i32::from(sign)]),
        output,
    }
}

/// As many weights of the largest magnitude as there is room for.
fn int8_at_the_bound(room: i64, sign: i8, output: Output) -> Case {
    let magnitude = if sign < 0 { 128 } else { 127 };
    let columns = (room / (128 * magnitude)) as usize;
    Case {
        kind: Int8,
        input: [1, 1, columns],
        window: Window::new([1, 1]),
        group: columns,
        weights: vec![(magnitude * i64::from(sign)) as i8; columns],
        exponents: vec![0],
        bias: Some(vec![(room - 128 * magnitude * columns as i64) as i32 * -i32::from(sign)]),
        ..ternary_at_the_bound(room, sign, output)
    }
}

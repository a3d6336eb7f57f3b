//! Windows over images: every small one over every small image, one off in every way, and images as large as the format has.
//!
//! What the parser must say follows from placing the window step by step.

use super::support::raw::{RawLinear, RawModel, RawTensor, RawWindow, operator};
use super::{accepted, refusal};
use trishift_format::{MatrixFault, Model, OperatorKind, ParseError, Window};

/// The operators that slide a window, by code.
const SLIDING: [u16; 6] = [10, 11, 13, 14, 15, 16];

/// Channels of an input; a convolution over all of them has two of its output.
const CHANNELS: u32 = 3;

/// The operator with this window between images of these shapes; a convolution's matrix has this shape, and weights of 0.
fn sliding(code: u16, window: RawWindow, [from, to]: [[u32; 3]; 2], [rows, columns]: [u32; 2]) -> RawModel {
    let tensors = vec![RawTensor::image(RawTensor::INPUT, from, 0, 0), RawTensor::image(RawTensor::OUTPUT, to, 0, 0)];
    let matrix = RawLinear { rows, columns, group: 20, encoding: 0, relu: false, bias: None, ..RawModel::SMALL };
    let matrix = RawLinear { exponents: 256, ..matrix };
    let record = match code {
        10 | 11 => matrix.convolution(code, window),
        13 | 14 => matrix.int8(code, Some(window)),
        _ => [operator(code, &[0, 1]), window.to_vec()].concat(),
    };
    RawModel { weights: [[121; 256], [0; 256]].concat(), ..RawModel::graph_of(tensors, vec![record], 0) }
}

/// Channels of the output and rows and columns of the matrix that go with a window over [`CHANNELS`].
fn sizes(code: u16, window: RawWindow) -> (u32, [u32; 2]) {
    let area = u32::from(window[0]) * u32::from(window[1]);
    match code {
        10 | 13 => (2, [2, area * CHANNELS]),
        _ => (CHANNELS, [CHANNELS, area]),
    }
}

fn shapes(code: u16) -> ParseError {
    let kind = OperatorKind::ALL.into_iter().find(|kind| *kind as u16 == code).expect("an operator's code");
    ParseError::Operands { index: 0, kind, what: "shapes" }
}

/// Places of a window along one axis, counted one by one; `None` where the window is not valid or does not fit.
fn places(length: u32, [kernel, stride, before, behind]: [u8; 4]) -> Option<u32> {
    if kernel == 0 || stride == 0 || before >= kernel || behind >= kernel {
        return None;
    }
    let padded = length + u32::from(before) + u32::from(behind);
    let count =
        (0..padded).filter(|place| place % u32::from(stride) == 0 && place + u32::from(kernel) <= padded).count();
    (count > 0).then_some(count as u32)
}

#[test]
fn every_small_window_over_every_small_image() {
    let (mut allowed, mut refused) = (0, 0);
    for code in SLIDING {
        for numbers in 0..5 * 4 * 5 * 5u32 {
            let axis = [numbers % 5, numbers / 5 % 4, numbers / 20 % 5, numbers / 100].map(|number| number as u8);
            let [kernel, stride, before, behind] = axis;
            for vertical in [true, false] {
                // The other axis has a window of one element over two.
                let window: RawWindow = match vertical {
                    true => [kernel, 1, stride, 1, before, 0, behind, 0],
                    false => [1, kernel, 1, stride, 0, before, 0, behind],
                };
                let (channels, matrix) = sizes(code, window);
                let image = |length, channels| if vertical { [length, 2, channels] } else { [2, length, channels] };
                for length in [1, 2, 3, 5] {
                    let right = places(length, axis);
                    // One more and one fewer, where those are images.
                    for count in [right.unwrap_or(1) - 1, right.unwrap_or(1), right.unwrap_or(1) + 1] {
                        if count == 0 {
                            continue;
                        }
                        let model = sliding(code, window, [image(length, CHANNELS), image(count, channels)], matrix);
                        if right == Some(count) {
                            accepted(&model.file());
                            allowed += 1;
                        } else {
                            assert_eq!(refusal(&model), shapes(code), "{window:?} over {length} into {count}");
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{allowed} windows are accepted, {refused} refused");
    assert!(allowed > 1000 && refused > 10_000, "{allowed} {refused}");
}

#[test]
fn channels_and_matrices_one_off() {
    let window: RawWindow = [3, 2, 1, 1, 1, 0, 1, 1];
    for code in SLIDING {
        let (channels, [rows, columns]) = sizes(code, window);
        let model = |from, to, matrix| sliding(code, window, [[4, 5, from], [4, 5, to]], matrix);
        accepted(&model(CHANNELS, channels, [rows, columns]).file());
        for (from, to) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
            let [from, to] = [CHANNELS.wrapping_add_signed(from), channels.wrapping_add_signed(to)];
            assert_eq!(refusal(&model(from, to, [rows, columns])), shapes(code), "{from} → {to}");
        }
        if code < 15 {
            // An element more or less, a channel more or less, and those of the other kind of convolution.
            for columns in [columns - 1, columns + 1, columns - 6, columns + 6, 24 - columns, 0, u32::MAX] {
                assert_eq!(refusal(&model(CHANNELS, channels, [rows, columns])), shapes(code), "{columns} columns");
            }
            for rows in [rows - 1, rows + 1, 0, u32::MAX] {
                assert_eq!(refusal(&model(CHANNELS, channels, [rows, columns])), shapes(code), "{rows} rows");
            }
        }
        // As many elements in another shape.
        assert_eq!(refusal(&sliding(code, window, [[4, 5, 3], [5, 4, channels]], [rows, columns])), shapes(code));
        assert_eq!(refusal(&sliding(code, window, [[4, 5, 3], [1, 20, channels]], [rows, columns])), shapes(code));
    }
    // One channel: every channel's convolution is a depthwise one.
    for code in [10, 11, 13, 14] {
        accepted(&sliding(code, window, [[4, 5, 1], [4, 5, 1]], [1, 6]).file());
    }
}

#[test]
fn images_as_large_as_the_format_has() {
    const LARGEST: u32 = u32::MAX;
    for code in SLIDING {
        for (axis, low) in [(0, [LARGEST, 1, 1]), (1, [1, LARGEST, 1])] {
            let window = |kernel: u8, stride: u8, padding: [u8; 2]| {
                let mut window: RawWindow = [1, 1, 1, 1, 0, 0, 0, 0];
                (window[axis], window[2 + axis], window[4 + axis], window[6 + axis]) =
                    (kernel, stride, padding[0], padding[1]);
                window
            };
            let model = |window: RawWindow, count| {
                let mut to = low;
                to[axis] = count;
                sliding(code, window, [low, to], [1, u32::from(window[0]) * u32::from(window[1])])
            };
            accepted(&model(window(1, 1, [0, 0]), LARGEST).file());
            accepted(&model(window(255, 1, [127, 127]), LARGEST).file());
            accepted(&model(window(255, 255, [254, 254]), (1 << 24) + (1 << 16) + (1 << 8) + 2).file());
            // 2^32 + 253 places are not 253, and 2^32 not none or one.
            for (padding, count) in [([254, 254], 253), ([254, 254], LARGEST), ([127, 128], 1), ([127, 128], LARGEST)] {
                assert_eq!(refusal(&model(window(255, 1, padding), count)), shapes(code), "{padding:?} {count}");
            }
        }
    }
    // 255·255 elements under the window times 66053 channels do not fit 32 bits.
    let area: RawWindow = [255, 255, 1, 1, 127, 127, 0, 0];
    for code in [10, 13] {
        let (from, columns) = ([128, 128, 66_053], 66_053 * 255 * 255u64);
        assert!(columns > u64::from(LARGEST));
        assert_eq!(refusal(&sliding(code, area, [from, [1, 1, 1]], [1, columns as u32])), shapes(code));
    }
    // What is wrong with a matrix of 2^31 columns is that it is not there.
    for code in [10, 13] {
        let model = sliding(code, [1, 1, 1, 1, 0, 0, 0, 0], [[1, 1, 1 << 31], [1, 1, 1]], [1, 1 << 31]);
        let outside = ParseError::Matrix { index: 0, fault: MatrixFault::OutsideSection };
        assert_eq!(refusal(&model), outside);
    }
}

/// One operator over images with the last of them as its output.
fn images(record: Vec<u8>, shapes: &[[u32; 3]]) -> RawModel {
    let last = shapes.len() - 1;
    let class = |index| match index {
        0 => RawTensor::INPUT,
        _ if index == last => RawTensor::OUTPUT,
        _ => RawTensor::PERSISTENT,
    };
    let tensors = shapes.iter().enumerate().map(|(index, shape)| RawTensor::image(class(index), *shape, 0, 0));
    RawModel::graph_of(tensors.collect(), vec![record], 1 << 33)
}

#[test]
fn zeros_around_an_image() {
    let refuse = shapes(19);
    let pad =
        |padding: [u8; 4], shapes: &[[u32; 3]]| images([operator(19, &[0, 1]), padding.to_vec()].concat(), shapes);
    accepted(&pad([0; 4], &[[2, 5, 4], [2, 5, 4]]).file());
    accepted(&pad([255; 4], &[[2, 5, 4], [512, 515, 4]]).file());
    for padding in [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]] {
        let [above, left, below, right] = padding.map(u32::from);
        let to = [2 + above + below, 5 + left + right, 4];
        accepted(&pad(padding, &[[2, 5, 4], to]).file());
        for wrong in [[2, 5, 4], [to[1], to[0], 4], [to[0], to[1], 5], [to[0] + 1, to[1], 4], [to[0], to[1] + 1, 4]] {
            assert_eq!(refusal(&pad(padding, &[[2, 5, 4], wrong])), refuse, "{padding:?} {wrong:?}");
        }
    }
    // Rows that are as many once more in 32 bits.
    accepted(&pad([1, 0, 1, 0], &[[u32::MAX - 2, 1, 1], [u32::MAX, 1, 1]]).file());
    assert_eq!(refusal(&pad([255, 0, 255, 0], &[[u32::MAX, 1, 1], [509, 1, 1]])), refuse);
    assert_eq!(refusal(&pad([0, 255, 0, 255], &[[1, u32::MAX, 1], [1, 509, 1]])), refuse);
}

#[test]
fn channels_behind_channels() {
    let concat = |shapes: &[[u32; 3]]| images(operator(17, &[0, 1, 2]), shapes);
    accepted(&concat(&[[2, 3, 4], [2, 3, 1], [2, 3, 5]]).file());
    for wrong in [
        [[2, 3, 4], [2, 3, 1], [2, 3, 4]],
        [[2, 3, 4], [2, 3, 1], [2, 3, 6]],
        [[2, 3, 4], [3, 2, 1], [2, 3, 5]],
        [[3, 2, 4], [2, 3, 1], [2, 3, 5]],
        [[2, 3, 4], [2, 3, 1], [3, 2, 5]],
        [[2, 3, 4], [1, 3, 1], [2, 3, 5]],
        [[1, 6, 4], [1, 6, 1], [2, 3, 5]],
    ] {
        assert_eq!(refusal(&concat(&wrong)), shapes(17), "{wrong:?}");
    }
    // One tensor twice, and channels that are few again in 32 bits.
    accepted(&images(operator(17, &[0, 0, 1]), &[[2, 3, 4], [2, 3, 8]]).file());
    let half = 1 << 31;
    accepted(&concat(&[[1, 1, half], [1, 1, half - 1], [1, 1, u32::MAX]]).file());
    assert_eq!(refusal(&concat(&[[1, 1, half], [1, 1, half + 1], [1, 1, 1]])), shapes(17));
    assert_eq!(refusal(&concat(&[[1, 1, half], [1, 1, half], [1, 1, u32::MAX]])), shapes(17));
}

#[test]
fn multiplications_of_an_image() {
    // Columns for each element of the output, whatever lies outside the input; pooling multiplies nothing.
    let window: RawWindow = [3, 2, 1, 1, 1, 0, 1, 1];
    for code in SLIDING {
        let (channels, matrix) = sizes(code, window);
        let file = sliding(code, window, [[4, 5, CHANNELS], [4, 5, channels]], matrix).file();
        let expected = if code < 15 { 4 * 5 * channels * matrix[1] } else { 0 };
        assert_eq!(Model::parse(&file).map(|model| model.macs()), Ok(expected.into()));
    }
    // Of an image of 2^32 − 1 elements and a window of 255 they fit 64 bits, and so do those of all operators together.
    let window: RawWindow = [255, 1, 1, 1, 127, 0, 127, 0];
    let mut model = sliding(14, window, [[u32::MAX, 1, 1], [u32::MAX, 1, 1]], [1, 255]);
    model.weights = vec![0; 512];
    assert_eq!(Model::parse(&model.file()).map(|model| model.macs()), Ok(255 * u64::from(u32::MAX)));
}

#[test]
fn windows_that_keep_a_size_are_accepted() {
    for (kernel, stride, image) in [([10, 4], [2, 2], [49, 10]), ([3, 3], [1, 1], [5, 4]), ([2, 5], [3, 1], [7, 1])] {
        let window = Window::same(kernel, stride, image).expect("a window");
        let [rows, columns] = [0, 1].map(|axis| image[axis].div_ceil(stride[axis].into()));
        let bytes = [&window.kernel[..], &window.stride, &window.padding].concat();
        let bytes = RawWindow::try_from(bytes).expect("eight bytes");
        let shapes = [[image[0], image[1], CHANNELS], [rows, columns, CHANNELS]];
        accepted(&sliding(15, bytes, shapes, [0, 0]).file());
    }
}

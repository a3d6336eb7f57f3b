//! The definitions of pooling, concatenation, padding and sliding against the formula, written out in wide integers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod random;

use random::Random;
use trishift_format::{DataType, Tensor, TensorClass, Window};
use trishift_kernels::geometry::Geometry;
use trishift_kernels::pool::{avg_pool, max_pool, mean_shift};
use trishift_kernels::rearrange::{concat, pad, slide};

impl Random {
    /// A number in `low..=high`.
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }
}

fn tensor(shape: [u32; 3]) -> Tensor {
    let (data_type, class) = (DataType::I8, TensorClass::Arena);
    Tensor { data_type, class, exponent: 0, shape, offset: 0, first: 0, last: 0 }
}

/// The elements of one sample that lie under a window, of one channel.
fn under(window: &Window, [height, width, channels]: [u32; 3], sample: &[i8], place: [usize; 3]) -> Vec<i64> {
    let mut elements = vec![];
    for row in 0..i64::from(window.kernel[0]) {
        for column in 0..i64::from(window.kernel[1]) {
            let y = place[0] as i64 * i64::from(window.stride[0]) + row - i64::from(window.padding[0]);
            let x = place[1] as i64 * i64::from(window.stride[1]) + column - i64::from(window.padding[1]);
            if (0..i64::from(height)).contains(&y) && (0..i64::from(width)).contains(&x) {
                let element = (y as usize * width as usize + x as usize) * channels as usize + place[2];
                elements.push(i64::from(sample[element]));
            }
        }
    }
    elements
}

/// The mean after `docs/format.md`: the sum, shifted by the rounded logarithm of the number of elements and the distance
/// of the exponents.
fn mean(elements: &[i64], area: usize, distance: i32) -> i8 {
    let shift = (area as f64).log2().round() as i32 + distance;
    let sum = i128::from(elements.iter().sum::<i64>());
    let rounded = match shift {
        32.. => 0,
        1.. => (sum + (1 << (shift - 1))) >> shift,
        _ => sum << (-shift).min(60),
    };
    rounded.clamp(-128, 127) as i8
}

/// Holds both poolings of this window against the formula.
fn check_pools(window: Window, input: [u32; 3], samples: usize, random: &mut Random) {
    let [height, width] = window.output([input[0], input[1]]).unwrap();
    let output = [height, width, input[2]];
    let geometry = Geometry::new(&window, &tensor(input), &tensor(output));
    let data: Vec<i8> = (0..samples).flat_map(|_| random.bytes(geometry.input_len())).collect();
    let distance = [0, 0, 1, -1, -3, 5, 31, 40, -40, 200][random.between(0, 9)];
    let (mut largest, mut means) =
        (vec![55; samples * geometry.output_len()], vec![55; samples * geometry.output_len()]);
    max_pool(&geometry, &data, &mut largest);
    avg_pool(&geometry, mean_shift(window.area(), -7, distance - 7), &data, &mut means);
    let [_, width, channels] = output.map(|size| size as usize);
    for (index, (largest, found)) in largest.iter().zip(&means).enumerate() {
        let (sample, place) = (index / geometry.output_len(), index % geometry.output_len());
        let sample = &data[sample * geometry.input_len()..][..geometry.input_len()];
        let elements =
            under(&window, input, sample, [place / channels / width, place / channels % width, place % channels]);
        assert_eq!(Some(i64::from(*largest)), elements.iter().max().copied(), "largest, {window:?} over {input:?}");
        assert_eq!(*found, mean(&elements, window.area(), distance), "mean, {distance}, {window:?} over {input:?}");
    }
}

#[test]
fn pools_of_every_window() {
    let mut random = Random(1);
    let mut windows = 0;
    for kernel in (1..=5).flat_map(|height| (1..=5).map(move |width| [height, width])).chain([[1, 7], [25, 5], [3, 20]])
    {
        for stride in [[1, 1], [2, 2], [3, 1], [1, 4], kernel] {
            // Channels on both sides of the number whose sums the definition holds at a time.
            for channels in [1, 3, 63, 64, 65, 130] {
                let input = [0, 1].map(|axis: usize| (random.between(1, 7) + usize::from(kernel[axis]) / 2) as u32);
                let padding = [0, 1, 0, 1].map(|axis: usize| random.between(0, usize::from(kernel[axis]) - 1) as u8);
                for window in [Window { kernel, stride, padding }, Window::same(kernel, stride, input).unwrap()] {
                    if window.output(input).is_some() {
                        check_pools(window, [input[0], input[1], channels], random.between(1, 2), &mut random);
                        windows += 1;
                    }
                }
            }
        }
    }
    assert!(windows > 1000, "{windows}");
}

/// The most elements that a window has, at both extremes.
#[test]
fn means_of_the_largest_window() {
    let input = [255, 255, 1];
    let geometry = Geometry::new(&Window::new([255, 255]), &tensor(input), &tensor([1, 1, 1]));
    for value in [i8::MIN, -1, 1, i8::MAX] {
        let data = vec![value; 255 * 255];
        let elements: Vec<i64> = data.iter().map(|value| i64::from(*value)).collect();
        for distance in [-3, 0, 2] {
            let mut output = [55];
            avg_pool(&geometry, mean_shift(255 * 255, 0, distance), &data, &mut output);
            assert_eq!(output, [mean(&elements, 255 * 255, distance)], "{value}, {distance}");
        }
    }
}

#[test]
fn concatenation_of_channels() {
    let mut random = Random(2);
    for (left, right) in (1..=9).flat_map(|left| (1..=9).map(move |right| (left, right))).chain([(64, 3), (1, 200)]) {
        let pixels = random.between(1, 12);
        let (first, second) = (random.bytes(pixels * left), random.bytes(pixels * right));
        let mut output = vec![55; pixels * (left + right)];
        concat(&first, &second, [left, right], &mut output);
        for (index, found) in output.iter().enumerate() {
            let (pixel, channel) = (index / (left + right), index % (left + right));
            let expected = match channel.checked_sub(left) {
                None => first[pixel * left + channel],
                Some(channel) => second[pixel * right + channel],
            };
            assert_eq!(*found, expected, "{left} and {right} channels, pixel {pixel}, channel {channel}");
        }
    }
}

/// Only a model that nobody parsed has such tensors.
#[test]
fn concatenation_of_no_channels_is_no_panic() {
    for channels in [[0, 2], [2, 0], [0, 0], [usize::MAX, 2], [1, usize::MAX]] {
        concat(&[1, 2, 3, 4], &[5, 6, 7, 8], channels, &mut [9; 8]);
    }
}

#[test]
fn zeros_around_images() {
    let mut random = Random(3);
    for round in 0..500 {
        let [height, width, channels] = [0; 3].map(|_| random.between(1, 6));
        let [above, left, below, right] = [0; 4].map(|_| random.between(0, if round % 3 == 0 { 0 } else { 4 }));
        let padded = [height + above + below, width + left + right, channels];
        let shapes = [[height, width, channels], padded].map(|shape| tensor(shape.map(|size| size as u32)));
        let geometry =
            Geometry { before: [above, left], ..Geometry::new(&Window::new([1, 1]), &shapes[0], &shapes[1]) };
        let input = random.bytes(2 * height * width * channels);
        let mut output = vec![55; 2 * padded.iter().product::<usize>()];
        pad(&geometry, &input, &mut output);
        for (index, found) in output.iter().enumerate() {
            let (sample, place) = (index / geometry.output_len(), index % geometry.output_len());
            let (y, x) = (place / channels / padded[1], place / channels % padded[1]);
            let inside = (above..above + height).contains(&y) && (left..left + width).contains(&x);
            let source = |y: usize, x: usize| ((sample * height + y) * width + x) * channels + place % channels;
            let expected = if inside { input[source(y - above, x - left)] } else { 0 };
            assert_eq!(*found, expected, "{geometry:?}, row {y}, column {x} of sample {sample}");
        }
    }
}

#[test]
fn the_latest_elements_of_a_stream() {
    let mut random = Random(4);
    for round in 0..300 {
        let [new, kept] = [random.between(1, 12), random.between(1, 12)];
        let samples = random.between(1, 3);
        let mut states = vec![0i32; samples * kept];
        // All that ever came, sample by sample; at first zeros.
        let mut past = vec![vec![0i32; kept]; samples];
        for _ in 0..5 {
            let input: Vec<i32> = random.bytes(samples * new).into_iter().map(i32::from).collect();
            slide(&input, [new, kept], &mut states);
            for ((past, input), state) in past.iter_mut().zip(input.chunks(new)).zip(states.chunks(kept)) {
                past.extend(input);
                assert_eq!(state, &past[past.len() - kept..], "round {round}: {new} into {kept}");
            }
        }
    }
}

#[test]
fn slices_that_are_too_short_end_a_stream_early() {
    let mut states = [1i8, 2, 3, 4, 5];
    slide(&[6, 7, 8], [2, 4], &mut states);
    assert_eq!(states, [3, 4, 6, 7, 5]);
    slide(&[9], [2, 4], &mut states);
    slide(&[], [0, 0], &mut states);
    assert_eq!(states, [3, 4, 6, 7, 5]);
}

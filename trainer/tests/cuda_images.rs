//! Every kernel of networks on images against its definition, on small random images.
//!
//! Values are small integers, so that sums are exact in any order and bfloat16 rounds once: results are equal. Without a card
//! every test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use trishift_format::Window;
use trishift_kernels::cuda::{CONVOLUTION, DEPTHWISE, IMAGE, POOL};
use trishift_trainer::backend::cuda::card::{Argument, Buffer, Card, Grid, Kernel};
use trishift_trainer::backend::cuda::graph::shape::{CHUNK, Image, Windows, sample_grid};
use trishift_trainer::rule::gradient::{from_bfloat16, to_bfloat16};

/// Samples: more than one, and no multiple of anything.
const BATCH: usize = 3;

/// Height, width, channels, and a window: odd shapes, strides, paddings, channels that fill vectors and that do not.
fn cases() -> Vec<([usize; 3], Window)> {
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    vec![
        ([5, 4, 3], window([3, 3], [1, 1], [1, 1, 1, 1])),
        ([8, 8, 16], window([3, 3], [1, 1], [1, 1, 1, 1])),
        ([9, 7, 24], window([3, 3], [2, 2], [0, 1, 1, 1])),
        ([6, 6, 32], window([1, 1], [2, 2], [0, 0, 0, 0])),
        ([12, 5, 1], window([10, 4], [2, 2], [4, 1, 5, 1])),
        ([7, 3, 20], window([2, 3], [3, 1], [1, 2, 0, 0])),
        ([4, 4, 136], window([2, 2], [2, 2], [0, 0, 0, 0])),
        ([5, 5, 8], window([5, 5], [1, 1], [0, 0, 0, 0])),
    ]
}

/// A batch of images, [samples, pixels, channels].
#[derive(Clone, Debug, PartialEq)]
struct Images {
    image: Image,
    values: Vec<f32>,
}

impl Images {
    fn zeros(image: Image) -> Self {
        Self { image, values: vec![0.0; BATCH * image.elements()] }
    }

    fn random(image: Image, random: &mut ChaCha8Rng, most: u32) -> Self {
        let value = |random: &mut ChaCha8Rng| (random.next_u32() % (2 * most + 1)) as f32 - most as f32;
        Self { values: (0..BATCH * image.elements()).map(|_| value(random)).collect(), image }
    }

    fn index(&self, sample: usize, y: usize, x: usize, channel: usize) -> usize {
        let [height, width, channels] = self.image.0;
        ((sample * height + y) * width + x) * channels + channel
    }

    /// As they lie on the card, padding of zeros.
    fn padded(&self) -> Vec<f32> {
        let (channels, pitch) = (self.image.channels(), self.image.pitch());
        let pad = |pixel: &[f32]| pixel.iter().copied().chain(std::iter::repeat(0.0)).take(pitch).collect::<Vec<_>>();
        self.values.chunks(channels).flat_map(pad).collect()
    }

    fn upload(&self, card: &Card) -> Buffer<u16> {
        let bits: Vec<u16> = self.padded().into_iter().map(to_bfloat16).collect();
        card.upload("images", &bits).unwrap()
    }
}

/// What a buffer of bfloat16 holds must be these images, padding included.
fn assert_images(card: &Card, found: &Buffer<u16>, expected: &Images, what: &str) {
    let found: Vec<f32> = card.read(found).unwrap().into_iter().map(from_bfloat16).collect();
    let expected: Vec<f32> = expected.padded().into_iter().map(|value| from_bfloat16(to_bfloat16(value))).collect();
    assert_equal(&found, &expected, what);
}

fn assert_equal(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let differing: Vec<usize> = (0..found.len()).filter(|i| found[*i] != expected[*i]).collect();
    if let Some(first) = differing.first() {
        let (count, len) = (differing.len(), found.len());
        panic!("{what}: {count} of {len} differ; number {first} is {}, not {}", found[*first], expected[*first]);
    }
}

/// Every place of a window: calls `f(sample, output row, output column, tap, input row, input column)`.
fn for_each_tap(windows: &Windows, mut f: impl FnMut(usize, [usize; 2], usize, [usize; 2])) {
    let Window { kernel, stride, padding } = windows.window;
    let ([height, width, _], [rows, columns, _]) = (windows.input.0, windows.output.0);
    let inside = |place: usize, stride: u8, tap: usize, before: u8, size: usize| {
        (place * usize::from(stride) + tap).checked_sub(usize::from(before)).filter(|at| *at < size)
    };
    for sample in 0..BATCH {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for tap in 0..windows.window.area() {
                let [tap_row, tap_column] = [tap / usize::from(kernel[1]), tap % usize::from(kernel[1])];
                let y = inside(row, stride[0], tap_row, padding[0], height);
                let x = inside(column, stride[1], tap_column, padding[1], width);
                if let (Some(y), Some(x)) = (y, x) {
                    f(sample, [row, column], tap, [y, x]);
                }
            }
        }
    }
}

/// A window over images of a case that gives `channels` or as many as there are.
fn windows(card: &Card, input: [usize; 3], window: Window, matrix_pitch: usize) -> Windows {
    let [rows, columns] = window.output([input[0] as u32, input[1] as u32]).unwrap().map(|side| side as usize);
    Windows::new(card, window, Image(input), Image([rows, columns, input[2]]), matrix_pitch).unwrap()
}

fn launch(card: &Card, kernel: Kernel, grid: Grid, arguments: &[Argument]) {
    card.launch(kernel, grid, arguments).unwrap();
}

macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { &[$(Argument::from($argument)),*] };
}

fn for_each_case(seed: u64, mut check: impl FnMut(&Card, &mut ChaCha8Rng, [usize; 3], Window, &str)) {
    let Some(card) = card::first() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (shape, window) in cases() {
        check(&card, &mut random, shape, window, &format!("{shape:?} under {window:?}"));
    }
}

#[test]
fn windows_become_rows_and_gradients_go_back() {
    for_each_case(1, |card, random, shape, window, what| {
        let columns = window.area() * shape[2];
        let pitch = columns.next_multiple_of(16);
        let windows = windows(card, shape, window, pitch);
        let pixels = windows.output.pixels();
        let images = Images::random(Image(shape), random, 127);
        let mut matrix = vec![0.0; BATCH * pixels * pitch];
        for_each_tap(&windows, |sample, [row, column], tap, [y, x]| {
            let place = (sample * pixels + row * windows.output.0[1] + column) * pitch + tap * shape[2];
            for channel in 0..shape[2] {
                matrix[place + channel] = images.values[images.index(sample, y, x, channel)];
            }
        });
        let found = card.upload("matrix", &vec![0x7FC0u16; matrix.len()]).unwrap();
        let grid = sample_grid(BATCH, pixels * pitch / CHUNK).unwrap();
        let input = images.upload(card);
        launch(card, Kernel::new(CONVOLUTION, "spread"), grid, arguments![windows.fields(), &input, &found]);
        let found: Vec<f32> = card.read(&found).unwrap().into_iter().map(from_bfloat16).collect();
        assert_equal(&found, &matrix, &format!("matrix of {what}"));

        // Back: a matrix of gradients whose padding nobody reads.
        let gradients: Vec<f32> = (0..matrix.len()).map(|_| (random.next_u32() % 7) as f32 - 3.0).collect();
        for adds in [false, true] {
            let before = Images::random(Image(shape), random, 5);
            let mut expected = if adds { before.clone() } else { Images::zeros(Image(shape)) };
            for_each_tap(&windows, |sample, [row, column], tap, [y, x]| {
                let place = (sample * pixels + row * windows.output.0[1] + column) * pitch + tap * shape[2];
                for channel in 0..shape[2] {
                    let index = expected.index(sample, y, x, channel);
                    expected.values[index] += gradients[place + channel];
                }
            });
            let bits: Vec<u16> = gradients.iter().map(|value| to_bfloat16(*value)).collect();
            let matrix = card.upload("gradients", &bits).unwrap();
            let found = before.upload(card);
            let grid = sample_grid(BATCH, windows.input.len() / CHUNK).unwrap();
            let arguments = arguments![windows.fields(), &matrix, i32::from(adds), &found];
            launch(card, Kernel::new(CONVOLUTION, "collect"), grid, arguments);
            assert_images(card, &found, &expected, &format!("gradient of {what}, adds {adds}"));
        }
    });
}

#[test]
fn depthwise_convolutions_forward_and_back() {
    for_each_case(2, |card, random, shape, window, what| {
        let (taps, channels, pitch) = (window.area(), shape[2], Image(shape).pitch());
        let weights_pitch = taps.next_multiple_of(16);
        let windows = windows(card, shape, window, weights_pitch);
        let images = Images::random(Image(shape), random, 15);
        let mut weights = vec![0.0; pitch * weights_pitch];
        for (channel, tap) in (0..channels).flat_map(|channel| (0..taps).map(move |tap| (channel, tap))) {
            weights[channel * weights_pitch + tap] = (random.next_u32() % 3) as f32 - 1.0;
        }
        let bits: Vec<u16> = weights.iter().map(|value| to_bfloat16(*value)).collect();
        let on_card = card.upload("weights", &bits).unwrap();
        let turned = card.zeros::<u16>("turned", taps * pitch).unwrap();
        let sizes = [weights_pitch, taps, pitch].map(|size| size as i32);
        let arguments = arguments![&on_card, sizes[0], sizes[1], sizes[2], &turned];
        launch(card, Kernel::new(DEPTHWISE, "turn"), Grid::covering(taps * pitch, 256), arguments);

        let (input, output) = (images.upload(card), windows.output);
        let sums = card.upload("sums", &vec![f32::NAN; BATCH * output.len()]).unwrap();
        let grid = sample_grid(BATCH, output.len() / CHUNK).unwrap();
        launch(card, Kernel::new(DEPTHWISE, "forward"), grid, arguments![windows.fields(), &input, &turned, &sums]);
        let mut expected = Images::zeros(output);
        let gradient = Images::random(output, random, 2);
        let mut of_weights = vec![0.0; weights.len()];
        let mut of_input = Images::zeros(Image(shape));
        for_each_tap(&windows, |sample, [row, column], tap, [y, x]| {
            for channel in 0..channels {
                let (from, to) = (images.index(sample, y, x, channel), gradient.index(sample, row, column, channel));
                let weight = weights[channel * weights_pitch + tap];
                expected.values[to] += images.values[from] * weight;
                of_weights[channel * weights_pitch + tap] += images.values[from] * gradient.values[to];
                of_input.values[from] += gradient.values[to] * weight;
            }
        });
        assert_equal(&card.read(&sums).unwrap(), &expected.padded(), &format!("sums of {what}"));

        let on_card = gradient.upload(card);
        let before = Images::random(Image(shape), random, 3);
        let found = before.upload(card);
        let grid = sample_grid(BATCH, Image(shape).len() / CHUNK).unwrap();
        let arguments = arguments![windows.fields(), &on_card, &turned, 1, &found];
        launch(card, Kernel::new(DEPTHWISE, "image_gradient"), grid, arguments);
        of_input.values.iter_mut().zip(&before.values).for_each(|(sum, before)| *sum += before);
        assert_images(card, &found, &of_input, &format!("gradient of {what}"));

        // Tiles of one chunk as well, so that several lie beside each other.
        for tile in [1, (pitch / CHUNK).min(32)] {
            let stretches = 2;
            let tiles = (pitch / CHUNK).div_ceil(tile);
            let partial = card.zeros::<f32>("partial", stretches * taps * pitch).unwrap();
            let arguments =
                arguments![windows.fields(), &input, &on_card, BATCH as i32, tile as i32, tiles as i32, &partial];
            let grid = Grid { blocks: [stretches as u32, (taps * tiles) as u32], threads: 256, shared: 0 };
            launch(card, Kernel::new(DEPTHWISE, "partial_gradient"), grid, arguments);
            let found = card.upload("gradient", &vec![0x7FC0u16; weights.len()]).unwrap();
            let sizes = [stretches, taps, pitch, weights_pitch].map(|size| size as i32);
            let arguments = arguments![&partial, sizes[0], sizes[1], sizes[2], sizes[3], &found];
            launch(card, Kernel::new(DEPTHWISE, "add_up"), Grid::covering(weights.len(), 256), arguments);
            let found: Vec<f32> = card.read(&found).unwrap().into_iter().map(from_bfloat16).collect();
            let expected: Vec<f32> = of_weights.iter().map(|value| from_bfloat16(to_bfloat16(*value))).collect();
            assert_equal(&found, &expected, &format!("weight gradient of {what}, tiles of {tile}"));
        }
    });
}

#[test]
fn the_largest_element_gets_the_gradient() {
    for_each_case(3, |card, random, shape, window, what| {
        let windows = windows(card, shape, window, 0);
        // Few values: many are the largest more than once.
        let images = Images::random(Image(shape), random, 2);
        let gradient = Images::random(windows.output, random, 3);
        let before = Images::random(Image(shape), random, 3);
        let mut largest = vec![(f32::NEG_INFINITY, 0); gradient.values.len()];
        for_each_tap(&windows, |sample, [row, column], _, [y, x]| {
            for channel in 0..shape[2] {
                let (from, to) = (images.index(sample, y, x, channel), gradient.index(sample, row, column, channel));
                if images.values[from] > largest[to].0 {
                    largest[to] = (images.values[from], from);
                }
            }
        });
        let mut of_input = before.clone();
        for ((_, from), gradient) in largest.iter().zip(&gradient.values) {
            of_input.values[*from] += gradient;
        }
        let expected = Images { image: windows.output, values: largest.iter().map(|(value, _)| *value).collect() };
        let input = images.upload(card);
        let found = card.zeros::<u16>("output", BATCH * windows.output.len()).unwrap();
        let places = card.zeros::<u16>("places", BATCH * windows.output.len()).unwrap();
        let grid = sample_grid(BATCH, windows.output.len() / CHUNK).unwrap();
        launch(card, Kernel::new(POOL, "largest"), grid, arguments![windows.fields(), &input, &found, &places]);
        assert_images(card, &found, &expected, &format!("largest of {what}"));
        let (on_card, found) = (gradient.upload(card), before.upload(card));
        let grid = sample_grid(BATCH, Image(shape).len() / CHUNK).unwrap();
        let arguments = arguments![windows.fields(), &places, &on_card, 1, &found];
        launch(card, Kernel::new(POOL, "largest_gradient"), grid, arguments);
        assert_images(card, &found, &of_input, &format!("gradient of {what}"));
    });
}

#[test]
fn means_are_rounded_as_the_runtime_does() {
    for_each_case(4, |card, random, shape, window, what| {
        let windows = windows(card, shape, window, 0);
        let images = Images::random(Image(shape), random, 127);
        let shift = trishift_kernels::pool::mean_shift(window.area(), -5, -5);
        let mut sums = vec![0i32; BATCH * windows.output.elements()];
        let gradient = Images::random(windows.output, random, 3);
        for_each_tap(&windows, |sample, [row, column], _, [y, x]| {
            for channel in 0..shape[2] {
                let to = gradient.index(sample, row, column, channel);
                sums[to] += images.values[images.index(sample, y, x, channel)] as i32;
            }
        });
        let scale = 2f32.powi(-shift);
        let mut of_input = Images::zeros(Image(shape));
        for_each_tap(&windows, |sample, [row, column], _, [y, x]| {
            for channel in 0..shape[2] {
                let to = gradient.index(sample, row, column, channel);
                let mean = sums[to] as f32 * scale;
                let index = of_input.index(sample, y, x, channel);
                if -128.5 < mean && mean < 127.5 {
                    of_input.values[index] += gradient.values[to] * scale;
                }
            }
        });
        let mean = |sum: &i32| f32::from(trishift_kernels::requantize::requantize_one(*sum, shift, false));
        let expected = Images { image: windows.output, values: sums.iter().map(mean).collect() };
        let input = images.upload(card);
        let found = card.zeros::<u16>("output", BATCH * windows.output.len()).unwrap();
        let means = card.zeros::<f32>("means", BATCH * windows.output.len()).unwrap();
        let grid = sample_grid(BATCH, windows.output.len() / CHUNK).unwrap();
        launch(card, Kernel::new(POOL, "mean"), grid, arguments![windows.fields(), &input, &means, &found]);
        assert_images(card, &found, &expected, &format!("means of {what}"));
        let on_card = gradient.upload(card);
        let found = card.upload("gradient", &vec![0x7FC0u16; BATCH * Image(shape).len()]).unwrap();
        let grid = sample_grid(BATCH, Image(shape).len() / CHUNK).unwrap();
        let arguments = arguments![windows.fields(), &means, &on_card, 0, &found];
        launch(card, Kernel::new(POOL, "mean_gradient"), grid, arguments);
        assert_images(card, &found, &of_input, &format!("gradient of {what}"));
    });
}

#[test]
fn sums_of_two_ways_saturate_and_pass_gradients_inside() {
    let Some(card) = card::first() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let image = Image([3, 5, 20]);
    let chunks = BATCH * image.len() / CHUNK;
    let grid = Grid::covering(chunks, 256);
    for relu in [false, true] {
        let [left, right] = [(), ()].map(|()| Images::random(image, &mut random, 127));
        let gradient = Images::random(image, &mut random, 3);
        let [left_before, right_before] = [(), ()].map(|()| Images::random(image, &mut random, 3));
        let least = if relu { 0.0 } else { -128.0 };
        let sums: Vec<f32> = left.values.iter().zip(&right.values).map(|(left, right)| left + right).collect();
        let expected = Images { image, values: sums.iter().map(|sum| sum.clamp(least, 127.0)).collect() };
        let passes = |sum: f32| (if relu { sum > 0.0 } else { sum >= -128.0 }) && sum <= 127.0;
        let passed: Vec<f32> =
            sums.iter().zip(&gradient.values).map(|(sum, g)| if passes(*sum) { *g } else { 0.0 }).collect();
        let (a, b) = (left.upload(&card), right.upload(&card));
        let found = card.zeros::<u16>("output", BATCH * image.len()).unwrap();
        launch(&card, Kernel::new(IMAGE, "add"), grid, arguments![&a, &b, chunks, i32::from(relu), &found]);
        assert_images(&card, &found, &expected, &format!("sum, relu {relu}"));
        let (on_card, to_left, to_right) =
            (gradient.upload(&card), left_before.upload(&card), right_before.upload(&card));
        let arguments = arguments![&a, &b, &on_card, chunks, i32::from(relu), 1, 0, &to_left, &to_right];
        launch(&card, Kernel::new(IMAGE, "add_gradient"), grid, arguments);
        let added = left_before.values.iter().zip(&passed).map(|(before, g)| before + g).collect();
        assert_images(&card, &to_left, &Images { image, values: added }, &format!("left gradient, relu {relu}"));
        assert_images(&card, &to_right, &Images { image, values: passed }, &format!("right gradient, relu {relu}"));
    }
    let images = Images::random(image, &mut random, 127);
    let gradient = Images::random(image, &mut random, 3);
    let (input, on_card) = (images.upload(&card), gradient.upload(&card));
    let [found, back] = [(), ()].map(|()| card.zeros::<u16>("output", BATCH * image.len()).unwrap());
    launch(&card, Kernel::new(IMAGE, "relu"), grid, arguments![&input, chunks, &found]);
    launch(&card, Kernel::new(IMAGE, "relu_gradient"), grid, arguments![&input, &on_card, chunks, 0, &back]);
    let values = images.values.iter().map(|value| value.max(0.0)).collect();
    assert_images(&card, &found, &Images { image, values }, "relu");
    let passes = images.values.iter().zip(&gradient.values).map(|(x, g)| if *x > 0.0 { *g } else { 0.0 });
    assert_images(&card, &back, &Images { image, values: passes.collect() }, "gradient of relu");
    launch(&card, Kernel::new(IMAGE, "add_to"), grid, arguments![&on_card, chunks, &back]);
    let twice = images.values.iter().zip(&gradient.values).map(|(x, g)| if *x > 0.0 { 2.0 * g } else { *g });
    assert_images(&card, &back, &Images { image, values: twice.collect() }, "gradients added");
}

#[test]
fn elements_move_to_other_shapes() {
    let Some(card) = card::first() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let image = Image([3, 2, 5]);
    let images = Images::random(image, &mut random, 127);
    let source = images.upload(&card);
    // All elements as one row.
    let row = Image([1, 1, image.elements()]);
    let found = card.zeros::<u16>("row", BATCH * row.len()).unwrap();
    let grid = sample_grid(BATCH, image.elements()).unwrap();
    let [channels, pitch, elements] = [image.channels(), image.pitch(), image.elements()].map(|size| size as i32);
    let arguments = arguments![
        &source,
        0,
        channels,
        pitch,
        image.len(),
        0,
        elements,
        row.pitch() as i32,
        row.len(),
        elements,
        0,
        &found
    ];
    launch(&card, Kernel::new(IMAGE, "rearrange"), grid, arguments);
    assert_images(&card, &found, &Images { image: row, values: images.values.clone() }, "a row");
    // Behind three other channels, added to what is there.
    let joined = Image([3, 2, 8]);
    let before = Images::random(joined, &mut random, 3);
    let found = before.upload(&card);
    let arguments = arguments![
        &source,
        0,
        channels,
        pitch,
        image.len(),
        3,
        channels,
        joined.pitch() as i32,
        joined.len(),
        elements,
        1,
        &found
    ];
    launch(&card, Kernel::new(IMAGE, "rearrange"), grid, arguments);
    let mut expected = before;
    for (index, value) in images.values.iter().enumerate() {
        expected.values[index / 5 * 8 + 3 + index % 5] += value;
    }
    assert_images(&card, &found, &expected, "channels side by side");
    // Zeros around, and back.
    let padded = Image([6, 4, 5]);
    let found = card.upload("padded", &vec![0x7FC0u16; BATCH * padded.len()]).unwrap();
    let chunks = (image.pitch() / CHUNK) as i32;
    let arguments = arguments![&source, 3, 2, 2, 1, 6, 4, chunks, 0, &found];
    launch(&card, Kernel::new(IMAGE, "move"), sample_grid(BATCH, padded.len() / CHUNK).unwrap(), arguments);
    let mut expected = Images::zeros(padded);
    for sample in 0..BATCH {
        for (y, x, channel) in (0..3).flat_map(|y| (0..2).flat_map(move |x| (0..5).map(move |c| (y, x, c)))) {
            let index = expected.index(sample, y + 2, x + 1, channel);
            expected.values[index] = images.values[images.index(sample, y, x, channel)];
        }
    }
    assert_images(&card, &found, &expected, "zeros around");
    let back = card.zeros::<u16>("back", BATCH * image.len()).unwrap();
    let arguments = arguments![&found, 6, 4, -2, -1, 3, 2, chunks, 0, &back];
    launch(&card, Kernel::new(IMAGE, "move"), sample_grid(BATCH, image.len() / CHUNK).unwrap(), arguments);
    assert_images(&card, &back, &images, "zeros taken away");
}

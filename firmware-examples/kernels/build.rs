//! Hands the linker the board's memory map, and the program its layers: random ones, the same in every build.
//!
//! `TRISHIFT_BOARD` names a folder of `boards/`, as for the digits firmware; `run-kernels` sets it.

use board_build::variable;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{Conv2d, DataType, GroupSize, InputScale, Layout, Linear, Operator, Tensor, TensorClass, Window};

fn main() {
    if let Err(sentence) = configure() {
        println!("cargo::error={sentence}");
    }
}

fn configure() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-kernels sets it");
    let board = board.map_err(|error| error.to_string())?;
    let memory = Path::new("../boards").join(board).join("memory.x");
    board_build::link(&memory, &["link.x"]).map_err(|error| error.to_string())?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|_| "OUT_DIR is not set; cargo sets it")?);

    let mut list = String::from("&[\n");
    let mut random = Random(1);
    for layer in layers() {
        let file = layer.file(&mut random)?;
        let name = format!("{}.tsm", layer.name());
        fs::write(out.join(&name), file).map_err(|error| format!("cannot write {name}: {error}"))?;
        let (measured, group) = (layer.measured, layer.group.get());
        let file = format!("&Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")))");
        let _ = writeln!(list, "Layer {{ measured: {measured}, group: {group}, file: {file} }},");
    }
    list.push(']');
    fs::write(out.join("layers.rs"), list).map_err(|error| format!("cannot write layers.rs: {error}"))?;

    let mut list = String::from("&[\n");
    for (number, convolution) in convolutions().into_iter().enumerate() {
        let name = format!("convolution-{number}.tsm");
        fs::write(out.join(&name), convolution.file(&mut random)?)
            .map_err(|error| format!("cannot write {name}: {error}"))?;
        let (measured, group) = (convolution.measured, convolution.group.get());
        let file = format!("&Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")))");
        let _ = writeln!(list, "Layer {{ measured: {measured}, group: {group}, file: {file} }},");
    }
    list.push(']');
    fs::write(out.join("convolutions.rs"), list).map_err(|error| format!("cannot write convolutions.rs: {error}"))
}

/// A layer to make.
struct Layer {
    columns: usize,
    rows: usize,
    group: GroupSize,
    layout: Layout,
    output: DataType,
    /// From base 2^−9 on, this many exponents: more than 16 are stored one by one in rows.
    window: u32,
    measured: bool,
}

/// Those whose instructions are counted; then every group size, with ragged last groups, few rows and many, an odd
/// number of them, in both layouts, with both types of outputs.
fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut push = |columns, rows, group, layout, output, measured| {
        layers.push(Layer { columns, rows, group, layout, output, window: 6, measured });
    };
    let sizes = GroupSize::ALL;
    let usual = sizes.into_iter().filter(|group| matches!(group.get(), 32 | 40));
    // The rows from 16 on are those around which the kernel of many rows begins to be the better one.
    for rows in [128, 256, 16, 24, 28, 32, 36, 40, 48] {
        for group in usual.clone() {
            push(784, rows, group, Layout::Groups, DataType::I8, true);
        }
    }
    for group in usual {
        push(128, 10, group, Layout::Groups, DataType::I8, true);
    }
    for group in sizes {
        for layout in [Layout::Groups, Layout::Rows] {
            push(480, 128, group, layout, DataType::I8, true);
            push(128, 10, group, layout, DataType::I32, true);
        }
    }
    for group in sizes {
        for (index, columns) in [1, group.get() + 3, 2 * group.get(), 103].into_iter().enumerate() {
            for rows in [1, 10, 45] {
                let layout = if (index + rows) % 3 == 0 { Layout::Rows } else { Layout::Groups };
                let output = if index % 2 == 0 { DataType::I8 } else { DataType::I32 };
                push(columns, rows, group, layout, output, false);
            }
        }
    }
    for group in [GroupSize::ALL[0], GroupSize::ALL[5], GroupSize::ALL[6]] {
        for (rows, output) in [(1, DataType::I8), (10, DataType::I32), (45, DataType::I8), (45, DataType::I32)] {
            let (columns, layout) = (103, Layout::Rows);
            layers.push(Layer { columns, rows, group, layout, output, window: 18, measured: false });
        }
    }
    layers
}

impl Layer {
    fn name(&self) -> String {
        let Self { columns, rows, group, layout, output, window, .. } = self;
        format!("{columns}x{rows}-{group}-{layout}-{output:?}-{window}")
    }

    fn file(&self, random: &mut Random) -> Result<Vec<u8>, String> {
        let Self { columns, rows, group, layout, output, window, .. } = *self;
        let trits: Vec<i8> = (0..rows * columns).map(|_| (random.next() % 3) as i8 - 1).collect();
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| (random.next() % window) as i8 - 9).collect();
        let bias: Vec<i32> = (0..rows).map(|_| random.next() as i32 % 8192 - 4096).collect();
        let mut writer = ModelWriter::new("layer");
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        let refused = |error| format!("{}: {error}", self.name());
        let weights = writer.add_matrix_in(&values, layout).map_err(refused)?;
        let bias = Some(writer.add_bias(&bias).map_err(refused)?);
        let linear = Linear { input: 0, output: 1, relu: false, weights, bias };
        writer.push(&Operator::Linear(linear)).map_err(refused)?;
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, len: usize| {
            let shape = [1, 1, len as u32];
            Tensor { data_type, class, exponent, shape, offset: 0, first: 0, last: 0 }
        };
        let exponent = if output == DataType::I8 { 0 } else { -9 };
        let tensors =
            [tensor(TensorClass::Input, DataType::I8, 0, columns), tensor(TensorClass::Output, output, exponent, rows)];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).map_err(refused)
    }
}

/// A convolution to make.
#[derive(Clone, Copy)]
struct Convolution {
    input: [u32; 3],
    /// Channels of the output; those of the input where it is depthwise.
    channels: u32,
    depthwise: bool,
    window: Window,
    group: GroupSize,
    output: DataType,
    /// From base 2^−9 on, this many exponents.
    window_of_exponents: u32,
    relu: bool,
    measured: bool,
}

/// Those whose instructions are counted; then all kinds of windows, sizes and group sizes.
fn convolutions() -> Vec<Convolution> {
    let group = GroupSize::ALL.into_iter().find(|group| group.get() == 32).unwrap_or(GroupSize::ALL[0]);
    let square = |kernel, stride| Window { kernel: [kernel; 2], stride: [stride; 2], padding: [kernel / 2; 4] };
    let usual = Convolution {
        input: [32, 32, 16],
        channels: 16,
        depthwise: false,
        window: square(3, 1),
        group,
        output: DataType::I8,
        window_of_exponents: 6,
        relu: true,
        measured: true,
    };
    let mut convolutions = Vec::new();
    for group in GroupSize::ALL.into_iter().filter(|group| matches!(group.get(), 8 | 32 | 40)) {
        let of = Convolution { group, ..usual };
        convolutions.push(of);
        convolutions.push(Convolution { input: [16, 16, 64], channels: 64, window: square(1, 1), ..of });
        convolutions.push(Convolution { input: [16, 16, 64], channels: 64, depthwise: true, ..of });
    }
    for (width, channels) in [(3, 256), (6, 128), (8, 64)] {
        let of = Convolution { input: [width, width, channels], channels, window: square(1, 1), ..usual };
        convolutions.push(of);
    }
    // Streams: a frame of a convolution over time, and three frames at once.
    for (height, inputs, channels) in [(5, 32, 40), (5, 40, 24), (5, 24, 24), (7, 32, 40)] {
        let window = Window { kernel: [5, 1], stride: [1, 1], padding: [0; 4] };
        convolutions.push(Convolution { input: [height, 1, inputs], channels, window, ..usual });
    }
    let uncounted = Convolution { measured: false, ..usual };
    // Stride, a window that is higher than wide, several blocks of lists, images narrower than a tile.
    let windows = [
        Convolution { input: [9, 11, 3], channels: 5, window: square(3, 2), relu: false, ..uncounted },
        Convolution {
            input: [25, 10, 1],
            window: Window { kernel: [10, 4], stride: [2, 2], padding: [4, 1, 5, 1] },
            ..uncounted
        },
        Convolution { input: [8, 8, 64], channels: 48, ..uncounted },
        Convolution { input: [3, 3, 40], channels: 70, window: square(1, 1), ..uncounted },
        Convolution {
            input: [1, 40, 8],
            channels: 9,
            window: Window { kernel: [1, 5], stride: [1, 3], padding: [0, 4, 0, 0] },
            ..uncounted
        },
        Convolution { input: [5, 4, 6], channels: 4, output: DataType::I32, ..uncounted },
        Convolution { input: [25, 5, 12], depthwise: true, ..uncounted },
        Convolution { input: [9, 17, 5], depthwise: true, window: square(5, 2), relu: false, ..uncounted },
        Convolution {
            input: [9, 1, 12],
            channels: 7,
            window: Window { kernel: [5, 1], stride: [2, 1], padding: [0; 4] },
            ..uncounted
        },
        Convolution { input: [8, 8, 16], channels: 3, window: Window::new([8, 8]), output: DataType::I32, ..uncounted },
    ];
    for (number, group) in GroupSize::ALL.into_iter().enumerate() {
        for (index, convolution) in windows.into_iter().enumerate() {
            let window_of_exponents = [1, 3, 14][(number + index) % 3];
            convolutions.push(Convolution { group, window_of_exponents, ..convolution });
        }
    }
    convolutions
}

impl Convolution {
    fn file(&self, random: &mut Random) -> Result<Vec<u8>, String> {
        let Self { input, depthwise, window, group, .. } = *self;
        let [height, width] = window.output([input[0], input[1]]).ok_or("a window does not fit")?;
        let channels = if depthwise { input[2] } else { self.channels };
        let columns = window.area() * if depthwise { 1 } else { input[2] as usize };
        let rows = channels as usize;
        let trits: Vec<i8> = (0..rows * columns).map(|_| (random.next() % 3) as i8 - 1).collect();
        let exponent = |random: &mut Random| (random.next() % self.window_of_exponents) as i8 - 9;
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| exponent(random)).collect();
        let bias: Vec<i32> = (0..rows).map(|_| random.next() as i32 % 8192 - 4096).collect();
        let mut writer = ModelWriter::new("convolution");
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        let refused = |error| format!("a convolution of {columns} columns in groups of {group}: {error}");
        let weights = writer.add_matrix_in(&values, Layout::Groups).map_err(refused)?;
        let bias = Some(writer.add_bias(&bias).map_err(refused)?);
        let relu = self.relu && self.output == DataType::I8;
        let operator = Conv2d { input: 0, output: 1, relu, window, weights, bias };
        let operator = if depthwise { Operator::DepthwiseConv2d(operator) } else { Operator::Conv2d(operator) };
        writer.push(&operator).map_err(refused)?;
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, shape| Tensor {
            data_type,
            class,
            exponent,
            shape,
            offset: 0,
            first: 0,
            last: 0,
        };
        let exponent = if self.output == DataType::I8 { 1 } else { -9 };
        let output = tensor(TensorClass::Output, self.output, exponent, [height, width, channels]);
        let tensors = [tensor(TensorClass::Input, DataType::I8, 0, input), output];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).map_err(refused)
    }
}

/// A linear congruential generator: what it makes only has to be mixed.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }
}

//! Convolutions, with and without all channels in each window.

use crate::{Aligned, Fault, Layer};
use core::hint::black_box;
use emulated_board::Counter;
use semihosting::{eprintln, println};
use static_cell::ConstStaticCell;
use trishift::Model;
use trishift::format::{DataType, Operator};
use trishift::kernels::conv2d::Conv2d;
use trishift::kernels::geometry::Geometry;
use trishift::kernels::{Kernels, Outputs, SCALAR, SCRATCH, best};

pub(crate) static LAYERS: &[Layer] = include!(concat!(env!("OUT_DIR"), "/convolutions.rs"));

/// Elements of the largest image.
const ELEMENTS: usize = 16 * 1024;

/// Memory for one convolution.
struct Memory {
    input: [i8; ELEMENTS],
    scratch: [i32; 8 * 1024],
    narrow: [[i8; ELEMENTS]; 2],
    wide: [[i32; 256]; 2],
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    input: [0; ELEMENTS],
    scratch: [0; 8 * 1024],
    narrow: [[0; ELEMENTS]; 2],
    wide: [[0; 256]; 2],
});

/// Runs all convolutions; returns the number of outputs that differ.
pub(crate) fn judge(counter: &mut Counter) -> Result<usize, Fault> {
    let memory = MEMORY.take();
    let mut all = 0;
    for (number, layer) in LAYERS.iter().enumerate() {
        let model = Model::parse(&layer.file.0).map_err(|_| "a convolution is refused")?;
        let mut random = number as u32;
        for input in &mut memory.input {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *input = match (layer.measured, number % 4, random >> 24) {
                (false, 0, _) => -128,
                (_, _, random) => random as u8 as i8,
            };
        }
        let counter = layer.measured.then_some(&mut *counter);
        let (instructions, mismatches) = compare(&model, memory, counter)?;
        all += mismatches;
        if mismatches > 0 {
            eprintln!("convolution {number}: {mismatches} outputs differ from the definition's");
        }
        if layer.measured {
            print(layer, &model, instructions, mismatches);
        }
    }
    Ok(all)
}

/// Runs a convolution both ways: instructions of the core's kernel, 0 without counter, and outputs that differ.
fn compare(model: &Model<'_>, memory: &mut Memory, counter: Option<&mut Counter>) -> Result<(u32, usize), Fault> {
    let Memory { input, scratch, narrow: [narrow, narrow_expected], wide: [wide, wide_expected] } = memory;
    let (op, depthwise) = match model.operators().next() {
        Some(Operator::Conv2d(op)) => (op, false),
        Some(Operator::DepthwiseConv2d(op)) => (op, true),
        _ => return Err("a convolution is none".into()),
    };
    let layer = Conv2d {
        matrix: model.matrix(&op.weights),
        bias: model.bias_at(op.bias, op.weights.rows),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: op.relu,
        geometry: Geometry::new(&op.window, &model.input(), &model.output()),
    };
    let needed = match depthwise {
        true => SCRATCH.depthwise_conv2d(&layer.geometry, false),
        false => SCRATCH.conv2d(&layer.geometry, layer.matrix.rows(), layer.matrix.columns()),
    };
    let scratch = scratch.get_mut(..needed / 4).ok_or("a convolution wants too much scratch")?;
    let input = input.get(..model.input().len()).ok_or("an input is too large")?;
    let run = |kernels: &Kernels, scratch: &mut [i32], output: Outputs<'_>| {
        let kernel = if depthwise { kernels.depthwise_conv2d } else { kernels.conv2d };
        kernel(black_box(&layer), black_box(input), scratch, output);
    };
    let count = |work: &mut dyn FnMut()| match counter {
        Some(counter) => counter.count(work).map(|(instructions, ())| instructions),
        None => {
            work();
            Ok(0)
        }
    };
    // What is in the scratch must not matter.
    scratch.fill(0x5A5A_5A5A);
    let length = model.output().len();
    if model.output().data_type == DataType::I8 {
        let narrow = narrow.get_mut(..length).ok_or("an output is too large")?;
        let expected = narrow_expected.get_mut(..length).ok_or("an output is too large")?;
        narrow.fill(77);
        expected.fill(78);
        let instructions = count(&mut || run(best(), scratch, Outputs::I8(narrow)))?;
        run(&SCALAR, scratch, Outputs::I8(expected));
        Ok((instructions, narrow.iter().zip(expected).filter(|(found, expected)| **found != **expected).count()))
    } else {
        let wide = wide.get_mut(..length).ok_or("an output is too large")?;
        let expected = wide_expected.get_mut(..length).ok_or("an output is too large")?;
        wide.fill(77);
        expected.fill(78);
        let instructions = count(&mut || run(best(), scratch, Outputs::I32(wide)))?;
        run(&SCALAR, scratch, Outputs::I32(expected));
        Ok((instructions, wide.iter().zip(expected).filter(|(found, expected)| **found != **expected).count()))
    }
}

/// One line of JSON; ratios are printed from integers.
fn print(layer: &Layer, model: &Model<'_>, instructions: u32, mismatches: usize) {
    let (input, output) = (model.input(), model.output());
    let (kind, window) = match model.operators().next() {
        Some(Operator::DepthwiseConv2d(op)) => ("depthwise", op.window),
        Some(Operator::Conv2d(op)) => ("conv", op.window),
        _ => return,
    };
    let ([kernel_height, kernel_width], [height, width, from], to) = (window.kernel, input.shape, output.shape[2]);
    let macs = model.macs();
    let ratio = (u64::from(instructions) * 1000 + macs / 2) / macs;
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"{kind}_{kernel_height}x{kernel_width}_{from}x{to}_{height}x{width}_g{}\",\
         \"instructions\":{instructions},\"macs\":{macs},\"instructions_per_mac\":{}.{:03},\"mismatches\":{mismatches},\
         \"samples\":1,\"group\":{},\"layout\":\"groups\",\"algorithm\":\"tiles\",\"weight_bytes\":{}}}",
        emulated_board::NAME,
        layer.group,
        ratio / 1000,
        ratio % 1000,
        layer.group,
        model.weight_bytes(),
    );
}

//! Every operator of every instruction set's table, but for linear layers, against the scalar definition: lengths around
//! vectors, every shift, extreme values.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod random;

use random::Random;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, InputScale, Linear, Model, Operator, Tensor, TensorClass};
use trishift_kernels::add::Alignment;
use trishift_kernels::embedding::Embedding;
use trishift_kernels::softmax::Exponents;
use trishift_kernels::{Kernels, SCALAR, Values};

impl Random {
    fn i8s(&mut self, length: usize) -> Vec<i8> {
        (0..length).map(|_| [-128, 127, 0, self.next() as i8][self.below(4)]).collect()
    }

    /// Of any magnitude, the largest ones too.
    fn i32s(&mut self, length: usize) -> Vec<i32> {
        let bits = self.below(32) as u32;
        let value = |random: &mut Self| match random.below(12) {
            0 if bits > 20 => i32::MIN,
            1 if bits > 20 => i32::MAX,
            2 => 0,
            _ => (random.next() as i32) >> (31 - bits),
        };
        (0..length).map(|_| value(self)).collect()
    }
}

const LENGTHS: [usize; 16] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130, 1000];

/// Calls `f(kernels)` for the definition, then for each other table, and compares what it gives.
fn compare<T: PartialEq + std::fmt::Debug>(what: &str, mut f: impl FnMut(&Kernels) -> T) {
    let expected = f(&SCALAR);
    for kernels in trishift_kernels::available() {
        assert_eq!(f(kernels), expected, "{} {what}", kernels.name);
    }
}

#[test]
fn relu_add_and_requantize() {
    let mut random = Random(1);
    for length in LENGTHS {
        let (left, right, wide) = (random.i8s(length), random.i8s(length), random.i32s(length));
        compare("relu", |kernels| {
            let mut output = vec![55; length];
            (kernels.relu)(&left, &mut output);
            output
        });
        compare("relu in place", |kernels| {
            let mut data = left.clone();
            (kernels.relu_in_place)(&mut data);
            data
        });
        for distance in (0..12).chain([31, 32, 33, 200]) {
            for (alignment, relu) in [(Alignment::of(0, distance), false), (Alignment::of(distance, 0), true)] {
                compare("add", |kernels| {
                    let mut output = vec![55; length];
                    (kernels.add)(&left, &right, alignment, relu, &mut output);
                    output
                });
                compare("add in place", |kernels| {
                    let mut data = left.clone();
                    (kernels.add_in_place)(&mut data, &right, alignment, relu);
                    data
                });
            }
        }
        for shift in (-34..35).chain([-1000, 1000]) {
            compare("requantize", |kernels| {
                let mut output = vec![55; length];
                (kernels.requantize)(&wide, shift, shift % 2 == 0, &mut output);
                output
            });
        }
    }
}

#[test]
fn norms() {
    let mut random = Random(2);
    for length in LENGTHS {
        for round in 0..40 {
            let input = if round == 0 { vec![0; 3 * length] } else { random.i32s(3 * length) };
            let (relu, one) = (round % 2 == 0, random.below(40) as i32 - 20);
            compare("shift norm", |kernels| {
                let mut output = vec![55; 3 * length];
                (kernels.shift_norm)(&input, length, relu, &mut output);
                output
            });
            compare("rms norm", |kernels| {
                let mut output = vec![55; 3 * length];
                (kernels.rms_norm)(&input, length, one, relu, &mut output);
                output
            });
        }
    }
}

#[test]
fn argmax_gives_the_first_of_equals() {
    let mut random = Random(3);
    for length in LENGTHS {
        for _ in 0..20 {
            let (narrow, wide) = (random.i8s(4 * length), random.i32s(4 * length));
            compare("argmax", |kernels| {
                let mut output = [[55; 4]; 2];
                (kernels.argmax_i8)(&narrow, length, &mut output[0]);
                (kernels.argmax_i32)(&wide, length, &mut output[1]);
                output
            });
        }
    }
    compare("argmax of nothing", |kernels| {
        let mut output = [55; 2];
        (kernels.argmax_i8)(&[], 0, &mut output);
        output
    });
}

#[test]
fn softmax() {
    let mut random = Random(4);
    for length in LENGTHS {
        for round in 0..20 {
            let (narrow, wide) = (random.i8s(2 * length), random.i32s(2 * length));
            let exponents = Exponents { input: random.below(80) as i32 - 70, output: -(random.below(31) as i32) };
            for values in [Values::I8(&narrow), Values::I32(&wide)] {
                compare("softmax", |kernels| {
                    let (mut bytes, mut words) = (vec![55; 2 * length], vec![55; 2 * length]);
                    (kernels.softmax_i8)(values, length, Exponents { output: -7, ..exponents }, &mut bytes);
                    (kernels.softmax_i32)(values, length, exponents, &mut words);
                    (bytes, words, round)
                });
            }
        }
    }
}

#[test]
fn embedding() {
    let mut random = Random(5);
    let (rows, columns) = (9, 70);
    for group in GroupSize::ALL {
        let trits: Vec<i8> = (0..rows * columns).map(|_| random.below(3) as i8 - 1).collect();
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| random.below(9) as i8 - 10).collect();
        let mut writer = ModelWriter::new("case");
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        let weights = writer.add_matrix(&values).unwrap();
        writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None })).unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, len: usize| Tensor {
            data_type,
            class,
            exponent,
            shape: [1, 1, len as u32],
            offset: 0,
            first: 0,
            last: 0,
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, columns),
            tensor(TensorClass::Output, DataType::I32, -10, rows),
        ];
        let region = Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 };
        let file = writer.finish(&region).unwrap();
        let model = Model::parse(&file).unwrap();
        let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one layer") };
        let table = model.matrix(&op.weights);
        for indices in [Values::I32(&[8, 0, 3]), Values::I8(&[-128, -120, -125]), Values::I32(&[1, 9, 2])] {
            compare("embedding", |kernels| {
                let (mut bytes, mut words) = (vec![55; 3 * columns], vec![55; 3 * columns]);
                let narrow = (kernels.embedding_i8)(&Embedding { table, exponent: -5 }, indices, &mut bytes);
                let wide = (kernels.embedding_i32)(&Embedding { table, exponent: -10 }, indices, &mut words);
                (bytes, words, narrow, wide)
            });
        }
    }
}

#[test]
fn names_choose_tables_and_unknown_ones_are_refused() {
    let names: Vec<_> = trishift_kernels::available().map(|kernels| kernels.name).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    for name in &names {
        assert_eq!(trishift_kernels::select(name).unwrap().name, *name);
    }
    let error = trishift_kernels::select("avx1024").unwrap_err().to_string();
    assert!(names.iter().all(|name| error.contains(name)) && error.contains("'avx1024'"), "{error}");
}

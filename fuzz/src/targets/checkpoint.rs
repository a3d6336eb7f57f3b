//! Any bytes as a checkpoint: the parser never panics, and what it accepts can be read to the end, as state of a run too.

use crate::{outcome, walk};
use std::path::Path;
use trishift_format::checkpoint::{StateTensor, StateType};
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_format::{Checkpoint, trits};
use trishift_trainer::checkpoint::StateReader;

/// Most elements that are read as typed state: a file's own, not what it claims.
const MOST_VALUES: usize = 1 << 20;

/// Parses the bytes as they are, and reads what is accepted.
pub fn check(file: &[u8]) {
    let Ok(checkpoint) = Checkpoint::parse(file) else { return };
    walk::checkpoint(&checkpoint);
    let state = StateReader::new(file, Path::new("a file")).expect("the same parser has accepted it");
    // A configuration that does not parse is an error that says so; one that does is checked.
    if let Err(error) = state.config() {
        assert!(!error.to_string().is_empty());
    }
    let (step, progress) = (state.step(), state.progress(0));
    assert!(step.is_ok() || progress.is_err());
    for tensor in checkpoint.tensors().take(16) {
        // The first one of a name is the one that is read.
        let first = checkpoint.tensor(tensor.name).expect("the name is there");
        let count = first.rows * first.columns;
        if count > MOST_VALUES {
            continue;
        }
        let lengths = [
            state.trits(first.name, count).map(|values| values.len()),
            state.i8s(first.name, count).map(|values| values.len()),
            state.i16s(first.name, count).map(|values| values.len()),
            state.i32s(first.name, count).map(|values| values.len()),
            state.i64s(first.name, count).map(|values| values.len()),
            state.f32s(first.name, count).map(|values| values.len()),
        ];
        assert!(lengths.iter().flatten().all(|length| *length == count));
        assert!(lengths.iter().any(Result::is_ok), "a tensor of no type");
    }
    write_again(&checkpoint);
}

/// What the crate's writer makes of the contents says the same.
fn write_again(checkpoint: &Checkpoint<'_>) {
    let elements = checkpoint.tensors().map(|tensor| tensor.bytes.len()).sum::<usize>();
    if elements > MOST_VALUES {
        return;
    }
    let mut writer = CheckpointWriter::new(checkpoint.config());
    for tensor in checkpoint.tensors() {
        let StateTensor { name, bytes, .. } = tensor;
        let rows = shape(&tensor)[0];
        let pushed = match tensor.state_type {
            StateType::Trits => {
                let mut values = vec![0; rows * tensor.columns];
                trits::unpack(bytes, &mut values);
                writer.push(name, rows, StateValues::Trits(&values))
            }
            StateType::I8 => {
                let values: Vec<i8> = bytes.iter().map(|byte| *byte as i8).collect();
                writer.push(name, rows, StateValues::I8(&values))
            }
            StateType::I16 => writer.push(name, rows, StateValues::I16(&numbers(bytes, i16::from_le_bytes))),
            StateType::I32 => writer.push(name, rows, StateValues::I32(&numbers(bytes, i32::from_le_bytes))),
            StateType::I64 => writer.push(name, rows, StateValues::I64(&numbers(bytes, i64::from_le_bytes))),
            StateType::F32 => writer.push(name, rows, StateValues::F32(&numbers(bytes, f32::from_le_bytes))),
        };
        pushed.expect("a parsed tensor can be written");
    }
    let file = writer.finish().expect("a parsed checkpoint can be written");
    let again = Checkpoint::parse(&file).expect("the writer has parsed it");
    assert_eq!(again.config(), checkpoint.config());
    assert_eq!(again.tensors().count(), checkpoint.tensors().count());
    for (again, tensor) in again.tensors().zip(checkpoint.tensors()) {
        assert_eq!((again.name, shape(&again)), (tensor.name, shape(&tensor)));
        // int64 is stored in the narrowest type that holds it.
        if tensor.state_type != StateType::I64 && tensor.state_type != StateType::Trits {
            assert_eq!((again.state_type, again.bytes), (tensor.state_type, tensor.bytes));
        }
    }
}

/// Rows and columns; a tensor of no elements may have any number of either, of which the writer keeps none.
fn shape(tensor: &StateTensor<'_>) -> [usize; 2] {
    if tensor.rows * tensor.columns == 0 { [0; 2] } else { [tensor.rows, tensor.columns] }
}

fn numbers<const BYTES: usize, T>(bytes: &[u8], number: fn([u8; BYTES]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// What becomes of the bytes.
pub fn outcome(file: &[u8]) -> String {
    outcome::of(Checkpoint::parse(file))
}

//! Parsing and reading allocate nothing, so that a model can be read in place on a machine without a heap.
#![cfg(feature = "alloc")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::golden;
use trishift_format::{Checkpoint, Model, Operator, ParseError, trits};

thread_local! {
    // The test harness allocates in threads of its own: only this thread's allocations count.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every method hands its arguments to `System`, whose contract is this trait's, and changes nothing; counting
// touches a constant-initialised thread-local without a destructor, which never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is the one asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by way of `alloc` or `realloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` with this layout; the caller keeps the rest of the contract.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Reads every tensor, operator, row, group and string once.
fn read(model: &Model<'_>) -> usize {
    let mut read = model.tensors().map(|tensor| tensor.bytes()).sum::<usize>() + model.macs() as usize;
    for operator in model.operators() {
        if let Some(record) = operator.int8_weights() {
            let matrix = model.int8_matrix(record);
            let rows = (0..matrix.rows()).filter_map(|row| matrix.row(row)).chain(matrix.iter());
            read += rows.map(|row| row.values.len() + row.exponent.unsigned_abs() as usize).sum::<usize>();
            read += model.bias_at(operator.bias(), record.rows).map_or(0, |bias| bias.iter().len());
        }
        let Some(record) = operator.weights() else { continue };
        let mut unpacked = [0; 12];
        let matrix = model.matrix(record);
        for row in (0..matrix.rows()).filter_map(|row| matrix.row(row)).chain(matrix.iter()) {
            row.unpack(&mut unpacked[..matrix.columns()]);
            read += row.groups().map(|group| usize::from(trits::NONZERO[usize::from(group.bytes[0])])).sum::<usize>();
            read += row.exponents().map(|exponent| exponent.unsigned_abs() as usize).sum::<usize>();
        }
        if let Operator::Linear(op) = operator {
            read += model.bias(&op).map_or(0, |bias| bias.iter().len());
        }
    }
    read += model.input_scales().map(|scale| scale.quantize_i32(77).unsigned_abs() as usize).sum::<usize>();
    read + model.labels().chain(model.properties().map(|(_, value)| value)).map(str::len).sum::<usize>()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
    let grow = || {
        let mut bytes = Vec::with_capacity(1);
        bytes.push(std::hint::black_box(1u8));
        bytes.reserve_exact(4096);
        std::hint::black_box(&bytes);
    };
    assert_eq!(allocations(grow), 2);
}

#[test]
fn reading_a_model_allocates_nothing() {
    let file = golden::model().unwrap();
    let mut sum = 0;
    let count = allocations(|| {
        if let Ok(model) = Model::parse(&file) {
            sum = read(&model);
        }
    });
    assert!(sum > 0, "the golden model was not read");
    assert_eq!(count, 0);
}

#[test]
fn reading_a_checkpoint_allocates_nothing() {
    let file = golden::checkpoint().unwrap();
    let mut bytes = 0;
    let count = allocations(|| {
        if let Ok(checkpoint) = Checkpoint::parse(&file) {
            bytes = checkpoint.config().len() + checkpoint.tensors().map(|tensor| tensor.bytes.len()).sum::<usize>();
        }
    });
    assert!(bytes > 0, "the golden checkpoint was not read");
    assert_eq!(count, 0);
}

#[test]
fn refusing_a_file_allocates_nothing() {
    let mut file = golden::model().unwrap();
    let last = file.len() - 1;
    file[last] ^= 1;
    let mut outcome = None;
    let count = allocations(|| outcome = Model::parse(&file).err());
    assert_eq!((outcome, count), (Some(ParseError::BodyChecksum), 0));
}

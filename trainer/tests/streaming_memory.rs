//! A streaming correlation update never holds a matrix of gradients or votes: the most memory it takes at any moment is
//! less than twice the packed weights, however large the layer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use ndarray::Array2;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use trishift_format::GroupSize;
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::ternary::{Shape, TernaryState, Votes};

/// Bytes that are allocated now, on whatever thread, and the most there were since [`peak_of`] began.
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, counting.
struct Counting;

fn count(bytes: isize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every method hands its arguments to `System`, whose contract is this trait's, and changes nothing; counting
// touches two atomics and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is the one asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System` by way of `alloc` or `realloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // The old and the new block may both be there for a moment.
        count(bytes as isize);
        // SAFETY: `pointer` came from `System` with this layout; the caller keeps the rest of the contract.
        let moved = unsafe { System.realloc(pointer, layout, bytes) };
        count(-(layout.size() as isize));
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes allocated at any moment of `work`, beyond those before it.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    ((PEAK.load(Ordering::Relaxed) - before) as usize, result)
}

const SIZE: usize = 4096;
const BATCH: usize = 128;

/// Threads take a panel each: as many as a large desktop has.
const THREADS: usize = 16;

#[test]
fn streaming_updates_take_less_than_twice_the_packed_weights() {
    let shape = Shape::new(SIZE, SIZE, GroupSize::new(32).unwrap()).unwrap();
    let trits = (0..shape.weights()).map(|index| (index * 7 % 3) as i8 - 1).collect();
    let mut streamed = TernaryState::new(shape, trits, vec![0; shape.groups()]).unwrap();
    let mut dense = streamed.clone();
    let value = |(m, k): (usize, usize)| ((m * 31 + k * 17) % 11) as f32 - 5.0;
    let (output, input) = (Array2::from_shape_fn((BATCH, SIZE), value), Array2::from_shape_fn((BATCH, SIZE), value));
    let gradient = Gradient::Product { output: output.t(), input: input.view() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();

    let (streaming, result) = peak_of(|| pool.install(|| streamed.update_correlation(&gradient, 1)));
    result.unwrap();
    let packed = shape.packed_bytes();
    println!("streaming took {streaming} bytes, the packed weights take {packed}");
    assert!(streaming <= 2 * packed, "{streaming} > 2 · {packed}");
    assert!(streaming > 0, "nothing was counted");

    // The counter would see a matrix of votes, and the state is that of one.
    let (whole, votes) = peak_of(|| pool.install(|| Votes::collect(&gradient)));
    assert!(whole >= shape.weights(), "{whole}");
    dense.update_correlation(&votes.unwrap(), 1).unwrap();
    assert_eq!(dense, streamed);
}

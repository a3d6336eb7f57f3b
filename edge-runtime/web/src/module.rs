//! What a module must bring that no system provides: a heap and an end for panics.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::Cell;

/// Bytes by which a module's memory grows.
const PAGE: usize = 65_536;

unsafe extern "C" {
    /// Where the linker's own data ends.
    static __heap_base: u8;
}

/// A heap that only grows. An instance of the module lives as long as its one model; all that it holds goes with it.
struct Growing {
    end: Cell<usize>,
}

// SAFETY: a module without shared memory has one thread.
unsafe impl Sync for Growing {}

// SAFETY: no two allocations share a byte, and none lies in the linker's data or outside the memory.
unsafe impl GlobalAlloc for Growing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let first = (&raw const __heap_base).addr();
        let Some(start) = self.end.get().max(first).checked_next_multiple_of(layout.align()) else {
            return core::ptr::null_mut();
        };
        let Some(end) = start.checked_add(layout.size()) else { return core::ptr::null_mut() };
        let missing = end.div_ceil(PAGE).saturating_sub(wasm32::memory_size(0));
        if missing > 0 && wasm32::memory_grow(0, missing) == usize::MAX {
            return core::ptr::null_mut();
        }
        self.end.set(end);
        core::ptr::with_exposed_provenance_mut(start)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Growing = Growing { end: Cell::new(0) };

/// A trap, which JavaScript sees as an error. Nothing here panics on purpose; a message would cost more bytes than some
/// operators do.
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}

//! The processors: a clock, a loop of known length, a painter for the stack, a handler that ends the program at a fault.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "arm")]
pub(crate) use cortex_m::{Clock, paint_stack, spin};

#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
pub(crate) use riscv::{Clock, paint_stack, spin};

#[cfg(not(any(target_arch = "arm", target_arch = "riscv32")))]
compile_error!("these boards have Cortex-M and RV32 processors; firmware-examples/run-qemu builds for them");

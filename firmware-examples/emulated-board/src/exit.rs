//! Exit codes of the firmware for emulated boards. A refused model ends with the code that names its refusal, 10 to 19.

/// Everything is as on the host.
pub const SUCCESS: i32 = 0;
/// Something differs from the host, or the program cannot judge itself.
pub const FAILURE: i32 = 1;
/// A panic: a defect of the program.
pub const PANIC: i32 = 101;
/// The processor refused an instruction or an access, or the stack ran out of its memory.
pub const FAULT: i32 = 102;

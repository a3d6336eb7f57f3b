//! See `trishift_fuzz::targets::kernels`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trishift_fuzz::targets::kernels::check(bytes));

#[cfg(not(fuzzing))]
fn main() {
    trishift_fuzz::replay(trishift_fuzz::targets::kernels::check);
}

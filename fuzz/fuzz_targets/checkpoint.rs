//! See `trishift_fuzz::targets::checkpoint`. Most mutations leave header and checksums right, so that what lies behind them is met.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trishift_fuzz::targets::checkpoint::check(bytes));

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    trishift_fuzz::container::mutate_file(bytes, size, most, seed, libfuzzer_sys::fuzzer_mutate)
});

#[cfg(not(fuzzing))]
fn main() {
    trishift_fuzz::replay(trishift_fuzz::targets::checkpoint::check);
}

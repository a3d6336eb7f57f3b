//! Every CUDA kernel compiles for every architecture that matters, without a card.
//!
//! Needs NVRTC. Without it the test says so and passes, but where `TRISHIFT_REQUIRE_NVRTC` is set, as `./test cuda` does, it
//! fails.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use rayon::prelude::*;
use trishift_format::GroupSize;
use trishift_kernels::cuda::SOURCES;
use trishift_trainer::backend::cuda::compile::{self, Architecture};

/// Ampere, Hopper and Blackwell; one that NVRTC does not know is replaced by the newest that it does.
const ARCHITECTURES: [i32; 3] = [80, 90, 100];

const GROUPS: [u32; 10] = [4, 6, 8, 16, 20, 32, 40, 64, 80, 96];

#[test]
fn every_kernel_compiles_for_every_architecture() {
    if !compile::is_available() {
        assert!(std::env::var_os("TRISHIFT_REQUIRE_NVRTC").is_none(), "NVRTC (libnvrtc) is needed and missing");
        println!("skipped: NVRTC (libnvrtc) is not on this machine");
        return;
    }
    let known = compile::architectures().unwrap();
    let newest = *known.last().unwrap();
    let mut wanted = ARCHITECTURES.map(|number| if known.contains(&number) { number } else { newest }).to_vec();
    wanted.dedup();
    let jobs: Vec<_> = SOURCES
        .iter()
        .flat_map(|source| {
            let groups: Vec<Option<u32>> =
                if source.grouped { GROUPS.into_iter().map(Some).collect() } else { vec![None] };
            groups.into_iter().map(move |group| (source, group))
        })
        .flat_map(|(source, group)| wanted.iter().map(move |number| (source, group, *number)))
        .collect();
    jobs.par_iter().for_each(|(source, group, number)| {
        let architecture = Architecture { major: number / 10, minor: number % 10 };
        let group = group.map(|group| GroupSize::new(group).unwrap());
        let code = compile::machine_code(source, group, architecture).unwrap_or_else(|error| panic!("{error}"));
        // Machine code is an ELF file.
        assert!(code.starts_with(b"\x7FELF"), "{} {group:?} {number}", source.name);
    });
    println!("{} kernels' sources compiled for {wanted:?}", jobs.len());
}

//! Names the family of small cores that a target belongs to, as `cfg(trishift_core = "…")`.
//!
//! By the target's name: what a compiler says of its features differs between stable and nightly, and the name of a
//! bare-metal target says it all.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(small_core)");
    println!("cargo::rustc-check-cfg=cfg(small_core, values(\"thumbv6m\", \"thumbv7m\", \"riscv32\"))");
    let target = std::env::var("TARGET").unwrap_or_default();
    if let Some(family) = family(&target) {
        println!("cargo::rustc-cfg=small_core");
        println!("cargo::rustc-cfg=small_core=\"{family}\"");
    }
}

/// Cores with the instructions of Armv7-M make one family: a look-up has no use for what the DSP extension adds. Cores of
/// Armv8-M Baseline (Cortex-M23) have not got all of them and run what an Armv6-M does.
fn family(target: &str) -> Option<&'static str> {
    match target.split('-').next()? {
        "thumbv6m" | "thumbv8m.base" => Some("thumbv6m"),
        "thumbv7m" | "thumbv7em" | "thumbv8m.main" => Some("thumbv7m"),
        "riscv32i" | "riscv32im" | "riscv32imc" | "riscv32imac" | "riscv32imafc" => Some("riscv32"),
        _ => None,
    }
}

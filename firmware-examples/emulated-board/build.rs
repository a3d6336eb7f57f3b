//! Tells the crate which board it is for: `TRISHIFT_BOARD`, as `run-qemu` sets it.

fn main() {
    println!("cargo::rerun-if-env-changed=TRISHIFT_BOARD");
    match std::env::var("TRISHIFT_BOARD") {
        Ok(board) => println!("cargo::rustc-env=TRISHIFT_BOARD={board}"),
        Err(_) => println!("cargo::error=TRISHIFT_BOARD is not set; firmware-examples/run-qemu sets it"),
    }
}

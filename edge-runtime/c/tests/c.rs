//! The header is what cbindgen makes of the sources, and a C program that includes it runs a model.
//!
//! `TRISHIFT_BLESS=1 cargo test -p trishift-c` writes the header anew.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_header_is_made_from_the_sources() {
    let configuration = cbindgen::Config::from_file(folder().join("cbindgen.toml")).expect("a valid configuration");
    let builder = cbindgen::Builder::new().with_config(configuration);
    let sources = ["lib.rs", "error.rs", "model.rs"].map(|file| folder().join("src").join(file));
    let builder = sources.iter().fold(builder, |builder, source| builder.with_src(source));
    let mut made = Vec::new();
    builder.generate().expect("sources that cbindgen reads").write(&mut made);
    let header = folder().join("include/trishift.h");
    if std::env::var_os("TRISHIFT_BLESS").is_some() {
        std::fs::write(&header, &made).expect("the folder is writable");
    }
    let stored = std::fs::read(&header).unwrap_or_default();
    assert!(stored == made, "include/trishift.h is not what cbindgen makes; TRISHIFT_BLESS=1 writes it");
}

/// The library that cargo has built for this test: beside the test itself.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the test's path");
    test.parent().expect("a folder").to_path_buf()
}

/// Compiles `tests/NAME.c`, warnings being errors, and runs it with the golden model.
fn run(name: &str, compiler: &str, flags: &[&str]) {
    let golden = folder().join("../../shared-format/tests/golden/model-0.2.tsm");
    let program = std::env::temp_dir().join(format!("trishift-{name}-{}", std::process::id()));
    let compiled = Command::new(compiler)
        .args(flags)
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(folder().join("tests").join(name))
        .arg("-I")
        .arg(folder().join("include"))
        .arg("-L")
        .arg(library())
        .args(["-ltrishift_c", "-lm", "-lpthread"])
        .arg(format!("-Wl,-rpath,{}", library().display()))
        .status()
        .unwrap_or_else(|error| panic!("{compiler} does not run ({error}): install a C compiler"));
    assert!(compiled.success(), "{name} does not compile");
    let ran = Command::new(&program).arg(golden).status().expect("the program starts");
    std::fs::remove_file(&program).expect("the program can be removed");
    assert!(ran.success(), "{name}: {ran}");
}

#[test]
fn a_c_program_runs_a_model() {
    run("check.c", "cc", &["-std=c99", "-pedantic"]);
}

//! Runs a model from a memory map: `cargo run --release -p trishift --example memory_map -- MODEL`
//!
//! The file is never copied: the parser reads the pages once, the packer once more, and processes that map one model share
//! them.
#![allow(unsafe_code, reason = "a file may change under a map")]

use std::error::Error;
use std::process::ExitCode;
use trishift::format::DataType;
use trishift::{EnginePool, Model};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory_map: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which model? memory_map MODEL")?;
    let file = std::fs::File::open(&path)?;
    // SAFETY: nobody changes a model file while it is in use: programs that write one write another file and rename it.
    let map = unsafe { memmap2::Mmap::map(&file)? };

    let model = Model::parse(&map)?;
    let pool = EnginePool::new(&model, std::thread::available_parallelism()?)?;
    let input = vec![1i8; model.input().len()];
    match model.output().data_type {
        DataType::I8 => {
            let mut output = vec![0i8; model.output().len()];
            pool.run(&input, &mut output)?;
            println!("{output:?}");
        }
        DataType::I32 => {
            let mut output = vec![0i32; model.output().len()];
            pool.run(&input, &mut output)?;
            println!("{output:?}");
        }
    }
    Ok(())
}

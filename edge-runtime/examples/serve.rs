//! Serves batches on all cores: `cargo run --release -p trishift --example serve -- MODEL [SAMPLES]`
//!
//! One pool, several clients at a time, each with batches of its own, as the threads of a server would have them. What a
//! client gets does not depend on the others.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;
use trishift::format::DataType;
use trishift::{EnginePool, Model, OutputSlice};

/// Clients at a time, and batches of each.
const CLIENTS: usize = 4;
const BATCHES: usize = 8;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which model? serve MODEL [SAMPLES]")?;
    let samples: usize = arguments.next().map_or(Ok(1024), |samples| samples.parse())?;

    let file = std::fs::read(&path)?;
    let model = Model::parse(&file)?;
    let pool = EnginePool::new(&model, std::thread::available_parallelism()?)?;
    let (inputs, outputs, data_type) = (model.input().len(), model.output().len(), model.output().data_type);
    println!(
        "{}: {} kernels, {} bytes of packed weights",
        model.name(),
        pool.packed().kernels().name,
        pool.packed().bytes()
    );

    let started = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let pool = &pool;
                scope.spawn(move || {
                    let input: Vec<i8> = (0..samples * inputs).map(|i| (i * 31 + client) as i8).collect();
                    let (mut bytes, mut words) = (Vec::new(), Vec::new());
                    let mut output = match data_type {
                        DataType::I8 => {
                            bytes.resize(samples * outputs, 0i8);
                            OutputSlice::I8(&mut bytes)
                        }
                        DataType::I32 => {
                            words.resize(samples * outputs, 0i32);
                            OutputSlice::I32(&mut words)
                        }
                    };
                    (0..BATCHES).try_for_each(|_| match &mut output {
                        OutputSlice::I8(output) => pool.run(&input, &mut **output),
                        OutputSlice::I32(output) => pool.run(&input, &mut **output),
                    })
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let all = (CLIENTS * BATCHES * samples) as f64;
    println!("{all} samples, {:.0} a second", all / started.elapsed().as_secs_f64());
    Ok(())
}

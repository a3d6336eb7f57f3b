//! Classifies one sample: `cargo run --release -p trishift --features float --example classify -- MODEL VALUE…`
//!
//! The values are raw ones, as the training data had them; the model says how they are scaled.

use std::error::Error;
use std::process::ExitCode;
use trishift::format::DataType;
use trishift::{Engine, HeapArena, Model, argmax};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classify: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which model? classify MODEL VALUE…")?;
    let values = arguments.map(|value| value.parse::<f32>()).collect::<Result<Vec<_>, _>>()?;

    let file = std::fs::read(&path)?;
    let model = Model::parse(&file)?;
    if values.len() != model.input().len() {
        return Err(format!("{} values are given, {path} takes {}", values.len(), model.input().len()).into());
    }
    if model.output().data_type != DataType::I32 {
        return Err(format!("{path} has no int32 logits").into());
    }
    // One scale for all elements, or one for each.
    let scales: Vec<_> = model.input_scales().collect();
    let input: Vec<i8> = values.iter().zip(scales.iter().cycle()).map(|(v, scale)| scale.quantize_f32(*v)).collect();

    let mut arena = HeapArena::new(&model, 1)?;
    let mut engine = Engine::new(&model, arena.bytes(), 1)?;
    let mut logits = vec![0i32; model.output().len()];
    engine.run(&input, &mut logits)?;

    let class = argmax(&logits);
    println!("class {class} ({}), logits {logits:?}", model.labels().nth(class).unwrap_or("no label"));
    Ok(())
}

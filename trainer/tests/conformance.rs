//! Runs every recorded case of a folder: the one that `TRISHIFT_CONFORMANCE` names, else `tests/conformance`.
//!
//! What a case is about is the first part of its file's name; its sizes are in its metadata, and nowhere here.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod vectors;

use anyhow::{Context, Result, ensure};
use std::path::Path;
use trishift_format::GroupSize;
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::ternary::{
    Component, Convention, Embedding, FlipThreshold, Linear, TernaryState, VoteSource, Votes,
};
use vectors::Case;
use vectors::folder::{self, run_folder};
use vectors::parts::{Batch, norm_of, shape_of, state_of};

#[test]
fn every_case_of_the_folder_passes() {
    let folder = folder::named();
    folder::print(&folder, &run_folder(&folder, &run).unwrap());
}

fn run(system: &str, case: &Case) -> Result<()> {
    match system {
        "pack" => pack(case),
        "init" => init(case),
        "linear" => linear(case),
        "linear0" => linear_before_the_first_step(case),
        "corr" => correlation(case),
        "update_e" => exponent_steps(case),
        "flip" => flips(case),
        "accumulate" => accumulate(case),
        "embed" => embedding(case),
        "rmsnorm" => norm(case),
        "regroup" => regroup(case),
        _ => folder::unknown(system),
    }
}

/// Runs `update` by every form of the votes that there is: made on the way, made whole, recorded.
fn each(batch: &Batch, mut update: impl FnMut(&dyn VoteSource) -> Result<()>) -> Result<()> {
    if let Some((input, output)) = &batch.parts {
        let gradient = Gradient::Product { output: output.t(), input: input.view() };
        update(&gradient).context("votes made on the way")?;
        let votes = Votes::collect(&gradient)?;
        ensure!(batch.recorded.as_ref().is_none_or(|recorded| *recorded == votes), "grad_sign differs");
        update(&votes).context("votes made whole")?;
    }
    if let Some(votes) = &batch.recorded {
        update(votes).context("recorded votes")?;
    }
    Ok(())
}

fn pack(case: &Case) -> Result<()> {
    let (trits, packed) = (case.i8s("trits")?, case.u8s("packed")?);
    let shape = shape_of(case, case.number("N")?)?;
    let exponents = vec![0; shape.groups()];
    let state = TernaryState::new(shape, trits.clone(), exponents.clone())?;
    case.same("packed", &state.packed(), &packed)?;
    case.same("trits", TernaryState::from_packed(shape, &packed, exponents)?.trits(), &trits)
}

fn init(case: &Case) -> Result<()> {
    let normals = case.matrix("normal")?;
    let shape = shape_of(case, normals.nrows())?;
    let normals: Vec<f32> = normals.into_iter().collect();
    let (deviation, threshold) = (case.number("init_std")?, case.number("threshold")?);
    let state = TernaryState::from_normals(shape, &normals, deviation, threshold, Convention::Compatible)?;
    case.same("packed", &state.packed(), &case.u8s("packed")?)?;
    case.same("exponents", state.exponents(), &case.i8s("exponents")?)
}

fn linear(case: &Case) -> Result<()> {
    let step = *case.i64s("step")?.first().context("step is empty")?;
    let state = state_of(case, "packed", Some("exponents"))?.with_correlation(case.i64s("corr")?, step)?;
    let mut layer = Linear::new(state);
    layer.strength = case.number("corr_strength")?;
    let (input, output_gradient) = (case.matrix("x")?, case.matrix("grad")?);
    let pass = layer.forward(input.view())?;
    case.near("weights", &pass.weights)?;
    case.near("y", &pass.output)?;
    // The votes first: the backward pass below updates the state by them.
    each(&Batch::of(case)?, |_| Ok(()))?;
    let input_gradient = layer.backward(&pass, input.view(), output_gradient.view(), &Component::default())?;
    case.near("grad_x", &input_gradient)?;
    ensure!(layer.state.step() == step + 1, "the step counter is {}", layer.state.step());
    let (found, expected) = (layer.bits_per_weight(), case.number::<f64>("bits_per_weight")?);
    ensure!((found - expected).abs() < 1e-9, "bits per weight: {found} and should be {expected}");
    Ok(())
}

fn linear_before_the_first_step(case: &Case) -> Result<()> {
    let layer = Linear::new(state_of(case, "packed", Some("exponents"))?);
    case.near("y", &layer.forward(case.matrix("x")?.view())?.output)
}

fn correlation(case: &Case) -> Result<()> {
    let before = state_of(case, "packed", None)?.with_correlation(case.i64s("corr_before")?, 0)?;
    let (count, after) = (case.number::<i32>("corr_step")?, case.i64s("corr_after")?);
    each(&Batch::of(case)?, |votes| {
        let mut state = before.clone();
        state.update_correlation(votes, count)?;
        ensure!(state.step() == i64::from(count.abs()), "the step counter is {}", state.step());
        case.same("corr_after", state.corr(), &after)
    })
}

fn exponent_steps(case: &Case) -> Result<()> {
    let before = state_of(case, "packed", Some("e_before"))?.with_exponent_accumulators(case.i8s("e_accum_before")?)?;
    let (exponents, accumulators) = (case.i8s("e_after")?, case.i8s("e_accum_after")?);
    each(&Batch::of(case)?, |votes| {
        let mut state = before.clone();
        state.step_exponents(votes, case.number("threshold")?)?;
        case.same("e_after", state.exponents(), &exponents)?;
        case.same("e_accum_after", state.exponent_accumulators().unwrap_or_default(), &accumulators)
    })
}

fn flips(case: &Case) -> Result<()> {
    let before = state_of(case, "packed_before", None)?.with_trit_accumulators(case.i8s("accum_before")?)?;
    let by_group = if case.flag("per_group")? { Some(case.i8s("group_threshold")?) } else { None };
    case.ignore("group_threshold");
    let flat = case.number("threshold")?;
    let threshold = by_group.as_deref().map_or(FlipThreshold::Flat(flat), FlipThreshold::PerGroup);
    let compare = |what: &str, state: &TernaryState| {
        let accumulators = state.trit_accumulators().unwrap_or_default();
        case.same(&format!("{what}_packed"), &state.packed(), &case.u8s(&format!("{what}_packed"))?)?;
        case.same(&format!("{what}_accum"), accumulators, &case.i8s(&format!("{what}_accum"))?)
    };
    each(&Batch::of(case)?, |votes| {
        let mut state = before.clone();
        state.step_trits(votes, case.number("step")?, threshold)?;
        compare("step", &state)
    })?;
    let mut state = before;
    state.apply_trits(threshold)?;
    compare("apply", &state)
}

fn accumulate(case: &Case) -> Result<()> {
    let before = state_of(case, "packed", None)?.with_trit_accumulators(case.i8s("t_before")?)?;
    let before = before.with_exponent_accumulators(case.i8s("e_before")?)?;
    let (of_trits, of_exponents) = (case.i8s("t_after")?, case.i8s("e_after")?);
    each(&Batch::of(case)?, |votes| {
        let mut state = before.clone();
        state.accumulate_trits(votes, case.number("t_step")?)?;
        state.accumulate_exponents(votes, case.number("e_step")?)?;
        case.same("trits", state.trits(), before.trits())?;
        case.same("exponents", state.exponents(), before.exponents())?;
        case.same("t_after", state.trit_accumulators().unwrap_or_default(), &of_trits)?;
        case.same("e_after", state.exponent_accumulators().unwrap_or_default(), &of_exponents)
    })
}

fn embedding(case: &Case) -> Result<()> {
    let layer = Embedding::new(state_of(case, "packed", Some("exponents"))?);
    let indices = case.i64s("indices")?;
    case.near("rows", &layer.forward(&indices)?)?;
    let gradient = case.matrix("grad")?;
    let votes = Votes::collect(&layer.votes(&indices, gradient.view())?)?;
    case.same("grad_sign", votes.values(), &case.i8s("grad_sign")?)?;
    let (mut streamed, mut dense) = (layer.clone(), layer);
    streamed.backward(&indices, gradient.view(), &Component::default())?;
    dense.state.update_correlation(&votes, 1)?;
    ensure!(streamed == dense, "updates by the indices and by the matrix differ");
    Ok(())
}

fn norm(case: &Case) -> Result<()> {
    let mut norm = norm_of(case)?;
    let pass = norm.forward(case.matrix("x")?.view())?;
    case.near("y", &pass.output)?;
    case.near("grad_x", &norm.backward(&pass, case.matrix("grad_y")?.view(), &Component::default())?)
}

fn regroup(case: &Case) -> Result<()> {
    let before = state_of(case, "packed", Some("exponents"))?;
    let after = before.regroup(GroupSize::new(case.number("G2")?)?, Convention::Compatible, 4.0);
    case.same("exponents_after", after.exponents(), &case.i8s("exponents_after")?)
}

/// The test itself: it fails where it should.
mod itself {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};
    use std::collections::HashMap;

    /// A packing case of three trits whose first byte is this, and perhaps a tensor that nothing knows.
    fn packing(folder: &Path, name: &str, byte: u8, more: bool) {
        let trits = TensorView::new(Dtype::I8, vec![1, 3], &[1, 0, 255]).unwrap();
        let packed = [byte];
        let mut tensors = vec![("trits", trits), ("packed", TensorView::new(Dtype::U8, vec![1], &packed).unwrap())];
        if more {
            tensors.push(("more", TensorView::new(Dtype::U8, vec![1], &packed).unwrap()));
        }
        let metadata = [("N", "1"), ("K", "3"), ("G", "4")].map(|(key, value)| (key.to_string(), value.to_string()));
        let metadata: HashMap<String, String> = metadata.into();
        safetensors::serialize_to_file(tensors, Some(metadata), &folder.join(name)).unwrap();
    }

    #[test]
    fn right_cases_pass_and_wrong_ones_do_not() {
        // 1, 0, −1: digits 2, 1, 0.
        for (name, byte, more, message) in [
            ("pack_n1_k3_g4_m1.safetensors", 5, false, None),
            ("pack_n1_k3_g4_m1.safetensors", 4, false, Some("value 0 is 5 and should be 4")),
            ("pack_n1_k3_g4_m1.safetensors", 5, true, Some("more")),
            ("packing_n1_k3_g4_m1.safetensors", 5, false, Some("no system \"packing\"")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            packing(folder.path(), name, byte, more);
            let result = run_folder(folder.path(), &run);
            match message {
                None => assert_eq!(result.unwrap().get("pack"), Some(&(1, 0.0))),
                Some(message) => {
                    let error = format!("{:#}", result.unwrap_err());
                    assert!(error.contains(message) && error.contains(name), "{error}");
                }
            }
        }
    }

    #[test]
    fn folders_without_cases_fail() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run_folder(folder.path(), &run).is_err());
        std::fs::write(folder.path().join("README.md"), "").unwrap();
        assert!(run_folder(folder.path(), &run).is_err());
        assert!(run_folder(&folder.path().join("none"), &run).is_err());
    }
}

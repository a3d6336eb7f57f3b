//! Runs every recorded case of a folder on a card, as `conformance.rs` does on the CPU: the folder that
//! `TRISHIFT_CONFORMANCE` names, else `tests/conformance`. Without a card the test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;
mod vectors;

use anyhow::{Context, Result, ensure};
use trishift_format::GroupSize;
use trishift_trainer::backend::cuda::card::Card;
use trishift_trainer::backend::cuda::primitives::{
    CardEmbedding, CardLinear, CardMatrix, CardRmsNorm, CardTernary, CardVoteMatrix, CardVotes,
};
use trishift_trainer::ternary::{Component, Convention, Embedding, FlipThreshold, Linear, TernaryState, VoteSource};
use vectors::Case;
use vectors::folder::{self, run_folder};
use vectors::parts::{Batch, norm_of, shape_of, state_of};

#[test]
fn every_case_of_the_folder_passes_on_a_card() {
    let Some(card) = card::first() else { return };
    let folder = folder::named();
    let report = run_folder(&folder, &|system, case| run(&card, system, case)).unwrap();
    println!("on {}:", card.name());
    folder::print(&folder, &report);
}

fn run(card: &Card, system: &str, case: &Case) -> Result<()> {
    match system {
        "pack" => pack(card, case),
        "init" => init(card, case),
        "linear" => linear(card, case),
        "linear0" => linear_before_the_first_step(card, case),
        "corr" => correlation(card, case),
        "update_e" => exponent_steps(card, case),
        "flip" => flips(card, case),
        "accumulate" => accumulate(card, case),
        "embed" => embedding(card, case),
        "rmsnorm" => norm(card, case),
        "regroup" => regroup(card, case),
        _ => folder::unknown(system),
    }
}

/// Runs `update` by every form of the votes that there is: made on the way, made whole, recorded.
fn each(card: &Card, batch: &Batch, mut update: impl FnMut(CardVotes<'_>) -> Result<()>) -> Result<()> {
    if let Some((input, output_gradient)) = &batch.parts {
        let input = CardMatrix::upload(card, input.view())?;
        let output_gradient = CardMatrix::upload(card, output_gradient.view())?;
        update(CardVotes::Direct { output_gradient: &output_gradient, input: &input })
            .context("votes made on the way")?;
        let votes = CardVoteMatrix::of_product(card, &output_gradient, &input)?;
        let found = votes.download(card)?;
        ensure!(batch.recorded.as_ref().is_none_or(|recorded| *recorded == found), "grad_sign differs");
        update(CardVotes::Matrix(&votes)).context("votes made whole")?;
    }
    if let Some(votes) = &batch.recorded {
        let (rows, columns) = votes.shape()?;
        let votes = CardVoteMatrix::upload(card, rows, columns, votes.values())?;
        update(CardVotes::Matrix(&votes)).context("recorded votes")?;
    }
    Ok(())
}

fn pack(card: &Card, case: &Case) -> Result<()> {
    let (trits, packed) = (case.i8s("trits")?, case.u8s("packed")?);
    let shape = shape_of(case, case.number("N")?)?;
    let exponents = vec![0; shape.groups()];
    let state = TernaryState::new(shape, trits.clone(), exponents.clone())?;
    case.same("packed", &CardTernary::upload(card, &state)?.packed(card)?, &packed)?;
    let unpacked = CardTernary::from_packed(card, shape, &packed, &exponents)?;
    case.same("trits", unpacked.download(card)?.trits(), &trits)?;
    case.same("packed again", &unpacked.packed(card)?, &packed)
}

fn init(card: &Card, case: &Case) -> Result<()> {
    let normals = case.matrix("normal")?;
    let shape = shape_of(case, normals.nrows())?;
    let normals: Vec<f32> = normals.into_iter().collect();
    let (deviation, threshold) = (case.number("init_std")?, case.number("threshold")?);
    let state = CardTernary::from_normals(card, shape, &normals, deviation, threshold, Convention::Compatible)?;
    case.same("packed", &state.packed(card)?, &case.u8s("packed")?)?;
    case.same("exponents", state.download(card)?.exponents(), &case.i8s("exponents")?)
}

fn linear(card: &Card, case: &Case) -> Result<()> {
    let step = *case.i64s("step")?.first().context("step is empty")?;
    let state = state_of(case, "packed", Some("exponents"))?.with_correlation(case.i64s("corr")?, step)?;
    let mut layer = CardLinear::upload(card, &Linear::new(state))?;
    layer.strength = case.number("corr_strength")?;
    let input = CardMatrix::upload(card, case.matrix("x")?.view())?;
    let output_gradient = CardMatrix::upload(card, case.matrix("grad")?.view())?;
    let pass = layer.forward(card, &input)?;
    case.near("weights", &pass.weights.download(card)?)?;
    case.near("y", &pass.output.download(card)?)?;
    each(card, &Batch::of(case)?, |_| Ok(()))?;
    let input_gradient = layer.backward(card, &pass, &input, &output_gradient, &Component::default())?;
    case.near("grad_x", &input_gradient.download(card)?)?;
    ensure!(layer.state.step() == step + 1, "the step counter is {}", layer.state.step());
    let (found, expected) = (layer.state.shape().bits_per_weight(false), case.number::<f64>("bits_per_weight")?);
    ensure!((found - expected).abs() < 1e-9, "bits per weight: {found} and should be {expected}");
    Ok(())
}

fn linear_before_the_first_step(card: &Card, case: &Case) -> Result<()> {
    let layer = CardLinear::upload(card, &Linear::new(state_of(case, "packed", Some("exponents"))?))?;
    let input = CardMatrix::upload(card, case.matrix("x")?.view())?;
    case.near("y", &layer.forward(card, &input)?.output.download(card)?)
}

fn correlation(card: &Card, case: &Case) -> Result<()> {
    let before = state_of(case, "packed", None)?.with_correlation(case.i64s("corr_before")?, 0)?;
    let (count, after) = (case.number::<i32>("corr_step")?, case.i64s("corr_after")?);
    each(card, &Batch::of(case)?, |votes| {
        let mut state = CardTernary::upload(card, &before)?;
        state.update_correlation(card, votes, count)?;
        ensure!(state.step() == i64::from(count.abs()), "the step counter is {}", state.step());
        case.same("corr_after", state.download(card)?.corr(), &after)
    })
}

fn exponent_steps(card: &Card, case: &Case) -> Result<()> {
    let before = state_of(case, "packed", Some("e_before"))?.with_exponent_accumulators(case.i8s("e_accum_before")?)?;
    let (exponents, accumulators) = (case.i8s("e_after")?, case.i8s("e_accum_after")?);
    each(card, &Batch::of(case)?, |votes| {
        let mut state = CardTernary::upload(card, &before)?;
        state.step_exponents(card, votes, case.number("threshold")?)?;
        let state = state.download(card)?;
        case.same("e_after", state.exponents(), &exponents)?;
        case.same("e_accum_after", state.exponent_accumulators().unwrap_or_default(), &accumulators)
    })
}

fn flips(card: &Card, case: &Case) -> Result<()> {
    let before = state_of(case, "packed_before", None)?.with_trit_accumulators(case.i8s("accum_before")?)?;
    let by_group = if case.flag("per_group")? { Some(case.i8s("group_threshold")?) } else { None };
    case.ignore("group_threshold");
    let flat = case.number("threshold")?;
    let threshold = by_group.as_deref().map_or(FlipThreshold::Flat(flat), FlipThreshold::PerGroup);
    let compare = |what: &str, state: &CardTernary| {
        case.same(&format!("{what}_packed"), &state.packed(card)?, &case.u8s(&format!("{what}_packed"))?)?;
        let state = state.download(card)?;
        let accumulators = state.trit_accumulators().unwrap_or_default();
        case.same(&format!("{what}_accum"), accumulators, &case.i8s(&format!("{what}_accum"))?)
    };
    each(card, &Batch::of(case)?, |votes| {
        let mut state = CardTernary::upload(card, &before)?;
        state.step_trits(card, votes, case.number("step")?, threshold)?;
        compare("step", &state)
    })?;
    let mut state = CardTernary::upload(card, &before)?;
    state.apply_trits(card, threshold)?;
    compare("apply", &state)
}

fn accumulate(card: &Card, case: &Case) -> Result<()> {
    let before = state_of(case, "packed", None)?.with_trit_accumulators(case.i8s("t_before")?)?;
    let before = before.with_exponent_accumulators(case.i8s("e_before")?)?;
    let (of_trits, of_exponents) = (case.i8s("t_after")?, case.i8s("e_after")?);
    each(card, &Batch::of(case)?, |votes| {
        let mut state = CardTernary::upload(card, &before)?;
        state.accumulate_trits(card, votes, case.number("t_step")?)?;
        state.accumulate_exponents(card, votes, case.number("e_step")?)?;
        let state = state.download(card)?;
        case.same("trits", state.trits(), before.trits())?;
        case.same("exponents", state.exponents(), before.exponents())?;
        case.same("t_after", state.trit_accumulators().unwrap_or_default(), &of_trits)?;
        case.same("e_after", state.exponent_accumulators().unwrap_or_default(), &of_exponents)
    })
}

fn embedding(card: &Card, case: &Case) -> Result<()> {
    let layer = Embedding::new(state_of(case, "packed", Some("exponents"))?);
    let upload = || CardEmbedding::upload(card, &layer);
    let indices = case.i64s("indices")?;
    case.near("rows", &upload()?.forward(card, &indices)?.download(card)?)?;
    let gradient = CardMatrix::upload(card, case.matrix("grad")?.view())?;
    let votes = upload()?.votes(card, &indices, &gradient)?;
    case.same("grad_sign", votes.download(card)?.values(), &case.i8s("grad_sign")?)?;
    let (mut streamed, mut dense) = (upload()?, upload()?);
    streamed.backward(card, &indices, &gradient, &Component::default())?;
    dense.state.update_correlation(card, CardVotes::Matrix(&votes), 1)?;
    let (streamed, dense) = (streamed.state.download(card)?, dense.state.download(card)?);
    ensure!(streamed == dense, "updates by the indices and by the matrix differ");
    Ok(())
}

fn norm(card: &Card, case: &Case) -> Result<()> {
    let mut norm = CardRmsNorm::upload(card, &norm_of(case)?)?;
    let pass = norm.forward(card, &CardMatrix::upload(card, case.matrix("x")?.view())?)?;
    case.near("y", &pass.output.download(card)?)?;
    let output_gradient = CardMatrix::upload(card, case.matrix("grad_y")?.view())?;
    let input_gradient = norm.backward(card, &pass, &output_gradient, &Component::default())?;
    case.near("grad_x", &input_gradient.download(card)?)
}

fn regroup(card: &Card, case: &Case) -> Result<()> {
    let before = CardTernary::upload(card, &state_of(case, "packed", Some("exponents"))?)?;
    let after = before.regroup(card, GroupSize::new(case.number("G2")?)?, Convention::Compatible, 4.0)?;
    case.same("exponents_after", after.download(card)?.exponents(), &case.i8s("exponents_after")?)
}

//! The primitives on a card against those on the CPU: random matrices of every group size, and one of more than 2^31
//! weights. Integers agree exactly. Without a card the tests say so and pass.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;
mod cases;

use anyhow::{Context, Result, ensure};
use cases::{Case, Random};
use ndarray::Array2;
use std::fmt::Debug;
use trishift_format::GroupSize;
use trishift_trainer::backend::cuda::card::Card;
use trishift_trainer::backend::cuda::primitives::{
    CardEmbedding, CardLinear, CardMatrix, CardRmsNorm, CardTernary, CardVoteMatrix, CardVotes, PrimitiveError,
};
use trishift_trainer::ternary::{
    Component, Convention, Embedding, FlipThreshold, Linear, RmsNorm, Shape, TernaryError, TernaryState, VoteSource,
    Votes,
};

/// Cases of each test: twelve of every group size.
const CASES: u64 = 120;

/// Runs `check` for every case, if there is a card.
fn for_each_case(check: impl Fn(&Card, u64) -> Result<()>) {
    let Some(card) = card::first() else { return };
    for seed in 0..CASES {
        check(&card, seed).with_context(|| format!("case {seed}")).unwrap();
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: &[T], expected: &[T]) -> Result<()> {
    ensure!(found.len() == expected.len(), "{what}: {} values for {}", found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        ensure!(found == expected, "{what}: value {index} is {found:?} and should be {expected:?}");
    }
    Ok(())
}

fn same_state(what: &str, card: &Card, found: &CardTernary, expected: &TernaryState) -> Result<()> {
    let found = found.download(card)?;
    same(&format!("{what}: trits"), found.trits(), expected.trits())?;
    same(&format!("{what}: exponents"), found.exponents(), expected.exponents())?;
    same(&format!("{what}: corr"), found.corr(), expected.corr())?;
    ensure!(found == *expected, "{what}: steps or accumulators differ");
    Ok(())
}

/// Within `tolerance` of `scale`, value by value; infinities are the same.
fn near(what: &str, found: &Array2<f32>, expected: &Array2<f32>, scale: &Array2<f32>, tolerance: f64) -> Result<()> {
    ensure!(found.dim() == expected.dim(), "{what}: {:?} for {:?}", found.dim(), expected.dim());
    for (((index, found), expected), scale) in found.indexed_iter().zip(expected).zip(scale) {
        let difference = (f64::from(*found) - f64::from(*expected)).abs();
        let is_near = found == expected || difference <= tolerance * f64::from(*scale);
        ensure!(is_near, "{what}: value {index:?} is {found} and should be {expected}");
    }
    Ok(())
}

fn magnitudes(values: &Array2<f32>) -> Array2<f32> {
    values.mapv(f32::abs)
}

#[test]
fn states_go_there_and_back() {
    for_each_case(|card, seed| {
        let state = Case::new(seed).state;
        let uploaded = CardTernary::upload(card, &state)?;
        same_state("upload", card, &uploaded, &state)?;
        same("packed", &uploaded.packed(card)?, &state.packed())?;
        let fresh = TernaryState::new(*state.shape(), state.trits().to_vec(), state.exponents().to_vec())?;
        let unpacked = CardTernary::from_packed(card, *state.shape(), &state.packed(), state.exponents())?;
        same_state("from packed", card, &unpacked, &fresh)
    });
}

#[test]
fn first_states_are_the_same_integers() {
    for_each_case(|card, seed| {
        let shape = *Case::new(seed).state.shape();
        let random = &mut Random::new(seed);
        let deviation = random.one_of(&[0.1, 0.05, 1.0, 1e-30, 1e30]);
        let mut normals: Vec<f32> = (0..shape.weights()).map(|_| random.normal()).collect();
        // Rows of one value whose logarithm lies at or next to a whole number, of zeros, and of what is not finite.
        for row in normals.chunks_mut(shape.columns()) {
            let power = 2f32.powi(random.between(-30, 30) as i32);
            let bits = |by: i64| f32::from_bits((i64::from(power.to_bits()) + by) as u32);
            match random.between(0, 7) {
                0 => row.fill(bits(random.between(-4, 4)) / deviation),
                1 => row.fill(random.one_of(&[0.0, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::MAX])),
                2 => row.fill(power * 2f32.sqrt() / deviation),
                _ => {}
            }
        }
        for convention in [Convention::Standard, Convention::Compatible] {
            let expected = TernaryState::from_normals(shape, &normals, deviation, deviation / 2.0, convention)?;
            let found = CardTernary::from_normals(card, shape, &normals, deviation, deviation / 2.0, convention)?;
            same_state(&format!("{convention:?}"), card, &found, &expected)?;
        }
        Ok(())
    });
}

/// Every update by these votes.
fn check_updates(what: &str, card: &Card, seed: u64, on_card: CardVotes<'_>, on_host: &dyn VoteSource) -> Result<()> {
    let before = Case::new(seed).state;
    let random = &mut Random::new(seed);
    let check = |name: &str,
                 card_change: &dyn Fn(&mut CardTernary) -> Result<(), PrimitiveError>,
                 host_change: &dyn Fn(&mut TernaryState) -> Result<(), TernaryError>| {
        let (mut found, mut expected) = (CardTernary::upload(card, &before)?, before.clone());
        card_change(&mut found)?;
        host_change(&mut expected)?;
        same_state(&format!("{what}, {name}"), card, &found, &expected)
    };
    for count in [1, -3, i32::MAX, i32::MIN, random.between(-200, 200) as i32] {
        check(&format!("correlation by {count}"), &|state| state.update_correlation(card, on_card, count), &|state| {
            state.update_correlation(on_host, count)
        })?;
        check(
            &format!("exponents accumulate by {count}"),
            &|state| state.accumulate_exponents(card, on_card, count),
            &|state| state.accumulate_exponents(on_host, count),
        )?;
        check(
            &format!("trits accumulate by {count}"),
            &|state| state.accumulate_trits(card, on_card, count),
            &|state| state.accumulate_trits(on_host, count),
        )?;
    }
    for threshold in [1, 4, 127, 128, i32::MAX, random.between(1, 140) as i32] {
        check(
            &format!("exponents step at {threshold}"),
            &|state| state.step_exponents(card, on_card, threshold),
            &|state| state.step_exponents(on_host, threshold),
        )?;
    }
    let by_group: Vec<i8> = (0..before.shape().groups()).map(|_| random.between(0, 127) as i8).collect();
    let zeros = vec![0; by_group.len()];
    let flat = FlipThreshold::Flat(random.between(0, 140) as i32);
    for threshold in [
        flat,
        FlipThreshold::Flat(0),
        FlipThreshold::Flat(i32::MAX),
        FlipThreshold::PerGroup(&by_group),
        FlipThreshold::PerGroup(&zeros),
    ] {
        let count = random.between(-200, 200) as i32;
        check(
            &format!("trits step by {count} at {threshold:?}"),
            &|state| state.step_trits(card, on_card, count, threshold),
            &|state| state.step_trits(on_host, count, threshold),
        )?;
        check(&format!("trits flip at {threshold:?}"), &|state| state.apply_trits(card, threshold), &|state| {
            state.apply_trits(threshold)
        })?;
    }
    Ok(())
}

#[test]
fn updates_straight_from_gradients_are_the_same_integers() {
    for_each_case(|card, seed| {
        let case = Case::new(seed);
        let input = CardMatrix::upload(card, case.input.view())?;
        let output_gradient = CardMatrix::upload(card, case.output_gradient.view())?;
        let votes = CardVotes::Direct { output_gradient: &output_gradient, input: &input };
        check_updates("direct", card, seed, votes, &case.gradient())
    });
}

#[test]
fn updates_by_a_matrix_are_the_same_integers() {
    for_each_case(|card, seed| {
        let case = Case::new(seed);
        let (rows, columns) = case.votes.shape()?;
        let votes = CardVoteMatrix::upload(card, rows, columns, case.votes.values())?;
        check_updates("any votes", card, seed, CardVotes::Matrix(&votes), &case.votes)?;
        let input = CardMatrix::upload(card, case.input.view())?;
        let output_gradient = CardMatrix::upload(card, case.output_gradient.view())?;
        let votes = CardVoteMatrix::of_product(card, &output_gradient, &input)?;
        same("votes", votes.download(card)?.values(), Votes::collect(&case.gradient())?.values())?;
        check_updates("sign votes", card, seed, CardVotes::Matrix(&votes), &case.gradient())
    });
}

#[test]
fn absent_accumulators_are_zeros() {
    for_each_case(|card, seed| {
        let case = Case::new(seed);
        let mut expected = Case::tame(seed).state;
        let mut found = CardTernary::upload(card, &expected)?;
        let (rows, columns) = case.votes.shape()?;
        let votes = CardVoteMatrix::upload(card, rows, columns, case.votes.values())?;
        expected.step_exponents(&case.votes, 1)?;
        found.step_exponents(card, CardVotes::Matrix(&votes), 1)?;
        expected.step_trits(&case.votes, 2, FlipThreshold::Flat(9))?;
        found.step_trits(card, CardVotes::Matrix(&votes), 2, FlipThreshold::Flat(9))?;
        same_state("fresh accumulators", card, &found, &expected)
    });
}

#[test]
fn weights_are_those_of_the_cpu() {
    for_each_case(|card, seed| {
        for (state, strength) in [(Case::new(seed).state, 4.0), (Case::tame(seed).state, 2.5)] {
            let expected = state.weights::<f32>(strength);
            let found = CardTernary::upload(card, &state)?.weights(card, strength)?.download(card)?;
            // Whole exponents give exact powers, others may differ in the last bit; and below 2^-126 there are fewer bits.
            let tolerance = if state.step() == 0 { 0.0 } else { 2.5e-7 };
            let scale = magnitudes(&expected).mapv(|weight| weight.max(f32::MIN_POSITIVE));
            near("weights", &found, &expected, &scale, tolerance)?;
        }
        Ok(())
    });
}

#[test]
fn linear_layers_agree_and_keep_the_weights_of_the_forward_pass() {
    for_each_case(|card, seed| {
        let random = &mut Random::new(seed);
        let case = Case::tame(seed);
        let mut expected = Linear::new(case.state.clone());
        expected.strength = 2.5;
        if seed % 2 == 0 {
            expected = expected.with_bias();
            expected.bias_mut().iter_mut().for_each(|bias| *bias = random.between(-1_000_000, 1_000_000) as i32);
        }
        let mut found = CardLinear::upload(card, &expected)?;
        let input = CardMatrix::upload(card, case.input.view())?;
        let output_gradient = CardMatrix::upload(card, case.output_gradient.view())?;
        let pass = found.forward(card, &input)?;
        let expected_pass = expected.forward(case.input.view())?;
        let weights = magnitudes(&expected_pass.weights);
        let mut scale = magnitudes(&case.input).dot(&weights.t());
        for mut row in scale.rows_mut() {
            row.iter_mut().zip(expected.bias()).for_each(|(scale, bias)| *scale += bias.unsigned_abs() as f32);
        }
        near("y", &pass.output.download(card)?, &expected_pass.output, &scale, 2e-5)?;

        // The state moves on; the gradient is that of the forward pass.
        let (rows, columns) = case.votes.shape()?;
        let votes = CardVoteMatrix::upload(card, rows, columns, case.votes.values())?;
        found.state.update_correlation(card, CardVotes::Matrix(&votes), 5)?;
        expected.state.update_correlation(&case.votes, 5)?;
        found.state.step_trits(card, CardVotes::Matrix(&votes), 5, FlipThreshold::Flat(0))?;
        expected.state.step_trits(&case.votes, 5, FlipThreshold::Flat(0))?;
        let component = Component::new("contrast", -2.0)?;
        let gradient = found.backward(card, &pass, &input, &output_gradient, &component)?;
        let (input, output_gradient) = (case.input.view(), case.output_gradient.view());
        let expected_gradient = expected.backward(&expected_pass, input, output_gradient, &component)?;
        let scale = magnitudes(&case.output_gradient).dot(&weights);
        near("gx", &gradient.download(card)?, &expected_gradient, &scale, 2e-5)?;
        same_state("after", card, &found.state, &expected.state)
    });
}

#[test]
fn embeddings_agree() {
    for_each_case(|card, seed| {
        let random = &mut Random::new(seed);
        let case = Case::tame(seed);
        let (rows, columns) = case.votes.shape()?;
        let count = random.one_of(&[0, 1, 7, 300]);
        let indices: Vec<i64> = (0..count).map(|_| random.between(0, rows as i64 - 1)).collect();
        let mut expected = Embedding::new(case.state.clone());
        let mut found = CardEmbedding::upload(card, &expected)?;
        let rows_found = found.forward(card, &indices)?.download(card)?;
        let rows_expected = expected.forward(&indices)?;
        near("rows", &rows_found, &rows_expected, &magnitudes(&rows_expected), 2.5e-7)?;
        // Sums of these depend on their order; it is the CPU's.
        let value = |random: &mut Random| {
            let other = random.float();
            random.one_of(&[1e8, -1e8, 1e-9, other])
        };
        let gradient = random.matrix(count, columns, value);
        let output_gradient = CardMatrix::upload(card, gradient.view())?;
        let votes = found.votes(card, &indices, &output_gradient)?.download(card)?;
        same("votes", votes.values(), Votes::collect(&expected.votes(&indices, gradient.view())?)?.values())?;
        let component = Component::new("thrice", 3.0)?;
        found.backward(card, &indices, &output_gradient, &component)?;
        expected.backward(&indices, gradient.view(), &component)?;
        same_state("after", card, &found.state, &expected.state)?;

        let outside = found.forward(card, &[0, rows as i64, -1]);
        let error = TernaryError::Index { position: 1, index: rows as i64, rows };
        ensure!(outside.is_err_and(|found| found == PrimitiveError::Ternary(error)), "an index outside is accepted");
        Ok(())
    });
}

#[test]
fn norms_agree() {
    for_each_case(|card, seed| {
        let random = &mut Random::new(seed);
        let columns = random.between(1, 999) as usize;
        let samples = random.one_of(&[0, 1, 5, 40]);
        let shape = Shape::new(1, columns, GroupSize::ALL[seed as usize % GroupSize::ALL.len()])?;
        let trits = (0..columns).map(|_| random.between(-1, 1) as i8).collect();
        let exponents = (0..shape.groups()).map(|_| random.between(-9, 9) as i8).collect();
        let corr = (0..shape.groups()).map(|_| random.between(-99, 99)).collect();
        let state = TernaryState::new(shape, trits, exponents)?.with_correlation(corr, random.between(0, 9))?;
        let mut expected = RmsNorm::from_state(state)?.with_epsilon(random.one_of(&[1e-5, 1e-9, 0.5]))?;
        expected.trains = seed % 2 == 0;
        let mut found = CardRmsNorm::upload(card, &expected)?;
        let mut input = random.matrix(samples, columns, |random| random.float() * 9.0);
        if let Some(mut row) = input.rows_mut().into_iter().next() {
            row.fill(0.0);
        }
        let gradient = random.matrix(samples, columns, Random::float);
        let pass = found.forward(card, &CardMatrix::upload(card, input.view())?)?;
        let expected_pass = expected.forward(input.view())?;
        near("y", &pass.output.download(card)?, &expected_pass.output, &magnitudes(&expected_pass.output), 1e-6)?;
        let output_gradient = CardMatrix::upload(card, gradient.view())?;
        let component = Component::default();
        let gradient_found = found.backward(card, &pass, &output_gradient, &component)?.download(card)?;
        let gradient_expected = expected.backward(&expected_pass, gradient.view(), &component)?;
        // A gradient is a difference of two values; the largest of its row bounds them.
        let mut scale = magnitudes(&gradient_expected);
        for mut row in scale.rows_mut() {
            let largest = row.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
            row.fill(largest);
        }
        near("gx", &gradient_found, &gradient_expected, &scale, 1e-5)?;
        same_state("after", card, &found.state, &expected.state)
    });
}

#[test]
fn regrouped_states_agree() {
    for_each_case(|card, seed| {
        let mut case = Case::new(seed).state;
        if case.step() == i64::MAX {
            // After so many steps one count of a correlation is less than f64 resolves, and nearest is what rounding says.
            let corr = case.corr().to_vec();
            case = case.with_correlation(corr, 100_000)?;
        }
        for size in GroupSize::ALL {
            for convention in [Convention::Standard, Convention::Compatible] {
                let expected = case.regroup(size, convention, 2.5);
                let found = CardTernary::upload(card, &case)?.regroup(card, size, convention, 2.5)?;
                same_state(&format!("{convention:?} to {size}"), card, &found, &expected)?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let Some(card) = card::first() else { return };
    let card = &card;
    let shape = Shape::new(3, 5, GroupSize::new(4).unwrap()).unwrap();
    let before = TernaryState::ones(shape).with_trit_accumulators(vec![9; 15]).unwrap();
    let mut state = CardTernary::upload(card, &before).unwrap();
    let zeros = |rows, columns| CardMatrix::zeros(card, "a matrix", rows, columns).unwrap();
    let votes = CardVoteMatrix::zeros(card, 5, 3).unwrap();
    let fitting = CardVoteMatrix::zeros(card, 3, 5).unwrap();
    let (gradient, input, narrow) = (zeros(2, 3), zeros(2, 5), zeros(4, 5));
    let direct = CardVotes::Direct { output_gradient: &gradient, input: &narrow };
    for votes in [CardVotes::Matrix(&votes), direct] {
        assert!(state.update_correlation(card, votes, 1).is_err());
        assert!(state.step_exponents(card, votes, 1).is_err());
        assert!(state.accumulate_exponents(card, votes, 1).is_err());
        assert!(state.step_trits(card, votes, 1, FlipThreshold::Flat(1)).is_err());
        assert!(state.accumulate_trits(card, votes, 1).is_err());
    }
    assert!(CardVoteMatrix::of_product(card, &gradient, &narrow).is_err());
    assert!(CardVoteMatrix::upload(card, 3, 5, &[0; 14]).is_err());
    let fitting = CardVotes::Matrix(&fitting);
    assert!(state.step_exponents(card, fitting, 0).is_err());
    for threshold in [FlipThreshold::Flat(-1), FlipThreshold::PerGroup(&[0; 5]), FlipThreshold::PerGroup(&[-1; 6])] {
        assert!(state.step_trits(card, fitting, 1, threshold).is_err());
        assert!(state.apply_trits(card, threshold).is_err());
    }
    assert!(CardTernary::from_packed(card, shape, &[243, 0, 0], &[0; 6]).is_err());
    assert!(CardTernary::from_packed(card, shape, &[0; 3], &[0; 5]).is_err());
    assert!(CardTernary::from_normals(card, shape, &[0.0; 14], 0.1, 0.05, Convention::Standard).is_err());
    let layer = CardLinear::upload(card, &Linear::new(before.clone())).unwrap();
    assert!(layer.forward(card, &gradient).is_err());
    let pass = layer.forward(card, &input).unwrap();
    assert!(pass.input_gradient(card, &input).is_err());
    let table = CardEmbedding::upload(card, &Embedding::new(before.clone())).unwrap();
    assert!(table.votes(card, &[0, 1], &gradient).is_err());
    assert!(table.votes(card, &[0], &input).is_err());
    same_state("after", card, &state, &before).unwrap();
}

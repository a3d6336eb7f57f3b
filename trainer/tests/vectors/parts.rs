//! What many cases hold: a shape, a state, a batch.

use super::Case;
use anyhow::{Result, ensure};
use ndarray::Array2;
use trishift_format::GroupSize;
use trishift_trainer::ternary::{RmsNorm, Shape, TernaryState, Votes};

/// The shape in the metadata, of `rows` rows.
pub(crate) fn shape_of(case: &Case, rows: usize) -> Result<Shape> {
    Ok(Shape::new(rows, case.number("K")?, GroupSize::new(case.number("G")?)?)?)
}

/// The trits `packed` and the exponents of this name, or 0.
pub(crate) fn state_of(case: &Case, packed: &str, exponents: Option<&str>) -> Result<TernaryState> {
    let shape = shape_of(case, case.number("N")?)?;
    let exponents = exponents.map_or_else(|| Ok(vec![0; shape.groups()]), |name| case.i8s(name))?;
    Ok(TernaryState::from_packed(shape, &case.u8s(packed)?, exponents)?)
}

/// The norm in a case.
pub(crate) fn norm_of(case: &Case) -> Result<RmsNorm> {
    let state = TernaryState::from_packed(shape_of(case, 1)?, &case.u8s("packed")?, case.i8s("exponents")?)?;
    Ok(RmsNorm::from_state(state)?.with_epsilon(case.number("eps")?)?)
}

/// Inputs x [M, K] and output gradients gy [M, N], or the votes on them, or both.
pub(crate) struct Batch {
    pub(crate) parts: Option<(Array2<f32>, Array2<f32>)>,
    pub(crate) recorded: Option<Votes>,
}

impl Batch {
    pub(crate) fn of(case: &Case) -> Result<Self> {
        let (rows, columns) = (case.number("N")?, case.number("K")?);
        let parts = if case.has("x")? { Some((case.matrix("x")?, case.matrix("grad")?)) } else { None };
        let recorded = if case.has("grad_sign")? { Some(case.i8s("grad_sign")?) } else { None };
        let recorded = recorded.map(|values| Votes::new(rows, columns, values)).transpose()?;
        if let Some((input, _)) = &parts {
            ensure!(input.dim() == (case.number("M")?, columns), "x is {:?}", input.dim());
        }
        ensure!(parts.is_some() || recorded.is_some(), "there are neither x and grad nor grad_sign");
        Ok(Self { parts, recorded })
    }
}

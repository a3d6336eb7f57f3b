//! Narrows exponent windows until every row is inside the int32 bound.

use super::{ExportError, Narrowing};
use crate::config::Precision;
use crate::frozen::FrozenLayer;
use crate::network::{Place, StageKind, StageOutput};
use trishift_format::bound::{fits_int32, rounding, row_magnitude};

/// Narrows a layer's windows as far as needed.
///
/// The smallest exponents of an overflowing row (for int32 outputs: of the whole layer) go first: their weights become 0,
/// the nearest value that a window without them holds; int8 weights are rounded to its steps.
pub(super) fn narrow(layer: &mut FrozenLayer, place: &Place, narrowing: &mut Narrowing) -> Result<(), ExportError> {
    let stage = layer.stage;
    loop {
        let overflowing = overflowing_rows(layer);
        let Some(first) = overflowing.first().copied() else { return Ok(()) };
        let rows = if stage.output.is_wide() { (0..stage.rows).collect() } else { overflowing };
        narrowing.rows = narrowing.rows.max(rows.len());
        let mut changed = 0;
        for row in rows {
            let unit = layer.units[row] + 1;
            changed += raise_row(layer, row, unit);
        }
        if changed == 0 {
            return Err(ExportError::Bias { place: place.clone(), row: first });
        }
        narrowing.zeroed += changed;
        let (values, exponents) = (std::mem::take(&mut layer.values), std::mem::take(&mut layer.exponents));
        let mut next = FrozenLayer::from_weights(&stage, values, exponents);
        // Biases follow their row's unit.
        let moved = next.units.iter().zip(&layer.units).map(|(new, old)| (new - old).clamp(0, 31));
        next.bias = layer.bias.iter().zip(moved).map(|(bias, shift)| bias >> shift).collect();
        *layer = next;
    }
}

/// Sets trits below the unit to 0, or rounds int8 weights below it, and returns how many there were.
fn raise_row(layer: &mut FrozenLayer, row: usize, unit: i32) -> usize {
    let stage = &layer.stage;
    let exponents = &mut layer.exponents[row * stage.groups()..][..stage.groups()];
    let values = &mut layer.values[row * stage.columns..][..stage.columns];
    let mut changed = 0;
    for (values, exponent) in values.chunks_mut(stage.group_columns()).zip(exponents) {
        let missing = unit - i32::from(*exponent);
        if missing <= 0 {
            continue;
        }
        changed += values.iter().filter(|value| **value != 0).count();
        match stage.precision {
            Precision::Ternary => values.fill(0),
            Precision::Int8 => {
                let round = |value: i8| (i32::from(value) + (1 << (missing - 1).min(30))) >> missing.min(31);
                values.iter_mut().for_each(|value| *value = round(*value) as i8);
                // Above an int8 exponent that is smaller, and no larger than the layer's largest one.
                *exponent = unit as i8;
            }
        }
    }
    changed
}

fn overflowing_rows(layer: &FrozenLayer) -> Vec<usize> {
    let stage = &layer.stage;
    if stage.kind != StageKind::Linear {
        // A table sums nothing, and rules keep exponents within a window of 29.
        return Vec::new();
    }
    let fits = |row: usize| {
        let values = layer.values[row * stage.columns..][..stage.columns].chunks(stage.group_columns());
        let exponents = &layer.exponents[row * stage.groups()..][..stage.groups()];
        // A weight of magnitude w is worth w trits.
        let magnitudes = values.map(|group| group.iter().map(|value| usize::from(value.unsigned_abs())).sum::<usize>());
        let groups = magnitudes.zip(exponents.iter().map(|e| i32::from(*e)));
        let shift = match stage.output {
            // Input and output steps are equal: the requantising shift is −e.
            StageOutput::Requantized { .. } => -layer.units[row],
            _ => 0,
        };
        let bias = layer.bias.get(row).copied().unwrap_or(0);
        fits_int32(row_magnitude(groups, layer.units[row]), bias, rounding(shift))
    };
    (0..stage.rows).filter(|row| !fits(*row)).collect()
}

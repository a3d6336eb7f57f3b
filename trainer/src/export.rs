//! Export: a frozen network becomes a model file.
//!
//! Each row's exponent window is narrowed where its accumulator could overflow int32, memory is planned, metadata is
//! written, and the file is parsed once to prove it valid. What narrowing cost is reported, not hidden.

use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{ACTIVATION_EXPONENT, StageKind, StageOutput};
use crate::plan;
use crate::rule::Ternary;
use thiserror::Error;
use trishift_format::bound::{fits_int32, rounding, row_magnitude};
use trishift_format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift_format::{
    DataType, Embedding, InputScale, Layout, Linear, Operator, RmsNorm, ShiftNorm, Tensor, TensorClass,
};

/// What the file says about itself beyond the network.
#[derive(Clone, Debug)]
pub struct Metadata<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// Height, width, channels of a sample.
    pub input_shape: [usize; 3],
    /// Name of each output.
    pub labels: &'a [String],
    /// How raw values become the input.
    pub scales: &'a [InputScale],
    /// Further facts.
    pub properties: &'a [(&'a str, String)],
    /// Order of the linear layers' weights.
    pub layout: Layout,
}

/// What narrowing exponent windows cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Rows whose window was narrowed.
    pub rows: usize,
    /// Trits set to 0 because their weight was too small for the window.
    pub zeroed: usize,
}

/// A model file and what making it cost.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file.
    pub file: Vec<u8>,
    /// The network in it: what was frozen, with windows narrowed.
    pub network: FrozenNetwork,
    /// What narrowing cost.
    pub narrowing: Narrowing,
}

/// Why a network could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Wider or deeper than the format allows.
    #[error("the network is too large for a model file")]
    TooLarge,
    /// A row's bias alone leaves no room for its weights.
    #[error("layer {layer}, row {row}: the bias leaves no room in int32 for the weights")]
    Bias {
        /// Number of the layer.
        layer: usize,
        /// The row.
        row: usize,
    },
    /// The format refused the result.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Makes the model file.
///
/// # Errors
/// [`ExportError`] where the network does not fit the format.
pub fn export(network: &FrozenNetwork, metadata: &Metadata<'_>) -> Result<Exported, ExportError> {
    let mut narrowing = Narrowing::default();
    let mut layers = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        layers.push(narrow(layer, index, &mut narrowing)?);
    }
    let mut writer = ModelWriter::new(metadata.name);
    let input = tensor(TensorClass::Input, DataType::I8, ACTIVATION_EXPONENT, dimensions(metadata.input_shape)?, 0);
    let mut tensors = vec![input];
    let mut source = 0;
    for layer in &layers {
        source = push_layer(&mut writer, &mut tensors, layer, source, metadata.layout)?;
    }
    for label in metadata.labels {
        writer.label(label)?;
    }
    for (key, value) in metadata.properties {
        writer.property(key, value)?;
    }
    writer.input_scales(metadata.scales);
    let arena_bytes = plan::place(&mut tensors);
    let file = writer.finish(&Region { tensors: &tensors, input: 0, output: source, arena_bytes })?;
    Ok(Exported { file, network: FrozenNetwork { layers }, narrowing })
}

/// Adds a layer's weights, tensors and operators; returns the tensor that holds its output.
fn push_layer(
    writer: &mut ModelWriter,
    tensors: &mut Vec<Tensor>,
    layer: &FrozenLayer,
    source: u16,
    layout: Layout,
) -> Result<u16, ExportError> {
    let stage = &layer.stage;
    let values = MatrixValues {
        rows: stage.rows,
        columns: stage.columns,
        group: stage.group,
        trits: &layer.trits,
        exponents: &layer.exponents,
    };
    // A table is read a row at a time.
    let layout = if stage.kind == StageKind::Linear { layout } else { Layout::Rows };
    let weights = writer.add_matrix_in(&values, layout)?;
    let bias = if layer.bias.is_empty() { None } else { Some(writer.add_bias(&layer.bias)?) };
    // Operators so far: each has written one tensor.
    let operator = (tensors.len() - 1) as u16;
    if let Some(source) = tensors.get_mut(usize::from(source)) {
        source.last = operator;
    }
    let shape = dimensions([1, 1, stage.outputs()])?;
    let mut push_tensor = |class, data_type, exponent, first| -> Result<u16, ExportError> {
        let index = u16::try_from(tensors.len()).map_err(|_| ExportError::TooLarge)?;
        tensors.push(tensor(class, data_type, exponent, shape, first));
        Ok(index)
    };
    let first = |output, relu| match stage.kind {
        StageKind::Linear => Operator::Linear(Linear { input: source, output, relu, weights, bias }),
        StageKind::Embedding { .. } => Operator::Embedding(Embedding { input: source, output, weights }),
    };
    // A linear layer's sums count its input's steps, a table's weights count ones.
    let sums = layer.layer_unit() + if stage.kind == StageKind::Linear { ACTIVATION_EXPONENT } else { 0 };
    let norm: fn(u16, u16, bool) -> Operator = match stage.output {
        StageOutput::Requantized { relu } => {
            let output = push_tensor(TensorClass::Arena, DataType::I8, ACTIVATION_EXPONENT, operator)?;
            writer.push(&first(output, relu))?;
            return Ok(output);
        }
        StageOutput::Logits => {
            let output = push_tensor(TensorClass::Output, DataType::I32, sums, operator)?;
            writer.push(&first(output, false))?;
            return Ok(output);
        }
        StageOutput::ShiftNorm { .. } => |input, output, relu| Operator::ShiftNorm(ShiftNorm { input, output, relu }),
        StageOutput::RmsNorm { .. } => |input, output, relu| Operator::RmsNorm(RmsNorm { input, output, relu }),
    };
    let middle = push_tensor(TensorClass::Arena, DataType::I32, sums, operator)?;
    let output = push_tensor(TensorClass::Arena, DataType::I8, ACTIVATION_EXPONENT, operator + 1)?;
    writer.push(&first(middle, false))?;
    writer.push(&norm(middle, output, stage.output.relu()))?;
    if let Some(middle) = tensors.get_mut(usize::from(middle)) {
        middle.last = operator + 1;
    }
    Ok(output)
}

fn dimensions(shape: [usize; 3]) -> Result<[u32; 3], ExportError> {
    let [height, width, channels] = shape.map(u32::try_from);
    let too_large = |_| ExportError::TooLarge;
    Ok([height.map_err(too_large)?, width.map_err(too_large)?, channels.map_err(too_large)?])
}

fn tensor(class: TensorClass, data_type: DataType, exponent: i32, shape: [u32; 3], first: u16) -> Tensor {
    // A tensor that nobody reads is live while it is written.
    Tensor { data_type, class, exponent: exponent as i16, shape, offset: 0, first, last: first }
}

/// Narrows exponent windows until every row is inside the int32 bound.
///
/// The smallest exponents of an overflowing row (for int32 outputs: of the whole layer) go first: their weights become 0,
/// the nearest value that a window without them holds.
fn narrow(layer: &FrozenLayer, index: usize, narrowing: &mut Narrowing) -> Result<FrozenLayer, ExportError> {
    let stage = &layer.stage;
    let mut narrowed = layer.clone();
    loop {
        let overflowing = overflowing_rows(&narrowed);
        let Some(first) = overflowing.first().copied() else { return Ok(narrowed) };
        let rows = if stage.output.is_wide() { (0..stage.rows).collect() } else { overflowing };
        narrowing.rows = narrowing.rows.max(rows.len());
        let mut zeroed = 0;
        for row in rows {
            let unit = narrowed.units[row] + 1;
            zeroed += raise_row(&mut narrowed, row, unit);
        }
        if zeroed == 0 {
            return Err(ExportError::Bias { layer: index, row: first });
        }
        narrowing.zeroed += zeroed;
        let ternary = Ternary { trits: narrowed.trits, exponents: narrowed.exponents };
        let mut next = FrozenLayer::from_ternary(stage, ternary);
        // Biases follow their row's unit.
        let moved = next.units.iter().zip(&narrowed.units).map(|(new, old)| (new - old).clamp(0, 31));
        next.bias = narrowed.bias.iter().zip(moved).map(|(bias, shift)| bias >> shift).collect();
        narrowed = next;
    }
}

/// Sets weights below the unit to 0 and returns how many there were.
fn raise_row(layer: &mut FrozenLayer, row: usize, unit: i32) -> usize {
    let stage = &layer.stage;
    let exponents = &layer.exponents[row * stage.groups()..][..stage.groups()];
    let trits = &mut layer.trits[row * stage.columns..][..stage.columns];
    let mut zeroed = 0;
    for (trits, exponent) in trits.chunks_mut(stage.group.get()).zip(exponents) {
        if i32::from(*exponent) < unit {
            zeroed += trits.iter().filter(|trit| **trit != 0).count();
            trits.fill(0);
        }
    }
    zeroed
}

fn overflowing_rows(layer: &FrozenLayer) -> Vec<usize> {
    let stage = &layer.stage;
    if stage.kind != StageKind::Linear {
        // A table sums nothing, and rules keep exponents within a window of 29.
        return Vec::new();
    }
    let fits = |row: usize| {
        let trits = layer.trits[row * stage.columns..][..stage.columns].chunks(stage.group.get());
        let exponents = &layer.exponents[row * stage.groups()..][..stage.groups()];
        let nonzero = trits.map(|group| group.iter().filter(|trit| **trit != 0).count());
        let groups = nonzero.zip(exponents.iter().map(|e| i32::from(*e)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Stage;
    use trishift_format::{GroupSize, Model};

    fn layer(exponents: Vec<i8>, output: StageOutput) -> FrozenLayer {
        let columns = exponents.len() * 4;
        let stage =
            Stage { kind: StageKind::Linear, rows: 1, columns, group: GroupSize::new(4).unwrap(), bias: false, output };
        FrozenLayer::from_ternary(&stage, Ternary { trits: vec![1; columns], exponents })
    }

    fn metadata(columns: usize) -> Metadata<'static> {
        Metadata {
            name: "test",
            input_shape: [1, 1, columns],
            labels: &[],
            scales: &[InputScale::IDENTITY],
            properties: &[],
            layout: Layout::Rows,
        }
    }

    #[test]
    fn windows_are_narrowed_only_as_far_as_needed() {
        for (exponents, zeroed) in
            [(vec![-14, 7], 0), (vec![-14, 8], 4), (vec![-14, 7, 15], 4), (vec![-14, -13, 15], 8)]
        {
            let columns = exponents.len() * 4;
            let network = FrozenNetwork { layers: vec![layer(exponents, StageOutput::Logits)] };
            let exported = export(&network, &metadata(columns)).unwrap();
            assert_eq!(exported.narrowing.zeroed, zeroed);
            assert!(Model::parse(&exported.file).is_ok());
        }
    }

    #[test]
    fn a_row_of_zeros_exports() {
        let stage = Stage {
            kind: StageKind::Linear,
            rows: 2,
            columns: 4,
            group: GroupSize::new(4).unwrap(),
            bias: false,
            output: StageOutput::Requantized { relu: true },
        };
        let frozen = FrozenLayer::from_ternary(&stage, Ternary { trits: vec![0; 8], exponents: vec![-128, 127] });
        let last = layer(vec![-3], StageOutput::Logits);
        let last = FrozenLayer { stage: Stage { columns: 2, ..last.stage }, trits: vec![1, -1], ..last };
        let exported = export(&FrozenNetwork { layers: vec![frozen, last] }, &metadata(4)).unwrap();
        assert_eq!(exported.narrowing, Narrowing::default());
    }
}

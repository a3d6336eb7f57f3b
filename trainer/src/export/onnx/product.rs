//! Layers with weights: Gemm and Conv on float32 that holds integers, and what makes the layer's output of their sums.

use super::element;
use super::graph::{Attribute, Element, Graph, Numbers};
use super::quantize::{from_int8, rounded_to_int8, scaled};
use super::values::Values;
use super::weights::Dense;
use trishift_format::{Bias, Model, Window};

/// A layer with weights.
pub(super) struct Layer<'a> {
    pub(super) input: u16,
    pub(super) output: u16,
    pub(super) relu: bool,
    pub(super) weights: Dense,
    pub(super) bias: Option<Bias<'a>>,
}

/// How weights meet inputs.
#[derive(Clone, Copy)]
pub(super) enum Product {
    /// Every row on all inputs.
    Linear,
    /// Every row on what is under the window.
    Conv2d(Window),
    /// Every row on its own channel.
    Depthwise(Window),
}

impl Layer<'_> {
    /// Appends the layer.
    pub(super) fn append(&self, graph: &mut Graph, values: &mut Values, model: &Model<'_>, product: Product) {
        let (input, output) = (model.tensor(self.input), model.tensor(self.output));
        let (input_exponent, output_exponent) = (i32::from(input.exponent), i32::from(output.exponent));
        let channels = input.shape[2] as usize;
        let held = if matches!(product, Product::Linear) {
            values.row(graph, self.input)
        } else {
            values.image(graph, self.input)
        };
        let numbers = from_int8(graph, &held, input_exponent);
        let (sums, precision) = if self.weights.fits_float32(self.bias, input_exponent, output_exponent) {
            let weights = constant_weights(graph, &self.weights, "weights", product, channels);
            let bias = self.bias_in(graph, Element::F32, &[self.weights.rows], input_exponent);
            (products(graph, product, channels, &numbers, &weights, bias.as_deref()), Element::F32)
        } else {
            let mut sums = None;
            for (number, part) in self.weights.exact_parts().iter().enumerate() {
                let weights = constant_weights(graph, part, &format!("weights_{number}"), product, channels);
                let sum = products(graph, product, channels, &numbers, &weights, None);
                let sum = graph.cast(&sum, Element::F64);
                sums = Some(sums.map_or(sum.clone(), |sums: String| graph.node("Add", &[&sums, &sum], &[])));
            }
            let sums = sums.unwrap_or_default();
            let shape = [1, self.weights.rows, 1, 1];
            let shape = if matches!(product, Product::Linear) { &shape[..2] } else { &shape[..] };
            match self.bias_in(graph, Element::F64, shape, input_exponent) {
                Some(bias) => (graph.node("Add", &[&sums, &bias], &[]), Element::F64),
                None => (sums, Element::F64),
            }
        };
        let steps = scaled(graph, &sums, precision, -output_exponent);
        let name = match element(&output) {
            // Whole numbers already.
            Element::I32 => graph.cast(&steps, Element::I32),
            _ => rounded_to_int8(graph, &steps, precision, self.relu),
        };
        match product {
            Product::Linear => values.hold_row(self.output, name),
            Product::Conv2d(_) | Product::Depthwise(_) => values.hold_image(self.output, name),
        }
    }

    /// The biases as numbers.
    fn bias_in(&self, graph: &mut Graph, element: Element, shape: &[usize], input_exponent: i32) -> Option<String> {
        let units = self.weights.units.iter();
        let biases =
            self.bias?.iter().zip(units).map(|(bias, unit)| f64::from(bias) * 2f64.powi(unit + input_exponent));
        let biases: Vec<f64> = biases.collect();
        let narrow: Vec<f32> = biases.iter().map(|bias| *bias as f32).collect();
        let numbers = if element == Element::F32 { Numbers::F32(&narrow) } else { Numbers::F64(&biases) };
        Some(graph.constant("bias", shape, &numbers))
    }
}

/// What the inputs come to.
fn products(
    graph: &mut Graph,
    product: Product,
    channels: usize,
    numbers: &str,
    weights: &str,
    bias: Option<&str>,
) -> String {
    let inputs: Vec<&str> = [numbers, weights].into_iter().chain(bias).collect();
    match product {
        Product::Linear => graph.node("Gemm", &inputs, &[("transB", Attribute::Integer(1))]),
        Product::Conv2d(window) => convolution(graph, &inputs, &window, 1),
        Product::Depthwise(window) => convolution(graph, &inputs, &window, channels),
    }
}

/// A convolution, each of so many groups of channels for itself.
pub(super) fn convolution(graph: &mut Graph, inputs: &[&str], window: &Window, groups: usize) -> String {
    let mut attributes = placed(window);
    attributes.push(("group", Attribute::Integer(groups as i64)));
    graph.node("Conv", inputs, &attributes)
}

/// A window as attributes.
pub(super) fn placed(window: &Window) -> Vec<(&'static str, Attribute)> {
    let list = |values: &[u8]| Attribute::Integers(values.iter().map(|value| i64::from(*value)).collect());
    vec![
        ("kernel_shape", list(&window.kernel)),
        ("strides", list(&window.stride)),
        // Above, left, below, right, in both.
        ("pads", list(&window.padding)),
    ]
}

/// Weights as a constant: int8 with a scale for each row where they fit that, else float32.
fn constant_weights(graph: &mut Graph, weights: &Dense, name: &str, product: Product, channels: usize) -> String {
    let (rows, columns) = (weights.rows, weights.columns);
    let (shape, depth) = match product {
        Product::Linear => (vec![rows, columns], 1),
        Product::Conv2d(window) => (image_shape(rows, channels, &window), channels),
        Product::Depthwise(window) => (image_shape(rows, 1, &window), 1),
    };
    let Some((values, exponents)) = weights.to_int8() else {
        let values = channels_first(&weights.to_f32(), columns, depth);
        return graph.constant(name, &shape, &Numbers::F32(&values));
    };
    let values = channels_first(&values, columns, depth);
    let scales: Vec<f32> = exponents.iter().map(|exponent| 2f64.powi(*exponent) as f32).collect();
    let values = graph.constant(name, &shape, &Numbers::I8(&values));
    let scales = graph.constant(&format!("{name}_scales"), &[rows], &Numbers::F32(&scales));
    let zeros = graph.constant(&format!("{name}_zeros"), &[rows], &Numbers::I8(&vec![0; rows]));
    graph.node("DequantizeLinear", &[&values, &scales, &zeros], &[("axis", Attribute::Integer(0))])
}

fn image_shape(rows: usize, channels: usize, window: &Window) -> Vec<usize> {
    vec![rows, channels, window.kernel[0].into(), window.kernel[1].into()]
}

/// Rows of [elements of the window, channels] as rows of [channels, elements of the window].
fn channels_first<T: Copy>(values: &[T], columns: usize, channels: usize) -> Vec<T> {
    let area = columns / channels.max(1);
    let rows = values.chunks_exact(columns.max(1));
    rows.flat_map(|row| (0..channels).flat_map(move |c| (0..area).map(move |tap| row[tap * channels + c]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_pixels_becomes_planes() {
        // Two rows; three pixels of two channels.
        let rows = [1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6];
        assert_eq!(channels_first(&rows, 6, 2), [1, 2, 3, -1, -2, -3, 4, 5, 6, -4, -5, -6]);
        assert_eq!(channels_first(&rows, 6, 1), rows);
    }
}

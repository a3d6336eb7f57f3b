//! The model's tensors as values of the graph: each has the tensor's own integers, as an image or as a row.

use super::graph::{Attribute, Graph};
use std::collections::HashMap;
use trishift_format::{Model, Tensor};

/// How the elements of a sample lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// [batch, channels, height, width].
    Image,
    /// [batch, elements], in the order of the model: row after row, pixel after pixel.
    Row,
}

/// What every tensor is called that has been computed, in the forms that were asked for.
pub(super) struct Values {
    tensors: Vec<Tensor>,
    names: HashMap<(u16, Form), String>,
}

impl Values {
    pub(super) fn new(model: &Model<'_>) -> Self {
        Self { tensors: model.tensors().collect(), names: HashMap::new() }
    }

    /// Takes a tensor as it lies outside: [batch, height, width, channels], or [batch, elements] of a vector.
    pub(super) fn hold_outer(&mut self, graph: &mut Graph, index: u16, name: String) {
        if self.is_vector(index) {
            self.hold_row(index, name);
        } else {
            let image = transpose(graph, &name, [0, 3, 1, 2]);
            self.hold_image(index, image);
        }
    }

    /// The same way out.
    pub(super) fn outer(&mut self, graph: &mut Graph, index: u16) -> String {
        if self.is_vector(index) {
            return self.row(graph, index);
        }
        let image = self.image(graph, index);
        transpose(graph, &image, [0, 2, 3, 1])
    }

    /// Takes a tensor as an image.
    pub(super) fn hold_image(&mut self, index: u16, name: String) {
        self.names.insert((index, Form::Image), name);
    }

    /// Takes a tensor as a row.
    pub(super) fn hold_row(&mut self, index: u16, name: String) {
        self.names.insert((index, Form::Row), name);
    }

    /// Whether a tensor is there as an image already.
    pub(super) fn is_image(&self, index: u16) -> bool {
        self.names.contains_key(&(index, Form::Image))
    }

    /// A tensor as an image.
    pub(super) fn image(&mut self, graph: &mut Graph, index: u16) -> String {
        if let Some(name) = self.names.get(&(index, Form::Image)) {
            return name.clone();
        }
        let row = self.held(index, Form::Row);
        let [height, width, channels] = self.shape(index);
        let name = if self.is_vector(index) {
            reshape(graph, &row, &[-1, channels, 1, 1])
        } else {
            let pixels = reshape(graph, &row, &[-1, height, width, channels]);
            transpose(graph, &pixels, [0, 3, 1, 2])
        };
        self.hold_image(index, name.clone());
        name
    }

    /// A tensor as a row.
    pub(super) fn row(&mut self, graph: &mut Graph, index: u16) -> String {
        if let Some(name) = self.names.get(&(index, Form::Row)) {
            return name.clone();
        }
        let image = self.held(index, Form::Image);
        let pixels = if self.is_vector(index) { image } else { transpose(graph, &image, [0, 2, 3, 1]) };
        let name = reshape(graph, &pixels, &[-1, self.shape(index).iter().product()]);
        self.hold_row(index, name.clone());
        name
    }

    fn shape(&self, index: u16) -> [i64; 3] {
        self.tensors.get(usize::from(index)).map_or([1; 3], |tensor| tensor.shape.map(i64::from))
    }

    /// Whether both forms are in the same order.
    fn is_vector(&self, index: u16) -> bool {
        matches!(self.shape(index), [1, 1, _])
    }

    /// What `Model::parse` has made sure of: an operator before has written the tensor.
    fn held(&self, index: u16, form: Form) -> String {
        self.names.get(&(index, form)).cloned().unwrap_or_default()
    }
}

/// Gives a value another shape.
pub(super) fn reshape(graph: &mut Graph, value: &str, shape: &[i64]) -> String {
    let shape = graph.list(shape);
    graph.node("Reshape", &[value, &shape], &[])
}

fn transpose(graph: &mut Graph, value: &str, order: [i64; 4]) -> String {
    graph.node("Transpose", &[value], &[("perm", Attribute::Integers(order.to_vec()))])
}

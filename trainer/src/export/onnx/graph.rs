//! An ONNX graph while it grows: nodes in the order in which they run, constants, and a name for each value.

use super::protobuf::Message;
use std::collections::HashSet;

/// Version of the operators' definitions: the first with int8 in all those that are used here is 14; 17 is what runtimes of
/// the last years read.
const OPSET: i64 = 17;
/// Version of the file format that goes with it.
const IR: i64 = 8;

/// Element types, by the numbers of `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32 = 1,
    I8 = 3,
    I32 = 6,
    I64 = 7,
    F64 = 11,
}

/// The value of an attribute.
pub(super) enum Attribute {
    Integer(i64),
    Integers(Vec<i64>),
}

/// Numbers of a constant.
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I8(&'a [i8]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl Numbers<'_> {
    fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::F32,
            Self::F64(_) => Element::F64,
            Self::I8(_) => Element::I8,
            Self::I32(_) => Element::I32,
            Self::I64(_) => Element::I64,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I8(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
            Self::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// The graph.
#[derive(Default)]
pub(super) struct Graph {
    /// Fields of the `GraphProto`.
    nodes: Message,
    constants: Message,
    interface: Message,
    /// Constants that are there already: small ones are shared by name.
    shared: HashSet<String>,
    /// What the nodes that come next belong to.
    scope: String,
    count: usize,
}

impl Graph {
    /// Nodes from here on are named after this.
    pub(super) fn scope(&mut self, scope: String) {
        self.scope = scope;
    }

    /// Appends a node with one output, whose name it gives.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let output = format!("{}/{operator}_{}", self.scope, self.count);
        self.node_named(operator, inputs, attributes, &output);
        output
    }

    /// The same with an output of this name.
    pub(super) fn node_named(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        output: &str,
    ) {
        self.count += 1;
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        node.text(2, output).text(3, output).text(4, operator);
        for (name, value) in attributes {
            let mut attribute = Message::default();
            attribute.text(1, name);
            match value {
                Attribute::Integer(value) => attribute.integer(3, *value).integer(20, 2),
                Attribute::Integers(values) => {
                    values.iter().fold(&mut attribute, |list, value| list.integer(8, *value)).integer(20, 7)
                }
            };
            node.message(5, &attribute);
        }
        self.nodes.message(1, &node);
    }

    /// Appends a constant of this shape, and gives its name: that of the nodes around it, and `name`.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize], numbers: &Numbers<'_>) -> String {
        let name = format!("{}/{name}", self.scope);
        self.append_constant(&name, shape, numbers);
        name
    }

    /// A number for all who need it.
    pub(super) fn scalar(&mut self, value: f64, element: Element) -> String {
        let name = format!("{element:?} {value:e}");
        self.share(
            name,
            &[],
            || match element {
                Element::F64 => Numbers::F64(std::slice::from_ref(&value)).to_bytes(),
                Element::F32 => (value as f32).to_le_bytes().to_vec(),
                Element::I8 => vec![(value as i8).cast_unsigned()],
                Element::I32 => (value as i32).to_le_bytes().to_vec(),
                Element::I64 => (value as i64).to_le_bytes().to_vec(),
            },
            element,
        )
    }

    /// A list of whole numbers, as shapes and axes are given.
    pub(super) fn list(&mut self, values: &[i64]) -> String {
        self.share(format!("{values:?}"), &[values.len()], || Numbers::I64(values).to_bytes(), Element::I64)
    }

    /// Converts to another element type.
    pub(super) fn cast(&mut self, input: &str, element: Element) -> String {
        self.node("Cast", &[input], &[("to", Attribute::Integer(element as i64))])
    }

    /// Declares the graph's input; a batch of any size comes before `shape`.
    pub(super) fn input(&mut self, name: &str, element: Element, shape: &[i64]) {
        self.interface.message(11, &value_info(name, element, shape));
    }

    /// Declares the graph's output.
    pub(super) fn output(&mut self, name: &str, element: Element, shape: &[i64]) {
        self.interface.message(12, &value_info(name, element, shape));
    }

    /// The file.
    pub(super) fn into_file<'a>(self, name: &str, properties: impl Iterator<Item = (&'a str, String)>) -> Vec<u8> {
        let mut graph = Message::default();
        graph.extend(&self.nodes).text(2, name).extend(&self.constants).extend(&self.interface);
        let mut opset = Message::default();
        opset.text(1, "").integer(2, OPSET);
        let mut model = Message::default();
        model
            .integer(1, IR)
            .text(2, "trishift")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &opset);
        for (key, value) in properties {
            let mut property = Message::default();
            property.text(1, key).text(2, &value);
            model.message(14, &property);
        }
        model.into_bytes()
    }

    fn share(&mut self, name: String, shape: &[usize], bytes: impl FnOnce() -> Vec<u8>, element: Element) -> String {
        if self.shared.insert(name.clone()) {
            self.append_bytes(&name, shape, element, &bytes());
        }
        name
    }

    fn append_constant(&mut self, name: &str, shape: &[usize], numbers: &Numbers<'_>) {
        self.append_bytes(name, shape, numbers.element(), &numbers.to_bytes());
    }

    fn append_bytes(&mut self, name: &str, shape: &[usize], element: Element, bytes: &[u8]) {
        let mut tensor = Message::default();
        for dimension in shape {
            tensor.integer(1, *dimension as i64);
        }
        tensor.integer(2, element as i64).text(8, name).bytes(9, bytes);
        self.constants.message(5, &tensor);
    }
}

fn value_info(name: &str, element: Element, shape: &[i64]) -> Message {
    let mut dimensions = Message::default();
    let mut batch = Message::default();
    batch.text(2, "batch");
    dimensions.message(1, &batch);
    for length in shape {
        let mut dimension = Message::default();
        dimension.integer(1, *length);
        dimensions.message(1, &dimension);
    }
    let (mut tensor, mut kind, mut value) = (Message::default(), Message::default(), Message::default());
    tensor.integer(1, element as i64).message(2, &dimensions);
    kind.message(1, &tensor);
    value.text(1, name).message(2, &kind);
    value
}

//! An arbitrary valid network is written, parsed, found equal, and runs as the interpreter says on every instruction set.

use crate::{execute, interpreter::largest_sum, network::Network, walk};
use arbitrary::Unstructured;
use trishift_format::write::WriteError;
use trishift_format::{MatrixFault, Model, OperatorKind, ParseError, TensorClass};

/// Makes a network of the bytes and takes it there and back.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let seed = u.arbitrary().unwrap_or(0);
    let Ok(network) = Network::generate(&mut u) else { return };
    match network.file() {
        Ok(file) => {
            assert_eq!(first_beyond_int32(&network), None, "a row can overflow");
            let model = Model::parse(&file).expect("the writer has parsed it");
            walk::model(&model);
            let read = Network::read(&model);
            for (index, (read, written)) in read.nodes.iter().zip(&network.nodes).enumerate() {
                assert!(read == written, "operator {index} ({}) is not what was written", written.kind);
            }
            assert!(read == network, "the file does not say what was written");
            assert!(read.file().ok().as_ref() == Some(&file), "the same network gives other bytes");
            execute::compare(&model, &network, seed);
        }
        Err(WriteError::Invalid(ParseError::Matrix { index, fault: MatrixFault::Int32Bound { row } })) => {
            assert_eq!(first_beyond_int32(&network), Some((index, row)));
        }
        Err(error) => panic!("the generator makes valid networks: {error}"),
    }
}

/// What is last in the network of the bytes, and whether it keeps something from run to run; or that it could overflow.
pub fn outcome(bytes: &[u8]) -> String {
    let mut u = Unstructured::new(bytes);
    let _seed: u64 = u.arbitrary().unwrap_or(0);
    let Ok(network) = Network::generate(&mut u) else { return "nothing".into() };
    if first_beyond_int32(&network).is_some() {
        return "refused-matrix-int32-bound".into();
    }
    let kept = network.tensors.iter().any(|tensor| tensor.class == TensorClass::Persistent);
    let last = network.nodes.last().map_or("nothing", |node| node.kind.name());
    format!("{}{last}-last", if kept { "persistent-" } else { "" })
}

/// The first operator and row whose sums can exceed int32.
fn first_beyond_int32(network: &Network) -> Option<(usize, usize)> {
    network.nodes.iter().enumerate().filter(|(_, node)| node.kind != OperatorKind::Embedding).find_map(
        |(index, node)| {
            (0..node.rows()).find(|row| largest_sum(network, node, *row) > i128::from(i32::MAX)).map(|row| (index, row))
        },
    )
}

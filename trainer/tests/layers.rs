//! Every layer, activation and loss trains, exports and gives the same integers in training, file and runtime.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::Value;
use support::{json, write};

/// Trains on the digits with a group size, activations, layers and further settings of the training.
fn train(network: &str, layers: &str, training: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = format!(
        "name = 'layers'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\ntest = 0.3\n\
         [network]\ngroup = 16\n{network}\nlayers = [{layers}]\n[training]\nbatch = 32\n{training}\n"
    );
    write(path, "net.toml", config);
    json(path, "train --config net.toml --out run --json --quiet")
}

const HIDDEN: &str = "{ type = 'linear', outputs = 48 }";
const RMS_NORM: &str = "{ type = 'rms-norm' }";
const SHIFT_NORM: &str = "{ type = 'shift-norm' }";
const RELU: &str = "{ type = 'relu' }";
const LAST: &str = "{ type = 'linear' }";

#[test]
fn rms_norms_are_trained_as_they_run() {
    let trained = train("", &[HIDDEN, RMS_NORM, RELU, LAST].join(","), "epochs = 20");
    assert!(trained["accuracy"].as_f64().unwrap() >= 0.95, "{trained}");
    assert_eq!(trained["mismatches"], 0);
    // The runtime's root is an integer's: a rounding may fall to the other side now and then.
    assert!(trained["differing_classes"].as_u64().unwrap() <= 2, "{trained}");
}

#[test]
fn float_activations_are_rounded_by_the_export() {
    for norm in [RMS_NORM, SHIFT_NORM] {
        let trained = train("activations = 'float'", &[HIDDEN, norm, RELU, LAST].join(","), "epochs = 20");
        assert!(trained["accuracy"].as_f64().unwrap() >= 0.95, "{trained}");
        assert_eq!(trained["mismatches"], 0);
        assert!(trained["differing_logits"].as_u64().unwrap() > 1000, "{trained}");
    }
}

#[test]
fn squared_errors_train_too() {
    let layers = [HIDDEN, SHIFT_NORM, RELU, LAST].join(",");
    let trained = train("", &layers, "epochs = 40\nloss = 'squared-error'");
    assert!(trained["accuracy"].as_f64().unwrap() >= 0.92, "{trained}");
    assert_eq!((&trained["mismatches"], &trained["differing_logits"]), (&0.into(), &0.into()));
}

#[test]
fn norms_may_stand_without_relu_and_biases_without_norms() {
    let bare = train("", &[HIDDEN, RMS_NORM, HIDDEN, SHIFT_NORM, LAST].join(","), "epochs = 2");
    let biased =
        train("", "{ type = 'linear', outputs = 20, bias = true }, { type = 'linear', bias = true }", "steps = 90");
    for trained in [bare, biased] {
        assert_eq!(trained["mismatches"], 0);
        assert!(trained["accuracy"].as_f64().unwrap() > 0.5, "{trained}");
    }
}

#[test]
fn initial_exponents_can_be_the_first_implementations() {
    let layers = [HIDDEN, SHIFT_NORM, RELU, LAST].join(",");
    let standard = train("", &layers, "steps = 1");
    let compatible = train("", &layers, "steps = 1\ninitialization = 'compatible'");
    assert_ne!(standard["loss"], compatible["loss"]);
}

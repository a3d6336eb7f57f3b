"""`trishift export --format onnx` in onnxruntime: every integer of the output is that of the package, with and without
onnxruntime's own optimisations.

TRISHIFT_MODELS, model files with a blank between them, tests more of them.
"""

import os
import pathlib
import re
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime
import trishift
from support import CommandFailed, ROOT, command, digits, raw_values

# Random weights in every kind of network.
PRESETS = {
    "mnist-cnn": [],
    "spoken-digits": ["--group", "4", "--seed", "2"],
    "resnet8": ["--width", "0.5"],
    "dscnn": [],
    "mobilenet-v1-025": [],
    "autoencoder": [],
}
EXPRESSED = {
    *("linear", "int8-linear", "conv2d", "depthwise-conv2d", "int8-conv2d", "int8-depthwise-conv2d", "max-pool", "avg-pool"),
    *("shift-norm", "requantize", "relu", "add", "argmax", "embedding", "concat", "reshape", "pad"),
}
# Trained for an epoch: two ways that meet, by sum and by channels; windows that are no powers of two; images that are padded.
NETWORK = """
name = "two-ways"
[data]
scaling = "tensor"
[network]
group = 8
layers = [
    { type = "conv2d", outputs = 8, kernel = 3, padding = "same", weights = "int8" },
    { type = "shift-batch-norm" },
    { type = "relu" },
    { type = "residual", layers = [
        { type = "depthwise-conv2d", kernel = 3, padding = "same" },
        { type = "shift-batch-norm" },
        { type = "relu" },
        { type = "conv2d", outputs = 8, kernel = 1 },
        { type = "shift-batch-norm" },
    ] },
    { type = "relu" },
    { type = "concat", layers = [
        { type = "conv2d", outputs = 12, kernel = 3, padding = "same" },
        { type = "shift-batch-norm" },
    ] },
    { type = "pad", padding = [1, 0, 0, 1] },
    { type = "avg-pool", kernel = 3, stride = 2 },
    { type = "flatten" },
    { type = "linear" },
]
[training]
rule = "flip-correlation"
epochs = 2
batch = 64
"""
LEVELS = [
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
]


class OnnxTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        onnxruntime.set_default_logger_severity(3)
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)

    def compare(self, model, values):
        """The file of a model, checked and run on raw values."""
        made = self.path / "model.onnx"
        command("export", model, "--format", "onnx", "--out", made, "--overwrite")
        graph = onnx.load(made)
        onnx.checker.check_model(graph, full_check=True)
        expected = trishift.Model.load(model).run(values)
        for level in LEVELS:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
            (output,) = session.run(["output"], {"input": np.asarray(values, np.float32)})
            self.assertEqual(output.dtype, expected.dtype)
            np.testing.assert_array_equal(output.reshape(expected.shape), expected, str(model))
        return graph

    def test_digits(self):
        command("quickstart", "--out", self.path / "run")
        pixels, labels = digits()
        graph = self.compare(self.path / "run/model.tsm", pixels)
        facts = {fact.key: fact.value for fact in graph.metadata_props}
        self.assertEqual(facts["trishift.labels"], '["0","1","2","3","4","5","6","7","8","9"]')
        self.assertEqual(facts["rule"], "flip-correlation")

    def test_a_network_of_two_ways(self):
        (self.path / "two-ways.toml").write_text(NETWORK)
        command("train", "--config", self.path / "two-ways.toml", "--data", "builtin:digits", "--out", self.path / "two-ways")
        file = self.path / "two-ways/model.tsm"
        pixels, labels = digits()
        self.compare(file, pixels)
        self.assertLessEqual({"add", "concat", "pad", "avg-pool"}, set(trishift.Model.load(file).describe()["operators"]))

    def test_presets(self):
        for preset, options in PRESETS.items():
            with self.subTest(preset):
                file = self.path / f"{preset}.tsm"
                command("export", "--preset", preset, "--out", file, *options)
                self.compare(file, raw_values(trishift.Model.load(file).describe(), 100, seed=1))

    def test_models_of_the_command_line(self):
        for file in os.environ.get("TRISHIFT_MODELS", "").split():
            with self.subTest(file):
                self.compare(file, raw_values(trishift.Model.load(file).describe(), 1000, seed=2))

    def test_every_model_of_the_corpora(self):
        """Small graphs with what trained networks do not have: sums too wide for float32, several exponents, tables."""
        seen, refused, wide = set(), set(), 0
        files = [*(ROOT / "fuzz/corpus").glob("*/*"), *(ROOT / "shared-format/tests/golden").glob("*.tsm")]
        for file in sorted(path for path in files if path.is_file()):
            try:
                description = trishift.Model.load(file).describe()
            except ValueError:
                continue
            with self.subTest(file):
                values = raw_values(description, 100, seed=3)
                if "embedding" in description["operators"]:
                    # Rows 0 and 1.
                    values = np.where(values > 0, np.float32(-128), np.float32(-127))
                try:
                    graph = self.compare(file, values)
                except CommandFailed as failure:
                    name = re.search(r"operator \d+ \(([a-z-]+)\) cannot be expressed in ONNX", str(failure))
                    self.assertTrue(name, failure)
                    refused.add(name[1])
                    continue
                casts = [node for node in graph.graph.node if node.op_type == "Cast"]
                doubles = [node for node in casts if node.attribute[0].i == onnx.TensorProto.DOUBLE]
                wide += any("linear" in node.name or "conv" in node.name for node in doubles)
                seen.update(description["operators"])
        self.assertGreater(wide, 0, "no layer was too wide for float32")
        self.assertLessEqual({"rms-norm", "slide"}, refused)
        # A sum and a concatenation of the corpora are of states.
        self.assertLessEqual(refused, {"rms-norm", "softmax", "slide", "add", "concat"})
        self.assertLessEqual(EXPRESSED, seen | {"concat"})


if __name__ == "__main__":
    unittest.main()

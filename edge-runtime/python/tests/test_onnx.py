"""`trishift export --format onnx` in onnxruntime: every integer of the output is that of the package, with and without
onnxruntime's own optimisations.

TRISHIFT_MODELS, model files with a blank between them, tests more of them.
"""

import os
import pathlib
import re
import struct
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime
import trishift
from support import CommandFailed, ROOT, command, crc32c, digits, raw_values

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

    def test_sums_too_wide_for_float32(self):
        """The digits' first layer, of groups of 32: the second group of each row is made 2^14 times as large as a unit."""
        command("quickstart", "--out", self.path / "narrow")
        file = bytearray((self.path / "narrow/model.tsm").read_bytes())
        (weights,) = struct.unpack_from("<Q", file, 64 + 24 + 8)
        # 128 rows of two groups of seven bytes, then their bases, then two four-bit offsets for each.
        bases, offsets = weights + 128 * 14, weights + 128 * 15
        smallest = min(struct.unpack_from("<128b", file, bases))
        for row in range(128):
            (base,) = struct.unpack_from("<b", file, bases + row)
            file[offsets + row] = 14 - (base - smallest) << 4
        struct.pack_into("<I", file, 32, crc32c(file[64:]))
        struct.pack_into("<I", file, 60, crc32c(file[:60]))
        (self.path / "wide.tsm").write_bytes(file)
        graph = self.compare(self.path / "wide.tsm", digits()[0])
        products = [node for node in graph.graph.node if node.op_type == "Gemm"]
        self.assertGreater(len(products), 2, "no layer was divided")

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
        """Small graphs with what trained networks do not have: several exponents, tables, images of any shape."""
        seen, refused = set(), set()
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
                    self.compare(file, values)
                except CommandFailed as failure:
                    name = re.search(r"operator \d+ \(([a-z-]+)\) cannot be expressed in ONNX", str(failure))
                    self.assertTrue(name, failure)
                    # Whatever its operator, a state has no place in a graph.
                    refused.add("a state" if "keeps nothing" in str(failure) else name[1])
                    continue
                seen.update(description["operators"])
        self.assertEqual(refused, {"rms-norm", "a state"})
        # The digits have a shift norm, the network of two ways has a concatenation. The corpora's argmax and requantize stand
        # in models with a state, and no network of the trainer's has them: nothing here compares those two.
        self.assertEqual(EXPRESSED - seen, {"shift-norm", "concat", "argmax", "requantize"})


if __name__ == "__main__":
    unittest.main()

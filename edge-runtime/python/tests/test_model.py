"""The package against the command: the same answers; and sentences for what is wrong."""

import pathlib
import tempfile
import threading
import unittest

import numpy as np
import trishift
from support import ROOT, command, digits

EMBEDDING = ROOT / "fuzz/corpus/parse/model-embedding-int8"


class ModelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        path = pathlib.Path(cls.folder.name)
        command("quickstart", "--out", path / "run")
        cls.file = path / "run/model.tsm"
        cls.model = trishift.Model.load(cls.file)
        cls.pixels, cls.labels = digits()

    def test_answers_are_those_of_eval(self):
        told = command("eval", self.file, "--data", "builtin:digits", "--part", "all", "--confusion")
        answers = self.model.run(self.pixels).argmax(1)
        confusion = np.zeros((10, 10), int)
        np.add.at(confusion, (self.labels, answers), 1)
        self.assertEqual(confusion.tolist(), told["confusion"]["counts"])
        self.assertGreater((answers == self.labels).mean(), 0.97)

    def test_describes_the_file_as_inspect_does(self):
        told, description = command("inspect", self.file), self.model.describe()
        for key in ["name", "file_bytes", "arena_bytes", "macs", "labels", "properties", "input_shape"]:
            self.assertEqual(description[key], told[key], key)
        self.assertEqual(description["operators"], [layer["operator"] for layer in told["layers"]])
        self.assertEqual((description["output_shape"], description["output_type"]), ([10], "int32"))
        self.assertIn("64 inputs, 10 outputs", repr(self.model))

    def test_every_shape_and_type_gives_the_same_integers(self):
        logits = self.model.run(self.pixels)
        self.assertEqual((logits.dtype, logits.shape), (np.int32, (1797, 10)))
        inputs = self.model.quantize(self.pixels)
        self.assertEqual((inputs.dtype, inputs.shape), (np.int8, (1797, 64)))
        wide = np.zeros((1797, 128), np.int8)
        wide[:, ::2] = inputs
        for samples in [
            inputs,
            inputs.reshape(-1, 8, 8, 1),
            np.asfortranarray(inputs),
            wide[:, ::2],
            self.pixels.astype(np.uint8),
            self.pixels.astype(np.float64).reshape(-1, 64),
            self.pixels.tolist(),
        ]:
            np.testing.assert_array_equal(self.model.run(samples), logits)
        inputs.flags.writeable = False
        np.testing.assert_array_equal(self.model.run(inputs), logits)
        np.testing.assert_array_equal(self.model.run(inputs[3]), logits[3])
        np.testing.assert_array_equal(self.model.run(self.pixels[3]), logits[3])
        self.assertEqual(self.model.run(inputs[:0]).shape, (0, 10))

    def test_bytes_and_any_number_of_threads(self):
        logits = self.model.run(self.pixels)
        for threads in [1, 2, 5]:
            model = trishift.Model.from_bytes(self.file.read_bytes(), threads=threads)
            self.assertEqual(model.describe()["threads"], threads)
            np.testing.assert_array_equal(model.run(self.pixels), logits)

    def test_threads_of_python_may_share_a_model(self):
        logits, found = self.model.run(self.pixels), []
        work = [threading.Thread(target=lambda: found.append(self.model.run(self.pixels))) for _ in range(6)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        self.assertEqual(len(found), 6)
        for answer in found:
            np.testing.assert_array_equal(answer, logits)

    def test_bad_files(self):
        path = pathlib.Path(self.folder.name)
        good = self.file.read_bytes()
        (path / "cut.tsm").write_bytes(good[:-1])
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        (path / "flipped.tsm").write_bytes(flipped)
        (path / "empty.tsm").write_bytes(b"")
        for name, sentence in [("cut.tsm", ".*was cut off"), ("flipped.tsm", ".*checksum"), ("empty.tsm", "")]:
            with self.assertRaisesRegex(trishift.ModelError, f"{name}: {sentence}"):
                trishift.Model.load(path / name)
        with self.assertRaises(ValueError):
            trishift.Model.from_bytes(b"\x89TSM")
        with self.assertRaisesRegex(FileNotFoundError, "absent.tsm"):
            trishift.Model.load(path / "absent.tsm")
        with self.assertRaises(IsADirectoryError):
            trishift.Model.load(path)
        with self.assertRaises(TypeError):
            trishift.Model.load(3)

    def test_wrong_arrays(self):
        for shape in [(63,), (2, 65), (2, 8, 8), (1, 2, 64), (2, 1, 8, 8), ()]:
            with self.assertRaisesRegex(ValueError, r"takes \[n, 64\] or \[n, 8, 8, 1\]"):
                self.model.run(np.zeros(shape, np.int8))
            with self.assertRaisesRegex(ValueError, "the array has the shape"):
                self.model.quantize(np.zeros(shape))
        for values in [np.zeros((1, 64), complex), np.full((1, 64), "x"), [None] * 64, "text"]:
            with self.assertRaises((TypeError, ValueError)):
                self.model.run(values)
        for threads in [0, -1, "two"]:
            with self.assertRaises((ValueError, OverflowError, TypeError)):
                trishift.Model.load(self.file, threads=threads)

    def test_a_row_that_a_table_has_not(self):
        model = trishift.Model.load(EMBEDDING)
        with self.assertRaisesRegex(ValueError, "row 248 of a table of 2"):
            model.run(np.full(model.describe()["input_shape"], 120, np.int8))


if __name__ == "__main__":
    unittest.main()

"""What the tests share: the command `trishift`, and models that it makes."""

import csv
import gzip
import json
import os
import pathlib
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]


class CommandFailed(Exception):
    """What the command said on its way out."""


def command(*arguments):
    """Runs the command that TRISHIFT_COMMAND names and gives the JSON object that it prints."""
    program = os.environ.get("TRISHIFT_COMMAND", ROOT / "target/debug/trishift")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [str(part) for part in (program, *arguments, "--json")], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise CommandFailed(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def digits():
    """The digits that come with the trainer: pixels [1797, 8, 8, 1] from 0 to 16, and labels."""
    with gzip.open(ROOT / "trainer/data/digits.csv.gz", "rt") as table:
        rows = np.array([[int(value) for value in row] for row in csv.reader(table)])
    return rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1]


def crc32c(data):
    """The checksum of model files, for those that a test changes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def raw_values(description, samples, seed):
    """Values around zero for a model, some samples so large that they saturate int8."""
    random = np.random.default_rng(seed)
    shape = description["input_shape"]
    magnitudes = random.choice([1, 30, 100, 300], [samples] + [1] * len(shape))
    return (random.normal(0, 1, [samples, *shape]) * magnitudes).astype(np.float32)

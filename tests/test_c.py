"""Networks exported as C: compiled with the C compiler that is there, and compared with predict."""

from __future__ import annotations

import re
import shutil
import subprocess
from ctypes import CDLL, POINTER, c_char, c_double, c_float, c_int

import numpy as np
import pytest

from fastbp import Trainer
from tests import cases

COMPILER = "gcc"
FLAGS = (
    *("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"),
    *("-Wstrict-prototypes", "-Wmissing-prototypes", "-ffp-contract=off", "-fPIC", "-shared"),
)
REALS = {"float32": c_float, "int8": c_float, "float64": c_double}


class Compiled:
    """The functions of an exported network."""

    def __init__(self, made, folder, name="net", dtype="float32", flags=FLAGS):
        (folder / f"{name}.c").write_text(made.source)
        (folder / f"{name}.h").write_text(made.header)
        library = folder / f"{name}.so"
        subprocess.run([COMPILER, *flags, f"{name}.c", "-o", library, "-lm"], cwd=folder, check=True)
        self.library, self.name, self.real = CDLL(str(library)), name, REALS[dtype]
        self.dtype = np.float64 if dtype == "float64" else np.float32
        self.n_out = int(re.search(rf"#define {name.upper()}_OUTPUTS (\d+)", made.header)[1])
        self.tolerance = float(re.search(rf"#define {name.upper()}_TOLERANCE ([^f\n]+)", made.header)[1])
        sizes = re.findall(r"^    (?:float|double|int8_t) [aq]\[(\d+)\];", made.header, re.MULTILINE)
        self.workspace = (c_char * (16 + 8 * sum(map(int, sizes))))()

    def __getitem__(self, function):
        return getattr(self.library, f"{self.name}_{function}")

    def predict(self, X):
        X = np.ascontiguousarray(X, self.dtype)
        y = np.empty((len(X), self.n_out), self.dtype)
        real = POINTER(self.real)
        for row, out in zip(X, y, strict=True):
            self["predict"](row.ctypes.data_as(real), out.ctypes.data_as(real), self.workspace)
        return y

    def classes(self, y):
        self["class"].restype = c_int
        return [self["class"](row.ctypes.data_as(POINTER(self.real))) for row in y]

    def self_test(self):
        self["self_test"].restype = self.real
        return self["self_test"](self.workspace)


@pytest.fixture(scope="session", autouse=True)
def compiler():
    assert shutil.which(COMPILER), f"these tests need {COMPILER}"


@pytest.mark.parametrize(
    ("loss", "activation", "output_activation", "dtype"),
    [
        *(("squared_error", name, "identity", dtype) for name in cases.HIDDEN for dtype in cases.DTYPES),
        *((loss, "tanh", output, "float32") for loss, outputs in cases.OUTPUTS.items() for output in outputs),
        ("squared_error", "tanh", "softmax", "float64"),
    ],
)
def test_every_activation_and_loss(loss, activation, output_activation, dtype, tmp_path):
    trainer = Trainer(
        [7, 11, 6, 3],
        activation=activation,
        output_activation=output_activation,
        loss=loss,
        dtype=dtype,
        initializer="glorot",
        seed=1,
    )
    for bias in trainer.biases:
        bias[:] = np.linspace(-1, 1, bias.size)
    X = np.random.default_rng(0).normal(size=(64, 7)) * (0.3 if activation == "exponential" else 2)
    X[0] = 0
    expected = trainer.predict(X)
    net = Compiled(trainer.to_c(dtype=dtype), tmp_path, dtype=dtype)
    deviation = np.abs(net.predict(X) - expected).max() / np.abs(expected).max()
    assert deviation < (1e-6 if dtype == "float32" else 1e-13)
    assert net.self_test() < net.tolerance

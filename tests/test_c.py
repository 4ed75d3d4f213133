"""Networks exported as C: compiled with the C compiler that is there, and compared with predict."""

from __future__ import annotations

import re
import shutil
import subprocess
from ctypes import CDLL, POINTER, c_char, c_double, c_float, c_int

import numpy as np
import pytest

from fastbp import Trainer
from fastbp._c import quantization
from tests import cases

COMPILER = "gcc"
FLAGS = (
    *("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"),
    *("-Wstrict-prototypes", "-Wmissing-prototypes", "-ffp-contract=off", "-fPIC", "-shared"),
)
REALS = {"float32": c_float, "int8": c_float, "float64": c_double}


LIBRARIES: dict[tuple[str, ...], CDLL] = {}  # what is compiled once: losses may differ in a comment only


class Compiled:
    """The functions of an exported network."""

    def __init__(self, made, folder, name="net", dtype="float32", flags=FLAGS):
        key = (made.source, made.header.partition("*/")[2], *flags)
        if key not in LIBRARIES:
            (folder / f"{name}.c").write_text(made.source)
            (folder / f"{name}.h").write_text(made.header)
            library = folder / f"{name}.so"
            subprocess.run([COMPILER, *flags, f"{name}.c", "-o", library, "-lm"], cwd=folder, check=True)
            LIBRARIES[key] = CDLL(str(library))
        self.library, self.name, self.real = LIBRARIES[key], name, REALS[dtype]
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


@pytest.mark.parametrize("name", cases.HIDDEN)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_activations_far_from_zero(name, dtype, tmp_path):
    if name == "exponential":
        z = np.linspace(-60, 60, 241)
    else:
        z = np.concatenate([np.linspace(-60, 60, 241), [-1e30, -1e5, -200, 200, 1e5, 1e30]])
    trainer = Trainer([1, 1], output_activation=name, dtype=dtype)
    trainer.set_weights([[[1.0]], [0.0]])
    net = Compiled(trainer.to_c(dtype=dtype), tmp_path, dtype=dtype)
    rtol = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(net.predict(z[:, None]), trainer.predict(z[:, None]), rtol=rtol, atol=1e-5 * rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_scaling_is_in_the_file(loss, dtype, tmp_path):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 4)) * [1e-6, 1, 30, 5] + [0, 1e4, 2025, -7]).astype(dtype)
    y = rng.integers(0, 3, 300) if loss == "cross_entropy" else rng.normal(size=(300, 3)) * [1e4, 1, 1e-3] + [0, 50, 0]
    trainer = Trainer([4, 6, 3], loss=loss, standardize=True, dtype=dtype, seed=0)
    trainer.fit(X, y, epochs=3, verbose=0)
    net = Compiled(trainer.to_c(dtype=dtype), tmp_path, dtype=dtype)
    expected = trainer.predict(X)
    deviation = np.abs(net.predict(X) - expected) / np.abs(expected).max(axis=0)
    assert deviation.max() < (1e-6 if dtype == "float32" else 1e-13)
    assert net.self_test() < net.tolerance


def test_without_bias_and_without_hidden_layers(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 5))
    for i, sizes in enumerate([(5, 2), (5, 3, 1), (5, 1, 7, 2), (5, 9, 1, 1, 4)]):
        trainer = Trainer(sizes, use_bias=False, seed=0)
        net = Compiled(trainer.to_c(name=f"net{i}"), tmp_path, f"net{i}")
        np.testing.assert_allclose(net.predict(X), trainer.predict(X), rtol=1e-5, atol=1e-6)


def test_classes_are_those_of_predict_classes(tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 5))
    for i, (n, options) in enumerate(
        [
            (3, {"loss": "cross_entropy"}),
            (1, {"loss": "binary_cross_entropy"}),
            (1, {"loss": "hinge"}),
            (4, {"loss": "hinge"}),
        ]
    ):
        trainer = Trainer([5, 8, n], seed=i, initializer="glorot", **options)
        net = Compiled(trainer.to_c(name=f"net{i}"), tmp_path, f"net{i}")
        assert net.classes(net.predict(X)) == list(trainer.predict_classes(X))
    for loss, n in (("squared_error", 1), ("binary_cross_entropy", 3)):
        assert "_class" not in Trainer([2, n], loss=loss).to_c().header


def test_the_self_test_finds_a_changed_weight_and_a_nan(tmp_path):
    made = Trainer([3, 4, 2], seed=0).to_c()
    for i, text in enumerate(("5.0f", "(0.0f / 0.0f)")):
        source = re.sub(r"(dense2_weight\[8\] = \{\s*)[^,]+", rf"\g<1>{text}", made.source).replace("net", f"net{i}")
        changed = type(made)(source, made.header.replace("net", f"net{i}").replace("NET", f"NET{i}"))
        changed = type(made)(changed.source.replace("NET", f"NET{i}"), changed.header)
        net = Compiled(changed, tmp_path, f"net{i}", flags=("-std=c99", "-fPIC", "-shared"))
        assert net.self_test() > 100 * net.tolerance


@pytest.fixture(scope="module")
def of_digits(digits):
    X, y, _, _ = digits
    trainer = Trainer([64, 30, 10], activation="relu", loss="cross_entropy", optimizer="adam", seed=0)
    trainer.fit(X, y, epochs=20, verbose=0)
    return trainer


def test_integers_keep_the_accuracy(of_digits, digits, tmp_path):
    X, y, X_test, y_test = digits
    made = of_digits.to_c(dtype="int8", calibration=(X, y))
    report = made.report
    net = Compiled(made, tmp_path, dtype="int8")
    came, expected = net.predict(X), of_digits.predict(X)
    assert np.abs(came - expected).max() / np.abs(expected).max() == pytest.approx(report.largest, rel=1e-3)
    deviation = np.sqrt(np.mean((came - expected) ** 2)) / expected.std(axis=0).max()
    assert deviation == pytest.approx(report.deviation, rel=1e-3)
    assert report.deviation < 0.02
    assert report.agreement == pytest.approx(np.mean(came.argmax(1) == expected.argmax(1)), abs=2 / len(X))
    assert (report.metric, report.rows) == ("accuracy", len(X))
    assert report.before == pytest.approx(np.mean(expected.argmax(1) == y))
    assert report.after == pytest.approx(np.mean(came.argmax(1) == y), abs=2 / len(X))
    assert (
        abs(
            np.mean(net.predict(X_test).argmax(1) == y_test)
            - of_digits.evaluate(X_test, y_test, "accuracy")["accuracy"]
        )
        < 0.01
    )
    assert net.self_test() < net.tolerance
    for line in str(report).splitlines():
        assert line[:60] in made.header
    assert len(re.findall(r"int8_t dense\d_weight", made.source)) == 2


@pytest.mark.parametrize("activation", cases.HIDDEN)
def test_integers_for_every_activation(activation, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6)) * [1, 10, 1e-3, 1, 1, 1] + [0, 100, 0, 0, 0, 5]
    X[:, 4] = 3
    y = np.tanh(X[:, :1]) + 0.1 * X[:, 3:4] * (X[:, 5:] - 5)
    trainer = Trainer([6, 24, 12, 1], activation=activation, optimizer="adam", standardize=True, seed=0)
    trainer.fit(X, 50 + 1000 * y, epochs=20, verbose=0)
    made = trainer.to_c(dtype="int8", calibration=(X, 50 + 1000 * y))
    net = Compiled(made, tmp_path, dtype="int8")
    expected = trainer.predict(X)
    came = net.predict(X)
    deviation = np.sqrt(np.mean((came - expected) ** 2)) / expected.std()
    assert deviation == pytest.approx(made.report.deviation, rel=0.01)
    assert deviation < 0.03
    assert made.report.metric == "rmse"
    assert made.report.after == pytest.approx(made.report.before, rel=0.2)
    assert net.self_test() < net.tolerance


def test_integers_saturate_outside_of_the_calibration(of_digits, digits, tmp_path):
    made = of_digits.to_c(dtype="int8", calibration=digits[0])
    assert made.report.metric is None
    flags = (*FLAGS, "-fsanitize=undefined", "-fno-sanitize-recover=all")
    net = Compiled(made, tmp_path, dtype="int8", flags=flags)
    X = digits[0][:4].copy()
    X[0], X[1], X[2] = 1e30, -np.inf, np.nan
    np.testing.assert_array_equal(net.predict(np.full((1, 64), 1e30)), net.predict(np.full((1, 64), np.inf)))
    assert np.isfinite(net.predict(X)).all()


def test_files_are_written_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = Trainer([3, 2], seed=0)
    made = trainer.to_c("my-model.c")
    assert (tmp_path / "my-model.c").read_text() == made.source
    assert (tmp_path / "my-model.h").read_text() == made.header
    assert '#include "my-model.h"' in made.source
    assert "void my_model_predict(" in made.header
    (tmp_path / "include").mkdir()
    made = trainer.to_c(tmp_path / "a.c", header=tmp_path / "include" / "b.h", name="model_2")
    assert '#include "b.h"' in made.source
    assert "void model_2_predict(" in (tmp_path / "include" / "b.h").read_text()
    assert not (tmp_path / "a.h").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.c", "include", "my-model.c", "my-model.h"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "int4"}, ValueError, "dtype: expected one of 'float32', 'float64', 'int8', got 'int4'; did you"),
        ({"dtype": 8}, TypeError, "dtype: expected one of"),
        (
            {"dtype": "int8"},
            ValueError,
            "calibration: expected rows of the training data, because dtype is 'int8', got",
        ),
        ({"calibration": np.zeros((2, 3))}, ValueError, "calibration: expected None, because dtype is 'float32', got"),
        (
            {"dtype": "int8", "calibration": np.zeros((2, 4))},
            ValueError,
            r"calibration: expected a 2-D array of shape \(n, 3\)",
        ),
        ({"dtype": "int8", "calibration": np.zeros((0, 3))}, ValueError, "calibration: expected at least one row"),
        ({"dtype": "int8", "calibration": [[1, 2, np.nan]]}, ValueError, "calibration: expected finite numbers"),
        ({"dtype": "int8", "calibration": ([[1, 2, 3]], [1, 2])}, ValueError, r"calibration\[1\]"),
        ({"name": "2net"}, ValueError, "name: expected an identifier of C that is not a keyword"),
        ({"name": "while"}, ValueError, "name: expected an identifier"),
        ({"name": "class"}, ValueError, "name: expected an identifier"),
        ({"name": "_net"}, ValueError, "name: expected an identifier"),
        ({"name": "größe"}, ValueError, "name: expected an identifier"),
        ({"name": 3}, TypeError, "name: expected an identifier"),
        ({"header": "a.h"}, ValueError, "header: expected None, because path is None"),
        ({"path": "a.h"}, ValueError, "path: expected a file other than the header, got 'a.h'"),
        ({"path": "a.c", "header": "./a.c"}, ValueError, "header: expected a file other than path"),
        ({"path": "a.c", "header": 'x"y.h'}, ValueError, "header: expected a file name without quotes"),
        ({"path": "there/"}, ValueError, "path: expected a file or a new name"),
        ({"path": "none/a.c"}, FileNotFoundError, "there is no such folder"),
    ],
)
def test_bad_arguments(options, error, message, folder):
    with pytest.raises(error, match=message):
        Trainer([3, 2], seed=0).to_c(**options)
    assert not any(folder.iterdir())


def test_weights_that_are_not_numbers_are_refused(folder):
    trainer = Trainer([3, 2], seed=0)
    trainer.weights[0][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"trainer's dense1.weight: expected finite numbers, got nan at \[1, 2\]"):
        trainer.to_c("a.c")
    trainer = Trainer([3, 2], seed=0, dtype="float64")
    trainer.weights[0][1, 2] = 1e300
    with pytest.raises(ValueError, match="trainer's dense1_weight: expected numbers within float32's range"):
        trainer.to_c("a.c")
    assert not any(folder.iterdir())


def test_outputs_that_overflow(tmp_path):
    trainer = Trainer([3, 40, 40, 1], activation="exponential", initializer="he", seed=0)
    trainer.set_weights([20 * array for array in trainer.get_weights()])
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(trainer.predict(np.random.default_rng(0).normal(size=(16, 3)))).all()
        net = Compiled(trainer.to_c(), tmp_path)  # the self-test has a row whose outputs are finite
        assert net.self_test() < net.tolerance < 0.1
        trainer.biases[0][:] = 60
        with pytest.raises(ValueError, match="trainer: expected a network with finite outputs"):
            trainer.to_c()
        with pytest.raises(ValueError, match="calibration: expected rows with finite outputs"):
            trainer.to_c(dtype="int8", calibration=np.ones((3, 3)))


def test_a_file_is_not_replaced_if_the_other_one_cannot_be_written(tmp_path):
    (tmp_path / "a.c").write_text("old")
    with pytest.raises(FileNotFoundError):
        Trainer([3, 2], seed=0).to_c(tmp_path / "a.c", header=tmp_path / "none" / "a.h")
    assert [path.name for path in tmp_path.iterdir()] == ["a.c"]
    assert (tmp_path / "a.c").read_text() == "old"


def test_names_of_columns_are_comments(tmp_path):
    pandas = pytest.importorskip("pandas")
    names = ["a */ int x; /*", "b ??/", "c\\", "d\n#error", "\u202eevil", "日本"]
    X = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 6)), columns=names)
    trainer = Trainer([6, 1], seed=0)
    trainer.fit(X, X.to_numpy()[:, 0], epochs=1, verbose=0)
    made = trainer.to_c()
    assert "5 = 日本" in made.header
    Compiled(made, tmp_path).predict(X)


def test_integers_have_no_bias_on_the_calibration(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3)) ** 3
    trainer = Trainer([3, 40, 20, 2], activation="relu", initializer="he", seed=0)
    net = Compiled(trainer.to_c(dtype="int8", calibration=X), tmp_path, dtype="int8")
    expected = trainer.predict(X)
    assert np.abs((net.predict(X) - expected).mean(axis=0) / expected.std(axis=0)).max() < 1e-4


def test_the_range_of_integers_leaves_out_a_few_large_activations():
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_t(3, (2000, 16)), rng.normal(size=(5, 16)), np.zeros(5)
    z = x @ weight.T
    ends = (float(x.min()), float(x.max()))
    chosen = quantization._of_tensor(weight, bias, *ends, x, z)
    of_all = quantization._of_range(weight, bias, *ends)
    errors = [((one.outputs(x) - z) ** 2).mean() for one in (chosen, of_all)]
    assert errors[0] < errors[1]


def test_networks_with_sums_that_integers_of_32_bits_lack_are_refused():
    n = quantization.MOST_INPUTS + 1
    trainer = Trainer([n, 1], seed=0)
    with pytest.raises(ValueError, match=r"trainer's dense1.weight: expected a layer with at most 132,104 inputs"):
        trainer.to_c(dtype="int8", calibration=np.zeros((1, n)))


def test_inputs_share_a_scale_of_integers_unless_their_ranges_differ(tmp_path):
    X = np.random.default_rng(0).normal(size=(300, 4))
    for i, (scale, apart) in enumerate([(1, False), ([1, 1e-3, 1e4, 1], True)]):
        trainer = Trainer([4, 8, 1], seed=0, standardize=True)
        trainer.fit(X * scale, X[:, :1], epochs=1, verbose=0)
        made = trainer.to_c(dtype="int8", calibration=X * scale, name=f"net{i}")
        assert ("quantize_columns" in made.source) == apart
        net = Compiled(made, tmp_path, f"net{i}", "int8")
        expected = trainer.predict(X * scale)
        assert np.abs(net.predict(X * scale) - expected).max() < 0.03 * np.abs(expected).max()

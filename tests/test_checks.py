"""Bad input: an error that names the argument, what was expected and what came; the weights untouched."""

from __future__ import annotations

import os
import re
import stat

import numpy as np
import pandas
import pytest
from scipy import sparse

from fastbp import Network, Trainer, _checks, callbacks, explain
from fastbp.losses import _targets

from .cases import named

GOOD_X = np.random.default_rng(0).uniform(size=(6, 3))
GOOD_Y = GOOD_X[:, :2].copy()


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


NAN, INF = float("nan"), float("inf")

BAD_X = {
    "NaN": (changed(GOOD_X, (2, 1), NAN), ValueError, "finite numbers, got nan at [2, 1]"),
    "infinity": (changed(GOOD_X, (5, 0), -INF), ValueError, "finite numbers, got -inf at [5, 0]"),
    "beyond float32": (GOOD_X * 1e300, ValueError, "numbers within float32's range, got larger ones"),
    "columns": (GOOD_X[:, :2], ValueError, "a 2-D array of shape (n, 3), got shape (6, 2)"),
    "empty": (GOOD_X[:0], ValueError, "at least one row, got none"),
    "empty list": ([], ValueError, "a 2-D array of shape (n, 3), got an empty array"),
    "1-D": (GOOD_X[0], ValueError, "a 2-D array of shape (n, 3), got 1-D of shape (3,); for one sample use [x]"),
    "3-D": (GOOD_X[None], ValueError, "a 2-D array of shape (n, 3), got 3-D of shape (1, 6, 3)"),
    "0-D": (1.0, ValueError, "a 2-D array of shape (n, 3), got 0-D"),
    "None": (None, TypeError, "a 2-D array"),
    "text": ("abc", TypeError, "of numbers, got text"),
    "list of text": ([["1", "2", "3"]], TypeError, "of numbers, got text"),
    "NumPy's dates among numbers": ([[1.0, 2.0, np.datetime64("2020-01-01")]], TypeError, "got np.datetime64"),
    "NumPy's complex among objects": (
        np.array([[np.complex64(1j)] * 3], dtype=object),
        TypeError,
        "of numbers, got np.complex64",
    ),
    "frame of text": (pandas.DataFrame({"a": ["x", "y"], "b": 1.0, "c": 2}), TypeError, "of numbers, got text"),
    "frame with a missing value": (
        pandas.DataFrame([[1, 2, None]] * 6),
        ValueError,
        "no missing values, got a DataFrame",
    ),
    "complex": (GOOD_X + 1j, TypeError, "got dtype complex128"),
    "dates": (np.zeros((6, 3), "datetime64[s]"), TypeError, "got dtype datetime64[s]"),
    "an integer beyond all floats": ([[10**400] * 3], TypeError, "int too large to convert to float"),
    "ragged": ([[1, 2, 3], [1, 2]], TypeError, "a 2-D array"),
    "objects": (np.array([[object()] * 3]), TypeError, "of numbers, got"),
    "a dict": ({"a": 1}, (TypeError, ValueError), "a 2-D array"),
    "sparse": (sparse.csr_matrix(GOOD_X), TypeError, "a dense array, got csr_matrix; convert it with .toarray()"),
    "sparse frame": (
        pandas.DataFrame(GOOD_X).astype(pandas.SparseDtype(float)),
        TypeError,
        "a dense array, got a sparse DataFrame; convert it with .sparse.to_dense()",
    ),
    "nullable with a missing value": (
        pandas.DataFrame({"a": pandas.array([1, None] * 3, "Int64"), "b": 1.0, "c": 2}),
        ValueError,
        "no missing values, got a DataFrame with some",
    ),
    "sparse array": (sparse.coo_array(GOOD_X), TypeError, "a dense array, got coo_array"),
    "masked": (np.ma.masked_less(GOOD_X, 0.5), ValueError, "no missing values, got a masked array"),
}

BAD_Y = {
    "NaN": (changed(GOOD_Y, (0, 1), NAN), ValueError, "finite numbers, got nan at [0, 1]"),
    "infinity": (changed(GOOD_Y, (3, 0), INF), ValueError, "finite numbers, got inf at [3, 0]"),
    "rows": (GOOD_Y[:5], ValueError, "6 rows, as many as X has, got 5"),
    "columns": (GOOD_Y[:, [0, 1, 1]], ValueError, "shape (6, 2), got (6, 3)"),
    "flat": (GOOD_Y[:, 0], ValueError, "shape (6, 2), got (6,); for class numbers use loss='cross_entropy'"),
    "3-D": (GOOD_Y[..., None], ValueError, "a 1-D or 2-D array, got 3-D of shape (6, 2, 1)"),
    "0-D": (0, ValueError, "a 1-D or 2-D array, got 0-D"),
    "text": (["a"] * 6, TypeError, "numbers (encode text classes as 0, 1, 2 …), got text"),
    "None": (None, TypeError, "numbers"),
    "durations as objects": (np.array([[np.timedelta64(1, "D")] * 2] * 6, object), TypeError, "got np.timedelta64"),
    "sparse": (sparse.csr_matrix(GOOD_Y), TypeError, "a dense array, got csr_matrix"),
}

BAD_CLASSES = {
    "too large": ([0, 1, 2, 3, 1, 1], ValueError, "class numbers 0 … 2, got numbers from 0 to 3"),
    "negative": ([0, 1, 2, -1, 1, 1], ValueError, "class numbers 0 … 2, got numbers from -1 to 2"),
    "fractions": ([0, 1, 1.5, 1, 1, 1], ValueError, "whole class numbers 0 … 2, got 1.5"),
    "NaN": ([0, 1, NAN, 1, 1, 1], ValueError, "finite numbers, got nan at [2]"),
    "text": (["0"] * 6, TypeError, "numbers (encode text classes as 0, 1, 2 …), got text"),
    "columns": (np.ones((6, 2)), ValueError, "shape (6, 3), got (6, 2)"),
    "not one-hot": (np.ones((6, 3)), ValueError, "rows that add up to 1 (one-hot), got a sum of 3 in row 0"),
    "negative one-hot": (np.tile([2.0, -1.0, 0.0], (6, 1)), ValueError, "numbers in [0, 1], got numbers from -1 to 2"),
}


def methods(trainer, X, y):
    return {
        "fit": lambda: trainer.fit(X, y, verbose=0),
        "evaluate": lambda: trainer.evaluate(X, y),
        "gradients": lambda: trainer.gradients(X, y),
    }


def assert_refused(trainer, call, kind, name, message):
    before = [part.copy() for part in trainer.weights + trainer.biases]
    with pytest.raises(kind, match=re.escape(f"{name}: expected ")) as error:
        call()
    assert message in str(error.value)
    for part, kept in zip(trainer.weights + trainer.biases, before, strict=True):
        np.testing.assert_array_equal(part, kept)
    assert trainer.history.epochs == []


@pytest.mark.parametrize("method", ["fit", "evaluate", "gradients", "predict", "predict_classes", "validation"])
@pytest.mark.parametrize("bad", BAD_X)
def test_bad_X(bad, method):
    X, kind, message = BAD_X[bad]
    trainer = Trainer([3, 4, 2], seed=0)
    call = methods(trainer, X, GOOD_Y).get(method)
    name = "X"
    if method.startswith("predict"):
        call = lambda: getattr(trainer, method)(X)  # noqa: E731
    elif method == "validation":
        call = lambda: trainer.fit(GOOD_X, GOOD_Y, validation_data=(X, GOOD_Y), verbose=0)  # noqa: E731
        name = "validation_data[0]"
    assert_refused(trainer, call, kind, name, message)


@pytest.mark.parametrize("method", ["fit", "evaluate", "gradients"])
@pytest.mark.parametrize("bad", BAD_Y)
def test_bad_y(bad, method):
    y, kind, message = BAD_Y[bad]
    trainer = Trainer([3, 4, 2], seed=0)
    assert_refused(trainer, methods(trainer, GOOD_X, y)[method], kind, "y", message)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_that_the_kernels_could_take_is_checked_too(dtype, value):
    """It is what the shortest checks are for; the error is that of a list."""
    trainer = Trainer([3, 4, 2], dtype=dtype, seed=0)
    X, y = GOOD_X.astype(dtype), GOOD_Y.astype(dtype)
    bad_X, bad_y = changed(X, (4, 1), value), changed(y, (4, 1), value)
    for name, given in (("X", (bad_X, y)), ("y", (X, bad_y))):
        for call in (*methods(trainer, *given).values(), lambda given=given: trainer.train_on_batch(*given)):
            assert_refused(trainer, call, ValueError, name, f"expected finite numbers, got {value} at [4, 1]")
    assert_refused(trainer, lambda: trainer.predict(bad_X), ValueError, "X", f"got {value} at [4, 1]")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_any_layout_train_alike(dtype):
    ready = GOOD_X.astype(dtype), GOOD_Y.astype(dtype)
    frozen = [array.copy() for array in ready]
    for array in frozen:
        array.flags.writeable = False
    layouts = {
        "ready": ready,
        "lists": [array.tolist() for array in ready],
        "read-only": frozen,
        "in columns": [np.asfortranarray(array) for array in ready],
        "with gaps": [np.repeat(array, 2, axis=1)[:, ::2] for array in ready],
        "in the other byte order": [array.astype(array.dtype.newbyteorder()) for array in ready],
        "a subclass": [array.view(np.matrix) for array in ready],
    }
    results = {}
    for name, (X, y) in layouts.items():
        trainer = Trainer([3, 4, 2], dtype=dtype, seed=0)
        losses = trainer.fit(X, y, epochs=2, verbose=0)["loss"], trainer.train_on_batch(X, y)
        results[name] = losses, trainer.predict(X).tolist()
    assert all(result == results["ready"] for result in results.values())


@pytest.mark.parametrize("n", [3, 300])
@pytest.mark.parametrize(
    ("given", "low", "high"), [([0, 1, 3], 0, 3), ([0.5, -1.5, 2.0], -1.5, 2), ([True, False], 0, 1)]
)
def test_extremes_of_few_and_of_many(n, given, low, high):
    assert _targets._extremes(np.resize(given, (n, 1))) == (low, high)


@pytest.mark.parametrize("bad", BAD_CLASSES)
def test_bad_classes(bad):
    y, kind, message = BAD_CLASSES[bad]
    trainer = Trainer([3, 4, 3], loss="cross_entropy", seed=0)
    assert_refused(trainer, methods(trainer, GOOD_X, y)["fit"], kind, "y", message)


def test_bad_targets_of_the_binary_cross_entropy():
    trainer = Trainer([3, 4, 1], loss="binary_cross_entropy", seed=0)
    call = methods(trainer, GOOD_X, [0, 1, 2, 0, 1, 1])["fit"]
    assert_refused(trainer, call, ValueError, "y", "numbers in [0, 1], got numbers from 0 to 2")


BAD_FIT = {
    "negative epochs": ({"epochs": -1}, ValueError, "epochs", "an integer ≥ 0, got -1"),
    "fractional epochs": ({"epochs": 1.5}, TypeError, "epochs", "an integer ≥ 0, got 1.5 (float)"),
    "true epochs": ({"epochs": True}, TypeError, "epochs", "an integer ≥ 0, got True"),
    "metric": ({"metrics": ["acuracy"]}, ValueError, "metrics", "did you mean 'accuracy'?"),
    "metric's kind": ({"metrics": [3]}, TypeError, "metrics", "'top_k_accuracy', got 3 (int)"),
    "metrics": ({"metrics": 3}, TypeError, "metrics", "names of metrics, or functions of (y, output), got 3 (int)"),
    "validation": (
        {"validation_data": GOOD_X},
        TypeError,
        "validation_data",
        "a pair (X, y), or (X, y, sample_weight), got a ndarray",
    ),
    "validation y": (
        {"validation_data": (GOOD_X, GOOD_Y[:3])},
        ValueError,
        "validation_data[1]",
        "6 rows, as many as X has, got 3",
    ),
    "accuracy": ({"metrics": ["accuracy"]}, ValueError, "y", "classes (0 and 1, or one-hot), because metrics has"),
}


@pytest.mark.parametrize("bad", BAD_FIT)
def test_bad_arguments_of_fit(bad):
    arguments, kind, name, message = BAD_FIT[bad]
    trainer = Trainer([3, 4, 2], seed=0)
    call = lambda: trainer.fit(GOOD_X, GOOD_Y, verbose=0, **arguments)  # noqa: E731
    assert_refused(trainer, call, kind, name, message)


BAD_OPTIONS = [
    ({"layer_sizes": [3]}, ValueError, "two or more layer sizes, such as [64, 32, 10], got [3]"),
    ({"layer_sizes": []}, ValueError, "two or more layer sizes"),
    ({"layer_sizes": 3}, TypeError, "two or more layer sizes, such as [64, 32, 10], got 3 (int)"),
    ({"layer_sizes": np.array(3)}, TypeError, "two or more layer sizes"),
    ({"layer_sizes": "3,2"}, TypeError, "two or more layer sizes"),
    ({"layer_sizes": [1] * 10_001}, ValueError, "no more than 10,000 layers, got 10,001"),
    ({"layer_sizes": [3, 0, 2]}, ValueError, "[1]: expected an integer ≥ 1, got 0"),
    ({"layer_sizes": [3, 2.5]}, TypeError, "[1]: expected an integer ≥ 1, got 2.5 (float)"),
    ({"layer_sizes": [3, True]}, TypeError, "[1]: expected an integer ≥ 1, got True"),
    ({"layer_sizes": [3, 1], "loss": "cross_entropy"}, ValueError, "use loss='binary_cross_entropy'"),
    ({"activation": "sigmod"}, ValueError, "'tanh', got 'sigmod'; did you mean 'sigmoid'?"),
    ({"activation": "ReLU"}, ValueError, "did you mean 'relu'?"),
    ({"activation": "softmax"}, ValueError, "'tanh', got 'softmax'"),
    ({"activation": ["relu", "tanh"]}, ValueError, "one for each of the 1 hidden layers, got 2 names"),
    ({"activation": None}, TypeError, "one name, or one for each of the 1 hidden layers, got None"),
    ({"activation": [3]}, TypeError, "[0]: expected one of"),
    ({"output_activation": "sofmax"}, ValueError, "did you mean 'softmax'?"),
    (
        {"output_activation": "tanh", "loss": "cross_entropy"},
        ValueError,
        "'auto' or 'softmax' with loss='cross_entropy', got 'tanh'",
    ),
    ({"loss": "mse"}, ValueError, "'squared_error', got 'mse'; did you mean 'squared_error'?"),
    ({"activation": "swish"}, ValueError, "got 'swish'; did you mean 'silu'?"),
    ({"schedule": "cosin"}, ValueError, "did you mean 'cosine'?"),
    ({"dropout": 1}, ValueError, "a number in [0, 1), or one for each of the 1 hidden layers, got 1"),
    ({"dropout": [0.1, 0.2]}, ValueError, "one for each of the 1 hidden layers, got 2 numbers"),
    ({"dropout": [[1, 2], 3]}, ValueError, "one for each of the 1 hidden layers, got 2 numbers"),
    ({"l2": -1}, ValueError, "a finite number ≥ 0, got -1"),
    ({"l1": NAN}, ValueError, "a finite number ≥ 0, got nan"),
    ({"clip_norm": 0}, ValueError, "a finite number > 0, got 0"),
    ({"clip_value": "1"}, TypeError, "a finite number > 0, got '1'"),
    ({"max_norm": -2}, ValueError, "a finite number > 0, got -2"),
    ({"initializer": "xavier"}, ValueError, "did you mean 'glorot'?"),
    ({"loss": "cross-entropy"}, ValueError, "did you mean 'cross_entropy'?"),
    ({"loss": 1}, TypeError, "got 1 (int)"),
    ({"optimizer": "sdg"}, ValueError, "'sgd', got 'sdg'; did you mean 'sgd'?"),
    ({"learning_rate": 0}, ValueError, "a finite number > 0, got 0"),
    ({"learning_rate": -0.1}, ValueError, "a finite number > 0, got -0.1"),
    ({"learning_rate": NAN}, ValueError, "a finite number > 0, got nan"),
    ({"learning_rate": INF}, ValueError, "a finite number > 0, got inf"),
    ({"learning_rate": "0.1"}, TypeError, "a finite number > 0, got '0.1'"),
    ({"learning_rate": []}, TypeError, "a finite number > 0, got [] (list)"),
    ({"learning_rate": np.ma.masked}, TypeError, "a finite number > 0, got masked"),
    ({"learning_rate": True}, TypeError, "a finite number > 0, got True"),
    ({"learning_rate": 1e39}, ValueError, "a finite number > 0, got 1e+39, which is inf in float32"),
    ({"learning_rate": 1e-60}, ValueError, "a finite number > 0, got 1e-60, which is 0 in float32"),
    ({"epsilon": 1e39}, ValueError, "a finite number ≥ 0, got 1e+39, which is inf in float32"),
    ({"batch_size": 0}, ValueError, "an integer ≥ 1, got 0"),
    ({"batch_size": 2.0}, TypeError, "an integer ≥ 1, got 2.0 (float)"),
    ({"epsilon": -0.1}, ValueError, "a finite number ≥ 0, got -0.1"),
    ({"epsilon": NAN}, ValueError, "a finite number ≥ 0, got nan"),
    ({"epsilon": "glorot"}, ValueError, "a finite number ≥ 0 or 'auto', got 'glorot'"),
    ({"epsilon": None}, TypeError, "a finite number ≥ 0, got None"),
    ({"use_bias": 1}, TypeError, "True or False, got 1"),
    ({"shuffle": "no"}, TypeError, "True or False, got 'no'"),
    ({"dtype": "float16"}, ValueError, "float32 or float64, got 'float16'"),
    ({"dtype": "floaty"}, ValueError, "float32 or float64, got 'floaty'"),
    ({"dtype": None}, ValueError, "float32 or float64, got None"),
    ({"dtype": int}, ValueError, "float32 or float64, got <class 'int'>"),
    ({"dtype": ">f4"}, ValueError, "float32 or float64, got '>f4'"),
    ({"seed": -1}, ValueError, "an integer ≥ 0, got -1"),
    ({"seed": "x"}, TypeError, "an integer ≥ 0, got 'x' (str)"),
    ({"n_threads": 0}, ValueError, "an integer ≥ 1, got 0"),
    ({"n_threads": "all"}, ValueError, "an integer ≥ 1 or 'auto', got 'all'"),
    ({"n_threads": 1.5}, TypeError, "an integer ≥ 1, got 1.5"),
]


@pytest.mark.parametrize(("options", "kind", "message"), BAD_OPTIONS, ids=[str(row[0]) for row in BAD_OPTIONS])
def test_bad_options(options, kind, message):
    options = {"layer_sizes": [3, 4, 2]} | options
    name = next(iter(options)) if len(options) == 1 else next(n for n in options if n != "layer_sizes")
    if "layer_sizes" in message or "binary" in message:
        name = "layer_sizes"
    with pytest.raises(kind) as error:
        Trainer(**options)
    assert str(error.value).startswith(name)
    assert ": expected " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(("attribute", "value"), [("learning_rate", 0), ("batch_size", 0), ("n_threads", 0)])
def test_attributes_are_checked_when_set(attribute, value):
    trainer = Trainer([3, 4, 2])
    kept = getattr(trainer, attribute)
    with pytest.raises(ValueError, match=f"{attribute}: expected"):
        setattr(trainer, attribute, value)
    assert getattr(trainer, attribute) == kept


def test_a_network_alone_checks_too():
    with pytest.raises(ValueError, match="output_activation: expected one of"):
        Network([2, 1], output_activation="auto")
    with pytest.raises(ValueError, match="X: expected a 2-D array of shape"):
        Network([2, 1]).predict([[1.0]])


def test_positional_options_are_refused():
    with pytest.raises(TypeError, match="positional"):
        Trainer([2, 1], "relu")
    with pytest.raises(TypeError, match="unexpected keyword argument 'learn_rate'"):
        Trainer([2, 1], learn_rate=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Network([10**6, 10**6]),
        lambda: Trainer([10**30, 5]),
        lambda: Trainer([10**6, 10**7, 1], optimizer="adam"),
        lambda: Trainer([3] * 5 + [10**9] * 2),
    ],
)
def test_a_network_beyond_any_memory_is_refused_with_its_bytes(make):
    with pytest.raises(MemoryError, match=r"layer_sizes: expected what fits .* got a network that needs [\d,]{17,}"):
        make()


def test_what_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    trainer = Trainer([2, 3000, 1], seed=0)
    before = trainer.get_weights()
    monkeypatch.setattr(_checks, "SMALL", 0)
    monkeypatch.setattr(_checks, "memory_limit", lambda: 200_000)
    with pytest.raises(MemoryError, match=r"optimizer: expected what fits into 200,000 bytes .* needs 2\d\d,\d{3}$"):
        Trainer([2, 3000, 1], optimizer="adam")
    X, y = np.ones((100, 2)), np.ones(100)
    for call in (trainer.fit, trainer.evaluate, trainer.gradients, trainer.train_on_batch):
        with pytest.raises(MemoryError, match=r"layer_sizes: .* got a network and \d+ rows of X at a time that needs"):
            call(X, y)
    with pytest.raises(MemoryError, match=r"X: .* got 100000 rows of 3 outputs each, that needs 1,200,000"):
        Network([2, 3]).predict(np.ones((100_000, 2)))
    for now, then in zip(trainer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


class Bytes:
    def __fspath__(self):
        return b"x"


@pytest.mark.parametrize("value", ["", "\0", "a\0b", 5, 1, True, None, ["a"], b"x", Bytes()], ids=named)
@pytest.mark.parametrize(
    "take",
    [
        lambda value: Trainer([3, 2]).save(value),
        Trainer.load,
        callbacks.CSVLogger,
        callbacks.Checkpoint,
        explain(Trainer([1, 1], seed=0), [0.5], [0.5]).to_html,
    ],
    ids=["save", "load", "CSVLogger", "Checkpoint", "to_html"],
)
def test_a_path_that_is_none(take, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if value is None and getattr(take, "__name__", "") == "to_html":
        assert take(value).startswith("<!")  # nothing is written then
    else:
        with pytest.raises(ValueError if isinstance(value, str) else TypeError, match=r"^path: expected a path, "):
            take(value)
    assert not list(tmp_path.iterdir())


def log_to(path):
    Trainer([3, 2], seed=0).fit(GOOD_X, GOOD_Y, callbacks=callbacks.CSVLogger(path), verbose=0)


WRITERS = pytest.mark.parametrize("write", [Trainer([3, 2], seed=0).save, log_to], ids=["save", "CSVLogger"])


@WRITERS
def test_what_is_no_file_is_not_replaced_by_one(write, tmp_path):
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    with pytest.raises(ValueError, match=r"^path: expected a file or a new name, got .*, which is a folder$"):
        write(folder)
    with pytest.raises(ValueError, match=r"^path: expected a file or a new name, got '.*, which is a folder$"):
        write(f"{tmp_path}/new/")
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(ValueError, match=r"^path: expected a file .*, which is a device, a pipe or a socket$"):
            write(path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["folder", "link", "pipe"]


@WRITERS
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(write, there, tmp_path):
    file, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    file.parent.mkdir()
    if there:
        file.write_text("old")
    link.symlink_to(file)
    write(link)
    assert link.is_symlink()
    assert file.is_file()
    assert file.read_bytes() != b"old"
    assert [item.name for item in file.parent.iterdir()] == ["file"]


def test_the_memory_that_there_is():
    assert 1 << 26 < _checks.memory_limit() < 1 << 60
    _checks.fits("X", "one", 1 << 20)


def test_arrays_of_pandas_are_taken_as_columns_are():
    labels = [0, 1, 2, 0, 1, 2]
    trainer = Trainer([3, 3], loss="cross_entropy", seed=0)
    expected = trainer.evaluate(GOOD_X, labels)
    for y in (pandas.Categorical(labels), pandas.array(labels, dtype="Int64"), pandas.Series(labels).array):
        assert trainer.evaluate(GOOD_X, y) == expected
    for y in (pandas.Categorical([*labels[:5], None]), pandas.array([*labels[:5], None], dtype="Int64")):
        with pytest.raises(ValueError, match="y: expected no missing values"):
            trainer.evaluate(GOOD_X, y)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("layer_sizes", lambda: Trainer({3, 4, 2})),
        ("activation", lambda: Trainer([3, 4, 5, 2], activation={"tanh", "relu"})),
        ("activation", lambda: Trainer([3, 4, 5, 2], activation=frozenset({"tanh", "relu"}))),
    ],
)
def test_a_set_has_no_order(argument, call):
    with pytest.raises(TypeError, match=rf"{argument}: expected .*, got .*set"):
        call()


def test_what_needs_no_order_may_be_a_set():
    history = Trainer([3, 2]).fit(GOOD_X, GOOD_Y, metrics={"mae", "r2"}, callbacks={callbacks.EarlyStopping("loss")})
    assert {"mae", "r2"} <= history.keys()

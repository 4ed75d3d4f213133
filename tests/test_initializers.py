"""First values: the formulas of the papers, the order in which numbers are drawn, one's own arrays."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pandas
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from fastbp import Trainer, initializers
from fastbp.activations import ACTIVATIONS, HIDDEN
from fastbp.initializers import AUTO, INITIALIZERS, half_widths, initialize, uniform

SIZES = (300, 200, 250)


def views(sizes, dtype="float64", *, bias=True):
    """Weights that are transposed parts of larger arrays, as a network's are, and biases; all 7 at first."""
    weights = [np.full((n, m + 3), 7, dtype)[:, :m].T for n, m in pairwise(sizes)]
    return weights, [np.full(m, 7, dtype) for m in sizes[1:] if bias]


def drawn(name, sizes=SIZES, dtype="float64", *, seed=0):
    weights, biases = views(sizes, dtype)
    initialize(name, weights, biases, [0.12] * len(weights), np.random.default_rng(seed))
    return weights, biases


def assert_equal(ours, theirs):
    for part, other in zip(ours, theirs, strict=True):
        for view, same in zip(part, other, strict=True):
            np.testing.assert_array_equal(view, same)


# name → the half width of the uniform distribution, from n_in and n_out
LIMITS = {
    "glorot_uniform": lambda n_in, n_out: np.sqrt(6) / np.sqrt(n_in + n_out),
    "he_uniform": lambda n_in, n_out: np.sqrt(6 / n_in),
    "lecun_uniform": lambda n_in, n_out: np.sqrt(3 / n_in),
}
# name → the standard deviation of the normal distribution
DEVIATIONS = {
    "glorot_normal": lambda n_in, n_out: np.sqrt(2 / (n_in + n_out)),
    "he_normal": lambda n_in, n_out: np.sqrt(2 / n_in),
    "lecun_normal": lambda n_in, n_out: n_in**-0.5,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LIMITS)
def test_uniform_variants(name, dtype):
    weights, biases = drawn(name, dtype=dtype)
    for theta in weights:
        limit = LIMITS[name](theta.shape[1], theta.shape[0])
        values = theta.astype(np.float64).ravel()
        assert np.abs(values).max() <= limit
        assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
        assert values.var() == pytest.approx(limit**2 / 3, rel=0.02)
    assert all(np.all(b == 0) for b in biases)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DEVIATIONS)
def test_normal_variants(name, dtype):
    weights, biases = drawn(name, dtype=dtype)
    for theta in weights:
        deviation = DEVIATIONS[name](theta.shape[1], theta.shape[0])
        values = theta.astype(np.float64).ravel()
        assert stats.kstest(values, stats.norm(0, deviation).cdf).pvalue > 1e-3
        assert values.std() == pytest.approx(deviation, rel=0.02)
        assert np.abs(values).max() > 3 * deviation  # not cut off
    assert all(np.all(b == 0) for b in biases)


def test_variances_are_pytorch_ones():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    peers = {
        "glorot_uniform": torch.nn.init.xavier_uniform_,
        "glorot_normal": torch.nn.init.xavier_normal_,
        "he_uniform": torch.nn.init.kaiming_uniform_,
        "he_normal": torch.nn.init.kaiming_normal_,
    }
    torch.manual_seed(0)
    for name, peer in peers.items():
        theirs = peer(torch.empty(100, 900)).numpy()
        (ours,), _ = drawn(name, (900, 100))
        assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=1e-3 if "uniform" in name else 0.3)


@pytest.mark.parametrize(
    ("short", "name"), [("glorot", "glorot_uniform"), ("he", "he_normal"), ("lecun", "lecun_normal")]
)
def test_short_names(short, name):
    assert_equal(drawn(short), drawn(name))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(300, 200), (200, 300), (50, 50), (1, 7), (7, 1), (1, 1)])
def test_orthogonal(sizes, dtype):
    (theta,), (b,) = drawn("orthogonal", sizes, dtype)
    theta = theta.astype(np.float64)
    product = theta @ theta.T if sizes[1] <= sizes[0] else theta.T @ theta
    np.testing.assert_allclose(product, np.eye(min(sizes)), atol=1e-12 if dtype == "float64" else 1e-6)
    assert np.all(b == 0)


def test_orthogonal_has_no_favourite_signs():
    """Without the correction of signs, LAPACK's Q of one column always points away from its matrix."""
    signs = [np.sign(drawn("orthogonal", (1, 1), seed=seed)[0][0][0, 0]) for seed in range(64)]
    assert 16 < signs.count(1) < 48
    for sizes in [(4, 6), (6, 4)]:
        (theta,), _ = drawn("orthogonal", sizes)
        a = np.random.default_rng(0).normal(size=(6, 4))
        q = theta if sizes == (4, 6) else theta.T
        r = q.T @ a
        np.testing.assert_allclose(q @ r, a, atol=1e-12)
        np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-12)
        assert np.all(np.diagonal(r) > 0)


def test_zeros():
    weights, biases = drawn("zeros")
    assert all(np.all(view == 0) for view in [*weights, *biases])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_draws_layer_by_layer_as_ever(dtype, bias):
    weights, biases = views((400, 300, 2), dtype, bias=bias)
    initialize("uniform", weights, biases, [0.12] * len(weights), np.random.default_rng(3))
    rng = np.random.default_rng(3)
    for l, theta in enumerate(weights):
        np.testing.assert_array_equal(theta, rng.uniform(-0.12, 0.12, theta.shape).astype(dtype))
        if bias:
            np.testing.assert_array_equal(biases[l], rng.uniform(-0.12, 0.12, biases[l].shape).astype(dtype))


class Edges:
    """A generator of nothing but the ends of the interval."""

    def uniform(self, low, high, shape):
        return np.where(np.arange(np.prod(shape)).reshape(shape) % 2, low, high)


@pytest.mark.parametrize("epsilon", [0.12, 0.1, 1.7, 0.0])
def test_no_float32_lies_outside_of_epsilon(epsilon):
    view = np.empty((3, 4), np.float32)
    uniform([view], epsilon, Edges())
    largest = max(map(abs, view.astype(np.float64).ravel().tolist()))
    assert largest <= epsilon
    assert largest == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("name", [*LIMITS, *DEVIATIONS, "uniform"])
def test_drawing_in_blocks_changes_nothing(name, monkeypatch):
    at_once = drawn(name, (60, 50, 40), "float32")
    monkeypatch.setattr(initializers, "DRAWN_AT_ONCE", 170)
    in_blocks = drawn(name, (60, 50, 40), "float32")
    assert_equal(at_once, in_blocks)


@pytest.mark.parametrize("name", [*LIMITS, *DEVIATIONS, "uniform"])
def test_blocks_are_small(name, monkeypatch):
    shapes = []
    rng = np.random.default_rng(0)

    class Watched:
        def uniform(self, low, high, shape):
            shapes.append(shape)
            return rng.uniform(low, high, shape)

        def normal(self, mean, deviation, shape):
            shapes.append(shape)
            return rng.normal(mean, deviation, shape)

    monkeypatch.setattr(initializers, "DRAWN_AT_ONCE", 1000)
    weights, _ = views((300, 200))
    initialize(name, weights, [], [1.0] * len(weights), Watched())
    assert max(map(np.prod, shapes)) <= 1000
    assert sum(map(np.prod, shapes)) == 300 * 200


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_name_fills_all_and_only_the_views(name):
    stored = np.full((8, 16), 7, np.float32)
    weights, biases = [stored[:5, :6].T], [stored[5, :6]]
    initialize(name, weights, biases, [0.12] * len(weights), np.random.default_rng(0))
    assert np.all(np.abs(stored[:6, :6]) < 7)
    assert np.all(stored[:6, 6:] == 7)
    assert np.all(stored[6:] == 7)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_seed_decides(name):
    assert_equal(drawn(name), drawn(name))
    if name != "zeros":
        assert np.any(drawn(name)[0][0] != drawn(name, seed=1)[0][0])


class Forbidden:
    """A generator that no one may draw from."""


def own(dtype="float64"):
    return [np.arange(6, dtype=dtype).reshape(3, 2), -np.ones((1, 3), dtype)], [np.arange(3), np.array([0.25])]


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_own_arrays(dtype, kind):
    given = own()
    weights, biases = views((2, 3, 1), dtype)
    initialize(kind(given), weights, biases, [0.12] * len(weights), Forbidden())
    for view, array in zip([*weights, *biases], [*given[0], *given[1]], strict=True):
        np.testing.assert_array_equal(view, array)
        assert not np.shares_memory(view, array)


def test_own_lists_and_frames():
    weights, biases = views((2, 3, 1))
    theta_1 = pandas.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
    initialize([(theta_1, [[1, 2, 3]]), ([0, 0, 1], [True])], weights, biases, [0.12] * len(weights), Forbidden())
    np.testing.assert_array_equal(weights[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(weights[1], [[1, 2, 3]])
    np.testing.assert_array_equal(biases[0], [0, 0, 1])
    np.testing.assert_array_equal(biases[1], [1])


def test_own_arrays_without_bias_units():
    weights, _ = views((2, 3, 1), bias=False)
    initialize((own()[0], []), weights, [], [0.12] * len(weights), Forbidden())
    np.testing.assert_array_equal(weights[0], own()[0][0])


def changed(part, i, array):
    """One's own arrays with one of them replaced."""
    given = own()
    given[part][i] = array
    return given


LONG_NAMES = "glorot_normal', 'glorot_uniform', 'he', 'he_normal', 'he_uniform', 'lecun', 'lecun_normal'"
BAD = {
    "a near miss": ("He-normal", ValueError, "got 'He-normal'; did you mean 'he_normal'?"),
    "a far miss": ("xavier", ValueError, f"initializer: expected one of 'glorot', '{LONG_NAMES}"),
    "None": (None, TypeError, "initializer: expected a name or a pair (weights, biases), got None (NoneType)"),
    "an array": (np.zeros(2), TypeError, "initializer: expected a name or a pair (weights, biases), got array("),
    "three": ((*own(), []), ValueError, "initializer: expected a name or a pair (weights, biases), got a tuple of 3"),
    "names": (["he", "zeros"], TypeError, "initializer[0]: expected a list of 2 arrays, got 'he' (str)"),
    "no biases": ((own()[0], None), TypeError, "initializer[1]: expected a list of 2 arrays, got None (NoneType)"),
    "few weights": ((own()[0][:1], own()[1]), ValueError, "initializer[0]: expected a list of 2 arrays, got 1 of them"),
    "few biases": ((own()[0], []), ValueError, "initializer[1]: expected a list of 2 arrays, got 0 of them"),
    "transposed": (
        changed(0, 0, np.ones((2, 3))),
        ValueError,
        "initializer[0][0]: expected shape (3, 2) for Θ1, got (2, 3); transpose it",
    ),
    "shape": (
        changed(0, 1, np.ones((1, 4))),
        ValueError,
        "initializer[0][1]: expected shape (1, 3) for Θ2, got (1, 4)",
    ),
    "a column": (
        changed(1, 0, np.ones((3, 1))),
        ValueError,
        "initializer[1][0]: expected shape (3,) for b1, got (3, 1)",
    ),
    "a number": (changed(1, 1, 1.0), ValueError, "initializer[1][1]: expected shape (1,) for b2, got ()"),
    "NaN": (
        changed(0, 0, [[0, 1], [2, float("nan")], [4, 5]]),
        ValueError,
        "initializer[0][0]: expected finite numbers, got nan at [1, 1]",
    ),
    "infinity": (
        changed(1, 1, [-float("inf")]),
        ValueError,
        "initializer[1][1]: expected finite numbers, got -inf at [0]",
    ),
    "large": (
        changed(1, 0, [0, 1e300, 0]),
        ValueError,
        "initializer[1][0]: expected numbers within float32's range, got larger ones",
    ),
    "large, negative": (
        changed(0, 1, [[0, -1e39, 0]]),
        ValueError,
        "initializer[0][1]: expected numbers within float32's range, got larger ones",
    ),
    "text": (changed(1, 1, ["a"]), TypeError, "initializer[1][1]: expected numbers, got text"),
    "nothing": (changed(0, 0, None), TypeError, "initializer[0][0]: expected numbers, got None"),
}


@pytest.mark.parametrize(("value", "error", "message"), BAD.values(), ids=BAD.keys())
def test_bad_initializers_leave_the_weights(value, error, message):
    weights, biases = views((2, 3, 1), "float32")
    with pytest.raises(error, match=re.escape(message)):
        initialize(value, weights, biases, [0.12] * len(weights), Forbidden())
    assert all(np.all(view == 7) for view in [*weights, *biases])


def test_biases_where_there_are_no_bias_units():
    weights, _ = views((2, 3, 1), bias=False)
    message = r"^initializer\[1\]: expected an empty list, as there are no bias units, got 2 of them$"
    with pytest.raises(ValueError, match=message):
        initialize(own(), weights, [], [0.12] * len(weights), Forbidden())


# activation → ε of a hidden layer with 40 inputs and 20 outputs; an output layer with this activation has OUTPUT's
HIDDEN_WIDTHS = dict.fromkeys(("identity", "tanh", "softsign", "hard_tanh"), np.sqrt(6 / 60))
HIDDEN_WIDTHS |= {"sigmoid": 4 * np.sqrt(6 / 60), "hard_sigmoid": 6 * np.sqrt(6 / 60), "selu": np.sqrt(3 / 40)}
HIDDEN_WIDTHS |= dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "mish"), np.sqrt(6 / 40))
HIDDEN_WIDTHS |= {"softplus": np.sqrt(6 / 40), "exponential": np.sqrt(6 / 60) / 4}
OUTPUT = dict.fromkeys(("sigmoid", "hard_sigmoid", "exponential", "softmax"), np.sqrt(6 / 60))


def test_auto_has_a_width_for_each_activation():
    assert AUTO.keys() == ACTIVATIONS.keys()
    assert HIDDEN_WIDTHS.keys() == set(HIDDEN)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_auto_widths(name):
    if name in HIDDEN:
        hidden = half_widths("auto", (40, 20, 3), (name, "identity"))
        np.testing.assert_allclose(hidden, [HIDDEN_WIDTHS[name], np.sqrt(6 / 23)], rtol=1e-12)
    output = half_widths("auto", (7, 40, 20), ("tanh", name))
    expected = (HIDDEN_WIDTHS | OUTPUT)[name]
    np.testing.assert_allclose(output, [np.sqrt(6 / 47), expected], rtol=1e-12)


def test_a_number_is_the_width_of_all_layers():
    assert half_widths(0.3, (4, 3, 2), ("sigmoid", "softmax")) == [0.3, 0.3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", HIDDEN)
def test_the_first_weights_fill_the_auto_range(name, dtype):
    trainer = Trainer([300, 200, 250], activation=name, dtype=dtype, seed=0)
    assert trainer.epsilon == "auto"
    widths = half_widths("auto", trainer.layer_sizes, (name, "identity"))
    for theta, b, width in zip(trainer.weights, trainer.biases, widths, strict=True):
        assert 0.999 * width <= np.abs(theta).max() <= width
        assert 0.9 * width <= np.abs(b).max() <= width
        values = theta.astype(np.float64).ravel()
        assert stats.kstest(values, stats.uniform(-width, 2 * width).cdf).pvalue > 1e-3


def test_auto_draws_the_numbers_that_a_fixed_epsilon_draws():
    drawn, fixed = (Trainer([5, 4, 3], epsilon=epsilon, dtype="float64", seed=7) for epsilon in ("auto", 1))
    widths = half_widths("auto", (5, 4, 3), (*drawn.activation, "identity"))
    for l, width in enumerate(widths):
        np.testing.assert_allclose(drawn.weights[l], width * fixed.weights[l], rtol=1e-12)
        np.testing.assert_allclose(drawn.biases[l], width * fixed.biases[l], rtol=1e-12)


DEEP = [name for name in HIDDEN if name != "exponential"]  # which diverges, or learns nothing, whatever ε is


def accuracy_of_five_hidden_layers(activation, epsilon):
    data = load_digits()
    X, y = (data.data - 8) / 8, data.target
    options = {"loss": "cross_entropy", "learning_rate": 0.05, "seed": 0, "n_threads": 1}
    trainer = Trainer([64, *[64] * 5, 10], activation=activation, epsilon=epsilon, **options)
    trainer.fit(X, y, epochs=25, verbose=0)
    return trainer.evaluate(X, y, "accuracy")["accuracy"]


@pytest.mark.parametrize("name", DEEP)
def test_five_hidden_layers_learn_with_auto(name):
    assert accuracy_of_five_hidden_layers(name, "auto") > 0.7
    if name in ("sigmoid", "softplus"):  # one class in ten is right
        assert accuracy_of_five_hidden_layers(name, 0.12) < 0.2

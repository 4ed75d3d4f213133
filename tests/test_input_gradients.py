"""input_gradients, jacobian and vjp against the reference's formulas, central differences and PyTorch."""

from __future__ import annotations

import pickle
import re
from functools import partial

import numpy as np
import pandas
import pytest

from fastbp import Trainer, losses, reference
from fastbp.layers import (
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)

from .cases import ACTIVATIONS, ARCHITECTURES, DTYPES, HIDDEN, KINKS, OUTPUTS, TOLERANCE, named
from .optional import Package, needs

torch, nn = Package("torch"), Package("torch.nn")


def made(sizes, name="tanh", *, dtype="float64", loss="squared_error", output="auto", **options) -> Trainer:
    trainer = Trainer(
        list(sizes),
        activation=name,
        loss=loss,
        output_activation=output,
        dtype=dtype,
        seed=0,
        initializer="lecun",
        **options,
    )
    rng = np.random.default_rng(1)
    for b in trainer.biases if trainer.use_bias else []:
        b[...] = rng.uniform(-0.5, 0.5, b.shape)
    return trainer


def inputs(n, n_in, seed=2):
    return np.random.default_rng(seed).normal(size=(n, n_in))


def targets(loss, n, n_out):
    rng = np.random.default_rng(3)
    if loss == "cross_entropy":
        return np.eye(n_out)[rng.integers(0, n_out, n)]
    if loss in ("binary_cross_entropy", "hinge", "poisson"):
        return rng.integers(0, 2, (n, n_out)) * (2.0 if loss == "hinge" else 1.0) - (loss == "hinge")
    return rng.normal(size=(n, n_out))


def network(trainer):
    """The arguments of the reference for a network."""
    parts = ([np.asarray(array, np.float64) for array in arrays] for arrays in (trainer.weights, trainer.biases))
    return *parts, trainer.network.activations


def expected_input_gradients(trainer, X, y, sample_weight=None, parameter=None):
    loss = trainer._state.loss.name
    given = network(trainer)
    return reference.input_gradients(*given, X, y, loss, parameter=parameter, sample_weight=sample_weight)


def differences(function, X, step=1e-6):
    """Central differences of a function of X, whose result has a row for each row of X, or is one number."""
    columns = []
    for k in range(X.shape[1]):
        by = np.zeros_like(X)
        by[:, k] = step
        columns.append((function(X + by) - function(X - by)) / (2 * step))
    return np.stack(columns, axis=-1)


def close(came, expected, dtype="float64"):
    np.testing.assert_allclose(came, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(expected).max())
    assert came.dtype == dtype


def away_from_kinks(trainer, X):
    """Rows in whose layers no z is close to a kink, where f′ is a matter of rounding."""
    z, _ = reference.forward(*network(trainer), X)
    keep = np.ones(len(X), bool)
    for values, name in zip(z, trainer.network.activations, strict=True):
        for kink in KINKS.get(name, ()):
            keep &= (np.abs(values - kink) > 1e-4).all(axis=1)
    assert keep.sum() > len(X) // 2
    return X[keep]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_activations(name, dtype):
    hidden = name if name in HIDDEN else "tanh"
    trainer = made([7, 9, 8, 5], hidden, dtype=dtype, output=name)
    size = 0.2 if name == "exponential" else 1.0  # e to the power of e to the power of z soon is infinite
    X = away_from_kinks(trainer, size * inputs(40, 7)).astype(dtype).astype(np.float64)
    V, y = inputs(len(X), 5, 4), np.random.default_rng(3).uniform(0.1, 0.9, (len(X), 5))
    V, y = (array.astype(dtype).astype(np.float64) for array in (V, y))
    close(trainer.jacobian(X), reference.jacobian(*network(trainer), X), dtype)
    close(trainer.vjp(X, V), reference.vjp(*network(trainer), X, V), dtype)
    close(trainer.input_gradients(X, y), expected_input_gradients(trainer, X, y), dtype)


@pytest.mark.parametrize("loss", OUTPUTS)
def test_all_losses(loss):
    trainer = made([4, 6, 3], loss=loss)
    X, y = inputs(20, 4), targets(loss, 20, 3)
    w = np.random.default_rng(5).uniform(0.1, 2, 20)
    close(trainer.input_gradients(X, y), expected_input_gradients(trainer, X, y))
    close(trainer.input_gradients(X, y, sample_weight=w), expected_input_gradients(trainer, X, y, w))
    assert not np.array_equal(trainer.input_gradients(X, y, w), trainer.input_gradients(X, y))


def test_losses_with_parameters_and_smoothing():
    X, y = inputs(20, 4), targets("squared_error", 20, 3)
    for loss, parameter in ((losses.Huber(0.3), 0.3), (losses.Quantile([0.1, 0.5, 0.8]), [0.1, 0.5, 0.8])):
        trainer = made([4, 6, 3], loss=loss)
        close(trainer.input_gradients(X, y), expected_input_gradients(trainer, X, y, parameter=parameter))
    trainer, labels = made([4, 6, 3], loss=losses.CrossEntropy(label_smoothing=0.3)), np.arange(20) % 3
    smooth = 0.7 * np.eye(3)[labels] + 0.1
    close(trainer.input_gradients(X, labels), expected_input_gradients(trainer, X, smooth))
    trainer = made([4, 6, 3], loss=lambda a, y: ((a - y) ** 4, 4 * (a - y) ** 3))
    each = partial(
        differences, lambda X: np.array([trainer.evaluate(X[i : i + 1], y[i : i + 1])["loss"] for i in range(20)])
    )
    np.testing.assert_allclose(trainer.input_gradients(X, y) * 20, each(X), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("sizes", ARCHITECTURES, ids=named)
@pytest.mark.parametrize("n", [1, 5, 259])
def test_odd_sizes(sizes, n):
    trainer = made(sizes)
    X, V = inputs(n, sizes[0]), inputs(n, sizes[-1], 4)
    close(trainer.jacobian(X), reference.jacobian(*network(trainer), X))
    close(trainer.vjp(X, V), reference.vjp(*network(trainer), X, V))
    close(trainer.input_gradients(X, V), expected_input_gradients(trainer, X, V))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads(dtype):
    X, y = inputs(3001, 13), inputs(3001, 3, 4)
    w = np.random.default_rng(5).uniform(0, 2, 3001)
    found = []
    for n_threads in (1, 2, 3, 4):
        trainer = made([13, 50, 3], dtype=dtype, n_threads=n_threads)
        found.append([trainer.jacobian(X), trainer.vjp(X, y), trainer.input_gradients(X, y, w)])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@needs("torch", "PyTorch")
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu", "softplus"])
def test_the_jacobian_is_that_of_jacrev(name):
    from fastbp.interop import to_torch

    trainer = made([13, 50, 2], name, output="sigmoid")
    X = inputs(100, 13)
    module = to_torch(trainer)
    expected = torch.func.vmap(torch.func.jacrev(module))(torch.from_numpy(X)[:, None])[:, 0, :, 0].detach().numpy()
    np.testing.assert_allclose(trainer.jacobian(X), expected, rtol=1e-10, atol=1e-10)
    V = inputs(100, 2, 4)
    np.testing.assert_allclose(trainer.vjp(X, V), np.einsum("nj,njk->nk", V, expected), rtol=1e-10, atol=1e-10)


def standardized():
    """A trained trainer whose inputs and targets have very different scales, and its data."""
    X = inputs(200, 3) * [0.001, 30, 5] + [0, 400, -1]
    y = np.stack([500 * np.sin(X[:, 1] / 20) + 3000, X[:, 0] * 2], axis=1)
    trainer = made([3, 16, 2], standardize=True, learning_rate=0.1)
    trainer.fit(X, y, epochs=3, verbose=0)
    return trainer, X, y


def test_derivatives_have_the_units_of_X_and_y():
    trainer, X, y = standardized()
    deviation = X.std(axis=0)
    by_differences = differences(lambda Z: trainer.predict(Z * deviation), X / deviation) / deviation
    jacobian = trainer.jacobian(X)
    np.testing.assert_allclose(jacobian * deviation, by_differences * deviation, rtol=1e-5, atol=1e-6)
    V = inputs(200, 2, 4)
    np.testing.assert_allclose(trainer.vjp(X, V), np.einsum("nj,njk->nk", V, jacobian), rtol=1e-9)

    def loss(Z):
        return np.array([trainer.evaluate(Z[i : i + 1] * deviation, y[i : i + 1])["loss"] for i in range(10)])

    by_differences = differences(loss, X[:10] / deviation) / deviation
    np.testing.assert_allclose(trainer.input_gradients(X[:10], y[:10]) * 10, by_differences, rtol=1e-4, atol=1e-6)


def test_before_the_first_fit_nothing_is_scaled():
    trainer, X = made([3, 4, 2], standardize=True), inputs(10, 3)
    np.testing.assert_array_equal(trainer.jacobian(X), made([3, 4, 2]).jacobian(X))


def test_they_follow_training_and_set_weights():
    trainer, X, y = made([4, 6, 2]), inputs(30, 4), inputs(30, 2, 4)
    before = trainer.jacobian(X)
    weights = trainer.get_weights()
    trainer.fit(X, y, epochs=2, verbose=0)
    close(trainer.jacobian(X), reference.jacobian(*network(trainer), X))
    assert not np.array_equal(trainer.jacobian(X), before)
    trainer.set_weights(weights)
    np.testing.assert_array_equal(trainer.jacobian(X), before)


def test_dropout_and_penalties_have_no_effect():
    plain, other = made([4, 20, 2]), made([4, 20, 2], dropout=0.5, l2=0.1)
    X, y = inputs(30, 4), inputs(30, 2, 4)
    np.testing.assert_array_equal(other.jacobian(X), plain.jacobian(X))
    np.testing.assert_array_equal(other.input_gradients(X, y), plain.input_gradients(X, y))


def test_nothing_changes():
    trainer, X, y = made([4, 6, 2]), inputs(30, 4), inputs(30, 2, 4)
    weights, before, copies = trainer.get_weights(), pickle.dumps(trainer), (X.copy(), y.copy())
    trainer.jacobian(X), trainer.vjp(X, y), trainer.input_gradients(X, y)
    for one, other in zip(trainer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(pickle.dumps(trainer)) == len(before)  # a pickle has no engine
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(y, copies[1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trainer)).jacobian(X), trainer.jacobian(X))


def test_what_is_given_may_have_other_forms():
    trainer, X = made([4, 6, 1], use_bias=False), inputs(30, 4)
    expected = trainer.jacobian(X)
    close(expected, reference.jacobian(*network(trainer), X))
    np.testing.assert_array_equal(trainer.vjp(X, np.ones(30)), trainer.vjp(X, np.ones((30, 1))))
    np.testing.assert_array_equal(trainer.vjp(X, np.ones(30)), expected[:, 0])
    np.testing.assert_array_equal(trainer.jacobian(X[::-1])[::-1], expected)
    np.testing.assert_array_equal(trainer.jacobian(X.tolist()), expected)
    np.testing.assert_array_equal(trainer.jacobian(pandas.DataFrame(X, columns=list("abcd"))), expected)


def test_other_columns_are_refused():
    trainer, X = made([4, 6, 1]), pandas.DataFrame(inputs(30, 4), columns=list("abcd"))
    trainer.fit(X, np.zeros(30), epochs=1, verbose=0)
    for call in (
        trainer.jacobian,
        lambda X: trainer.vjp(X, np.ones(30)),
        lambda X: trainer.input_gradients(X, np.zeros(30)),
    ):
        call(X)
        with pytest.raises(ValueError, match="feature names"):
            call(X[list("bacd")])


@pytest.mark.parametrize(
    ("X", "V", "error", "words"),
    [
        (np.zeros((3, 5)), np.zeros((3, 2)), ValueError, "X: expected"),
        (np.full((3, 4), np.nan), np.zeros((3, 2)), ValueError, "X: expected"),
        ("text", np.zeros((3, 2)), (ValueError, TypeError), "X: expected"),
        (np.zeros((3, 4)), np.zeros((2, 2)), ValueError, "V: expected shape (3, 2)"),
        (np.zeros((3, 4)), np.zeros(3), ValueError, "V: expected shape (3, 2)"),
        (np.zeros((3, 4)), np.full((3, 2), np.inf), ValueError, "V: expected"),
        (np.zeros((3, 4)), [["a", "b"]] * 3, (ValueError, TypeError), "V: expected"),
    ],
    ids=["columns", "nan", "text", "rows of V", "1-D V", "infinite V", "V of text"],
)
def test_bad_input_is_refused_by_name(X, V, error, words):
    trainer = made([4, 6, 2])
    with pytest.raises(error, match=re.escape(words)):
        trainer.vjp(X, V)
    if words.startswith("X"):
        with pytest.raises(error, match=re.escape(words)):
            trainer.jacobian(X)
        with pytest.raises(error, match=re.escape(words)):
            trainer.input_gradients(X, np.zeros((3, 2)))


def test_bad_targets_are_refused():
    trainer = made([4, 6, 2])
    with pytest.raises(ValueError, match="y: expected"):
        trainer.input_gradients(np.zeros((3, 4)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="sample_weight: expected"):
        trainer.input_gradients(np.zeros((3, 4)), np.zeros((3, 2)), [-1, 1, 1])


def test_a_jacobian_that_exceeds_memory_is_refused(monkeypatch):
    trainer = made([100, 3, 100])
    monkeypatch.setattr("fastbp._checks.SMALL", 0)
    monkeypatch.setattr("fastbp._checks.memory_limit", lambda: 1 << 26)
    X = np.zeros((2000, 100))
    with pytest.raises(MemoryError, match="X: expected what fits"):
        trainer.jacobian(X)
    assert trainer.vjp(X, np.zeros((2000, 100))).shape == (2000, 100)


LAYERS = {
    "norms": [5, Dense(8, "gelu", norm="layer"), LayerNorm(), Dense(8, norm="batch", dropout=0.2), BatchNorm(), 2],
    "first norm": [5, LayerNorm(), Dense(4, "tanh"), 2],
    "alphas": [5, Dense(8, "silu", parametric=True), Scale(), Activation("mish", parametric=True), Dropout(0.3), 2],
    "blocks": [4, 6, Residual(5, "tanh", "batch", 0.1), Residual([LayerNorm(), Residual([Dense(6, "silu")])]), 2],
    "pbld": [Inputs(5, [7, 3]), PBLD(4, 5, 1.0), Dense(8, "mish", norm="layer"), Residual(6), 3],
    "some encoded": [Inputs(5, [4], embedding_dim=2), PBLD(3, n_numbers=2), Dense(8, "sigmoid"), 2],
    "periodic": [Inputs(5, [4]), Periodic(3, n_numbers=4), 7, 2],
    "bins": [Inputs(3, [6]), PiecewiseLinear(5), 6, 2],
    "categories": [Inputs(0, [4, 9]), 6, Dense(3, norm="layer")],
}


def layered(name, dtype="float64", **options):
    """A trainer with a list of layers whose parameters are all random, and rows for it."""
    trainer, rng = Trainer(LAYERS[name], dtype=dtype, seed=0, **options), np.random.default_rng(1)
    for key, view in trainer.named_parameters().items():
        values = rng.normal(0, 0.5, view.shape)
        if key.endswith("variance"):
            values = np.abs(values) + 0.3
        view[...] = np.sort(values, axis=1) * 3 if key.endswith("edges") else values
    given = trainer.network.layers[0]
    codes = [rng.integers(0, count, (400, 1)) for count in given.categories]
    return trainer, np.concatenate([rng.normal(size=(400, given.numbers)), *codes], axis=1), given.numbers


@pytest.mark.parametrize("standardize", [False, True], ids=["plain", "standardized"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_derivatives_of_central_differences(name, standardize):
    trainer, X, numbers = layered(name, standardize=standardize)
    n_out = trainer.layer_sizes[-1]
    y = np.random.default_rng(4).normal(20, 7, (400, n_out))
    if standardize:
        X[:, :numbers] = X[:, :numbers] * 3 + 10
        trainer.fit(X, y, epochs=0, verbose=0)
    X, y, V = X[:30], y[:30], np.random.default_rng(5).normal(size=(30, n_out))

    def of(function):
        def of_numbers(Z):
            return function(np.hstack([Z, X[:, numbers:]]))

        return differences(of_numbers, X[:, :numbers]) if numbers else None

    jacobian, expected = trainer.jacobian(X), of(trainer.predict)
    assert jacobian.shape == (30, n_out, X.shape[1])
    np.testing.assert_array_equal(jacobian[:, :, numbers:], 0)
    gradients, by_vector = trainer.input_gradients(X, y), trainer.vjp(X, V)
    np.testing.assert_array_equal(gradients[:, numbers:], 0)
    np.testing.assert_allclose(by_vector, np.einsum("nj,njk->nk", V, jacobian), rtol=1e-9, atol=1e-9)
    if numbers:
        np.testing.assert_allclose(jacobian[:, :, :numbers], expected, rtol=1e-5, atol=1e-6)
        each = of(lambda Z: np.array([trainer.evaluate(Z[i : i + 1], y[i : i + 1])["loss"] for i in range(30)]))
        np.testing.assert_allclose(gradients[:, :numbers] * 30, each, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_the_same_bits_for_any_number_of_threads(name, dtype):
    found = []
    for n_threads in (1, 2, 3, 4):
        trainer, X, _ = layered(name, dtype, n_threads=n_threads)
        X = np.tile(X, (3, 1))
        y = np.random.default_rng(4).normal(size=(len(X), trainer.layer_sizes[-1]))
        found.append([trainer.jacobian(X), trainer.vjp(X, y), trainer.input_gradients(X, y)])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@needs("torch", "PyTorch")
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "categories"])
def test_layers_have_the_jacobian_of_jacrev(name):
    from fastbp.interop import to_torch

    trainer, X, numbers = layered(name)
    X = torch.from_numpy(X[:20])
    module = to_torch(trainer)

    def of_numbers(Z):
        return module(torch.cat([Z, X[:, numbers:]], dim=1)).sum(0)

    expected = torch.func.jacrev(of_numbers)(X[:, :numbers]).transpose(0, 1).detach().numpy()
    np.testing.assert_allclose(trainer.jacobian(X.numpy())[:, :, :numbers], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("call", ["jacobian", "vjp", "input_gradients"])
def test_categories_that_no_table_has_are_refused(call):
    trainer, X, _ = layered("some encoded")
    for code in (4, -1, 1.5):
        X[3, 5] = code
        arguments = () if call == "jacobian" else (np.zeros((400, 2)),)
        with pytest.raises(ValueError, match="X"):
            getattr(trainer, call)(X, *arguments)


def test_a_moving_average_and_frozen_layers_have_derivatives_too():
    X, y = inputs(60, 4), inputs(60, 2, 4)
    trainer = made([4, 6, 2], ema=0.9, frozen=["dense1"], learning_rate=0.3)
    trainer.fit(X, y, epochs=3, verbose=0)
    close(trainer.jacobian(X), reference.jacobian(*network(trainer), X))
    close(trainer.input_gradients(X, y), expected_input_gradients(trainer, X, y))


@pytest.mark.parametrize("standardize", [False, True], ids=["plain", "standardized"])
def test_a_loss_of_rows_has_derivatives_of_all_outputs(standardize):
    X, y = inputs(300, 4) * 3 + 2, inputs(300, 2, 4) * 7 + 30
    trainer = made([4, 6, 4], loss="gaussian_nll", standardize=standardize)
    if standardize:
        trainer.fit(X, y, epochs=0, verbose=0)
    X, y = X[:20], y[:20]
    expected = differences(trainer._state.outputs, X)
    np.testing.assert_allclose(trainer.jacobian(X), expected, rtol=1e-5, atol=1e-6)
    each = differences(lambda Z: np.array([trainer.evaluate(Z[i : i + 1], y[i : i + 1])["loss"] for i in range(20)]), X)
    np.testing.assert_allclose(trainer.input_gradients(X, y) * 20, each, rtol=1e-4, atol=1e-5)

"""Tiny networks, whose batches go through squares of 4 units and 4 samples: the reference's weights at every size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastbp import fit_many
from fastbp.losses import CrossEntropy
from fastbp.optimizers import Adam
from tests._kernels.test_epoch import EXTRAS, assert_epochs_equal_reference
from tests.cases import DTYPES, HIDDEN, OUTPUTS, RULES, Case, parameter_of

over_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@over_dtypes
@pytest.mark.parametrize("m", [1, 3, 4, 7, 16, 27, 32])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 2, 1), (4, 8, 3), (5, 3, 9, 2), (13, 20, 4)], ids=str)
def test_batches_of_every_size_equal_reference(sizes, m, dtype):
    """Whole batches and a short last one: no square is left out, and none counts twice."""
    assert_epochs_equal_reference(Case(sizes, "tanh", "sigmoid", dtype=dtype, n=2 * m + m // 2), m, {}, {})


@over_dtypes
@pytest.mark.parametrize("use_bias", [True, False])
def test_every_parameter_moves(use_bias, dtype):
    case = Case((5, 3, 9, 2), "tanh", "sigmoid", dtype=dtype, use_bias=use_bias)
    trainer = case.trainer(batch_size=4)
    before = trainer.get_weights()
    trainer.fit(*case.data(), verbose=0)
    moved = [(a != b).all() for a, b in zip(trainer.get_weights(), before, strict=True)]
    assert all(moved)


@over_dtypes
@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_activation_equals_reference_with_and_without_dropout(hidden, dtype):
    case = Case((5, 3, 9, 2), hidden, n=23, dtype=dtype)
    epsilon = 0.3 if hidden == "exponential" else 0.5
    for m in (5, 19):  # groups of samples alone, and side by side
        assert_epochs_equal_reference(case, m, {"epsilon": epsilon}, {})
        assert_epochs_equal_reference(case, m, {"epsilon": epsilon, "dropout": 0.25}, {"dropout": [0.25, 0.25]})


@over_dtypes
@pytest.mark.parametrize(("loss", "output"), [(loss, output) for loss in OUTPUTS for output in OUTPUTS[loss]])
def test_every_loss_and_output_equal_reference_with_and_without_weights(loss, output, dtype):
    case = Case((4, 8, 5), "tanh", output, loss, n=23, dtype=dtype, parameter=parameter_of(loss, 5))
    weights = np.random.default_rng(5).uniform(0, 2, case.n)
    for sample_weight in (None, weights):
        assert_epochs_equal_reference(case, 7, {"epsilon": 0.4}, {}, sample_weight=sample_weight)


@over_dtypes
@pytest.mark.parametrize("extras", [None, *EXTRAS])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_optimizer_equals_reference_with_penalties_and_limits(rule, extras, dtype):
    bounds = EXTRAS[extras] if extras else {}
    for sizes, m in (((2, 2, 1), 4), ((13, 10, 3), 13)):
        case = Case(sizes, "tanh", "sigmoid", n=29, dtype=dtype)
        options, expected = {"optimizer": rule.optimizer(), **bounds}, rule.for_reference() | bounds
        assert_epochs_equal_reference(case, m, options, expected)


@over_dtypes
def test_smoothed_labels_train_as_smoothed_rows(dtype):
    case = Case((4, 8, 3), "tanh", "softmax", "cross_entropy", n=23, dtype=dtype)
    X, y = case.data()
    smooth = replace(case, loss=CrossEntropy(label_smoothing=0.1))
    rows, numbers, by_hand = smooth.trainer(batch_size=5), smooth.trainer(batch_size=5), case.trainer(batch_size=5)
    rows.fit(X, y, epochs=2, verbose=0)
    numbers.fit(X, y.argmax(axis=1), epochs=2, verbose=0)
    by_hand.fit(X, (y * 0.9 + 0.1 / 3).astype(dtype), epochs=2, verbose=0)
    np.testing.assert_allclose(numbers.network.packed(), rows.network.packed(), rtol=1e-6)
    np.testing.assert_allclose(by_hand.network.packed(), rows.network.packed(), rtol=1e-4)


EVERYTHING = {"l2": 0.01, "dropout": 0.2, "activation": "silu", "batch_size": 5, "shuffle": True}


def test_cut_calls_and_many_networks_give_the_same_bits():
    """Powers of β₁ and β₂ don't depend on it, either, although most are products of those before them."""
    case = Case((4, 8, 3), "tanh", "softmax", "cross_entropy", n=23)
    X, y = case.data()
    whole, cut = (case.trainer(optimizer=Adam(), **EVERYTHING) for _ in range(2))
    many = [replace(case, seed=seed).trainer(optimizer=Adam(), **EVERYTHING) for seed in range(8)]
    whole.fit(X, y, epochs=30, verbose=0)
    for epochs in (1, 7, 2, 20):
        cut.fit(X, y, epochs=epochs, verbose=0)
    for epochs in (1, 29):
        fit_many(many, X, y, epochs=epochs, n_jobs=2, verbose=0)
    for other in (cut, many[0]):
        np.testing.assert_array_equal(other.network.packed(), whole.network.packed())
        np.testing.assert_array_equal(other._state.memory.second, whole._state.memory.second)
        assert other.history["loss"] == whole.history["loss"]


def test_samples_that_are_not_there_have_finite_numbers():
    """e^z of a sample of zeros would overflow here, and its 0 · ∞ would spoil the gradients."""
    case = Case((1, 2, 1), "exponential", "identity", n=5, dtype="float32")
    trainer = case.trainer(batch_size=5, learning_rate=1e-6)
    weights = [np.array([[-100.0], [-100.0]]), np.array([100.0, 100.0]), np.array([[1.0, 1.0]]), np.array([0.0])]
    trainer.set_weights(weights)
    history = trainer.fit(np.ones((5, 1), np.float32), np.ones((5, 1), np.float32), verbose=0)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in trainer.get_weights())

"""Batches of one to four samples, which go through online.py: the reference's weights for all that it serves."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import DivergenceError
from fastbp._kernels.tuning import ONLINE_WEIGHTS
from fastbp.losses import CrossEntropy
from tests._kernels.test_epoch import assert_epochs_equal_reference
from tests.cases import DTYPES, Case

SIZES = (
    (1, 1),
    (5, 6),
    (3, 5, 1),
    (2, 2, 1),
    (4, 8, 3),
    (3, 7, 2),
    (13, 20, 4),
    (1, 64, 1),
    (6, 33, 17),
    (4, 20, 7, 9),
    (2, 3, 2, 3, 1),
)
PAIRS = (
    ("sigmoid", "sigmoid", "squared_error"),
    ("tanh", "identity", "squared_error"),
    ("relu", "tanh", "squared_error"),
    ("identity", "relu", "squared_error"),
    ("tanh", "sigmoid", "binary_cross_entropy"),
    ("sigmoid", "softmax", "cross_entropy"),
)

SLOW = {"learning_rate": 0.02}  # batches of one sample wouldn't converge with more

over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_batches = pytest.mark.parametrize("m", range(1, len(ONLINE_WEIGHTS) + 1))


def plan_of(trainer, m):
    return trainer._state.engine._borrow(m).online(m)


@over_dtypes
@over_batches
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_epochs_equal_reference(pair, sizes, m, dtype):
    """The last batch is short."""
    hidden, output, loss = pair
    if output == "softmax" and sizes[-1] == 1:
        pytest.skip("softmax has at least two outputs")
    case = Case(sizes, hidden, output, loss, dtype=dtype, n=11)
    assert plan_of(case.trainer(), m).m == m
    assert_epochs_equal_reference(case, m, SLOW, SLOW)


@over_dtypes
@over_batches
@pytest.mark.parametrize("sizes", [(3, 5, 1), (5, 20, 9, 3)], ids=str)
def test_without_biases(sizes, m, dtype):
    assert_epochs_equal_reference(Case(sizes, "relu", "identity", dtype=dtype, use_bias=False), m, SLOW, SLOW)


@over_dtypes
@over_batches
@pytest.mark.parametrize("network", [((3, 5, 2), "sigmoid", "squared_error"), ((3, 9, 6), "softmax", "cross_entropy")])
def test_weights_of_samples(network, m, dtype):
    sizes, output, loss = network
    case = Case(sizes, "tanh", output, loss, dtype=dtype)
    weights = np.random.default_rng(0).uniform(0.2, 2, case.n)
    assert_epochs_equal_reference(case, m, SLOW, SLOW, sample_weight=weights)


@over_dtypes
@over_batches
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_numbers_train_as_one_hot_rows(smoothing, m, dtype):
    case = Case((4, 8, 3), "tanh", "softmax", "cross_entropy", n=23, dtype=dtype)
    loss = CrossEntropy(label_smoothing=smoothing)
    trainers = [case.trainer(batch_size=m, shuffle=True, loss=loss) for _ in range(2)]
    X, y = case.data()
    trainers[0].fit(X, y, epochs=2, verbose=0)
    trainers[1].fit(X, y.argmax(axis=1), epochs=2, verbose=0)
    np.testing.assert_array_equal(trainers[1].network.packed(), trainers[0].network.packed())
    assert trainers[0].history == trainers[1].history


@over_batches
@pytest.mark.parametrize("sizes", [(3, 5, 1), (5, 20, 9, 7)], ids=str)
def test_the_result_does_not_depend_on_how_calls_are_cut(sizes, m):
    """After each call, the weights leave the workspace, and the next call copies them back."""
    case = Case(sizes, "tanh", "sigmoid", dtype="float32", n=23)
    whole, cut = (case.trainer(batch_size=m, shuffle=True) for _ in range(2))
    whole.fit(*case.data(), epochs=3, verbose=0)
    for _ in range(3):
        cut.fit(*case.data(), epochs=1, verbose=0)
    np.testing.assert_array_equal(cut.network.packed(), whole.network.packed())


@over_batches
def test_a_validation_sees_the_weights_of_the_epoch(m):
    case = Case((3, 5, 2), "tanh", "sigmoid", dtype="float64", n=23)
    X, y = case.data()
    trainer, other = case.trainer(batch_size=m), case.trainer(batch_size=m)
    history = trainer.fit(X, y, epochs=3, validation_data=(X, y), verbose=0)
    for epoch in range(3):
        other.fit(X, y, epochs=1, verbose=0)
        np.testing.assert_allclose(history["val_loss"][epoch], other.evaluate(X, y)["loss"], rtol=1e-12)


def test_a_divergence_keeps_the_weights_of_the_epoch_before():
    case = Case((3, 5, 1), "identity", "identity", dtype="float32", n=8)
    X, y = case.data()
    trainer = case.trainer(batch_size=1)
    trainer.fit(X, y, epochs=1, verbose=0)
    before = trainer.network.packed()
    trainer.learning_rate = 1e30
    with pytest.raises(DivergenceError):
        trainer.fit(X, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(trainer.network.packed(), before)

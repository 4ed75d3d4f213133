"""Whole epochs: the weights that the reference has after the same batches."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import codes
from tests.cases import CASES, DTYPES, Case, as_reference, assert_close

# Over several updates rounding adds up; a relu may even fall to the other side of its kink.
TOLERANCE = {"float32": 2e-3, "float64": 1e-9}


@pytest.mark.parametrize("batch_size", [1, 4, 5, 1000])
@pytest.mark.parametrize("case", [case for case in CASES if case.n in (11, 33)], ids=str)
def test_epochs_equal_reference(case, batch_size):
    """Batch sizes that leave a short last batch, that don't, and one larger than the data."""
    trainer = case.trainer(batch_size=batch_size, epsilon=0.4)
    weights, biases, activations = as_reference(trainer)
    X, y = case.data()
    losses = [
        reference.train_epoch(
            weights,
            biases,
            activations,
            X.astype(np.float64),
            y.astype(np.float64),
            loss=case.loss,
            learning_rate=0.3,
            batch_size=batch_size,
            use_bias=case.use_bias,
        )
        for _ in range(2)
    ]
    history = trainer.fit(X, y, epochs=2, verbose=0)
    tolerance = TOLERANCE[case.dtype]
    np.testing.assert_allclose(history["loss"], losses, rtol=tolerance)
    for l in range(len(weights)):
        assert_close(trainer.weights[l], weights[l], tolerance, f"weights[{l}]")
        assert_close(trainer.biases[l], biases[l], tolerance, f"biases[{l}]")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_larger_than_a_block_is_still_one_batch(dtype):
    case = Case((5, 7, 3), "tanh", "softmax", "cross_entropy", dtype, n=700)
    trainer = case.trainer(batch_size=600)
    weights, biases, activations = as_reference(trainer)
    X, y = case.data()
    loss = reference.train_epoch(weights, biases, activations, X, y, loss=case.loss, learning_rate=0.3, batch_size=600)
    np.testing.assert_allclose(trainer.fit(X, y, verbose=0)["loss"], [loss], rtol=1e-5)
    for l, theta in enumerate(weights):
        assert_close(trainer.weights[l], theta, TOLERANCE[dtype], f"weights[{l}]")


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("budget", [1, 2, 3, 7])
def test_the_result_does_not_depend_on_how_calls_are_cut(budget, n_threads):
    case = Case((6, 5, 4), n=37)
    whole, cut = case.trainer(batch_size=10, shuffle=True), case.trainer(batch_size=10, shuffle=True)
    X, y = case.data()
    expected = whole.fit(X, y, epochs=3, verbose=0)["loss"]

    data = cut._engine.data(X, y, shuffle=True)
    step = codes.Step(codes.SGD, 0.3, batch_size=10, block=10)
    at = codes.Progress(np.zeros(2, np.int64), cut._random, np.zeros(3))
    calls = 0
    while at.position[codes.EPOCH] < 3:
        assert cut._engine.train(data, step, at, budget, n_threads) <= budget
        calls += 1
    assert calls == -(-12 // budget)
    np.testing.assert_array_equal(at.losses, expected)
    for a, b in zip(whole.weights, cut.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_padding_stays_zero():
    case = Case((7, 9, 5), "sigmoid", "sigmoid", dtype="float32", n=20)
    trainer = case.trainer(batch_size=3)
    layout, parameters = trainer.network._layout, trainer.network._parameters
    trainer.fit(*case.data(), epochs=5, verbose=0)
    packed = layout.pack(parameters)
    assert np.count_nonzero(parameters) == np.count_nonzero(packed) == packed.size
    assert parameters.size > packed.size

"""forward, losses and backward, through the entry that Trainer.gradients calls: the reference's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastbp import reference
from tests.cases import (
    CASES,
    DTYPES,
    HIDDEN,
    OUTPUTS,
    TOLERANCE,
    Case,
    as_reference,
    assert_close,
    reference_gradients,
)
from tests.test_reference import assert_close_to_differences, differences

SIZES = st.one_of(st.integers(1, 70), st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]))


@st.composite
def cases(draw) -> Case:
    loss = draw(st.sampled_from(sorted(OUTPUTS)))
    sizes = draw(st.lists(SIZES, min_size=2, max_size=8))
    if loss == "cross_entropy":
        sizes[-1] = max(2, sizes[-1])
    return Case(
        tuple(sizes),
        hidden=draw(st.sampled_from(HIDDEN)),
        output=draw(st.sampled_from(OUTPUTS[loss])),
        loss=loss,
        dtype=draw(st.sampled_from(DTYPES)),
        n=draw(st.integers(1, 70)),
        use_bias=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
    )


def assert_gradients_equal_reference(case: Case) -> None:
    # Weights that keep z of order 1 at any width: with larger ones float32 itself is worse than its tolerance.
    trainer = case.trainer(epsilon=1.5 / np.sqrt(max(case.sizes)))
    X, y = case.data()
    got = trainer.gradients(X, y)
    J, dW, db = reference_gradients(trainer, X, y)
    tolerance = TOLERANCE[case.dtype]
    np.testing.assert_allclose(got.loss, J, rtol=tolerance)
    for l in range(len(dW)):
        assert_close(got.weights[l], dW[l], tolerance, f"weights[{l}] of {case}")
        assert_close(got.biases[l], db[l], tolerance, f"biases[{l}] of {case}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_equal_reference(case):
    assert_gradients_equal_reference(case)


@given(cases())
def test_gradients_equal_reference_anywhere(case):
    assert_gradients_equal_reference(case)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.dtype == "float64" and sum(case.sizes) < 60 and case.n < 32],
    ids=str,
)
def test_gradients_equal_central_differences_of_the_kernels_own_loss(case):
    trainer = case.trainer()
    X, y = case.data()
    got = trainer.gradients(X, y)
    for l, theta in enumerate(trainer.weights):
        numeric = differences(lambda: trainer.evaluate(X, y)["loss"], theta)
        assert_close_to_differences(got.weights[l], numeric, f"weights[{l}]")
    if case.use_bias:
        for l, b in enumerate(trainer.biases):
            numeric = differences(lambda: trainer.evaluate(X, y)["loss"], b)
            assert_close_to_differences(got.biases[l], numeric, f"biases[{l}]")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_losses_are_stable_from_logits(loss, dtype):
    """Logits of ±1000, where e^z overflows and log(1 − a) is −∞: the loss is |z| or 0, the gradient finite."""
    trainer = Case((1, 2), "sigmoid", "softmax" if loss == "cross_entropy" else "sigmoid", loss, dtype).trainer()
    trainer.weights[0][...] = [[1000], [-1000]]
    trainer.biases[0][...] = 0
    right, wrong = [[1.0, 0.0]], [[0.0, 1.0]]
    assert trainer.evaluate([[1.0]], right)["loss"] == 0
    assert trainer.evaluate([[1.0]], wrong)["loss"] == 2000
    assert np.isfinite(trainer.gradients([[1.0]], wrong).weights[0]).all()
    np.testing.assert_array_equal(trainer.predict([[1.0]]), right)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_predictions_equal_reference(case):
    trainer = case.trainer()
    X, _ = case.data()
    weights, biases, activations = as_reference(trainer)
    _, a = reference.forward(weights, biases, activations, X.astype(np.float64))
    assert_close(trainer.predict(X), a[-1], TOLERANCE[case.dtype], str(case))

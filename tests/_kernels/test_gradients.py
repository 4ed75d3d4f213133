"""forward, losses and backward, through the entry that Trainer.gradients calls: the reference's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

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
    distance_to_kinks,
    log_cosh,
    parameter_of,
    reference_gradients,
)
from tests.test_reference import assert_close_to_differences, differences

# of which wide.py does products: forward and for δ, the first of them some steps at a time; and gradients, too
WIDE = [
    Case(sizes, "tanh", dtype=dtype, n=n)
    for sizes, n in (((5, 1100, 700, 3), 23), ((530, 1300, 2), 23), ((99, 600, 300, 530), 79))
    for dtype in DTYPES
]
SIZES = st.one_of(st.integers(1, 70), st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]))


@st.composite
def cases(draw) -> Case:
    loss = draw(st.sampled_from(sorted(OUTPUTS)))
    sizes = draw(st.lists(SIZES, min_size=2, max_size=8))
    if loss == "cross_entropy":
        sizes[-1] = max(2, sizes[-1])
    hidden = draw(st.sampled_from(HIDDEN))
    if hidden == "exponential":  # e to the e to the …
        sizes = [*sizes[:2], sizes[-1]]
    return Case(
        tuple(sizes),
        hidden=hidden,
        output=draw(st.sampled_from(OUTPUTS[loss])),
        loss=loss,
        dtype=draw(st.sampled_from(DTYPES)),
        n=draw(st.integers(1, 70)),
        use_bias=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
        parameter=draw(st.sampled_from([None, parameter_of(loss, sizes[-1])])),
    )


def order_1(case: Case) -> float:
    """ε of weights that keep z of order 1 at any width: with larger ones float32 itself is worse than its tolerance."""
    return case.epsilon / 0.8 * 1.5 / np.sqrt(max(case.sizes))


def terms_of_gradients(case: Case, trainer, X, y) -> list[tuple[np.ndarray, np.ndarray]]:
    """The mean sizes of the samples' gradients: where they cancel, as ±1 do, rounding is all that is left."""
    weights, biases, activations = as_reference(trainer)
    z, a = reference.forward(weights, biases, activations, X.astype(np.float64))
    delta = reference.output_delta(z[-1], y.astype(np.float64), activations[-1], case.loss, case.parameter)
    terms = []
    for l in reversed(range(len(weights))):
        size = np.abs(delta)
        terms.insert(0, (size.T @ np.abs(a[l]), size.sum(axis=0) * case.use_bias))
        if l > 0:
            delta = reference.hidden_delta(delta, weights[l], z[l - 1], activations[l - 1])
    return terms


def assert_gradients_equal_reference(case: Case) -> None:
    trainer = case.trainer(epsilon=order_1(case))
    X, y = case.data()
    got = trainer.gradients(X, y)
    J, dW, db = reference_gradients(case, trainer, X, y)
    tolerance = TOLERANCE[case.dtype]
    np.testing.assert_allclose(got.loss, J, rtol=tolerance, atol=tolerance)
    for l, (of_weights, of_biases) in enumerate(terms_of_gradients(case, trainer, X, y)):
        assert_close(got.weights[l], dW[l], tolerance, f"weights[{l}] of {case}", of_weights)
        assert_close(got.biases[l], db[l], tolerance, f"biases[{l}] of {case}", of_biases)


@pytest.mark.parametrize("case", [*CASES, *WIDE], ids=str)
def test_gradients_equal_reference(case):
    assert_gradients_equal_reference(case)


@given(cases())
def test_gradients_equal_reference_anywhere(case):
    """But where rounding decides on which side of a kink something falls, or is all that there is.

    Through softmax an error whose signs agree has no gradient.
    """
    trainer, (X, y) = case.trainer(epsilon=order_1(case)), case.data()
    assume(distance_to_kinks(case, trainer, X, y) > 1e-5)
    assume(abs(reference_gradients(case, trainer, X, y)[1][-1]).max() > 1e-12)
    assert_gradients_equal_reference(case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ["identity", "sigmoid", "gelu", "softmax"])
def test_gradients_of_a_loss_of_ones_own_equal_reference(output, dtype):
    """Of each way to f′: it is 1, made of a, kept beside a, a matrix. Each network compiles the loss anew."""
    assert_gradients_equal_reference(Case((7, 9, 5), output=output, loss=log_cosh, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", sorted(OUTPUTS))
def test_gradients_of_batches_larger_than_a_block_equal_reference(loss, dtype):
    output = "identity" if "identity" in OUTPUTS[loss] else OUTPUTS[loss][0]
    assert_gradients_equal_reference(Case((7, 9, 5), "gelu", output, loss, dtype, 600, parameter=parameter_of(loss, 5)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("penalties", [{"l1": 0.03}, {"l2": 0.2}, {"l1": 0.03, "l2": 0.2}])
def test_penalties_are_part_of_gradients_and_dropout_is_not(penalties, dtype):
    case = Case((7, 9, 5), "gelu", "softmax", "cross_entropy", dtype)
    trainer = case.trainer(dropout=0.5, **penalties)
    X, y = case.data()
    J, dW, db = reference_gradients(case, trainer, X, y, **penalties)
    got, tolerance = trainer.gradients(X, y), TOLERANCE[dtype]
    np.testing.assert_allclose([got.loss, trainer.evaluate(X, y)["loss"]], J, rtol=tolerance)
    for l in range(len(dW)):
        assert_close(got.weights[l], dW[l], tolerance, f"weights[{l}]")
        assert_close(got.biases[l], db[l], tolerance, f"biases[{l}]")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", sorted(OUTPUTS))
@pytest.mark.parametrize("n", [11, 600])
def test_weighted_losses_equal_reference(n, loss, dtype):
    case = Case((7, 9, 5), "gelu", OUTPUTS[loss][0], loss, dtype, n, parameter=parameter_of(loss, 5))
    trainer = case.trainer()
    X, y = case.data()
    w = np.random.default_rng(5).integers(0, 4, n)
    J, _, _ = reference_gradients(case, trainer, X, y, sample_weight=w)
    np.testing.assert_allclose(trainer.evaluate(X, y, sample_weight=w)["loss"], J, rtol=TOLERANCE[dtype])


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

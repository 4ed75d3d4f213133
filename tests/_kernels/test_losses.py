"""J and δᴸ of a few rows against the reference; stale rows, NaN even, change neither."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import losses
from fastbp._kernels.codes import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, SQUARED_ERROR, Operand
from fastbp._kernels.jit import kernel
from fastbp._kernels.llvm import HEIGHT, at
from tests._kernels.rows import BEYOND, in_memory, lengths
from tests._kernels.test_activations import CODES, classes, close, numbers
from tests.cases import DTYPES, OUTPUTS, TOLERANCE

LOSSES = {
    "squared_error": SQUARED_ERROR,
    "cross_entropy": CROSS_ENTROPY,
    "binary_cross_entropy": BINARY_CROSS_ENTROPY,
}
SIZES = [(dtype, n) for dtype in DTYPES for n in lengths(dtype)]
PAIRS = [(loss, activation) for loss, activations in OUTPUTS.items() for activation in activations]

over_pairs = pytest.mark.parametrize(("loss", "activation"), PAIRS)
over_sizes = pytest.mark.parametrize(("dtype", "n"), SIZES)
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
ROWS = range(1, HEIGHT + 1)


@kernel
def output_error(z, t, delta, mask, rows, columns, codes, inverse_m):
    return losses.output_error(
        Operand(at(z, 0), z.shape[1], 1), at(t, 0), at(delta, 0), at(mask, 0), rows, columns, codes, inverse_m
    )


def errors_of(z, y, loss, activation, dtype, m=None, stale=np.nan):
    """m · J of the rows, and the memory of aᴸ and δᴸ."""
    rows, n = z.shape
    a, t = in_memory(z, dtype, stale=stale), in_memory(y, dtype, stale=stale)
    delta = in_memory(z * np.nan, dtype, np.nan, stale)
    mask = in_memory(np.ones((HEIGHT, n)), dtype)
    codes = LOSSES[loss], CODES[activation]
    value = output_error(a, t, delta, mask, rows, n, codes, np.dtype(dtype).type(1 / (m or rows)))
    return value, a, delta


def targets(rows, n, loss, dtype):
    if loss == "cross_entropy":
        return classes(rows, n, dtype)
    y = np.random.default_rng(n).uniform(0, 1, (rows, n)).astype(dtype).astype(np.float64)
    return np.rint(y) if loss == "binary_cross_entropy" else y


@over_sizes
@over_pairs
def test_value_output_and_error_equal_reference(loss, activation, dtype, n):
    for rows in ROWS:
        z, y = numbers(rows, n, dtype), targets(rows, n, loss, dtype)
        value, a, delta = errors_of(z, y, loss, activation, dtype)
        tolerance = TOLERANCE[dtype] / 10
        expected = rows * reference.cost(z, y, activation, loss)
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
        close(a, reference.activation(z, activation), dtype)
        close(delta, reference.output_delta(z, y, activation, loss), dtype)
        assert not delta[:rows, n:].any()


@over_pairs
@over_dtypes
@pytest.mark.parametrize("n", [1, 5, 17])
def test_what_earlier_batches_left_changes_no_bit(n, dtype, loss, activation):
    for rows in ROWS:
        z, y = numbers(rows, n, dtype), targets(rows, n, loss, dtype)
        expected, _, kept = errors_of(z, y, loss, activation, dtype, stale=0)
        for stale in (1, np.inf, np.nan):
            value, _, delta = errors_of(z, y, loss, activation, dtype, stale=stale)
            assert value == expected
            np.testing.assert_array_equal(delta[:rows], kept[:rows])


@over_pairs
@over_dtypes
def test_the_m_of_the_method_is_in_delta_alone(dtype, loss, activation):
    z, y = numbers(3, 5, dtype), targets(3, 5, loss, dtype)
    value, _, delta = errors_of(z, y, loss, activation, dtype, m=1)
    smaller_value, _, smaller_delta = errors_of(z, y, loss, activation, dtype, m=64)
    assert value == smaller_value
    np.testing.assert_array_equal(delta[:3], smaller_delta[:3] * 64)


@over_pairs
@over_sizes
def test_no_error_where_output_and_targets_agree(dtype, n, loss, activation):
    """aᴸ = y exactly: 0, 1 or −1, from logits far out where f has those for limits."""
    y = classes(2, n, dtype)
    z = y if activation in ("identity", "relu") else 1000 * (2 * y - 1)
    y = 2 * y - 1 if activation == "tanh" else y
    value, a, delta = errors_of(z, y, loss, activation, dtype)
    assert value == 0
    np.testing.assert_array_equal(a[:2, :n], y)
    assert not delta[:2].any()


@over_dtypes
@pytest.mark.parametrize(("loss", "activation"), [pair for pair in PAIRS if pair[0] != "squared_error"])
def test_losses_from_far_logits_are_finite(loss, activation, dtype):
    """Where e^z is infinite and log aᴸ −∞: the distance of the logits."""
    z, y = np.array([[1000.0, -1000.0]]), np.array([[0.0, 1.0]])
    value, _, delta = errors_of(z, y, loss, activation, dtype)
    assert value == 2000
    np.testing.assert_array_equal(delta[0, :2], [1, -1])


@over_pairs
@over_dtypes
@pytest.mark.parametrize("place", [0, 4, 16])
def test_nan_stays_visible(place, dtype, loss, activation):
    z, y = numbers(2, 17, dtype), targets(2, 17, loss, dtype)
    z[1, place] = np.nan
    value, a, delta = errors_of(z, y, loss, activation, dtype)
    assert np.isnan(value)
    assert np.isnan(a[1, place])
    assert np.isnan(delta[1, place])
    assert np.isfinite(delta[0]).all()
    assert np.all(delta[-1] == BEYOND)

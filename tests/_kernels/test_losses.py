"""J and δᴸ of a few rows against the reference; stale rows, NaN even, change neither."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import losses
from fastbp._kernels.codes import Operand, Outputs
from fastbp._kernels.llvm import at
from fastbp._kernels.tuning import HEIGHT
from fastbp.losses import LOSSES
from tests._kernels.compiled import kernel
from tests._kernels.rows import BEYOND, in_memory, lengths
from tests._kernels.test_activations import CODES, classes, close, numbers
from tests.cases import DTYPES, OUTPUTS, TOLERANCE, parameter_of

CODES_OF_LOSSES = {name: kind.code for name, kind in LOSSES.items()}
PAIRS = [(loss, activation) for loss, activations in OUTPUTS.items() for activation in activations]
ONE_OF_EACH = [(loss, "tanh" if "tanh" in activations else activations[0]) for loss, activations in OUTPUTS.items()]

PAIRS_OF_CLASSES = [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]
EXACT = ("identity", "sigmoid", "tanh", "relu", "softmax", "leaky_relu", "elu", "hard_sigmoid", "hard_tanh")

over_pairs = pytest.mark.parametrize(("loss", "activation"), PAIRS)
over_losses = pytest.mark.parametrize(("loss", "activation"), ONE_OF_EACH)
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
ROWS = [*range(1, HEIGHT + 1), 2 * HEIGHT + 3]  # of one sum of losses, and of several
UNTOUCHED = 7.0


@kernel
def output_error(z, of, weighted, rows, columns, codes, inverse_m, sums):
    t, delta, slope, mask, weights, parameter = of
    pointers = Outputs(at(t, 0), at(delta, 0), at(slope, 0), at(mask, 0), at(weights, 0), weighted, at(parameter, 0))
    z_rows = Operand(at(z, 0), z.shape[1], 1)
    losses.output_error(z_rows, pointers, rows, columns, codes, 0, inverse_m, at(sums, 0))


def errors_of(z, y, loss, activation, dtype, m=None, stale=np.nan, weights=None):
    """m · J of the rows, and the memory of aᴸ and δᴸ."""
    rows, n = z.shape
    a, t = in_memory(z, dtype, stale=stale), in_memory(y, dtype, stale=stale)
    delta, slope = in_memory(z * np.nan, dtype, np.nan, stale), in_memory(z * np.nan, dtype, stale=stale)
    mask = in_memory(np.ones((HEIGHT, n)), dtype)
    parameter = in_memory(np.broadcast_to(parameter_of(loss, n) or 0.0, (HEIGHT, n)), dtype)
    shown = mask if weights is None else in_memory(np.repeat(weights[:, None], n, axis=1), dtype, stale=stale)
    codes = CODES_OF_LOSSES[loss], CODES[activation]
    of = (t, delta, slope, mask, shown, parameter)
    sums = np.full(-(-rows // HEIGHT) + 1, UNTOUCHED)
    output_error(a, of, weights is not None, rows, n, codes, np.dtype(dtype).type(1 / (m or rows)), sums)
    assert sums[-1] == UNTOUCHED
    return sums[:-1].sum(), a, delta


def targets(rows, n, loss, dtype):
    if loss == "cross_entropy":
        return classes(rows, n, dtype)
    y = np.random.default_rng(n).uniform(0, 1, (rows, n)).astype(dtype).astype(np.float64)
    if loss == "hinge":
        return 2 * np.rint(y) - 1
    return np.rint(y) if loss in ("binary_cross_entropy", "poisson") else y


def assert_equal_reference(loss, activation, dtype, n):
    for rows in ROWS:
        z, y = numbers(rows, n, dtype), targets(rows, n, loss, dtype)
        value, a, delta = errors_of(z, y, loss, activation, dtype)
        tolerance = TOLERANCE[dtype] / 10
        parameter = parameter_of(loss, n)
        expected = rows * reference.cost(z, y, activation, loss, parameter)
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
        close(a, reference.activation(z, activation), dtype)
        close(delta, reference.output_delta(z, y, activation, loss, parameter), dtype)
        assert not delta[:rows, n:].any()


@over_dtypes
@over_losses
def test_every_loss_equals_reference_at_every_size(loss, activation, dtype):
    for n in lengths(dtype):
        assert_equal_reference(loss, activation, dtype, n)


@over_dtypes
@over_pairs
def test_value_output_and_error_equal_reference(loss, activation, dtype):
    """At 17 outputs, the last of them in a vector of its own."""
    assert_equal_reference(loss, activation, dtype, 17)


@over_dtypes
@pytest.mark.parametrize("loss", OUTPUTS)
def test_weights_of_samples_weigh_their_losses_and_errors(loss, dtype):
    for activation in OUTPUTS[loss]:
        weights = np.tile([2.0, 0, 0.5, 1, 3], HEIGHT)[: 2 * HEIGHT + 3]
        for n in (2, 5, 17):
            z, y = numbers(len(weights), n, dtype), targets(len(weights), n, loss, dtype)
            value, _, delta = errors_of(z, y, loss, activation, dtype, m=weights.sum(), weights=weights)
            parameter, tolerance = parameter_of(loss, n), TOLERANCE[dtype] / 10
            expected = weights.sum() * reference.cost(z, y, activation, loss, parameter, weights)
            np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
            close(delta, reference.output_delta(z, y, activation, loss, parameter, weights), dtype)


@over_dtypes
@pytest.mark.parametrize("loss", OUTPUTS)
def test_what_earlier_batches_left_changes_no_bit(loss, dtype):
    for activation in OUTPUTS[loss]:
        for rows, n in product((1, HEIGHT - 1, HEIGHT, HEIGHT + 1), (1, 5, 17)):
            z, y = numbers(rows, n, dtype), targets(rows, n, loss, dtype)
            expected, _, kept = errors_of(z, y, loss, activation, dtype, stale=0)
            for stale in (1, np.inf, np.nan):
                value, _, delta = errors_of(z, y, loss, activation, dtype, stale=stale)
                assert value == expected
                np.testing.assert_array_equal(delta[:rows], kept[:rows])


@over_dtypes
@pytest.mark.parametrize("loss", OUTPUTS)
def test_the_m_of_the_method_is_in_delta_alone(loss, dtype):
    for activation in OUTPUTS[loss]:
        z, y = numbers(3, 5, dtype), targets(3, 5, loss, dtype)
        value, _, delta = errors_of(z, y, loss, activation, dtype, m=1)
        smaller_value, _, smaller_delta = errors_of(z, y, loss, activation, dtype, m=64)
        assert value == smaller_value
        np.testing.assert_array_equal(delta[:3], smaller_delta[:3] * 64)


def exactly(y, activation):
    """Logits whose f is y, of 0 and 1, or of −1 and 1 if f is symmetric; from far out where f has those for limits."""
    if activation in ("identity", "relu", "leaky_relu", "elu"):
        return y, y
    far = 1000 * (2 * y - 1)
    return far, 2 * y - 1 if activation in ("tanh", "hard_tanh") else y


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (loss, activation)
        for loss, activation in PAIRS
        if (activation in EXACT and loss not in ("hinge", "poisson")) or (loss, activation) == ("hinge", "tanh")
    ],
)
@over_dtypes
def test_no_error_where_output_and_targets_agree(dtype, loss, activation):
    for n in lengths(dtype):
        z, y = exactly(classes(2, n, dtype), activation)
        value, a, delta = errors_of(z, y, loss, activation, dtype)
        assert value == 0
        np.testing.assert_array_equal(a[:2, :n], y)
        assert not delta[:2].any()


@over_dtypes
@pytest.mark.parametrize(("loss", "activation"), PAIRS_OF_CLASSES)
def test_losses_from_far_logits_are_finite(loss, activation, dtype):
    """Where e^z is infinite and log aᴸ −∞: the distance of the logits."""
    z, y = np.array([[1000.0, -1000.0]]), np.array([[0.0, 1.0]])
    value, _, delta = errors_of(z, y, loss, activation, dtype)
    assert value == 2000
    np.testing.assert_array_equal(delta[0, :2], [1, -1])


@over_dtypes
@pytest.mark.parametrize("loss", OUTPUTS)
def test_nan_stays_visible(loss, dtype):
    for activation in OUTPUTS[loss]:
        for place in (0, 4, 16):
            z, y = numbers(2, 17, dtype), targets(2, 17, loss, dtype)
            z[1, place] = np.nan
            value, a, delta = errors_of(z, y, loss, activation, dtype)
            assert np.isnan(value)
            assert np.isnan(a[1, place])
            assert np.isnan(delta[1, place])
            assert np.isfinite(delta[0]).all()
            assert np.all(delta[-1] == BEYOND)

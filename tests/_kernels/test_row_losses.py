"""Losses of whole rows against the reference, at every size about a vector; stale rows, NaN even, change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import codes
from fastbp._kernels.codes import Outputs
from fastbp._kernels.graph import row_losses
from fastbp._kernels.graph.nodes import GAUSSIAN_NLL, MEMBERS, NEGATIVE_BINOMIAL
from fastbp._kernels.llvm import at
from fastbp._kernels.tuning import HEIGHT
from fastbp.reference import row_losses as expected
from tests._kernels.compiled import kernel
from tests._kernels.rows import in_memory, lengths
from tests.cases import DTYPES, TOLERANCE

ROWS = 5
BASE = {
    codes.SQUARED_ERROR: ("squared_error", "identity", None),
    codes.ABSOLUTE_ERROR: ("absolute_error", "identity", None),
    codes.HUBER: ("huber", "identity", 0.7),
    codes.QUANTILE: ("quantile", "identity", 0.2),
    codes.HINGE: ("hinge", "identity", None),
    codes.POISSON: ("poisson", "exponential", None),
    codes.CROSS_ENTROPY: ("cross_entropy", "softmax", None),
    codes.BINARY_CROSS_ENTROPY: ("binary_cross_entropy", "sigmoid", None),
}


@kernel
def losses_of_rows(of, width, columns, loss, inverse, values):
    a, t, delta, mask, weights, parameter = of
    pointers = Outputs(at(t, 0), at(delta, 0), at(delta, 0), at(mask, 0), at(weights, 0), True, at(parameter, 0))
    for r in range(values.size):
        place = r * width
        values[r] = row_losses.row_loss(at(a, 0), pointers, place, columns, loss, inverse)


def computed(a, y, loss, parameter, weights, dtype):
    """Return the losses of the rows, and the memory of δᴸ."""
    rows, n = a.shape
    targets = np.concatenate([y, np.full((rows, n - y.shape[1]), 3.0)], axis=1)
    of_samples = np.repeat(weights[:, None], n, axis=1)
    memory = [in_memory(values, dtype, np.nan) for values in (a, targets, a * np.nan, np.ones((HEIGHT, n)), of_samples)]
    z, t, delta, mask, shown = memory
    delta[:, n:] = 0
    given = in_memory(np.broadcast_to(parameter, (HEIGHT, n)), dtype)
    values = np.empty(rows)
    flat = tuple(array.reshape(-1) for array in (z, t, delta, mask, shown, given))
    losses_of_rows(flat, z.shape[1], n, loss, np.dtype(dtype).type(1 / weights.sum()), values)
    return values, delta


def cases(loss, n, rng):
    """Outputs and targets of one member with n outputs, and the reference of its loss."""
    a = rng.normal(0, 1.2, (ROWS, n))
    if loss == GAUSSIAN_NLL:
        return a, rng.normal(size=(ROWS, n // 2)), lambda a, y: expected.gaussian_nll(a, y, 0.5)
    if loss == NEGATIVE_BINOMIAL:
        return a, rng.poisson(6, (ROWS, n // 2)), expected.negative_binomial
    name, output, parameter = BASE[loss]
    y = rng.uniform(0, 1, (ROWS, n))
    if name == "cross_entropy":
        y /= y.sum(axis=1, keepdims=True)
    y = 2 * np.rint(y) - 1 if name == "hinge" else y

    def of_rows(a, y):
        values = [reference.cost(one[None], t[None], output, name, parameter) for one, t in zip(a, y, strict=True)]
        return np.array(values), len(a) * reference.output_delta(a, y, output, name, parameter)

    return a, y, of_rows


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [GAUSSIAN_NLL, NEGATIVE_BINOMIAL, *BASE])
def test_every_loss_of_rows_equals_the_reference(loss, dtype):
    rng = np.random.default_rng(loss)
    weights = np.array([2.0, 0.5, 0, 1, 3])
    parameter = 0.5 if loss == GAUSSIAN_NLL else BASE.get(loss, (None, None, None))[2] or 0.0
    for n in lengths(dtype)[:-1]:
        for n_members in (0, 1, 3):
            n_outputs = 2 * n if loss >= GAUSSIAN_NLL else n
            a, y, of_rows = cases(loss, n_outputs, rng)
            more = [rng.normal(0, 1.2, a.shape) for _ in range(n_members - 1)]
            a = np.concatenate([a, *more], axis=1).astype(dtype).astype(np.float64)
            y = y.astype(dtype).astype(np.float64)
            values, slopes = expected.members(a, y, max(1, n_members), of_rows)
            found, delta = computed(a, y, loss + MEMBERS * n_members, parameter, weights, dtype)
            tolerance = TOLERANCE[dtype] / 10
            np.testing.assert_allclose(found, values, rtol=tolerance, atol=tolerance)
            slopes *= weights[:, None] / weights.sum()
            np.testing.assert_allclose(delta[:ROWS, : a.shape[1]], slopes, rtol=tolerance, atol=tolerance)
            assert not delta[:ROWS, a.shape[1] :].any()


def precise_negative_binomial(a, y):
    """The negative binomial loss of whole counts: log Γ(y + r) − log Γ(r) − y log r is a sum of y logarithms."""
    m, s = a.T
    alpha, t = np.exp(s), np.exp(m + s)
    places = [np.arange(count) for count in y]
    ratio = np.array([np.log1p(i * alpha_).sum() for i, alpha_ in zip(places, alpha, strict=True)])
    slope = np.array([(i * alpha_ / (1 + i * alpha_)).sum() for i, alpha_ in zip(places, alpha, strict=True)])
    factorials = np.array([math.lgamma(count + 1) for count in y])
    values = factorials - ratio + (1 / alpha + y) * np.log1p(t) - y * m
    by_s = (1 / alpha + y) * t / (1 + t) - np.log1p(t) / alpha - slope
    return values, np.stack([(np.exp(m) - y) / (1 + t), by_s], axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_negative_binomial_is_precise_for_every_size_of_counts_and_dispersions(dtype):
    """From r = 1/α far below 1 to far above the counts, where the distribution is nearly Poisson's."""
    means = np.array([0.01, 0.8, 7, 8, 9, 300, 1e5])
    tolerance = {"float32": 2e-5, "float64": 1e-11}[dtype]
    for s in (-14.0, -9, -4, -np.log(8), -np.log(7.9), -1, 0, 3, 9):
        for factor in (0, 0.5, 1, 2):
            y = np.rint(factor * means)
            a = np.stack([np.log(means), np.full_like(means, s)], axis=1).astype(dtype).astype(np.float64)
            values, slopes = precise_negative_binomial(a.astype(np.longdouble), y.astype(np.longdouble))
            found, delta = computed(a, y[:, None], NEGATIVE_BINOMIAL, 0.0, np.ones(len(y)), dtype)
            scale = 1 + means + y * np.maximum(1, np.abs(a[:, 0]))  # of the terms, which cancel
            assert (np.abs(found - values) <= tolerance * scale).all(), (s, factor)
            errors = np.abs(len(y) * delta[: len(y), :2] - slopes)
            assert (errors <= tolerance * (means + y + 1)[:, None]).all(), (s, factor)


def test_a_nan_among_the_outputs_makes_the_loss_of_its_row_a_nan():
    for loss in (GAUSSIAN_NLL, NEGATIVE_BINOMIAL, GAUSSIAN_NLL + 2 * MEMBERS, codes.CROSS_ENTROPY + 2 * MEMBERS):
        a = np.zeros((2, 4))
        a[1, 2] = np.nan
        values, _ = computed(a, np.ones((2, 1)), loss, 0.0, np.ones(2), "float64")
        assert np.isfinite(values[0])
        assert np.isnan(values[1])

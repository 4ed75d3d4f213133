"""One step over a run of the buffer: each rule against the reference; whole batches: test_epoch.py."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels import codes, updates
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.llvm import at
from tests._kernels.compiled import kernel
from tests.cases import DTYPES

over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)
PLAIN = codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.0)


@kernel
def move(theta, gradient, first, second, start, count, weights, rule, eta, scale, step):
    factors = updates.factors_of(theta, rule, eta, 0.0, scale, step)
    updates.move_run(
        at(theta, start), at(gradient, start), at(first, start), at(second, start), count, weights, rule.code, factors
    )


def update(theta, gradient, start, count, eta, rule=PLAIN, scale=1.0, step=1, weights=1000):
    """A step of a rule whose moments are 0 so far."""
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    move(theta, gradient, first, second, start, count, weights, rule, float(eta), scale, step)


@over_dtypes
@pytest.mark.parametrize("vectors", [0, 1, 2, 7])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_update_equals_the_formula_on_its_range_and_leaves_the_rest(start, vectors, dtype):
    rng, lanes = np.random.default_rng(vectors), REGISTER // dtype.itemsize
    theta, gradient = rng.standard_normal((2, 12 * lanes)).astype(dtype)
    first, stop = start * lanes, (start + vectors) * lanes
    expected = theta.astype(np.longdouble)
    expected[first:stop] -= np.longdouble(dtype.type(0.3)) * gradient[first:stop]
    actual, given = theta.copy(), gradient.copy()
    update(actual, given, first, stop - first, dtype.type(0.3))
    np.testing.assert_allclose(actual, expected.astype(dtype), rtol=0, atol=2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(actual[:first], theta[:first])
    np.testing.assert_array_equal(actual[stop:], theta[stop:])
    np.testing.assert_array_equal(given, gradient)


@over_dtypes
def test_no_gradient_changes_no_bit(dtype):
    theta = np.random.default_rng(0).standard_normal(64).astype(dtype)
    for code in (codes.SGD, codes.MOMENTUM, codes.NESTEROV, codes.RMSPROP, codes.ADAGRAD, codes.ADAM):
        actual = theta.copy()
        update(actual, np.zeros(64, dtype), 0, 64, 0.3, codes.Rule(code, 0.9, 0.99, 1e-8, 0.0))
        np.testing.assert_array_equal(actual, theta)


@over_dtypes
@pytest.mark.parametrize("code", [codes.RMSPROP, codes.ADAGRAD, codes.ADAM])
def test_a_second_moment_that_overflows_stays_visible(code, dtype):
    """Divided by infinity a step would be 0: the parameter would stand still, and nobody would know."""
    theta, gradient = np.ones((2, 64), dtype)
    gradient[:32], gradient[32:] = 0, np.finfo(dtype).max / 2
    update(theta, gradient, 0, 64, 0.3, codes.Rule(code, 0.9, 0.99, float(np.finfo(dtype).smallest_subnormal), 0.0))
    np.testing.assert_array_equal(theta, np.where(np.arange(64) < 32, 1, np.nan).astype(dtype))


@over_dtypes
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_the_first_step_of_adam_is_eta_in_the_gradients_direction(scale, dtype):
    gradient = np.random.default_rng(0).standard_normal(64).astype(dtype)
    theta = np.zeros(64, dtype)
    update(theta, gradient, 0, 64, 0.5, codes.Rule(codes.ADAM, 0.9, 0.99, 1e-12, 0.0), scale)
    np.testing.assert_allclose(theta, -0.5 * np.sign(gradient), rtol=1e-5)


@over_dtypes
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_divergence_stays_visible(number, dtype):
    theta, gradient = np.ones((2, 64), dtype)
    gradient[5] = number
    update(theta, gradient, 0, 64, 0.5)
    np.testing.assert_array_equal(theta, np.where(np.arange(64) == 5, -number, 0.5).astype(dtype))


@over_dtypes
@pytest.mark.parametrize("weights", [0, 5, 16, 21, 64])
def test_weights_decay_and_biases_do_not(weights, dtype):
    theta, rule = np.ones(64, dtype), PLAIN._replace(weight_decay=0.5)
    update(theta, np.zeros(64, dtype), 0, 64, 0.5, rule, weights=weights)
    np.testing.assert_array_equal(theta, np.where(np.arange(64) < weights, 0.75, 1))


@kernel
def bound(theta, gradient, weights, l1, l2, limit):
    return updates.bound_run(at(theta, 0), at(gradient, 0), theta.size, weights, l1, l2, limit)


@over_dtypes
@pytest.mark.parametrize("weights", [0, 5, 16, 21, 64])
def test_weights_are_penalised_and_biases_are_not(weights, dtype):
    theta, gradient = np.random.default_rng(0).standard_normal((2, 64)).astype(dtype)
    theta[3] = 0
    own = np.where(np.arange(64) < weights, theta, 0).astype(float)
    expected = np.clip(gradient + 0.5 * own + 0.25 * np.sign(own), -1, 1)
    squares, penalty = bound(theta, gradient, weights, *map(dtype.type, (0.25, 0.5, 1)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(squares, (expected**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(penalty, 0.25 * (own**2).sum() + 0.25 * np.abs(own).sum(), rtol=1e-5)


@kernel
def power(x, n):
    return updates.whole_power(x, n)


@pytest.mark.parametrize("x", [0.0, 0.5, 0.9, 0.99, 0.999, 0.999999, 1.0])
def test_a_whole_power_has_no_more_than_the_rounding_errors_of_its_factors(x):
    for n in (0, 1, 2, 3, 7, 10, 100, 1000, 4095, 10**6, 10**9):
        assert power(x, n) == pytest.approx(x**n, rel=max(n, 1) * np.finfo(float).eps, abs=1e-300)

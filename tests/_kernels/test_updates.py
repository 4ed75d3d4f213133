"""One step over a range of the buffer."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import updates
from fastbp._kernels.jit import kernel
from fastbp._kernels.llvm import REGISTER
from tests.cases import DTYPES

update = kernel(updates.update.py_func)  # as Python may call it

over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)


@over_dtypes
@pytest.mark.parametrize("vectors", [0, 1, 2, 7])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_update_equals_reference_on_its_range_and_leaves_the_rest(start, vectors, dtype):
    rng, lanes = np.random.default_rng(vectors), REGISTER // dtype.itemsize
    theta, gradient = rng.standard_normal((2, 12 * lanes)).astype(dtype)
    first, stop = start * lanes, (start + vectors) * lanes
    expected = theta.astype(np.longdouble)
    reference.update([expected[first:stop]], [gradient[first:stop].astype(np.longdouble)], dtype.type(0.3))
    actual, given = theta.copy(), gradient.copy()
    update(actual, given, first, stop - first, dtype.type(0.3))
    np.testing.assert_allclose(actual, expected.astype(dtype), rtol=0, atol=2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(actual[:first], theta[:first])
    np.testing.assert_array_equal(actual[stop:], theta[stop:])
    np.testing.assert_array_equal(given, gradient)


@over_dtypes
def test_no_gradient_changes_no_bit(dtype):
    theta = np.random.default_rng(0).standard_normal(64).astype(dtype)
    actual = theta.copy()
    update(actual, np.zeros(64, dtype), 0, 64, dtype.type(0.3))
    np.testing.assert_array_equal(actual, theta)


@over_dtypes
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_divergence_stays_visible(number, dtype):
    theta, gradient = np.ones((2, 64), dtype)
    gradient[5] = number
    update(theta, gradient, 0, 64, dtype.type(0.5))
    np.testing.assert_array_equal(theta, np.where(np.arange(64) == 5, -number, 0.5).astype(dtype))

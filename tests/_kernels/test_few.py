"""The product for few rows has the same bits as that of the tile."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels.codes import Extent, Operand
from fastbp._kernels.few import STEPS, multiply_few
from fastbp._kernels.llvm import at
from tests._kernels.compiled import kernel
from tests._kernels.test_tile import UNTOUCHED, matrix, over_dtypes, times


@kernel
def few_times(c, a, b, start, sizes):
    """C ← s + A B, of matrices whose rows lie as far apart as they are long."""
    multiply_few(
        Operand(at(c, 0), c.shape[1], 1),
        Operand(at(a, 0), a.shape[1], 1),
        Operand(at(b, 0), b.shape[1], 1),
        Extent(sizes[0], sizes[1], sizes[2]),
        Operand(at(start, 0), 0, 1),
    )


@over_dtypes
@pytest.mark.parametrize("columns", [16, 33, 67, 256, 301])
@pytest.mark.parametrize("inner", [0, 1, STEPS - 1, STEPS, STEPS + 1, 3 * STEPS + 5])
@pytest.mark.parametrize("rows", [1, 2, 4, 5])
def test_bits_are_those_of_the_tile(rows, inner, columns, dtype):
    """The rows before and after C stay."""
    rng = np.random.default_rng(inner)
    a = np.full(rows * inner + 64, np.nan, dtype)[: rows * inner].reshape(rows, inner)
    a[:] = rng.normal(size=a.shape)
    b, start = matrix(rng, max(inner, 1), columns, dtype, 3)[:inner], matrix(rng, 1, columns, dtype, 3)
    b = b if inner else np.zeros((1, start.shape[1]), dtype)
    expected, c = (np.full((rows + 2, start.shape[1]), UNTOUCHED, dtype) for _ in range(2))
    times(expected[1:], a, b, start, (rows, columns, inner), dtype.type(0))
    few_times(c[1:], a, b, start, (rows, columns, inner))
    np.testing.assert_array_equal(c[:, :columns], expected[:, :columns])
    assert np.all(c[[0, -1]] == UNTOUCHED)

"""Products of wide layers: those of the tile, to the bit, whoever packs A and however many rows are left over."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels.codes import Extent, Operand, Team
from fastbp._kernels.llvm import at
from fastbp._kernels.tuning import BESIDE, DEEP, HEIGHT, TALL
from fastbp._kernels.wide import multiply_wide, pack_columns, pack_rows, room
from tests._kernels.compiled import kernel
from tests._kernels.test_tile import FAR_BEHIND, lanes_of, matrix, over_dtypes, times, transposed_times, zeros

ROWS = [1, HEIGHT - 1, HEIGHT, HEIGHT + 1, TALL - 1, TALL, TALL + 1, 2 * TALL + HEIGHT + 1, (BESIDE + 1) * TALL + 5]
INNER = [1, 5, 64, 67, DEEP, DEEP + 1, 2 * DEEP + 9]
COLUMNS = [1, 17, 33, 67]  # to the last vectors, half empty; one after two; none


@kernel
def wide_times(c, a, b, start, packed, sizes, eta, threads, transposed):
    """C ← s + A B, or C − η(s + A B), of an A that some threads packed one after the other, from rows or columns."""
    rows, columns, inner = sizes
    for thread in range(threads):
        source, team = Operand(at(a, 0), a.shape[1], 1), Team(at(packed, 0), thread, threads)
        if transposed:
            pack_columns(at(packed, 0), source, rows, inner, team)
        else:
            pack_rows(at(packed, 0), source, rows, inner, team)
    multiply_wide(
        Operand(at(c, 0), c.shape[1], 1),
        at(packed, 0),
        Operand(at(b, 0), b.shape[1], 1),
        Extent(rows, columns, inner),
        Operand(at(start, 0), 0, 1),
        eta,
        FAR_BEHIND,
    )


def packed_for(sizes, dtype) -> np.ndarray:
    """Room for A, and numbers behind it that must stay."""
    tiles = -(-sizes[0] // TALL)
    return np.full(tiles * room(sizes[2], lanes_of(dtype)) + 8, np.nan, dtype)


def operands(sizes, dtype, transposed=False) -> tuple[np.ndarray, ...]:
    """A or Aᵀ, without padding and with NaN behind it, B, s and C; numbers that are rounded."""
    rng = np.random.default_rng(sum(sizes))
    rows, columns, inner = sizes
    shape = (inner, rows) if transposed else (rows, inner)
    a = np.full(rows * inner + 64, np.nan, dtype)[: rows * inner].reshape(shape)
    a[:] = rng.normal(size=shape)
    b, start, c = (matrix(rng, n, columns, dtype, 3) for n in (inner, 1, rows))
    return a, b, start, c


@over_dtypes
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("inner", INNER)
def test_bits_are_those_of_the_tile(inner, columns, dtype):
    for rows in ROWS:
        sizes = rows, columns, inner
        a, b, start, expected = operands(sizes, dtype)
        times(expected, a, b, start, sizes, dtype.type(0))
        for threads in (1, 2, 3):
            c, packed = np.full_like(expected, np.nan), packed_for(sizes, dtype)
            wide_times(c, a, b, start, packed, sizes, dtype.type(0), threads, False)
            np.testing.assert_array_equal(c[:, :columns], expected[:, :columns], err_msg=f"{rows} rows")
            assert np.isnan(packed[-8:]).all()


@over_dtypes
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("eta", [0, 0.3, -1])
def test_bits_of_the_transposed_are_those_of_the_tile(eta, inner, columns, dtype):
    for rows in ROWS:
        sizes = rows, columns, inner
        a, b, start, before = operands(sizes, dtype, transposed=True)
        expected = before.copy()
        transposed_times(expected, a, b, zeros(dtype), sizes, dtype.type(eta))
        for threads in (1, 2, 3):
            c, packed = before.copy(), packed_for(sizes, dtype)
            wide_times(c, a, b, 0 * start, packed, sizes, dtype.type(eta), threads, True)
            np.testing.assert_array_equal(c, expected, err_msg=f"{rows} rows")
            assert np.isnan(packed[-8:]).all()


@over_dtypes
def test_a_product_of_whole_numbers_is_exact(dtype):
    sizes = rows, columns, inner = 2 * TALL + 3, 67, 2 * DEEP + 1
    rng = np.random.default_rng(0)
    a, b, start = (rng.integers(-8, 9, shape).astype(dtype) for shape in ((rows, inner), (inner, 80), (1, 80)))
    c = np.zeros((rows, 80), dtype)
    wide_times(c, a, b, start, packed_for(sizes, dtype), sizes, dtype.type(0), 2, False)
    np.testing.assert_array_equal(c[:, :columns], (a @ b + start)[:, :columns])


@over_dtypes
def test_nan_and_infinity_come_through(dtype):
    sizes = rows, _, inner = TALL + HEIGHT + 1, 33, 64
    for bad in (np.nan, np.inf):
        for i in range(rows):
            a, b, start, c = operands(sizes, dtype)
            a[i, inner // 2], b[:] = bad, 1
            wide_times(c, a, b, start, packed_for(sizes, dtype), sizes, dtype.type(0), 1, False)
            assert not np.isfinite(c[i, :33]).any()
            assert np.isfinite(np.delete(c, i, axis=0)).all()

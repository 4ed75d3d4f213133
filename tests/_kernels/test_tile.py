"""The register tile: exact with small whole numbers, at every size about a tile, the same bits however it is cut."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fastbp._engine.layout import padded
from fastbp._kernels.codes import Extent, Operand
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.llvm import at
from fastbp._kernels.tile import multiply, sum_rows, transpose
from fastbp._kernels.tuning import HEIGHT, LOW, MIDDLE, TALL
from tests._kernels.compiled import kernel
from tests._kernels.test_updates import update
from tests.cases import DTYPES

over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)

# each of the tiles alone, and after others
HEIGHTS = {1, 2, LOW, HEIGHT, MIDDLE, TALL}
ROWS = sorted({3, *HEIGHTS, *(height + 1 for height in HEIGHTS), HEIGHT - 1, TALL + LOW + 3, 2 * TALL + HEIGHT + 3})
COLUMNS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 67]  # about every part of every register
INNER = [0, 1, 2, 5, 67]
UNTOUCHED = 7.0
FAR_BEHIND = 10**12  # where no memory is: what is asked for isn't read


@kernel
def times(c, a, b, start, sizes, eta):
    """C ← s + A B, of matrices whose rows lie as far apart as they are long."""
    multiply(
        Operand(at(c, 0), c.shape[1], 1),
        Operand(at(a, 0), a.shape[1], 1),
        Operand(at(b, 0), b.shape[1], 1),
        Extent(sizes[0], sizes[1], sizes[2]),
        Operand(at(start, 0), 0, 1),
        eta,
        0,
    )


@kernel
def transposed_times(c, a, b, start, sizes, eta):
    """C ← C − η AᵀB, as for ∂J/∂Θ; start: two vectors of zeros."""
    multiply(
        Operand(at(c, 0), c.shape[1], 1),
        Operand(at(a, 0), 1, a.shape[1]),
        Operand(at(b, 0), b.shape[1], 1),
        Extent(sizes[0], sizes[1], sizes[2]),
        Operand(at(start, 0), 0, 0),
        eta,
        FAR_BEHIND,
    )


@kernel
def sum_of_rows(c, b, rows, columns, eta):
    """C ← ΣB or C − η ΣB, as for ∂J/∂b."""
    sum_rows(at(c, 0), Operand(at(b, 0), b.shape[1], 1), rows, columns, eta)


@kernel
def turn(c, a, rows, columns, room):
    transpose(Operand(at(c, 0), c.shape[1], 1), Operand(at(a, 0), a.shape[1], 1), rows, columns, room)


def lanes_of(dtype) -> int:
    return REGISTER // dtype.itemsize


def zeros(dtype) -> np.ndarray:
    return np.zeros(2 * lanes_of(dtype), dtype)


def matrix(rng, rows, columns, dtype, divisor=1) -> np.ndarray:
    """Whole numbers, by a divisor where they should be rounded; rows padded by zeros."""
    out = np.zeros((rows, padded(columns, dtype.itemsize)), dtype)
    out[:, :columns] = rng.integers(-8, 9, (rows, columns))
    out /= divisor
    return out


@over_dtypes
@pytest.mark.parametrize("columns", COLUMNS)
def test_product_of_whole_numbers_is_exact(columns, dtype):
    """The rows before and after C stay; its padding stays too, or is that of s + A B: 0."""
    rng = np.random.default_rng(columns)
    for rows, inner in product(ROWS, INNER):
        a, b, start = (matrix(rng, *shape, dtype) for shape in ((rows, inner), (inner, columns), (1, columns)))
        c = np.full((rows + 2, b.shape[1]), UNTOUCHED, dtype)
        times(c[1:], a, b, start, (rows, columns, inner), dtype.type(0))
        np.testing.assert_array_equal(c[1:-1, :columns], (a[:, :inner] @ b + start)[:, :columns])
        assert np.all((c[1:-1, columns:] == 0) | (c[1:-1, columns:] == UNTOUCHED))
        assert np.all(c[[0, -1]] == UNTOUCHED)


@over_dtypes
@pytest.mark.parametrize("columns", COLUMNS)
def test_transposed_product_of_whole_numbers_is_exact(columns, dtype):
    rng = np.random.default_rng(columns)
    for rows, inner in product(ROWS, INNER):
        a, b, theta = (matrix(rng, *shape, dtype) for shape in ((inner, rows), (inner, columns), (rows, columns)))
        c = theta.copy()
        transposed_times(c, a, b, zeros(dtype), (rows, columns, inner), dtype.type(2))
        np.testing.assert_array_equal(c, theta - 2 * (a[:, :rows].T @ b))


@over_dtypes
@pytest.mark.parametrize("columns", COLUMNS)
def test_sums_of_rows_leave_what_lies_beside_them_alone(columns, dtype):
    rng = np.random.default_rng(columns)
    for rows in (*INNER, 3, 4, 6):
        b = matrix(rng, rows + 2 * lanes_of(dtype), columns, dtype)  # rows behind, as in a workspace
        total = b[:rows, :columns].sum(axis=0)
        for eta, expected in ((0, total), (2, UNTOUCHED - 2 * total), (-1, UNTOUCHED + total)):
            c = np.full(columns + 2 * lanes_of(dtype), UNTOUCHED, dtype)
            sum_of_rows(c, b, rows, columns, dtype.type(eta))
            np.testing.assert_array_equal(c[:columns], expected)
            assert np.all(c[columns:] == UNTOUCHED)


@over_dtypes
@pytest.mark.parametrize("pieces", [1, 2, 3, 4])
def test_a_share_of_whole_vectors_leaves_its_neighbours_alone(pieces, dtype):
    """The first columns of wider rows, as a thread has them."""
    rng, columns = np.random.default_rng(pieces), pieces * lanes_of(dtype)
    for rows in ROWS:
        a, b, start = (matrix(rng, *shape, dtype) for shape in ((rows, 5), (5, 200), (1, 200)))
        c = np.full((rows, b.shape[1]), UNTOUCHED, dtype)
        times(c, a, b, start, (rows, columns, 5), dtype.type(0))
        np.testing.assert_array_equal(c[:, :columns], (a[:, :5] @ b + start)[:, :columns])
        assert np.all(c[:, columns:] == UNTOUCHED)


@over_dtypes
@pytest.mark.parametrize("eta", [0.3, -1])
@pytest.mark.parametrize("columns", COLUMNS)
def test_fused_update_has_the_bits_of_gradient_then_update(columns, eta, dtype):
    rng, eta = np.random.default_rng(columns), dtype.type(eta)
    for rows in ROWS:
        a, b = matrix(rng, 67, rows, dtype, 3), matrix(rng, 67, columns, dtype, 7)
        fused = matrix(rng, rows, columns, dtype, 9)
        gradient, apart = np.zeros_like(fused), fused.copy()
        sizes = rows, columns, 67
        transposed_times(gradient, a, b, zeros(dtype), sizes, dtype.type(0))
        transposed_times(fused, a, b, zeros(dtype), sizes, eta)
        apart, gradient = (np.append(whole, zeros(dtype)) for whole in (apart, gradient))  # update goes by vectors
        update(apart, gradient, 0, fused.size, eta)
        np.testing.assert_array_equal(fused.ravel(), apart[: fused.size])


@over_dtypes
def test_same_bits_however_rows_and_columns_are_cut(dtype):
    rng, lanes = np.random.default_rng(0), lanes_of(dtype)
    rows, columns, inner = 2 * TALL + 5, 6 * lanes, 67
    a, b, start = (
        rng.standard_normal(shape).astype(dtype) for shape in ((rows, inner), (inner, columns), (1, columns))
    )
    whole = np.empty((rows, columns), dtype)
    times(whole, a, b, start, (rows, columns, inner), dtype.type(0))
    for cut in range(1, rows):
        parts = np.empty_like(whole)
        times(parts[:cut], a[:cut], b, start, (cut, columns, inner), dtype.type(0))
        times(parts[cut:], a[cut:], b, start, (rows - cut, columns, inner), dtype.type(0))
        np.testing.assert_array_equal(parts, whole)
    for first in range(lanes // 4, columns, max(1, lanes // 4)):
        width = padded(first, dtype.itemsize)
        part = np.empty((rows, width), dtype)
        left = np.ascontiguousarray(np.pad(b, ((0, 0), (0, lanes)))[:, :width])
        times(part, a, left, start, (rows, first, inner), dtype.type(0))
        np.testing.assert_array_equal(part[:, :first], whole[:, :first])


@over_dtypes
@pytest.mark.parametrize("columns", [1, lanes_of(np.dtype(np.float32)), 67])
def test_nan_and_infinity_come_through(columns, dtype):
    for rows in ROWS:
        a, b = np.ones((rows, 5), dtype), np.ones((5, padded(columns, dtype.itemsize)), dtype)
        start = np.zeros((1, b.shape[1]), dtype)
        a[-1, 3], b[2, columns - 1] = np.nan, np.inf
        c = np.empty((rows, b.shape[1]), dtype)
        times(c, a, b, start, (rows, columns, 5), dtype.type(0))
        np.testing.assert_array_equal(c[:, :columns], (a @ b)[:, :columns])


@over_dtypes
@pytest.mark.parametrize("rows", COLUMNS)
def test_transpose(rows, dtype):
    """What lies in the rows of C beyond it stays, even a NaN; its last rows may have A's padding."""
    rng = np.random.default_rng(rows)
    for columns in COLUMNS:
        a = matrix(rng, rows, columns, dtype)
        c = np.full((a.shape[1] + 1, padded(rows, dtype.itemsize)), np.nan, dtype)
        turn(c, a, rows, columns, a.shape[1])
        np.testing.assert_array_equal(c[:columns, :rows], a[:, :columns].T)
        assert np.all(np.isnan(c[columns:-1, :rows]) | (c[columns:-1, :rows] == 0))
        assert np.all(np.isnan(c[:, rows:]))
        assert np.all(np.isnan(c[-1]))


@over_dtypes
@pytest.mark.parametrize("rows", COLUMNS)
def test_transposing_a_slice_of_the_rows_leaves_the_others_alone(rows, dtype):
    a = matrix(np.random.default_rng(rows), rows, 40, dtype)
    c = np.full((a.shape[1], 200), np.nan, dtype)
    turn(c, a, rows, 40, a.shape[1])
    np.testing.assert_array_equal(c[:40, :rows], a[:, :40].T)
    assert np.all(np.isnan(c[:, rows:]))


@over_dtypes
@pytest.mark.parametrize("rows", COLUMNS)
def test_transposing_into_no_more_room_than_columns_leaves_the_rows_behind_alone(rows, dtype):
    rng = np.random.default_rng(rows)
    for columns in COLUMNS:
        a = matrix(rng, rows, columns, dtype)
        c = np.full((columns + lanes_of(dtype), padded(rows, dtype.itemsize)), np.nan, dtype)
        turn(c, a, rows, columns, columns)
        np.testing.assert_array_equal(c[:columns, :rows], a[:, :columns].T)
        assert np.all(np.isnan(c[columns:]))

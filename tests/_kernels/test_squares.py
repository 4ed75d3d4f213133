"""Squares of numbers in one vector: rows and columns from memory, products, sums; NumPy's, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels import squares
from fastbp._kernels.jit import kernel
from fastbp._kernels.llvm import at, store
from fastbp._kernels.squares import SIDE
from tests.cases import DTYPES

over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)
over_counts = pytest.mark.parametrize("count", range(1, SIDE + 1))
ROW = 7  # numbers from row to row of a matrix that squares are cut from
UNTOUCHED = 99


def small_numbers(dtype, *shape):
    """Whole numbers, so that sums are exact in any order."""
    return np.random.default_rng(0).integers(-9, 10, shape).astype(dtype)


@kernel
def spread(x, i, out):
    memory = at(x, 0)
    store(out[0], 0, squares.across(memory, i))
    store(out[1], 0, squares.down(memory, i))
    store(out[2], 0, squares.load_square(memory, i))
    store(out[3], 0, squares.transposed(squares.load_square(memory, i)))
    store(out[4], 0, squares.zeros(memory))
    store(out[5], 0, squares.row_numbers(memory))
    store(out[6], 0, squares.column_numbers(memory))


@over_dtypes
def test_rows_and_columns_from_memory(dtype):
    x, out = small_numbers(dtype, 40), np.empty((7, SIDE * SIDE), dtype)
    spread(x, 3, out)
    row, square = x[3 : 3 + SIDE], x[3 : 3 + SIDE * SIDE].reshape(SIDE, SIDE)
    ranks = np.arange(SIDE)
    rows, columns = np.repeat(ranks, SIDE).reshape(SIDE, SIDE), np.tile(ranks, (SIDE, 1))
    expected = [np.tile(row, (SIDE, 1)), np.tile(row, (SIDE, 1)).T, square, square.T, 0 * square, rows, columns]
    np.testing.assert_array_equal(out.reshape(-1, SIDE, SIDE), np.array(expected))


@kernel
def first_columns(x, n, count, out):
    memory, k = at(x, 0), np.int32(count)
    a, b = squares.load_row(memory, 0, k), squares.load_row(memory, n, k)
    c, d = squares.load_row(memory, 2 * n, k), squares.load_row(memory, 3 * n, k)
    store(out, 0, squares.columns_of(a, b, c, d))


@over_dtypes
@over_counts
def test_short_rows_become_columns_that_end_in_zeros(count, dtype):
    x = small_numbers(dtype, SIDE, count)
    out = np.empty(SIDE * SIDE, dtype)
    first_columns(x.ravel(), count, count, out)  # the last row ends where the memory does
    expected = np.zeros((SIDE, SIDE), dtype)
    expected[:count] = x.T
    np.testing.assert_array_equal(out.reshape(SIDE, SIDE), expected)


@kernel
def copy_rows(x, out, row, count):
    squares.store_rows(at(out, 0), row, count, squares.load_rows(at(x, 0), row, count))


@over_dtypes
@over_counts
def test_some_rows_are_loaded_and_stored(count, dtype):
    x = small_numbers(dtype, count, ROW)
    out = np.full((SIDE, ROW), UNTOUCHED, dtype)
    copy_rows(x.ravel(), out.reshape(-1), ROW, count)
    expected = np.full((SIDE, ROW), UNTOUCHED, dtype)
    expected[:count, :SIDE] = x[:, :SIDE]
    np.testing.assert_array_equal(out, expected)


@kernel
def last_row_again(x, row, count, out):
    store(out, 0, squares.load_rows(at(x, 0), row, count))


@over_dtypes
@over_counts
def test_the_last_row_stands_in_for_those_beyond(count, dtype):
    x, out = small_numbers(dtype, count, ROW), np.empty(SIDE * SIDE, dtype)
    last_row_again(x.ravel(), ROW, count, out)
    rows = np.minimum(np.arange(SIDE), count - 1)
    np.testing.assert_array_equal(out.reshape(SIDE, SIDE), x[rows, :SIDE])


@kernel
def combine(x, out):
    memory, n = at(x, 0), SIDE * SIDE
    a, b, c = squares.load_square(memory, 0), squares.load_square(memory, n), squares.load_square(memory, 2 * n)
    store(out[0], 0, squares.add_product(c, a, b))
    store(out[1], 0, squares.add_product_of_rows(c, a, memory, n))
    store(out[2], 0, squares.column_sums(a))
    store(out[3], 0, squares.column_maxima(a))


@over_dtypes
def test_products_sums_and_maxima(dtype):
    x, out = small_numbers(dtype, 3, SIDE, SIDE), np.empty((4, SIDE * SIDE), dtype)
    combine(x.reshape(-1), out)
    a, b, c = x
    every = np.ones((SIDE, 1), dtype)
    expected = [c + a @ b.T, c + a @ b, every * a.sum(axis=0), every * a.max(axis=0)]
    np.testing.assert_array_equal(out.reshape(-1, SIDE, SIDE), np.array(expected))

"""Squares of numbers in one vector: rows and columns from memory, products, sums; NumPy's, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels import squares
from fastbp._kernels.llvm import at, store
from fastbp._kernels.squares import SIDE
from tests._kernels.compiled import kernel
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
    store(out[0], 0, squares.across(memory, i, 0, False))
    store(out[1], 0, squares.down(memory, i, False))
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


def make_driver(several):
    @kernel
    def driver(x, step, out, sums):
        memory, n = at(x, 0), SIDE * SIDE
        a, b = squares.load_square(memory, 0), squares.load_squares(memory, 0, step, several)
        squares.store_squares(at(out[0], 0), 0, n, squares.across(memory, 2, step, several))
        squares.store_squares(at(out[1], 0), 0, n, squares.down(memory, 2, several))
        squares.store_squares(at(out[2], 0), 0, n, b)
        squares.store_squares(at(out[3], 0), 0, n, squares.transposed(b))
        squares.store_squares(at(out[4], 0), 0, n, squares.add_product(b, a, b))
        squares.store_squares(at(out[5], 0), 0, n, squares.row_numbers(b))
        squares.store_squares(at(out[6], 0), 0, n, squares.column_numbers(b))
        store(sums, 0, squares.joined(b))

    return driver


DRIVERS = [make_driver(several) for several in (False, True)]


@over_dtypes
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_squares_side_by_side_are_each_what_one_is(several, dtype):
    step, count = 20, squares.beside(dtype.itemsize) if several else 1
    x = small_numbers(dtype, step * SIDE)
    out, sums = np.empty((7, count, SIDE, SIDE), dtype), np.empty((SIDE, SIDE), dtype)
    DRIVERS[several](x, step, out.reshape(7, -1), sums.reshape(-1))
    some = np.stack([x[g * step : g * step + SIDE * SIDE].reshape(SIDE, SIDE) for g in range(count)])
    rows = np.stack([np.tile(x[g * step + 2 : g * step + 2 + SIDE], (SIDE, 1)) for g in range(count)])
    ranks = np.arange(SIDE)
    columns = np.stack([np.tile(ranks + g * SIDE, (SIDE, 1)) for g in range(count)])  # counted on: samples
    swapped = some.transpose(0, 2, 1)
    expected = [rows, np.stack([rows[0].T] * count), some, swapped, some + some[0] @ swapped, 0 * some, columns]
    expected[5] += ranks[:, None]
    np.testing.assert_array_equal(out, np.array(expected))
    np.testing.assert_array_equal(sums, some.sum(axis=0))

"""The vector type: every operation, on every part of a register, is NumPy's, element by element."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from numba import TypingError, from_dtype

from fastbp._kernels.levels import LEVEL, REGISTER
from fastbp._kernels.llvm import (
    absolute,
    at,
    fma,
    get,
    lanes,
    lanes_of,
    load,
    load_first,
    number_of,
    put,
    ramp,
    splat,
    store,
    store_first,
    where_equal,
    where_less,
)
from tests._kernels.compiled import kernel
from tests.cases import DTYPES

PARTS = (1, 2, 4)
FULL = 64  # bytes of the largest register there is


def specials(dtype) -> np.ndarray:
    info = np.finfo(dtype)
    kinds = [0.0, 1.0, 1.5, 2.5, 3.0, 0.4, 1e4 / 3, info.eps, info.tiny, info.smallest_subnormal, info.max, np.inf]
    return np.array([*kinds, *(-x for x in kinds), np.nan], dtype)


def pairs(dtype) -> tuple[np.ndarray, np.ndarray]:
    """Every special number with every other, up to whole vectors of any size."""
    x, y = np.array(list(product(specials(dtype), repeat=2)), dtype).T
    missing = -x.size % FULL
    return np.pad(x, (0, missing)), np.pad(y, (0, missing))


def same(actual, expected) -> None:
    """Equal, with the signs of zeros; any NaN equals any other."""
    np.testing.assert_array_equal(actual, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual)[number], np.signbit(expected)[number])


def make_kernels(part):
    """The operations on vectors of one part of a register; row k of `out` is that of the k-th formula in the tables."""

    @kernel
    def copy(x, out, i, j):
        store(out, j, load(x, i, part))
        return lanes(x, part)

    @kernel
    def unary(x, out):
        for i in range(0, x.size, lanes(x, part)):
            v = load(x, i, part)
            store(out[0], i, -v)
            store(out[1], i, absolute(v))

    @kernel
    def binary(x, y, out):
        for i in range(0, x.size, lanes(x, part)):
            v, w = load(x, i, part), load(y, i, part)
            store(out[0], i, v + w)
            store(out[1], i, v - w)
            store(out[2], i, v * w)
            store(out[3], i, v / w)
            store(out[4], i, where_less(v, w, v, w))
            store(out[5], i, where_equal(v, w, -v, w))
            store(out[6], i, where_less(v, w, 1, 0))
            store(out[7], i, where_equal(v, w, 1, 0))

    @kernel
    def mixed(x, number, out):
        for i in range(0, x.size, lanes(x, part)):
            v = load(x, i, part)
            store(out[0], i, v + number)
            store(out[1], i, number + v)
            store(out[2], i, v - number)
            store(out[3], i, number - v)
            store(out[4], i, v * number)
            store(out[5], i, number * v)
            store(out[6], i, number / v)
            store(out[7], i, where_less(v, number, number, v))
            store(out[8], i, where_less(number, v, v, number))
            store(out[9], i, where_equal(v, number, 7, v))

    @kernel
    def divide_by_number(x, number, out):
        for i in range(0, x.size, lanes(x, part)):
            store(out, i, load(x, i, part) / number)

    @kernel
    def multiply_add(x, y, z, number, out):
        for i in range(0, x.size, lanes(x, part)):
            u, v, w = load(x, i, part), load(y, i, part), load(z, i, part)
            store(out[0], i, fma(u, v, w))
            store(out[1], i, fma(number, v, w))
            store(out[2], i, fma(u, number, w))
            store(out[3], i, fma(u, v, number))

    @kernel
    def spread(number, out):
        store(out, 0, splat(number, part))
        store(out, lanes(out, part), ramp(out, part))

    return SimpleNamespace(
        copy=copy,
        unary=unary,
        binary=binary,
        mixed=mixed,
        divide_by_number=divide_by_number,
        multiply_add=multiply_add,
        spread=spread,
    )


ON = {part: make_kernels(part) for part in PARTS}

UNARY = (np.negative, np.abs)
BINARY = (
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    lambda x, y: np.where(x < y, x, y),
    lambda x, y: np.where(x == y, -x, y),
    lambda x, y: np.where(x < y, 1, 0),
    lambda x, y: np.where(x == y, 1, 0),
)
MIXED = (
    lambda x, c: x + c,
    lambda x, c: c + x,
    lambda x, c: x - c,
    lambda x, c: c - x,
    lambda x, c: x * c,
    lambda x, c: c * x,
    lambda x, c: c / x,
    lambda x, c: np.where(x < c, c, x),
    lambda x, c: np.where(c < x, x, c),
    lambda x, c: np.where(x == c, 7, x),
)

over_parts = pytest.mark.parametrize("part", PARTS)
NUMBERS = (0.1, -2.5, np.inf, np.nan, 0.0)
OF_OTHER_TYPES = (3, 0, np.float32(0.1))  # each type is compiled, which is the same for every part
over_numbers = pytest.mark.parametrize(
    ("number", "part"), [*product(NUMBERS, PARTS), *((number, 1) for number in OF_OTHER_TYPES)], ids=repr
)
over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)


def count_of(dtype, part) -> int:
    return lanes_of(from_dtype(dtype), part)


@over_dtypes
@over_parts
def test_a_part_has_its_share_of_the_register(part, dtype):
    whole = REGISTER // dtype.itemsize
    assert ON[part].copy(np.zeros(FULL, dtype), np.zeros(FULL, dtype), 0, 0) == max(1, whole // part)


@over_dtypes
@over_parts
def test_load_and_store_at_any_place_move_their_lanes_and_no_others(part, dtype):
    x = np.resize(specials(dtype), 2 * FULL)
    n = count_of(dtype, part)
    for i in range(n + 1):
        for j in range(n + 1):
            out = np.full(2 * FULL, 7, dtype)
            expected = out.copy()
            expected[j + 1 : j + 1 + n] = x[i + 1 : i + 1 + n]
            ON[part].copy(x[1:], out[1:], i, j)
            same(out, expected)


@over_dtypes
@over_parts
def test_operations_on_one_vector(part, dtype):
    x, _ = pairs(dtype)
    out = np.empty((len(UNARY), x.size), dtype)
    ON[part].unary(x, out)
    with np.errstate(invalid="ignore"):
        for row, formula in zip(out, UNARY, strict=True):
            same(row, formula(x))


@over_dtypes
@over_parts
def test_operations_on_two_vectors(part, dtype):
    x, y = pairs(dtype)
    out = np.empty((len(BINARY), x.size), dtype)
    ON[part].binary(x, y, out)
    with np.errstate(all="ignore"):
        for row, formula in zip(out, BINARY, strict=True):
            np.testing.assert_array_equal(row, formula(x, y))


@over_dtypes
@over_numbers
def test_a_number_beside_a_vector_takes_its_dtype(number, part, dtype):
    x, _ = pairs(dtype)
    out = np.empty((len(MIXED), x.size), dtype)
    ON[part].mixed(x, number, out)
    with np.errstate(all="ignore"):
        for row, formula in zip(out, MIXED, strict=True):
            expected = formula(x, dtype.type(number))
            assert expected.dtype == dtype
            np.testing.assert_array_equal(row, expected)


@over_dtypes
@over_numbers
def test_division_by_a_number_may_be_multiplication_by_its_inverse(number, part, dtype):
    """`arcp` allows that, and LLVM does it in loops."""
    x, _ = pairs(dtype)
    out, info = np.empty_like(x), np.finfo(dtype)
    ON[part].divide_by_number(x, number, out)
    with np.errstate(all="ignore"):
        expected = x / dtype.type(number)
    np.testing.assert_allclose(out, expected, rtol=2 * info.eps, atol=info.smallest_subnormal)


def whole_numbers(dtype, n) -> np.ndarray:
    return np.random.default_rng(n).integers(-1000, 1000, n).astype(dtype)


@over_dtypes
@over_parts
def test_fma_of_whole_numbers_is_exact(part, dtype):
    x, y, z = whole_numbers(dtype, 3 * FULL).reshape(3, FULL)
    out = np.empty((4, FULL), dtype)
    ON[part].multiply_add(x, y, z, 3, out)
    np.testing.assert_array_equal(out, [x * y + z, 3 * y + z, x * 3 + z, x * y + 3])


@over_dtypes
@over_parts
def test_fma_lets_infinity_and_nan_through(part, dtype):
    x, y = pairs(dtype)
    out = np.empty((4, x.size), dtype)
    ON[part].multiply_add(x, y, x, float("nan"), out)
    with np.errstate(all="ignore"):
        expected = x * y + x
    unbounded = ~np.isfinite(x) | ~np.isfinite(y)
    np.testing.assert_array_equal(out[0][unbounded], expected[unbounded])
    assert np.isnan(out[1:]).all()


@over_dtypes
@over_parts
@pytest.mark.skipif(LEVEL.name in ("x86-64", "x86-64-v2"), reason="the level multiplies, then adds")
def test_fma_rounds_once(part, dtype):
    """(1 + ε)(1 − ε) − 1 = −ε²; a product rounded by itself would be 1."""
    eps = np.finfo(dtype).eps
    x, y, z = (np.full(FULL, number, dtype) for number in (1 + eps, 1 - eps, -1))
    out = np.empty((4, FULL), dtype)
    ON[part].multiply_add(x, y, z, -1, out)
    np.testing.assert_array_equal(out[[0, 3]], np.full((2, FULL), -(eps**2)))


@over_dtypes
@over_parts
def test_vectors_of_one_number_and_of_a_ramp(part, dtype):
    n = count_of(dtype, part)
    for number in specials(dtype):
        out = np.full(3 * FULL, 7, dtype)
        ON[part].spread(number, out)
        same(out[:n], np.full(n, number))
        same(out[n : 2 * n], np.arange(n, dtype=dtype))
        assert np.all(out[2 * n :] == 7)


@kernel
def copy_first(x, out, i, j, loaded, stored):
    store_first(out, j, load_first(x, i, loaded), stored)


@kernel
def copy_first_by_pointer(x, out, i, j, loaded, stored):
    store_first(at(out, j), 0, load_first(at(x, i), 0, loaded), stored)


@over_dtypes
@pytest.mark.parametrize("copy", [copy_first, copy_first_by_pointer], ids=["array", "pointer"])
def test_the_first_lanes_alone_are_read_and_written(copy, dtype):
    """Counts below 0 are none, counts above the lanes are all."""
    n = count_of(dtype, 1)
    x = np.resize(specials(dtype), 2 * FULL)
    for loaded, stored in product((-3, 0, 1, n // 2, n - 1, n, n + 5), repeat=2):
        out = np.full(2 * FULL, 7, dtype)
        expected = out.copy()
        read, written = np.clip((loaded, stored), 0, n)
        expected[3 : 3 + written] = np.where(np.arange(written) < read, x[5 : 5 + written], 0)
        copy(x, out, 5, 3, loaded, stored)
        same(out, expected)


@kernel
def move_numbers(x, out):
    """out[i] ← x[i] by each of the ways there are to name a place."""
    end = at(at(x, 2), x.size - 2)
    for i in range(x.size):
        put(out[0], i, get(x, i))
        put(at(out[1], i), 0, get(at(x, i), 0))
        put(at(out[2], x.size), i - x.size, get(end, i - x.size))


@over_dtypes
def test_numbers_move_by_index_and_by_pointer(dtype):
    x = specials(dtype)
    out = np.empty((3, x.size), dtype)
    move_numbers(x, out)
    for row in out:
        same(row, x)


@kernel
def put_number(out, i, number):
    put(out, i, number)


@over_dtypes
@pytest.mark.parametrize("number", [3, 0.1, np.float32(0.1), -0.0], ids=repr)
def test_put_casts_to_the_memorys_dtype(number, dtype):
    out = np.full(3, 7, dtype)
    put_number(out, 1, number)
    same(out, np.array([7, number, 7], dtype))


@kernel
def number_as(memory, number):
    return number_of(memory, number), number_of(at(memory, 0), number)


@over_dtypes
@pytest.mark.parametrize("number", [3, 0.1, np.float32(0.1), -0.0, np.nan, 1e300], ids=repr)
def test_number_of_casts_to_the_memorys_dtype(number, dtype):
    with np.errstate(over="ignore"):
        same(np.array(number_as(np.zeros(1, dtype), number)), np.full(2, np.float64(dtype.type(number))))


@kernel
def numbers_fma(a, b, c):
    return fma(a, b, c)


@over_dtypes
def test_fma_of_numbers_has_the_dtype_of_the_sum(dtype):
    third = dtype.type(1 / 3)
    assert numbers_fma(3, 0.5, third) == dtype.type(1.5 + float(third))
    assert np.isnan(numbers_fma(np.inf, 0, third))


@over_dtypes
def test_vectors_of_different_dtypes_do_not_combine(dtype):
    other = next(np.dtype(name) for name in DTYPES if name != dtype)
    with pytest.raises(TypingError, match="No implementation of function"):
        ON[1].binary(np.zeros(FULL, dtype), np.zeros(FULL, other), np.zeros((len(BINARY), FULL), dtype))

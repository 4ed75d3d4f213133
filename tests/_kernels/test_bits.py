"""Inside a vector: powers of two, the parts of a number, sums in one order, polynomials."""

from __future__ import annotations

import numpy as np
import pytest
from numba import from_dtype

from fastbp._kernels.bits import (
    SHIFT,
    constant,
    exponent_and_mantissa,
    greatest,
    polynomial,
    power_of_two,
    quotient,
    total,
    with_sign,
)
from fastbp._kernels.llvm import lanes, lanes_of, load, store
from tests._kernels.compiled import kernel
from tests.cases import DTYPES

FULL = 64
PARTS = (1, 2, 4)

over_dtypes = pytest.mark.parametrize("dtype", [np.dtype(name) for name in DTYPES], ids=str)
over_parts = pytest.mark.parametrize("part", PARTS)


def in_vectors(x, dtype) -> np.ndarray:
    """The numbers, and ones up to whole vectors."""
    return np.pad(np.asarray(x, dtype), (0, -len(x) % FULL), constant_values=1)


@kernel
def powers_of_two(n, out):
    for i in range(0, n.size, lanes(n, 1)):
        store(out, i, power_of_two(load(n, i, 1) + SHIFT(load(n, i, 1))))


@over_dtypes
def test_power_of_two_at_every_exponent(dtype):
    info = np.finfo(dtype)
    n = np.arange(info.minexp - 1, info.maxexp + 1)
    expected = np.ldexp(1.0, np.clip(n, info.minexp, info.maxexp - 1))
    expected[[0, -1]] = 0, np.inf
    x = in_vectors(n, dtype)
    out = np.empty_like(x)
    powers_of_two(x, out)
    np.testing.assert_array_equal(out[: n.size], expected)


@kernel
def split(x, e, m):
    for i in range(0, x.size, lanes(x, 1)):
        exponent, mantissa = exponent_and_mantissa(load(x, i, 1))
        store(e, i, exponent)
        store(m, i, mantissa)


def positive_normal(dtype) -> np.ndarray:
    info = np.finfo(dtype)
    anywhere = np.exp2(np.random.default_rng(0).uniform(info.minexp, info.maxexp - 1, 10_000))
    edges = np.array([1, 2, 0.5, np.sqrt(0.5), np.sqrt(2), info.tiny, info.max], dtype)
    beside = [np.nextafter(edges[:5], dtype.type(0)), np.nextafter(edges[:5], dtype.type(9))]
    return np.concatenate([anywhere.astype(dtype), edges, *beside])


@over_dtypes
def test_exponent_and_mantissa_make_the_number(dtype):
    x = in_vectors(positive_normal(dtype), dtype)
    e, m = np.empty_like(x), np.empty_like(x)
    split(x, e, m)
    root = dtype.type(np.sqrt(0.5))
    assert np.all((root <= m) & (m < 2 * root))
    np.testing.assert_array_equal(e, np.rint(e))
    np.testing.assert_array_equal(np.ldexp(m, e.astype(int)), x)


@kernel
def signed(x, y, out):
    for i in range(0, x.size, lanes(x, 1)):
        store(out, i, with_sign(load(x, i, 1), load(y, i, 1)))


@over_dtypes
def test_with_sign_is_copysign(dtype):
    kinds = [0.0, -0.0, 1, -1, 1e-40, -1e-310, np.inf, -np.inf, np.nan]
    x, y = (in_vectors(part.ravel(), dtype) for part in np.meshgrid(kinds, kinds))
    out = np.empty_like(x)
    signed(x, y, out)
    np.testing.assert_array_equal(out, np.copysign(x, y))
    np.testing.assert_array_equal(np.signbit(out), np.signbit(y))


def make_folds(part):
    @kernel
    def fold(x):
        v = load(x, 0, part)
        return total(v), greatest(v)

    return fold


FOLDS = {part: make_folds(part) for part in PARTS}


def halves_upon_halves(x):
    while x.size > 1:
        x = x[: x.size // 2] + x[x.size // 2 :]
    return x[0]


@over_dtypes
@over_parts
def test_total_has_one_order(part, dtype):
    """Numbers of so many magnitudes that nearly every order gives other bits."""
    rng = np.random.default_rng(part)
    for _ in range(100):
        x = (rng.standard_normal(FULL) * 2.0 ** rng.integers(-10, 10, FULL)).astype(dtype)
        sum_of_lanes, _ = FOLDS[part](x)
        assert sum_of_lanes == halves_upon_halves(x[: lanes_of(from_dtype(dtype), part)])


@over_dtypes
@over_parts
def test_total_of_whole_numbers_counts_every_lane_once(part, dtype):
    n = lanes_of(from_dtype(dtype), part)
    x = np.exp2(np.arange(FULL)).astype(dtype)
    assert FOLDS[part](x)[0] == 2.0**n - 1


@over_dtypes
@over_parts
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_total_hides_nothing(number, part, dtype):
    n = lanes_of(from_dtype(dtype), part)
    for place in range(n):
        x = np.ones(FULL, dtype)
        x[place] = number
        np.testing.assert_equal(FOLDS[part](x)[0], dtype.type(number))


@over_dtypes
@over_parts
def test_greatest_finds_the_largest_wherever_it_is(part, dtype):
    n = lanes_of(from_dtype(dtype), part)
    for place in range(n):
        for largest in (-1, 2.5, np.inf):
            x = -1.5 - np.arange(FULL, dtype=dtype)
            x[place], x[n:] = largest, np.inf
            assert FOLDS[part](x)[1] == largest
    assert FOLDS[part](np.full(FULL, -np.inf, dtype))[1] == -np.inf


THIRD = constant(1 / 3)
ITEMSIZE = constant(4, 8)
POLYNOMIALS = tuple(polynomial(range(1, n + 1), range(-n, 0)) for n in range(1, 12))
C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11 = POLYNOMIALS


@kernel
def constants(x, out):
    v = load(x, 0, 1)
    store(out[0], 0, THIRD(v))
    store(out[1], 0, ITEMSIZE(v))


@over_dtypes
def test_a_constant_is_the_one_of_the_dtype(dtype):
    n = lanes_of(from_dtype(dtype))
    out = np.empty((2, n), dtype)
    constants(np.zeros(n, dtype), out)
    np.testing.assert_array_equal(out, [[dtype.type(1 / 3)] * n, [dtype.itemsize] * n])


@kernel
def polynomials(x, out):
    for i in range(0, x.size, lanes(x, 1)):
        v = load(x, i, 1)
        store(out[0], i, C1(v))
        store(out[1], i, C2(v))
        store(out[2], i, C3(v))
        store(out[3], i, C4(v))
        store(out[4], i, C5(v))
        store(out[5], i, C6(v))
        store(out[6], i, C7(v))
        store(out[7], i, C8(v))
        store(out[8], i, C9(v))
        store(out[9], i, C10(v))
        store(out[10], i, C11(v))


@over_dtypes
def test_polynomials_of_every_length_are_exact_in_whole_numbers(dtype):
    """c₀ + c₁x + …: 1, 2, 3, … in float32, −n, …, −1 in float64; at 0, ±1, ±2 and ½, which lose no bit."""
    x = in_vectors([0, 1, -1, 2, -2, 0.5], dtype)
    out = np.empty((len(POLYNOMIALS), x.size), dtype)
    polynomials(x, out)
    for n, row in enumerate(out, 1):
        coefficients = np.arange(1, n + 1) if dtype == np.float32 else np.arange(-n, 0)
        np.testing.assert_array_equal(row, np.polynomial.polynomial.polyval(x.astype(np.float64), coefficients))


@over_dtypes
def test_polynomials_let_nan_through(dtype):
    x = np.full(FULL, np.nan, dtype)
    out = np.empty((len(POLYNOMIALS), FULL), dtype)
    polynomials(x, out)
    assert np.isnan(out[1:]).all()


def make_quotient(part):
    @kernel
    def divide(a, b, out):
        for i in range(0, a.size, lanes(a, part)):
            store(out, i, quotient(load(a, i, part), load(b, i, part)))

    return divide


QUOTIENTS = {part: make_quotient(part) for part in PARTS}


@over_dtypes
@over_parts
def test_quotient_of_numbers_from_1_to_2_is_within_an_ulp_and_a_half(part, dtype):
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(-1, 1, 4096), [0, 1, -1, np.finfo(dtype).tiny]])
    b = np.concatenate([rng.uniform(1, 2, 4096), [1, 2, 1.5, 1]])
    a, b = in_vectors(a, dtype), in_vectors(b, dtype)
    out = np.empty_like(a)
    QUOTIENTS[part](a, b, out)
    exact = a.astype(np.longdouble) / b
    assert np.max(np.abs(out - exact) / np.spacing(np.abs(exact).astype(dtype))) <= 1.5


@over_dtypes
@over_parts
def test_quotient_by_every_size_of_divisor_is_within_an_ulp_and_a_half(part, dtype):
    rng, least = np.random.default_rng(1), np.finfo(dtype).minexp
    powers = np.append(rng.uniform(least, -least, 4096), [least, -least])
    of_a = powers + rng.uniform(-10, 10, powers.size)
    fine = np.abs(of_a) < -least - 20  # neither a nor what a step of Newton's adds is denormal
    a, b = in_vectors(np.exp2(of_a[fine]), dtype), in_vectors(np.exp2(powers[fine]), dtype)
    out = np.empty_like(a)
    QUOTIENTS[part](a, b, out)
    exact = a.astype(np.longdouble) / b
    assert np.max(np.abs(out - exact) / np.spacing(np.abs(exact).astype(dtype))) <= 1.5


@over_dtypes
@over_parts
def test_quotient_with_a_nan_is_nan(part, dtype):
    a, b = in_vectors([np.nan, 1, 0.5], dtype), in_vectors([1, np.nan, 2], dtype)
    out = np.empty_like(a)
    QUOTIENTS[part](a, b, out)
    np.testing.assert_array_equal(out[:3], [np.nan, np.nan, 0.25])

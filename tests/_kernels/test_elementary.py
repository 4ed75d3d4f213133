"""The elementary functions against NumPy in the next wider precision, over the whole range."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels import elementary
from fastbp._kernels.llvm import at, lanes, load, store
from fastbp._kernels.squares import beside, load_squares
from tests._kernels.compiled import kernel

EXP, EXP_OF_NEGATIVE, SIGMOID, TANH, LOG, SOFTPLUS_TAIL, AT_LEAST, AT_MOST, SIGMOID_SOON = range(9)

# The next wider precision; where long double is no wider than double, the expected values have an error of their own.
WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}
OWN_ERROR = {dtype: 0.0 if np.finfo(wider).eps < np.finfo(dtype).eps else 1.0 for dtype, wider in WIDER.items()}

over_dtypes = pytest.mark.parametrize("dtype", WIDER, ids=str)


@kernel
def run(x, y, function):
    for i in range(0, x.size, lanes(x, 1)):
        v = load(x, i, 1)
        if function == EXP:
            v = elementary.exp(v)
        elif function == EXP_OF_NEGATIVE:
            v = elementary.exp_of_negative(v)
        elif function == SIGMOID:
            v = elementary.sigmoid(v)
        elif function == TANH:
            v = elementary.tanh(v)
        elif function == LOG:
            v = elementary.log(v)
        elif function == SOFTPLUS_TAIL:
            v = elementary.softplus_tail(v)
        elif function == AT_LEAST:
            v = elementary.at_least(v, 0.75)
        elif function == AT_MOST:
            v = elementary.at_most(v, 0.75)
        elif function == SIGMOID_SOON:
            v = elementary.sigmoid_soon(v)
        store(y, i, v)


@kernel
def run_wide(x, y, step, function):
    for i in range(0, x.size, step):
        v = load_squares(at(x, 0), i, 16, True)
        v = elementary.sigmoid(v) if function == SIGMOID else elementary.tanh(v)
        store(y, i, v)


def evaluate(function, x) -> np.ndarray:
    padded = np.pad(x, (0, -x.size % 64))
    y = np.empty_like(padded)
    run(padded, y, function)
    return y[: x.size]


def exact_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def exact_softplus_tail(x):
    return np.log1p(np.exp(-np.abs(x)))


# code, exact value, what makes numbers that it takes, the most ulp beside, whether it may give 0 for denormal values
FUNCTIONS = {
    "exp": (EXP, np.exp, np.array, 1.5, False),
    "exp_of_negative": (EXP_OF_NEGATIVE, np.exp, lambda x: -np.abs(x), 1.5, True),
    "sigmoid": (SIGMOID, exact_sigmoid, np.array, 3.5, True),
    "sigmoid_soon": (SIGMOID_SOON, exact_sigmoid, np.array, 3.5, True),
    "tanh": (TANH, np.tanh, np.array, 3.0, False),
    "log": (LOG, np.log, np.abs, 2.0, False),
    "softplus_tail": (SOFTPLUS_TAIL, exact_softplus_tail, np.array, 3.0, True),
}


def numbers(dtype) -> np.ndarray:
    """All magnitudes, denormal ones too, more where the functions bend, and where their reductions and ends are."""
    rng, info = np.random.default_rng(1), np.finfo(dtype)
    magnitudes = np.exp2(rng.uniform(np.log2(float(info.smallest_subnormal)), info.maxexp - 1, 50_000))
    bends = np.concatenate([rng.uniform(-w, w, 50_000) for w in (0.1, 1, 10, 110, 800)])
    halves = np.arange(-2200, 2200) * (np.log(2) / 2)  # rint changes there
    ends = [0, info.tiny, info.smallest_subnormal, info.max, 87.336, 88, 88.722, 88.73, 103.97, 103.98, 104, 709, 746]
    ends = np.array([*ends, 708.39, 709.78, 709.79, 745.13, 745.14], dtype)
    with np.errstate(over="ignore"):  # beyond the largest number there is infinity
        ends = np.concatenate([ends, np.nextafter(ends, dtype.type(0)), np.nextafter(ends, dtype.type(np.inf))])
    near_one = 1 + np.arange(-2000, 2000) * info.eps
    return np.concatenate([x.astype(dtype) for x in (magnitudes, -magnitudes, bends, halves, ends, -ends, near_one)])


@over_dtypes
@pytest.mark.parametrize("name", FUNCTIONS)
def test_close_to_the_exact_value_over_the_whole_range(name, dtype):
    code, exact, domain, ulps, flushes = FUNCTIONS[name]
    x = domain(numbers(dtype))
    got = evaluate(code, x)
    with np.errstate(all="ignore"):
        want = exact(x.astype(WIDER[dtype]))
        rounded = want.astype(dtype)
        error = np.abs(got - want) / np.spacing(np.abs(rounded))
    error[got == rounded] = 0
    if flushes:
        error[(got == 0) & (want < np.finfo(dtype).tiny)] = 0
    worst = np.where(np.isnan(error), np.inf, error).argmax()
    assert error[worst] <= ulps + OWN_ERROR[dtype], (x[worst], got[worst], want[worst])


INF, NAN = np.inf, np.nan
# x and f(x), exactly, zeros with their signs
SPECIAL = {
    "exp": (EXP, (0.0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (NAN, NAN), (1000, INF), (-1000, 0)),
    "exp_of_negative": (EXP_OF_NEGATIVE, (0.0, 1), (-0.0, 1), (-INF, 0), (NAN, NAN), (-1000, 0)),
    "sigmoid_soon": (SIGMOID_SOON, (0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN), (1000, 1), (-1000, 0)),
    "sigmoid": (SIGMOID, (0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN), (1000, 1), (-1000, 0)),
    "tanh": (TANH, (0.0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (NAN, NAN), (1000, 1), (-1000, -1)),
    "log": (LOG, (1, 0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (NAN, NAN), (-1, NAN), (-1e-40, NAN)),
    "softplus_tail": (SOFTPLUS_TAIL, (INF, 0), (-INF, 0), (NAN, NAN), (1000, 0), (-1000, 0)),
    "at_least": (AT_LEAST, (0.0, 0.75), (0.75, 0.75), (1, 1), (INF, INF), (-INF, 0.75), (NAN, NAN)),
    "at_most": (AT_MOST, (0.0, 0), (-0.0, -0.0), (0.75, 0.75), (1, 0.75), (INF, 0.75), (-INF, -INF), (NAN, NAN)),
}


@over_dtypes
@pytest.mark.parametrize("name", SPECIAL)
def test_values_at_special_numbers(name, dtype):
    code, *values = SPECIAL[name]
    x, expected = np.ascontiguousarray(np.array(values, dtype).T)
    got = evaluate(code, x)
    np.testing.assert_array_equal(got, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(expected)[number])


@over_dtypes
def test_tanh_is_odd_to_the_last_bit(dtype):
    x = numbers(dtype)
    np.testing.assert_array_equal(evaluate(TANH, -x), -evaluate(TANH, x))


@over_dtypes
def test_values_stay_in_their_range(dtype):
    """Rounding never takes a sigmoid above 1: 1 − a would be negative then, and f′ with it."""
    x = numbers(dtype)
    assert np.all((evaluate(SIGMOID, x) >= 0) & (evaluate(SIGMOID, x) <= 1))
    assert np.all(np.abs(evaluate(TANH, x)) <= 1)
    assert np.all((evaluate(SOFTPLUS_TAIL, x) >= 0) & (evaluate(SOFTPLUS_TAIL, x) <= dtype.type(np.log(2))))


@over_dtypes
@pytest.mark.parametrize("function", [SIGMOID, TANH], ids=["sigmoid", "tanh"])
def test_vectors_of_several_registers_give_the_same_bits(function, dtype):
    x = np.random.default_rng(2).normal(0, 20, 640).astype(dtype)
    x[:5] = INF, -INF, NAN, 0.0, -0.0
    y = np.empty_like(x)
    run_wide(x, y, 16 * beside(x.itemsize), function)
    np.testing.assert_array_equal(y, evaluate(function, x))


@kernel
def logs(x, y):
    for i in range(x.size):
        y[i] = elementary.log_of_number(x[i])


@over_dtypes
def test_log_of_a_number_is_that_of_the_c_library_in_float64(dtype):
    """The kernels don't use the library, because its code isn't part of theirs."""
    info = np.finfo(dtype)
    x = np.concatenate([np.geomspace(1, 1e6, 10_001), np.geomspace(info.tiny, info.max / 4, 10_001)]).astype(dtype)
    x = np.append(x, np.array([0, 1, np.inf, np.nan, -1, info.smallest_subnormal], dtype))
    y = np.empty(x.size)
    logs(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_allclose(y, np.log(x.astype(np.float64)), rtol=2e-15, atol=0)

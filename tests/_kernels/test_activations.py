"""f and f′ in place, against the reference; what earlier batches left in memory, a NaN even, changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import activations
from fastbp._kernels.codes import KEPT, LEAKY_RELU, Operand
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.llvm import at
from fastbp.activations import ACTIVATIONS
from tests._kernels.compiled import kernel
from tests._kernels.rows import BEYOND, in_memory, lengths
from tests.cases import DTYPES, TOLERANCE

CODES = {name: activation.code for name, activation in ACTIVATIONS.items()}
ELEMENTWISE = tuple(name for name in CODES if name != "softmax")

over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_names = pytest.mark.parametrize("name", ELEMENTWISE)
ROWS = range(1, 10)
# Where NumPy's formulas are ∞ · 0
LIMITS = {name: {-np.inf: 0.0} for name in ("gelu", "gelu_tanh", "silu", "mish")} | {
    "softsign": {np.inf: 1.0, -np.inf: -1.0}
}


@kernel
def activate(z, slope, rows, columns, activation, keeps):
    activations.activate(Operand(at(z, 0), z.shape[1], 1), at(slope, 0), rows, columns, activation, keeps)


@kernel
def multiply_by_derivative(delta, a, rows, columns, activation):
    activations.multiply_by_derivative(
        Operand(at(delta, 0), delta.shape[1], 1), Operand(at(a, 0), a.shape[1], 1), rows, columns, activation
    )


@kernel
def softmax(z, t, mask, rows):
    return activations.softmax(Operand(at(z, 0), z.shape[1], 1), at(t, 0), at(mask, 0), at(mask, 0), False, rows)


@kernel
def multiply_by_softmax_derivative(delta, a, rows):
    activations.multiply_by_softmax_derivative(
        Operand(at(delta, 0), delta.shape[1], 1), Operand(at(a, 0), a.shape[1], 1), rows
    )


@kernel
def activate_output(z, slope, t, mask, rows, columns, activation):
    activations.activate_output(
        Operand(at(z, 0), z.shape[1], 1), at(slope, 0), at(t, 0), at(mask, 0), rows, columns, activation
    )


def numbers(rows, n, dtype) -> np.ndarray:
    """Logits of order 1, with zeros among them; float64 numbers that the dtype has."""
    z = np.random.default_rng(rows * 1000 + n).normal(0, 2, (rows, n))
    z[np.abs(z) < 0.2] = 0
    return z.astype(dtype).astype(np.float64)


def close(block, expected, dtype) -> None:
    """The rows have the expected numbers, and the row after the tiles is as it was."""
    rows, n = expected.shape
    tolerance = TOLERANCE[dtype] / 10
    np.testing.assert_allclose(block[:rows, :n], expected, rtol=tolerance, atol=tolerance)
    assert np.all(block[-1] == BEYOND)


def f(a, rows, columns, name):
    """a = f(a) in place, and f′ where the kernel keeps it, else None."""
    keeps = CODES[name] >= LEAKY_RELU
    slope = np.full_like(a, BEYOND) if keeps else a
    activate(a, slope, rows, columns, CODES[name], keeps)
    return slope if keeps else None


def times_derivative(delta, a, slope, rows, columns, name):
    """delta ⊙ f′ in place, from a or from what was kept."""
    if slope is None:
        multiply_by_derivative(delta, a, rows, columns, CODES[name])
    else:
        multiply_by_derivative(delta, slope, rows, columns, KEPT)


@over_dtypes
@over_names
def test_activate_equals_reference(name, dtype):
    for n in lengths(dtype):
        for rows in ROWS:
            z = numbers(rows, n, dtype)
            a = in_memory(z, dtype)
            f(a, rows, n, name)
            close(a, reference.activation(z, name), dtype)
            assert np.isfinite(a[:rows]).all()


@over_dtypes
@over_names
def test_multiply_by_derivative_equals_reference(name, dtype):
    for n in lengths(dtype):
        for rows in ROWS:
            z, gradient = numbers(rows, n, dtype), numbers(rows, n, dtype)[::-1]
            delta, a = in_memory(gradient, dtype), in_memory(z, dtype)
            times_derivative(delta, a, f(a, rows, n, name), rows, n, name)
            close(delta, reference.through_activation(gradient, z, name), dtype)
            assert not delta[:rows, n:].any()


@over_dtypes
@over_names
def test_every_activation_can_keep_its_derivative(name, dtype):
    """As dropout wants it, of the commonest ones too."""
    for n in lengths(dtype):
        z = numbers(3, n, dtype)
        a, slope, delta = in_memory(z, dtype), in_memory(z, dtype), in_memory(np.ones_like(z), dtype)
        activate(a, slope, 3, n, CODES[name], True)
        close(a, reference.activation(z, name), dtype)
        multiply_by_derivative(delta, slope, 3, n, KEPT)
        close(delta, reference.through_activation(np.ones_like(z), z, name), dtype)


@over_dtypes
@over_names
@pytest.mark.parametrize("vectors", [1, 2])
def test_a_share_of_the_columns_leaves_the_others_alone(vectors, name, dtype):
    """A thread's part of wider rows: f and f′ on it, everything else as it was."""
    columns, rows = vectors * REGISTER // np.dtype(dtype).itemsize, 5
    z = numbers(rows, columns + 3, dtype)
    a, delta = in_memory(z, dtype), in_memory(z, dtype)
    expected = z.copy()
    expected[:, :columns] = reference.activation(z[:, :columns], name)
    slope = f(a, rows, columns, name)
    close(a, expected, dtype)
    expected = z.copy()
    expected[:, :columns] = reference.through_activation(z[:, :columns], z[:, :columns], name)
    times_derivative(delta, a, slope, rows, columns, name)
    close(delta, expected, dtype)


@over_dtypes
@over_names
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_divergence_stays_visible(number, name, dtype):
    """f has its limits at ±∞, and a NaN stays one, as z and as δ."""
    n = 9
    z = np.zeros((2, n))
    z[1, 5] = number
    a, delta, zeros = in_memory(z, dtype), in_memory(z, dtype), in_memory(z * 0 if np.isnan(number) else z, dtype)
    slope = f(a, 2, n, name)
    limit = LIMITS.get(name, {}).get(number)
    expected = reference.activation(z, name)[1, 5] if limit is None else limit
    np.testing.assert_array_equal(a[1, 5], np.dtype(dtype).type(expected))
    if slope is not None and not np.isnan(number):
        assert np.isfinite(slope[1, 5]) or name == "exponential"
    if np.isnan(number):
        zeros[:2, :n] = 0
        times_derivative(delta, zeros, f(zeros, 2, n, name), 2, n, name)
        assert np.isnan(delta[1, 5])


def mask_of(n, dtype) -> np.ndarray:
    return in_memory(np.ones((len(ROWS), n)), dtype)


def classes(rows, n, dtype) -> np.ndarray:
    return np.eye(n)[np.random.default_rng(n).integers(0, n, rows)]


@over_dtypes
def test_softmax_and_its_cross_entropy_equal_reference(dtype):
    """Padding becomes 0, whatever it was."""
    for n in lengths(dtype):
        for rows in ROWS:
            z, y = numbers(rows, n, dtype), classes(rows, n, dtype)
            a = in_memory(z, dtype, padding=np.nan)
            value = softmax(a, in_memory(y, dtype), mask_of(n, dtype), rows)
            close(a, reference.activation(z, "softmax"), dtype)
            assert not a[:rows, n:].any()
            expected = rows * reference.cost(z, y, "softmax", "cross_entropy")
            np.testing.assert_allclose(value, expected, rtol=TOLERANCE[dtype] / 10, atol=TOLERANCE[dtype] / 10)


@over_dtypes
@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_softmax_of_large_logits_is_that_of_their_differences(shift, dtype):
    for n in lengths(dtype):
        z = np.arange(n)[::-1] % 8 * 1.0 * np.ones((3, 1))
        shifted, plain = in_memory(z + shift, dtype), in_memory(z, dtype)
        y = in_memory(classes(3, n, dtype), dtype)
        assert softmax(shifted, y, mask_of(n, dtype), 3) == softmax(plain, y, mask_of(n, dtype), 3)
        np.testing.assert_array_equal(shifted[:3], plain[:3])


@over_dtypes
def test_softmax_finds_the_largest_logit_wherever_it_is(dtype):
    """One of 1000 beside zeros, where e^z is infinite."""
    for n in lengths(dtype):
        for place in {0, 1 % n, n // 2, n - 1}:
            y = np.eye(n)[[place]]
            a = in_memory(1000 * y, dtype)
            assert softmax(a, in_memory(y, dtype), mask_of(n, dtype), 1) == 0
            close(a, y, dtype)


@over_dtypes
def test_softmax_of_probabilities_as_targets(dtype):
    for n in lengths(dtype):
        z, y = numbers(4, n, dtype), np.full((4, n), 1 / n)
        value = softmax(in_memory(z, dtype), in_memory(y, dtype), mask_of(n, dtype), 4)
        np.testing.assert_allclose(
            value, 4 * reference.cost(z, y, "softmax", "cross_entropy"), rtol=TOLERANCE[dtype] / 10
        )


@over_dtypes
@pytest.mark.parametrize("n", [2, 5, 17])
def test_a_class_that_is_not_meant_costs_nothing_even_at_minus_infinity(n, dtype):
    z, y = np.zeros((1, n)), np.eye(n)[:1]
    z[0, -1] = -np.inf
    a = in_memory(z, dtype)
    value = softmax(a, in_memory(y, dtype), mask_of(n, dtype), 1)
    np.testing.assert_allclose(value, np.log(n - 1), atol=1e-6)
    assert a[0, n - 1] == 0
    close(a[:, : n - 1], np.full((1, n - 1), 1 / (n - 1)), dtype)


@over_dtypes
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_softmax_of_nan_or_infinity_is_nan(number, dtype):
    for n in lengths(dtype):
        for place in {0, n // 2, n - 1}:
            z = np.zeros((1, n))
            z[0, place] = number
            a = in_memory(z, dtype)
            assert np.isnan(softmax(a, in_memory(classes(1, n, dtype), dtype), mask_of(n, dtype), 1))
            assert np.isnan(a[0, place])


@over_dtypes
def test_multiply_by_softmax_derivative_equals_reference(dtype):
    for n in lengths(dtype):
        for rows in ROWS:
            z, gradient = numbers(rows, n, dtype), numbers(rows, n, dtype)[::-1]
            delta, a = in_memory(gradient, dtype), in_memory(reference.activation(z, "softmax"), dtype)
            multiply_by_softmax_derivative(delta, a, rows)
            close(delta, reference.through_activation(gradient, z, "softmax"), dtype)
            assert not delta[:rows, n:].any()


@over_dtypes
@pytest.mark.parametrize("name", CODES)
def test_activate_output_equals_reference(name, dtype):
    """Targets may be anything here, as none are known in predict."""
    for n in lengths(dtype):
        z = numbers(5, n, dtype)
        a = in_memory(z, dtype)
        activate_output(a, a.copy(), a.copy(), mask_of(n, dtype), 5, n, CODES[name])
        close(a, reference.activation(z, name), dtype)

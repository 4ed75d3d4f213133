"""Activations: a = f(z) in place, and the factor f′(z) of the δ recursion, for the first columns of some rows.

For the common activations, the way back computes f′ from a. The others store f′ in Layer.slope on the way forward, and
so do layers with dropout. curves.py has the formulas.
"""

import numpy as np

from .apart import apart
from .bits import greatest, quotient, total
from .codes import KEPT, LEAKY_RELU, RELU, SIGMOID, SOFTMAX, TANH, Numbers, Operand
from .curves import curve, relu_slope, sigmoid_slope, tanh_slope
from .elementary import at_least, exp_of_negative, log_of_number, sigmoid, tanh
from .jit import inlined, inner
from .llvm import at, get, lanes, load, splat, store, where_equal, where_less


@inner
def activate_run(z, count, activation):
    """Store a = f(z) for count numbers behind the pointer, and up to the end of the last vector."""
    width = lanes(z, 1)
    if activation == SIGMOID:
        for i in range(0, count, width):
            store(z, i, sigmoid(load(z, i, 1)))
    elif activation == TANH:
        for i in range(0, count, width):
            store(z, i, tanh(load(z, i, 1)))
    elif activation == RELU:
        for i in range(0, count, width):
            store(z, i, at_least(load(z, i, 1), 0))


@inner
def activate_run_keeping(z, slope, count, activation):
    """Store a = f(z), and f′(z) in slope, for every f but softmax."""
    for i in range(0, count, lanes(z, 1)):
        a, derivative = curve(load(z, i, 1), activation)
        store(z, i, a)
        store(slope, i, derivative)


@inner
def multiply_run(delta, a, count, activation):
    """Store δ ⊙ f′ for count numbers, with f′ from a. If the activation is KEPT, a contains f′ itself."""
    width = lanes(a, 1)
    if activation == SIGMOID:
        for i in range(0, count, width):
            store(delta, i, load(delta, i, 1) * sigmoid_slope(load(a, i, 1)))
    elif activation == TANH:
        for i in range(0, count, width):
            store(delta, i, load(delta, i, 1) * tanh_slope(load(a, i, 1)))
    elif activation == RELU:
        for i in range(0, count, width):  # a product, because a selection would turn a NaN in δ into 0
            store(delta, i, load(delta, i, 1) * relu_slope(load(a, i, 1)))
    elif activation == KEPT:
        for i in range(0, count, width):
            store(delta, i, load(delta, i, 1) * load(a, i, 1))


@inner
def fills_rows(z, columns):
    """Return whether `columns` numbers, in whole vectors, fill the rows of an Operand. Then its rows are one run."""
    width = lanes(z.at, 1)
    return (columns + width - 1) // width * width >= z.row


@apart
def activate(z: Operand, slope: Numbers, rows: int, columns: int, activation: int, keeps: bool):
    """Store a = f(z) in place, for the first columns of an Operand's rows and every f but softmax.

    slope : pointer
        The place for f′ if `keeps`, in rows like those of z.
    """
    if keeps and fills_rows(z, columns):
        activate_run_keeping(z.at, slope, rows * z.row, activation)
    elif keeps:
        for i in range(rows):
            activate_run_keeping(at(z.at, i * z.row), at(slope, i * z.row), columns, activation)
    elif fills_rows(z, columns):
        activate_run(z.at, rows * z.row, activation)
    else:
        for i in range(rows):
            activate_run(at(z.at, i * z.row), columns, activation)


@apart
def multiply_by_derivative(delta: Operand, a: Operand, rows: int, columns: int, activation: int):
    """Finish the δ recursion in place: δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ), for the first columns of two Operands' rows.

    This is a part of step 3 in method.md, for every f but softmax. The padding of delta stays 0. If f′ was stored, `a`
    is f′ and the activation is KEPT.
    """
    if fills_rows(a, columns):
        multiply_run(delta.at, a.at, rows * a.row, activation)
    else:
        for i in range(rows):
            multiply_run(at(delta.at, i * delta.row), at(a.at, i * a.row), columns, activation)


@inlined
def target_times(y, x):
    """y x, and 0 if y is 0 even if x is −∞: a class that isn't the target costs nothing."""
    return where_equal(y, 0, 0, x * y)


def make_softmax(part):
    """Make softmax for rows of vectors, each of which is a `part`-th of a register."""

    @inner
    def softmax_row(z, t, mask, width):
        """z ← a = e^z / Σ e^z for one row. Return Σ e^z, and a vector of the summands of Σ t z.

        The largest z is subtracted first, which keeps e^z in range. Padding, where mask is 0, becomes 0.
        """
        step = lanes(z, part)
        largest = splat(get(z, 0), part)
        for j in range(0, width, step):
            x = where_less(0, load(mask, j, part), load(z, j, part), largest)
            largest = where_less(largest, x, x, largest)
        largest = splat(greatest(largest), part)
        sum_of_e = linear = largest * 0
        for j in range(0, width, step):
            x, shown = load(z, j, part) - largest, load(mask, j, part)
            y = where_less(0, shown, load(t, j, part), 0)  # tiny networks leave their squares in the padding
            e = where_less(0, shown, exp_of_negative(x), 0)
            store(z, j, e)
            sum_of_e = sum_of_e + e
            linear = linear + target_times(y, x)
        denominator = total(sum_of_e)
        divisor = splat(denominator, part)
        for j in range(0, width, step):
            store(z, j, quotient(load(z, j, part), divisor))
        return np.float64(denominator), linear

    @inner
    def softmax_rows(z, t, mask, weights, weighted, rows):
        """Call softmax_row for some rows. Return the weighted sum of the cross entropies log Σ e^z − Σ t z.

        Eight rows share a logarithm and a sum of lanes, which would take a fifth of the time of training 64-32-10.
        """
        value = 0.0
        for first in range(0, rows, 8):
            product, linear = 1.0, load(mask, 0, part) * 0
            for r in range(first, min(first + 8, rows)):  # with steps of z.row, Numba would add an error for steps of 0
                i = r * z.row
                denominator, more = softmax_row(at(z.at, i), at(t, i), mask, z.row)
                if weighted:
                    linear = linear + more * get(weights, i)
                    value += get(weights, i) * log_of_number(denominator)
                else:
                    linear = linear + more
                    product *= denominator  # each is from 1 to the number of outputs: the product stays in range
            value += (0.0 if weighted else log_of_number(product)) - np.float64(total(linear))
        return value

    return softmax_rows


def make_derivative(part):
    """Make the derivative of softmax for such rows."""

    @inner
    def derivative_row(delta, a, width):
        """δ_j ← a_j (δ_j − Σ_k δ_k a_k): softmax's units depend on each other."""
        step = lanes(a, part)
        products = load(a, 0, part) * 0
        for j in range(0, width, step):
            products = products + load(delta, j, part) * load(a, j, part)
        mean = total(products)
        for j in range(0, width, step):
            store(delta, j, load(a, j, part) * (load(delta, j, part) - mean))

    return derivative_row


softmax_full, derivative_full = make_softmax(1), make_derivative(1)
softmax_quarter, derivative_quarter = make_softmax(4), make_derivative(4)


@apart
def softmax(z: Operand, t: Numbers, mask: Numbers, weights: Numbers, weighted: bool, rows: int) -> float:
    """Apply softmax to each row of an Operand. t and the samples' weights lie in rows like those of z.

    Return the weighted sum of the cross entropies.
    """
    if z.row < lanes(z.at, 1):
        return softmax_quarter(z, t, mask, weights, weighted, rows)
    return softmax_full(z, t, mask, weights, weighted, rows)


@apart
def multiply_by_softmax_derivative(delta: Operand, a: Operand, rows: int):
    """Call derivative_row for each row of two Operands whose rows are equally long."""
    for r in range(rows):
        i = r * a.row
        if a.row < lanes(a.at, 1):
            derivative_quarter(at(delta.at, i), at(a.at, i), a.row)
        else:
            derivative_full(at(delta.at, i), at(a.at, i), a.row)


@apart
def activate_output(z: Operand, slope: Numbers, t: Numbers, mask: Numbers, rows: int, columns: int, activation: int):
    """Store a = f(z) for whole rows of the output layer, also for softmax, which here ignores targets and weights."""
    if activation == SOFTMAX:
        softmax(z, t, mask, t, False, rows)
    else:
        activate(z, slope, rows, columns, activation, activation >= LEAKY_RELU)

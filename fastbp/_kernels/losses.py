"""J and δᴸ for rows of the output layer. The 1/m of the method appears nowhere else.

Arguments of the functions: z is an Operand of the rows, zᴸ on entry and aᴸ on return. of: Outputs. inverse: 1/m, or
1 over the sum of the weights of the batch's samples. Each function but the last returns the rows' part of m · J as
float64.

The numbers between the last row and the end of its last vector come from another batch. A selection removes them,
because a product with 0 would keep a NaN.
"""

import numpy as np

from .activations import activate_output, multiply_by_derivative, multiply_by_softmax_derivative, softmax
from .bits import total
from .codes import (
    ABSOLUTE_ERROR,
    BINARY_CROSS_ENTROPY,
    CROSS_ENTROPY,
    CUSTOM,
    HINGE,
    HUBER,
    KEPT,
    LEAKY_RELU,
    POISSON,
    QUANTILE,
    SOFTMAX,
    Operand,
    Outputs,
)
from .elementary import at_least, exp, sigmoid, softplus_tail
from .foreign import call_loss
from .jit import inlined, inner
from .llvm import absolute, at, get, lanes, load, load_first, put, splat, store, where_less
from .tuning import HEIGHT


@inlined
def pointwise(a, y, loss, parameter):
    """Return the loss of an output and its derivative by a, for the losses that are sums over outputs."""
    e = a - y
    size, sign = absolute(e), where_less(0, e, 1, where_less(e, 0, -1, e * 0))
    value, derivative = e * e * 0.5, e
    if loss == ABSOLUTE_ERROR:
        value, derivative = size, sign
    elif loss == HUBER:
        beyond = parameter * (size - parameter * 0.5)
        value = where_less(parameter, size, beyond, value)
        derivative = where_less(parameter, size, parameter * sign, e)
    elif loss == QUANTILE:
        slope = where_less(e, 0, -parameter, where_less(0, e, 1 - parameter, e * 0))
        value, derivative = slope * e, slope
    elif loss == HINGE:
        margin = 1 - y * a
        value = at_least(margin, 0)
        derivative = where_less(0, margin, -y, margin * 0)
    return value, derivative


@inner
def sum_over_outputs(a, of, count, loss, inverse):
    """Store δ = (1/m) w ∂ℓ/∂a for count numbers and a `pointwise` loss. Return Σ w ℓ."""
    values = splat(inverse, 1) * 0
    for i in range(0, count, lanes(a, 1)):
        shown, w = load_first(of.mask, i, count - i), load(of.weights, i, 1)
        value, derivative = pointwise(load(a, i, 1), load(of.targets, i, 1), loss, load(of.parameter, i, 1))
        values = values + where_less(0, shown, value * w, 0)
        store(of.delta, i, where_less(0, shown, derivative * w * inverse, 0))
    return np.float64(total(values))


@inner
def difference(a, of, count, inverse):
    """Store δ = (1/m) w (a − y) for count numbers."""
    for i in range(0, count, lanes(a, 1)):
        shown, w = load_first(of.mask, i, count - i), load(of.weights, i, 1)
        store(of.delta, i, where_less(0, shown, (load(a, i, 1) - load(of.targets, i, 1)) * w * inverse, 0))


@inner
def foreign(z, of, rows, columns, address, inverse):
    """Store δ = (1/m) w ∂ℓ/∂a for the user's own loss, row by row. Return Σ w ℓ."""
    value = 0.0
    for r in range(rows):
        i = r * z.row
        w = np.float64(get(of.weights, i))
        scale = w * np.float64(inverse)
        value += w * call_loss(address, at(z.at, i), at(of.targets, i), at(of.delta, i), columns, scale)
        for j in range(columns):  # if the formula raised an error, δ is NaN, and so is the loss
            value += 0 * np.float64(get(of.delta, i + j))
    return value


@inner
def cross_entropy(z, of, rows, inverse):
    """−Σ y log aᴸ with aᴸ = softmax(zᴸ), from the logits: Σ y (log Σ e^z − z); δᴸ = (1/m) (aᴸ − y)."""
    value = softmax(z, of.targets, of.mask, of.weights, of.weighted, rows)
    difference(z.at, of, rows * z.row, inverse)
    return value


@inlined
def binary_cross_entropy(z, y):
    """−(y log a + (1 − y) log(1 − a)) with a = sigmoid(z): max(z, 0) − z y + log(1 + e^−|z|)."""
    return at_least(z, 0) - z * y + softplus_tail(z)


@inner
def from_logits(z, of, count, loss, inverse):
    """Compute aᴸ and δᴸ = (1/m) (aᴸ − y) for the losses whose output activation is their inverse link.

    These are the binary cross entropy with aᴸ = sigmoid(zᴸ), and poisson with aᴸ = e^z, whose loss is Σ (aᴸ − y z).
    """
    values = splat(inverse, 1) * 0
    for i in range(0, count, lanes(z, 1)):
        x, y, shown = load(z, i, 1), load(of.targets, i, 1), load_first(of.mask, i, count - i)
        w = load(of.weights, i, 1)
        if loss == BINARY_CROSS_ENTROPY:
            a, value = sigmoid(x), binary_cross_entropy(x, y)
        else:
            a = exp(x)
            value = a - x * y
        values = values + where_less(0, shown, value * w, 0)
        store(z, i, a)
        store(of.delta, i, where_less(0, shown, (a - y) * w * inverse, 0))
    return np.float64(total(values))


@inlined
def beginning_at(of, place):
    """Return Outputs from some number on. The mask starts again with each HEIGHT rows."""
    return Outputs(
        at(of.targets, place),
        at(of.delta, place),
        at(of.slope, place),
        of.mask,
        at(of.weights, place if of.weighted else 0),
        of.weighted,
        of.parameter,
    )


@inner
def output_error(z, of, rows, columns, codes, address, inverse, sums):
    """Compute aᴸ in z, δᴸ, and in sums the part of m · J of each HEIGHT rows; method.md, step 2.

    δᴸ is (1/m) ∂ℓ/∂a ⊙ f′(zᴸ), or a closed form for some pairs of loss and activation. The squared error is
    ½ Σ (aᴸ − y)². codes: (loss, activation).
    """
    loss, activation = codes
    through = loss != CROSS_ENTROPY and loss != BINARY_CROSS_ENTROPY and loss != POISSON
    if through:
        activate_output(z, of.slope, of.targets, of.mask, rows, columns, activation)
    for i in range(0, rows, HEIGHT):
        count = min(HEIGHT, rows - i)
        z_i, of_i = Operand(at(z.at, i * z.row), z.row, 1), beginning_at(of, i * z.row)
        if loss == CROSS_ENTROPY:
            value = cross_entropy(z_i, of_i, count, inverse)
        elif not through:
            value = from_logits(z_i.at, of_i, count * z.row, loss, inverse)
        elif loss == CUSTOM:
            value = foreign(z_i, of_i, count, columns, address, inverse)
        else:
            value = sum_over_outputs(z_i.at, of_i, count * z.row, loss, inverse)
        put(sums, i // HEIGHT, value)
    if not through:
        return
    delta = Operand(of.delta, z.row, 1)
    if activation == SOFTMAX:
        multiply_by_softmax_derivative(delta, z, rows)
    elif activation >= LEAKY_RELU:
        multiply_by_derivative(delta, Operand(of.slope, z.row, 1), rows, z.row, KEPT)
    else:
        multiply_by_derivative(delta, z, rows, z.row, activation)

"""J and δᴸ of a few rows of the output layer, the only place where the 1/m of the method appears.

Arguments: z, an Operand of the rows, zᴸ on entry and aᴸ on return; t and delta, pointers to the targets and to where δᴸ
goes, rows as far apart as z's; mask, as large, 1 at every output and 0 in the padding; and 1/m, m being the samples of
the whole batch. Each function returns the rows' part of m · J, float64.

What lies beyond the rows, up to a whole vector, is left over from another batch: it is selected away, not multiplied
by 0, since it may be a NaN.
"""

import numpy as np

from .activations import activate_output, multiply_by_derivative, multiply_by_softmax_derivative, softmax
from .bits import total
from .codes import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, SOFTMAX, Operand
from .elementary import at_least, sigmoid, softplus_tail
from .jit import inner, merged
from .llvm import fma, lanes, load, load_first, splat, store, where_less


@inner
def difference(a, t, delta, mask, count, inverse_m):
    """δ = (1/m) (a − y), over count numbers; returns ½ Σ (a − y)²."""
    squares = splat(inverse_m, 1) * 0
    for i in range(0, count, lanes(a, 1)):
        error = where_less(0, load_first(mask, i, count - i), load(a, i, 1) - load(t, i, 1), 0)
        squares = fma(error, error, squares)
        store(delta, i, error * inverse_m)
    return 0.5 * np.float64(total(squares))


@inner
def squared_error(z, t, delta, mask, rows, columns, activation, inverse_m):
    """½ Σ (aᴸ − y)², δᴸ = (1/m) (aᴸ − y) ⊙ f′(zᴸ)."""
    activate_output(z, t, mask, rows, columns, activation)
    value = difference(z.at, t, delta, mask, rows * z.row, inverse_m)
    if activation == SOFTMAX:
        multiply_by_softmax_derivative(Operand(delta, z.row, 1), z, rows)
    else:
        multiply_by_derivative(Operand(delta, z.row, 1), z, rows, z.row, activation)
    return value


@inner
def cross_entropy(z, t, delta, mask, rows, inverse_m):
    """−Σ y log aᴸ with aᴸ = softmax(zᴸ), from the logits: Σ y (log Σ e^z − z); δᴸ = (1/m) (aᴸ − y)."""
    value = softmax(z, t, mask, rows)
    difference(z.at, t, delta, mask, rows * z.row, inverse_m)
    return value


@inner
def binary_cross_entropy(z, t, delta, mask, count, inverse_m):
    """−Σ (y log aᴸ + (1 − y) log(1 − aᴸ)) with aᴸ = sigmoid(zᴸ), from the logits; δᴸ = (1/m) (aᴸ − y).

    One output's part is max(z, 0) − z y + log(1 + e^−|z|).
    """
    value = splat(inverse_m, 1) * 0
    for i in range(0, count, lanes(z, 1)):
        x, y, shown = load(z, i, 1), load(t, i, 1), load_first(mask, i, count - i)
        value = value + where_less(0, shown, at_least(x, 0) - x * y + softplus_tail(x), 0)
        a = sigmoid(x)
        store(z, i, a)
        store(delta, i, where_less(0, shown, a - y, 0) * inverse_m)
    return np.float64(total(value))


@merged
def output_error(z, t, delta, mask, rows, columns, codes, inverse_m):
    """The rows' part of m · J, with δᴸ in delta and aᴸ in z; method.md, step 2. codes: (loss, activation)."""
    loss, activation = codes
    if loss == CROSS_ENTROPY:
        return cross_entropy(z, t, delta, mask, rows, inverse_m)
    if loss == BINARY_CROSS_ENTROPY:
        return binary_cross_entropy(z.at, t, delta, mask, rows * z.row, inverse_m)
    return squared_error(z, t, delta, mask, rows, columns, activation, inverse_m)

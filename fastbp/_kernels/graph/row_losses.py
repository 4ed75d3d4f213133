"""J and δᴸ of losses that are no sums over outputs: likelihoods with several outputs for a target, and member heads.

A code of such a loss is formula + MEMBERS · K. The formula is a likelihood, or a code of the base kernels. With K > 0,
the outputs of a row are those of K members, one after the other, and the loss is the mean of the members' losses. The
targets of a row come first in rows of n_L numbers. Links such as softmax are a part of the loss: the output activation
is the identity, and aᴸ = zᴸ stays as it is.

Arguments of the functions: a, y and delta point to the outputs of one member, its targets, and its part of δᴸ. They
are n outputs, and scale is the weight of the sample, divided by m and K. The functions return the loss, unweighted.
"""

import numpy as np

from ..activations import target_times
from ..apart import apart
from ..backward import output_errors, outputs_of
from ..bits import constant, greatest, total
from ..codes import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, POISSON, Machine, Team
from ..elementary import exp, log_of_number, sigmoid
from ..jit import inlined, inner
from ..llvm import (
    absolute,
    at,
    get,
    lanes,
    load,
    load_first,
    number_of,
    put,
    ramp,
    splat,
    store,
    store_first,
    where_less,
)
from ..losses import beginning_at, binary_cross_entropy, pointwise
from ..records import layer_of, rows_of
from ..team import slice_of
from ..tuning import HEIGHT
from .likelihoods import gaussian, negative_binomial
from .nodes import GAUSSIAN_NLL, MEMBERS

# On its way down, a smaller δᴸ would become subnormal: many times slower to compute with, and too small for any weight.
FAINT = constant(1e-30, 1e-290)


@inner
def likelihood(a, y, delta, n, loss, beta, scale):
    """A likelihood with two outputs for each target: n/2 of the first, then n/2 of the second."""
    values, targets = splat(scale, 1) * 0, n // 2
    for j in range(0, targets, lanes(a, 1)):
        left = targets - j
        first, second, target = load_first(a, j, left), load_first(a, targets + j, left), load_first(y, j, left)
        if loss == GAUSSIAN_NLL:
            value, by_first, by_second = gaussian(first, second, target, beta)
        else:
            value, by_first, by_second = negative_binomial(first, second, target)
        values = values + where_less(ramp(a, 1), left, value, 0)
        store_first(delta, j, by_first * scale, left)
        store_first(delta, targets + j, by_second * scale, left)
    return np.float64(total(values))


@inner
def cross_entropy(a, y, delta, n, scale):
    """−Σ y log softmax(a), from the logits a. y adds up to 1."""
    step, largest = lanes(a, 1), splat(get(a, 0), 1)
    for j in range(0, n, step):
        x = where_less(ramp(a, 1), n - j, load_first(a, j, n - j), largest)
        largest = where_less(largest, x, x, largest)
    largest = splat(greatest(largest), 1)
    sum_of_e = linear = largest * 0
    for j in range(0, n, step):
        shown, x = ramp(a, 1), load_first(a, j, n - j) - largest
        e = where_less(shown, n - j, exp(x), 0)
        sum_of_e = sum_of_e + e
        linear = linear + target_times(load_first(y, j, n - j), x)
        store_first(delta, j, e, n - j)
    denominator = total(sum_of_e)
    inverse = 1 / splat(denominator, 1)
    for j in range(0, n, step):
        e = load_first(delta, j, n - j)
        store_first(delta, j, (e * inverse - load_first(y, j, n - j)) * scale, n - j)
    return log_of_number(denominator) - np.float64(total(linear))


@inner
def sum_over_outputs(a, y, delta, n, loss, parameter, scale):
    """A loss that is a sum over outputs. parameter: points to a number for each."""
    values = splat(scale, 1) * 0
    for j in range(0, n, lanes(a, 1)):
        left = n - j
        x, target = load_first(a, j, left), load_first(y, j, left)
        if loss == BINARY_CROSS_ENTROPY:
            value, derivative = binary_cross_entropy(x, target), sigmoid(x) - target
        elif loss == POISSON:
            mean = exp(x)
            value, derivative = mean - x * target, mean - target
        else:
            value, derivative = pointwise(x, target, loss, load_first(parameter, j, left))
        values = values + where_less(ramp(a, 1), left, value, 0)
        store_first(delta, j, derivative * scale, left)
    return np.float64(total(values))


@inner
def member_loss(a, y, delta, n, loss, parameter, scale):
    """The loss of one member. parameter: points to those of its outputs."""
    if loss >= GAUSSIAN_NLL:
        return likelihood(a, y, delta, n, loss, splat(get(parameter, 0), 1), scale)
    if loss == CROSS_ENTROPY:
        return cross_entropy(a, y, delta, n, scale)
    return sum_over_outputs(a, y, delta, n, loss, parameter, scale)


@inlined
def row_loss(a, of, place, columns, loss, inverse):
    """Store δᴸ of a row, and return its loss, the mean over members. place: of the row behind a and what `of` has."""
    members = max(1, loss // MEMBERS)
    n, scale, value = columns // members, number_of(a, get(of.weights, place) * inverse / members), 0.0
    for k in range(members):
        first = place + k * n
        value += member_loss(
            at(a, first), at(of.targets, place), at(of.delta, first), n, loss % MEMBERS, at(of.parameter, k * n), scale
        )
    return value / members


@inlined
def drop_faint(delta, count):
    """Set numbers of δᴸ to 0 if they are so small that they change no weight. NaN stays."""
    for i in range(0, count, lanes(delta, 1)):
        x = load(delta, i, 1)
        store(delta, i, where_less(absolute(x), FAINT(x), 0, x))


@apart
def graph_output_errors(net: Machine, m: int, weight: float, weighted: bool, team: Team):
    """Do what `backward.output_errors` does, for any loss. Numbers of δᴸ below FAINT become 0."""
    last, (first, length) = layer_of(net, net.depth - 1), slice_of(m, HEIGHT, team)
    if net.loss < GAUSSIAN_NLL:
        output_errors(net, m, weight, weighted, team)
        drop_faint(at(net.work, last.delta + first * last.width), length * last.width)
        return
    inverse = number_of(net.work, 1 / weight if weight > 0 else 0.0)
    z, of = rows_of(net.work, last.a, last, first), outputs_of(net, last, first, weighted)
    for i in range(0, length, HEIGHT):
        group, value = beginning_at(of, i * last.width), 0.0
        for r in range(min(HEIGHT, length - i)):
            loss = row_loss(at(z.at, i * last.width), group, r * last.width, last.n, net.loss, inverse)
            value += np.float64(get(group.weights, r * last.width)) * loss
        put(net.losses, (first + i) // HEIGHT, value)

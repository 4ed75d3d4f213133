"""What small.py does for options that few networks have.

These are the rarer activations and losses, dropout, smoothed labels, penalties, and all optimizers but plain SGD. The
formulas of the optimizers, penalties and limits are those of updates.py, without teams: change both files together.
"""

import math

import numpy as np

from .activations import activate
from .bits import total
from .codes import (
    ADAGRAD,
    ADAM,
    BINARY_CROSS_ENTROPY,
    LEAKY_RELU,
    MOMENTUM,
    NESTEROV,
    POISSON,
    RELU,
    RMSPROP,
    SGD,
    SIGMOID,
    SOFTMAX,
    TANH,
    Operand,
)
from .curves import relu_slope, sigmoid_slope, tanh_slope
from .dropout import drop_out_squares
from .elementary import at_least, at_most, exp, sigmoid, tanh
from .jit import inlined, inner
from .llvm import absolute, at, fma, get, lanes, load, number_of, put, record, splat, square_root, store, where_less
from .losses import pointwise
from .records import layer_of
from .squares import (
    SIDE,
    across,
    column_numbers,
    down,
    load_square,
    row_numbers,
    store_rows,
    transposed,
    zeros,
)
from .tasks import TASK_FIELDS, GatherTask, StepTask
from .updates import factor_within, of_weights, stride, whole_power

EVERY = 64  # steps after which powers of β₁ and β₂ are computed anew, and not from those before


@inlined
def f(z, activation):
    """Return a = f(z) of a vector, or z for softmax, which needs all units."""
    if activation == SIGMOID:
        z = sigmoid(z)
    elif activation == TANH:
        z = tanh(z)
    elif activation == RELU:
        z = at_least(z, 0)
    return z


@inlined
def derivative(a, activation):
    """Return f′(z) from a = f(z), or 1 for softmax. If f′ was stored, the activation is KEPT, and a is f′(z)."""
    out = a * 0 + 1
    if activation == SIGMOID:
        out = sigmoid_slope(a)
    elif activation == TANH:
        out = tanh_slope(a)
    elif activation == RELU:
        out = relu_slope(a)
    elif activation > SOFTMAX:
        out = a
    return out


@inlined
def inside(x, units, m):
    """Return x where a place of a square has a unit and a sample, else 0."""
    return where_less(row_numbers(x), units, where_less(column_numbers(x), m, x, 0), 0)


@inner
def smooth(net, tasks):
    """Move targets from 0 and 1 to net.label_off and net.label_on. tasks: GatherTasks of the targets."""
    factor = number_of(net.work, net.label_on - net.label_off)
    for i in range(tasks.count):
        t = record(GatherTask, tasks.at, i * TASK_FIELDS)
        y = load_square(net.work, t.square) * factor + number_of(net.work, net.label_off)
        store(net.work, t.square, where_less(row_numbers(y), t.features, y, 0))


@inner
def activate_squares(net, t, steps, seed):
    """Store a = f(z) and f′(z) of a layer for the samples of an ActivateTask, and drop units.

    f′ of the outputs goes to where δᴸ will be.
    """
    layer, rate = layer_of(net, t.layer), get(net.dropout, t.layer)
    place, count = t.sample * layer.width, t.samples * layer.width
    a = at(net.work, layer.a + place)
    slope = at(net.work, (layer.slope if t.layer < net.depth - 1 else layer.delta) + place)
    activate(Operand(a, count, 1), slope, 1, count, layer.activation, True)
    if rate > 0:
        drop_out_squares(a, slope, t, layer, rate, steps, t.layer + 1, seed)


@inlined
def is_basic(net, last):
    """Return whether `small` computes the loss and its derivative for several squares at once."""
    return net.loss <= BINARY_CROSS_ENTROPY and last.activation < LEAKY_RELU


@inner
def other_output_errors(net, groups, m, inverse, weighted):
    """Do what small.output_errors does for the other losses and activations of the outputs."""
    last, loss, values = layer_of(net, net.depth - 1), net.loss, zeros(net.work)
    for s in range(0, groups * SIDE, SIDE):
        w = across(net.work, net.weights + s, 0, False) if weighted else zeros(net.work) + 1
        for j in range(0, last.n, SIDE):
            place = s * last.width + j * SIDE
            a, y = load_square(net.work, last.a + place), load_square(net.work, net.targets + place)
            value, error = pointwise(a, y, loss, down(net.work, net.parameter + j, False))
            if loss == POISSON:  # from z: a − y z with a = e^z
                value, error = exp(a) - a * y, exp(a) - y
            elif last.activation != SOFTMAX:
                error = error * load_square(net.work, last.delta + place)
            values = values + inside(value * w, last.n - j, m - s)
            store(net.work, last.delta + place, transposed(inside(error * w * inverse, last.n - j, m - s)))
    return values


@inner
def powers_of(rule, steps):
    """Return β₁ and β₂ to the power of the number of steps so far: the same however calls are cut."""
    first, second = whole_power(rule.decay_1, steps - steps % EVERY), whole_power(rule.decay_2, steps - steps % EVERY)
    for _ in range(steps % EVERY):
        first, second = first * rule.decay_1, second * rule.decay_2
    return first, second


@inlined
def next_powers(rule, powers, steps):
    """Return the powers with one step more."""
    if steps % EVERY == 0:
        powers = powers_of(rule, steps)
    return powers[0] * rule.decay_1, powers[1] * rule.decay_2


@inlined
def moved(x, g, first, second, code, factors):
    """Return x after a step of an optimizer with the gradient g, and its moments, of which some rules have none."""
    eta, decay_1, decay_2, new_1, new_2, epsilon, root_t = factors
    if code == MOMENTUM or code == NESTEROV:
        first = fma(first, decay_1, g)
        x = fma(first if code == MOMENTUM else fma(first, decay_1, g), -eta, x)
    elif code == RMSPROP or code == ADAGRAD:
        first = fma(first, decay_2, g * g * new_2) if code == RMSPROP else fma(g, g, first)
        x = x - stride(g * eta, first, 1, epsilon)
    elif code == ADAM:
        first, second = fma(first, decay_1, g * new_1), fma(second, decay_2, g * g * new_2)
        x = x - stride(first * eta, second, root_t, epsilon)
    else:
        x = fma(g, -eta, x)
    return x, first, second


@inlined
def bound_gradients(net, steps, bounds, l2):
    """Add penalties to the gradients and clip them. Return the penalty, and the scale that clips the norm."""
    l1, l2 = number_of(net.work, bounds.l1), number_of(net.work, l2)
    limit = number_of(net.work, bounds.clip_value)
    squares = penalties = splat(l1, 1) * 0
    for task in range(steps.count):
        t = record(StepTask, steps.at, task * TASK_FIELDS)
        theta, gradient = at(net.parameters, t.place), at(net.gradients, t.place)
        for i in range(0, t.count, lanes(theta, 1)):
            x, g = of_weights(load(theta, i, 1), 0, theta, t.weights - i), load(gradient, i, 1)
            g = fma(x, l2, g) + where_less(0, x, l1, where_less(x, 0, -l1, 0 * x))
            g = at_least(at_most(g, limit), -limit)
            penalties = penalties + (x * x * (l2 * 0.5) + absolute(x) * l1)
            squares = fma(g, g, squares)
            store(gradient, i, g)
    norm = square_root(np.float64(total(squares)))
    return np.float64(total(penalties)), bounds.clip_norm / norm if norm > bounds.clip_norm else 1.0


@inlined
def limit_norms(net, limit):
    """Scale the incoming weights of each unit, so that their norm is at most the limit."""
    for l in range(net.depth - 1):
        layer, width = layer_of(net, l), layer_of(net, l + 1).width
        for j in range(0, width, SIDE):
            theta, squares = at(net.parameters, layer.theta + j), zeros(net.work)
            for k in range(layer.n):
                x = across(theta, k * width, 0, False)
                squares = fma(x, x, squares)
            factor = factor_within(squares, limit)
            for k in range(layer.n):
                store_rows(at(theta, k * width), 0, 1, across(theta, k * width, 0, False) * factor)


@inlined
def factors_of(work, rule, eta, powers):
    """Return the factors of `moved`. η and the factor of √v are corrected for Adam."""
    eta_t, root_t = eta, 1.0
    if rule.code == ADAM:
        eta_t = eta / (1 - powers[0])
        root_t = 1 / square_root(1 - powers[1])
    return (
        number_of(work, eta_t),
        number_of(work, rule.decay_1),
        number_of(work, rule.decay_2),
        number_of(work, 1 - rule.decay_1),
        number_of(work, 1 - rule.decay_2),
        number_of(work, rule.epsilon),
        number_of(work, root_t),
    )


@inner
def step_along(net, steps, kept, step, eta, powers, weight):
    """Do what updates.step_along does, in one thread. powers: of β₁ and β₂, with this step."""
    bounds, rule, penalty, scale = step.bounds, step.rule, 0.0, 1.0
    l2 = bounds.l2 + (step.alpha / weight if weight > 0 else 0.0)
    if bounds.l1 > 0 or l2 > 0 or bounds.clip_value < math.inf or bounds.clip_norm < math.inf:
        penalty, scale = bound_gradients(net, steps, bounds, l2)
    factors, scale = factors_of(net.work, rule, eta, powers), number_of(net.work, scale)
    keep = splat(number_of(net.work, 1 - eta * rule.weight_decay), 1)
    for task in range(steps.count):
        t = record(StepTask, steps.at, task * TASK_FIELDS)
        theta, gradient = at(net.parameters, t.place), at(net.gradients, t.place)
        first, second = at(kept.first, t.place), at(kept.second, t.place)
        for i in range(0, t.count, lanes(theta, 1)):
            x, g = load(theta, i, 1) * of_weights(keep, 1, theta, t.weights - i), load(gradient, i, 1) * scale
            m = load(first, i, 1) if rule.code != SGD else g
            v = load(second, i, 1) if rule.code == ADAM else g
            x, m, v = moved(x, g, m, v, rule.code, factors)
            store(theta, i, x)
            if rule.code != SGD:
                store(first, i, m)
            if rule.code == ADAM:
                store(second, i, v)
    if bounds.max_norm < math.inf:
        limit_norms(net, number_of(net.work, bounds.max_norm))
    put(kept.sums, 1, penalty)  # where updates.step_along has that of its first chunk
    return penalty

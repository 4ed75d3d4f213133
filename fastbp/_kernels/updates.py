"""The update of the parameters with the gradients of a batch: penalties, clipping, the optimizer's step, max-norm.

Sums over all parameters are made of sums over CHUNK numbers, so that they are the same for any number of threads.
optimizers.py has the formulas of the optimizers. Penalties, decay and max-norm apply to weights, not to biases.
"""

import math

import numpy as np

from .apart import apart
from .bits import quotient, total
from .codes import ADAGRAD, ADAM, MOMENTUM, NESTEROV, RMSPROP, Machine, Memory, Step, Team
from .elementary import TINY, at_least, at_most
from .jit import inlined, inner
from .llvm import absolute, at, fma, get, lanes, load, number_of, put, ramp, splat, square_root, store, where_less
from .records import layer_of
from .team import meet, slice_of, slice_of_lines
from .tuning import CHUNK


@inlined
def of_weights(value, other, memory, left):
    """Return `value` in the first `left` lanes, which have weights, and `other` in the lanes of biases."""
    return where_less(ramp(memory, 1), left, value, other)


@inner
def add_parts(net, place, count, parts):
    """Add the gradients of all parts of a block to those of the first, for count numbers from a place on."""
    for part in range(1, parts):
        own, other = at(net.gradients, place), at(net.gradients, place + part * net.gradients_apart)
        for i in range(0, count, lanes(own, 1)):
            store(own, i, load(own, i, 1) + load(other, i, 1))


@inner
def bound_run(theta, gradient, count, weights, l1, l2, limit):
    """g ← g + l₂ θ + l₁ sign θ, then clipped to ±limit. Return Σ g² and the penalty ½ l₂ Σ θ² + l₁ Σ |θ|.

    This is for count numbers and up to the end of the last vector. So many of the first numbers are weights.
    """
    squares = penalties = splat(l1, 1) * 0
    for i in range(0, count, lanes(theta, 1)):
        x, g = of_weights(load(theta, i, 1), 0, theta, weights - i), load(gradient, i, 1)
        g = fma(x, l2, g) + where_less(0, x, l1, where_less(x, 0, -l1, 0 * x))
        g = at_least(at_most(g, limit), -limit)
        penalties = penalties + (x * x * (l2 * 0.5) + absolute(x) * l1)
        squares = fma(g, g, squares)
        store(gradient, i, g)
    return np.float64(total(squares)), np.float64(total(penalties))


@inner
def bound_gradients(net, sums, bounds, l2, parts, team):
    """Add penalties to the gradients and clip them. Return the penalty, and the scale that clips the norm.

    The gradients of all parts of a block are added before.
    """
    l1, l2 = number_of(net.work, bounds.l1), number_of(net.work, l2)
    limit, chunk = number_of(net.work, bounds.clip_value), 0
    for l in range(net.depth - 1):
        layer, width = layer_of(net, l), layer_of(net, l + 1).width
        count = (layer.n + 1) * width
        first, length = slice_of(count, CHUNK, team)
        for start in range(first, first + length, CHUNK):
            theta, gradient = at(net.parameters, layer.theta + start), at(net.gradients, layer.theta + start)
            some, i = min(CHUNK, count - start), 2 * (chunk + start // CHUNK)
            add_parts(net, layer.theta + start, some, parts)
            square, penalty = bound_run(theta, gradient, some, layer.n * width - start, l1, l2, limit)
            put(sums, i, square)
            put(sums, i + 1, penalty)
        chunk += (count + CHUNK - 1) // CHUNK
    meet(team)
    squares = penalty = 0.0
    for i in range(chunk):
        squares += get(sums, 2 * i)
        penalty += get(sums, 2 * i + 1)
    norm = square_root(squares)
    return penalty, bounds.clip_norm / norm if norm > bounds.clip_norm else 1.0


@inlined
def stride(change, v, root_t, epsilon):
    """Return change ÷ (root_t √v + ε), and NaN if v is infinite, which a step of 0 would hide."""
    divisor = fma(square_root(v), root_t, fma(v, 0, epsilon))
    return quotient(change, at_least(divisor, TINY(v)))


@inner
def move_run(theta, gradient, first, second, count, weights, code, factors):
    """Do a step of an optimizer for count numbers, and up to the end of the last vector. Return Σ θ² of the weights.

    weights : so many of the first numbers are weights, and those behind them biases
    factors : l₂, the scale of the gradient, the factor by which weights decay, η, the two decays, 1 − each of them, ε,
    and, for Adam, the corrected η and the factor of √v
    """
    l2, scale, keep, eta, decay_1, decay_2, new_1, new_2, epsilon, eta_t, root_t = factors
    squares = splat(l2, 1) * 0
    for i in range(0, count, lanes(theta, 1)):
        x = load(theta, i, 1)
        weight = of_weights(x, 0, theta, weights - i)
        squares = fma(weight, weight, squares)
        g = fma(weight, l2, load(gradient, i, 1) * scale)
        x = x * of_weights(splat(keep, 1), 1, theta, weights - i)
        if code == MOMENTUM or code == NESTEROV:
            v = fma(load(first, i, 1), decay_1, g)
            store(first, i, v)
            x = fma(v if code == MOMENTUM else fma(v, decay_1, g), -eta, x)
        elif code == RMSPROP or code == ADAGRAD:
            v = load(first, i, 1)
            v = fma(v, decay_2, g * g * new_2) if code == RMSPROP else fma(g, g, v)
            store(first, i, v)
            x = x - stride(g * eta, v, 1, epsilon)
        elif code == ADAM:
            m = fma(load(first, i, 1), decay_1, g * new_1)
            v = fma(load(second, i, 1), decay_2, g * g * new_2)
            store(first, i, m)
            store(second, i, v)
            x = x - stride(m * eta_t, v, root_t, epsilon)
        else:
            x = fma(g, -eta, x)
        store(theta, i, x)
    return np.float64(total(squares))


@inlined
def whole_power(x, n):
    """Return xⁿ for a whole n ≥ 0, without the C library."""
    power = 1.0
    while n > 0:
        if n % 2 == 1:
            power *= x
        x *= x
        n //= 2
    return power


@inlined
def factors_of(work, rule, eta, l2, scale, step):
    """Return the factors of move_run in the dtype of the work. step: the number of the optimizer's step, from 1."""
    eta_t, root_t = eta, 1.0
    if rule.code == ADAM:
        eta_t = eta / (1 - whole_power(rule.decay_1, step))
        root_t = 1 / square_root(1 - whole_power(rule.decay_2, step))
    return (
        number_of(work, l2),
        number_of(work, scale),
        number_of(work, 1 - eta * rule.weight_decay),
        number_of(work, eta),
        number_of(work, rule.decay_1),
        number_of(work, rule.decay_2),
        number_of(work, 1 - rule.decay_1),
        number_of(work, 1 - rule.decay_2),
        number_of(work, rule.epsilon),
        number_of(work, eta_t),
        number_of(work, root_t),
    )


@inner
def move(net, kept, rule, eta, l2, scale, step, parts, team):
    """Do a step of the optimizer for this thread's slice of the parameters, with the penalty of l₂. kept: Memory.

    The gradients of all parts of a block are added before. The penalty of each CHUNK numbers goes to kept.sums. Return
    how many chunks there are.
    """
    factors, chunk = factors_of(net.work, rule, eta, l2, scale, step), 0
    for l in range(net.depth - 1):
        layer, width = layer_of(net, l), layer_of(net, l + 1).width
        count = (layer.n + 1) * width
        first, length = slice_of(count, CHUNK, team)
        for start in range(first, first + length, CHUNK):
            i, some = layer.theta + start, min(CHUNK, count - start)
            add_parts(net, i, some, parts)
            squares = move_run(
                at(net.parameters, i),
                at(net.gradients, i),
                at(kept.first, i),
                at(kept.second, i),
                some,
                layer.n * width - start,
                rule.code,
                factors,
            )
            if l2 > 0:
                put(kept.sums, 2 * (chunk + start // CHUNK) + 1, 0.5 * l2 * squares)
        chunk += (count + CHUNK - 1) // CHUNK
    return chunk


@inlined
def factor_within(squares, limit):
    """Return the factor that brings norms, given by their squares, down to the limit; 1 if they are within."""
    root = square_root(squares)
    return where_less(limit, root, limit / root, 1)


@inner
def limit_norms(net, limit, team):
    """Scale the incoming weights of each of this thread's units, so that their norm is at most the limit."""
    for l in range(net.depth - 1):
        layer, above = layer_of(net, l), layer_of(net, l + 1)
        theta, width = at(net.parameters, layer.theta), above.width
        if width < lanes(theta, 1):  # such rows are narrower than a vector
            if team.thread == 0:
                limit_few(theta, layer.n, above.n, width, limit)
        else:
            first, length = slice_of_lines(above.n, lanes(theta, 1), team)
            for j in range(first, first + length, lanes(theta, 1)):
                squares = splat(limit, 1) * 0
                for k in range(layer.n):
                    x = load(theta, k * width + j, 1)
                    squares = fma(x, x, squares)
                factor = factor_within(squares, limit)
                for k in range(layer.n):
                    store(theta, k * width + j, load(theta, k * width + j, 1) * factor)


@inner
def limit_few(theta, n, n_above, width, limit):
    """Do the same as limit_norms for rows that are shorter than a vector."""
    for j in range(n_above):
        squares = 0.0
        for k in range(n):
            squares += get(theta, k * width + j) ** 2
        if squares > limit * limit:
            for k in range(n):
                put(theta, k * width + j, get(theta, k * width + j) * (limit / square_root(squares)))


@apart
def step_along(
    net: Machine, kept: Memory, step: Step, parts: int, eta: float, steps: int, weight: float, team: Team
) -> float:
    """Update the parameters with the gradients of a whole batch. Return the penalty in J.

    parts: how many parts of the batch have gradients of their own. steps: the number of batches before this one.
    weight: the sum of its samples' weights. All threads meet at the end.
    """
    bounds, penalty, scale = step.bounds, 0.0, 1.0
    l2 = bounds.l2 + (step.alpha / weight if weight > 0 else 0.0)
    if bounds.l1 > 0 or bounds.clip_value < math.inf or bounds.clip_norm < math.inf:
        penalty, scale = bound_gradients(net, kept.sums, bounds, l2, parts, team)
        l2, parts = 0.0, 1
    chunks = move(net, kept, step.rule, eta, l2, scale, steps + 1, parts, team)
    meet(team)
    if l2 > 0:
        for i in range(chunks):
            penalty += get(kept.sums, 2 * i + 1)
    if bounds.max_norm < math.inf:
        limit_norms(net, number_of(net.work, bounds.max_norm), team)
        meet(team)
    return penalty

"""The update of the parameters of a graph: as in `updates`, with factors for each parameter, and a moving average."""

import math

from ..apart import apart
from ..codes import Machine, Memory, Rule, Step, Team
from ..jit import inlined, inner
from ..llvm import at, fma, get, lanes, load, number_of, prefetch, put, splat, square_root, store
from ..team import meet, slice_of, slice_of_lines
from ..tuning import AHEAD, CHUNK
from ..updates import bound_run, factor_within, factors_of, limit_few, move_run
from .nodes import Graph, Moving
from .places import clear, factor_of, row_of_batch, rows_of_batch, tensor_of


@inlined
def rows_in_chunk(tensor):
    """Return how many rows of a table are in one sum."""
    return max(CHUNK // tensor.width, 1)


@inner
def bound_rows(net, graph, tensor, sums, limit, team):
    """Clip the gradients of the batch's rows of a table, and store their Σ g²: a thread's part."""
    unit, zero = rows_in_chunk(tensor), number_of(net.work, 0)
    first, count = slice_of(rows_of_batch(graph, tensor), unit, team)
    for part in range((count + unit - 1) // unit):  # a step of range that could be 0 would raise an exception
        top, squares = first + part * unit, 0.0
        for r in range(top, min(top + unit, first + count)):
            theta = at(net.parameters, tensor.start + row_of_batch(graph, tensor, r) * tensor.width)
            gradient = at(net.gradients, tensor.start + r * tensor.width)
            squares += bound_run(theta, gradient, tensor.width, 0, zero, zero, limit)[0]
        put(sums, 2 * (tensor.chunk + top // unit), squares)
        put(sums, 2 * (tensor.chunk + top // unit) + 1, 0.0)


@inner
def bound_tensor(net, tensor, sums, l1, l2, limit, team):
    """Add penalties to a parameter's gradients and clip them; store Σ g² and the penalty: a thread's part.

    A parameter that doesn't learn has a penalty, too, but no gradient.
    """
    size = tensor.rows * tensor.width
    first, length = slice_of(size, CHUNK, team)
    for start in range(first, first + length, CHUNK):
        i, some = tensor.start + start, min(CHUNK, size - start)
        theta, gradient, weights = at(net.parameters, i), at(net.gradients, i), CHUNK if tensor.penalized else 0
        if not tensor.learns:
            clear(net, gradient, some)
        square, penalty = bound_run(theta, gradient, some, weights, l1, l2, limit)
        put(sums, 2 * (tensor.chunk + start // CHUNK), square if tensor.learns else 0.0)
        put(sums, 2 * (tensor.chunk + start // CHUNK) + 1, penalty)


@inlined
def chunks_of(graph, tensor):
    """Return how many sums a parameter has in this batch."""
    if tensor.by_row:
        unit = rows_in_chunk(tensor)
        return (rows_of_batch(graph, tensor) + unit - 1) // unit
    return (tensor.rows * tensor.width + CHUNK - 1) // CHUNK


@inner
def bound_graph(net, graph, sums, bounds, l2, team):
    """Add penalties to the gradients and clip them. Return the penalty, and the scale that clips the norm."""
    l1, l2 = number_of(net.work, bounds.l1), number_of(net.work, l2)
    limit = number_of(net.work, bounds.clip_value)
    for i in range(graph.n_tensors):
        tensor = tensor_of(graph, i)
        if tensor.learns and tensor.by_row:
            bound_rows(net, graph, tensor, sums, limit, team)
        elif tensor.learns or tensor.penalized:
            bound_tensor(net, tensor, sums, l1, l2, limit, team)
    meet(team)
    squares = penalty = 0.0
    for i in range(graph.n_tensors):
        tensor = tensor_of(graph, i)
        if tensor.learns or tensor.penalized:
            for chunk in range(tensor.chunk, tensor.chunk + chunks_of(graph, tensor)):
                squares += get(sums, 2 * chunk)
                penalty += get(sums, 2 * chunk + 1)
    norm = square_root(squares)
    return penalty, bounds.clip_norm / norm if norm > bounds.clip_norm else 1.0


@inner
def move_tensor(net, kept, start, gradient, length, code, factors):
    """Do a step of the optimizer for some numbers from a start on, with the gradient that lies at another place."""
    move_run(
        at(net.parameters, start),
        at(net.gradients, gradient),
        at(kept.first, start),
        at(kept.second, start),
        length,
        length + CHUNK,
        code,
        factors,
    )


@inlined
def factors_for(net, graph, i, rule, eta, decay, scale, step):
    """Return the factors of move_run for parameter i."""
    decays = rule.weight_decay * factor_of(graph, i, 1) * decay
    own = Rule(rule.code, rule.decay_1, rule.decay_2, rule.epsilon, decays)
    return factors_of(net.work, own, eta * factor_of(graph, i, 0), 0.0, scale, step)


@inlined
def moves_early(net, tensor):
    """Return whether a parameter moves with its gradient if that is possible: weights in rows of whole vectors."""
    return tensor.penalized and tensor.width >= lanes(net.work, 1)


@inlined
def bounds_gradients(step):
    """Return whether gradients change between their computation and the step of the optimizer."""
    bounds = step.bounds
    clips = bounds.clip_value < math.inf or bounds.clip_norm < math.inf
    return bounds.l1 > 0 or bounds.l2 > 0 or step.alpha > 0 or clips


@inner
def move_graph(net, graph, kept, moving, scale, team):
    """Do a step of the optimizer for a thread's part of each parameter that learns and hasn't moved."""
    code = moving.rule.code
    for i in range(graph.n_tensors):
        tensor = tensor_of(graph, i)
        if not tensor.learns or (moving.at_once and moves_early(net, tensor)):
            continue
        factors = factors_for(net, graph, i, moving.rule, moving.eta, moving.decay, scale, moving.step)
        if tensor.by_row:
            first, count = slice_of(rows_of_batch(graph, tensor), 1, team)
            for r in range(first, first + count):
                ahead = tensor.start + row_of_batch(graph, tensor, min(r + AHEAD, first + count - 1)) * tensor.width
                prefetch(kept.first, ahead)
                prefetch(kept.second, ahead)
                start = tensor.start + row_of_batch(graph, tensor, r) * tensor.width
                move_tensor(net, kept, start, tensor.start + r * tensor.width, tensor.width, code, factors)
        else:
            first, length = slice_of(tensor.rows * tensor.width, CHUNK, team)
            start = tensor.start + first
            if length > 0:
                move_tensor(net, kept, start, start, length, code, factors)


@inner
def limit_graph(net, graph, limit, team):
    """Scale the incoming weights of units, so that their norm is at most the limit: a thread's part of the units."""
    for i in range(graph.n_tensors):
        tensor = tensor_of(graph, i)
        if not (tensor.penalized and tensor.learns):
            continue
        theta, width = at(net.parameters, tensor.start), tensor.width
        if width < lanes(theta, 1):
            if team.thread == 0:
                limit_few(theta, tensor.rows, tensor.n, width, limit)
            continue
        first, length = slice_of_lines(tensor.n, lanes(theta, 1), team)
        for j in range(first, first + length, lanes(theta, 1)):
            squares = splat(limit, 1) * 0
            for k in range(tensor.rows):
                x = load(theta, k * width + j, 1)
                squares = fma(x, x, squares)
            factor = factor_within(squares, limit)
            for k in range(tensor.rows):
                store(theta, k * width + j, load(theta, k * width + j, 1) * factor)


@inner
def average_graph(net, graph, copies, team):
    """Move the average of the parameters towards them. What isn't trained is copied."""
    new = number_of(net.work, 1 - graph.ema)
    for i in range(graph.n_tensors):
        tensor = tensor_of(graph, i)
        first, length = slice_of(tensor.rows * tensor.width, CHUNK, team)
        for j in range(tensor.start + first, tensor.start + first + length, lanes(net.work, 1)):
            mean, theta = load(graph.average.at, j, 1), load(net.parameters, j, 1)
            store(graph.average.at, j, theta if copies or not tensor.learns else fma(theta - mean, new, mean))


@apart
def step_graph(
    net: Machine, graph: Graph, kept: Memory, step: Step, moving: Moving, weight: float, team: Team
) -> float:
    """Update the parameters with the gradients of a whole batch. Return the penalty in J.

    weight: the sum of the batch's samples' weights. All threads meet at the end.
    """
    bounds, penalty, scale = step.bounds, 0.0, 1.0
    l2 = bounds.l2 + (step.alpha / weight if weight > 0 else 0.0)
    if bounds_gradients(step):
        penalty, scale = bound_graph(net, graph, kept.sums, bounds, l2, team)
    move_graph(net, graph, kept, moving, scale, team)
    meet(team)
    if bounds.max_norm < math.inf:
        limit_graph(net, graph, number_of(net.work, bounds.max_norm), team)
        meet(team)
    if graph.average.size > 0:
        average_graph(net, graph, moving.step == 1, team)
        meet(team)
    return penalty

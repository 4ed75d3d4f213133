"""Samples on their way into the workspace: rows of X become a¹, labels or rows of y the targets."""

import numpy as np

from .codes import Operand
from .jit import inlined, inner
from .llvm import at, get, lanes, load, load_first, number_of, put, store, store_first
from .records import layer_of, rows_of, sample
from .team import meet, slice_of
from .tuning import HEIGHT


@inner
def copy_row(target, source, n):
    """Copy n numbers, in whole vectors and a masked one."""
    width = lanes(source, 1)
    whole = n // width * width
    for i in range(0, whole, width):
        store(target, i, load(source, i, 1))
    if whole < n:
        store_first(target, whole, load_first(source, whole, n - whole), n - whole)


@inlined
def copy_rows(target, width, source, n, data, start, rows):
    """Copy rows `start` … of the epoch's order, n numbers each, to rows of `width`. rows: the first, and how many."""
    first, count = rows
    if width == lanes(source, 1):  # most outputs are so narrow: one mask, and no loop in each row
        for s in range(first, first + count):
            store(target, s * width, load_first(source, sample(data, start + s) * n, n))
        return
    for s in range(first, first + count):
        copy_row(at(target, s * width), at(source, sample(data, start + s) * n), n)


@inlined
def spread_labels(net, data, start, rows):
    """Store the labels of rows `start` … of the epoch's order as one-hot targets. rows: as in `copy_rows`."""
    last = layer_of(net, net.depth - 1)
    for s in range(rows[0], rows[0] + rows[1]):
        targets = at(net.work, net.targets + s * last.width)
        for j in range(last.n):
            put(targets, j, number_of(targets, net.label_off))
        put(targets, get(data.labels.at, sample(data, start + s)), number_of(targets, net.label_on))


@inlined
def spread_weights(net, data, start, rows):
    """Store the weights of these samples, for each of their outputs."""
    last = layer_of(net, net.depth - 1)
    for s in range(rows[0], rows[0] + rows[1]):
        weight = get(data.weights.at, sample(data, start + s))
        for j in range(last.n):
            put(net.work, net.weights + s * last.width + j, weight)


@inlined
def gather(net, data, start, m, team):
    """Copy y and the samples' weights for rows start … start + m of the epoch's order. Return a¹, an Operand.

    Class labels become one-hot targets. If there is an order, the rows of X are copied to the workspace, each thread
    its own. Otherwise a¹ is where they are.
    """
    first, last = layer_of(net, 0), layer_of(net, net.depth - 1)
    mine = slice_of(m, HEIGHT, team)
    targets = at(net.work, net.targets)
    ordered = data.order.size > 0
    if ordered:
        copy_rows(at(net.work, first.a), first.width, data.X, first.n, data, start, mine)
    if data.labels.size > 0:
        spread_labels(net, data, start, mine)
    elif data.targets.size > 0:
        copy_rows(targets, last.width, data.targets.at, last.n, data, start, mine)
        if net.label_off > 0:
            for i in range(mine[0] * last.width, (mine[0] + mine[1]) * last.width):
                put(targets, i, number_of(targets, get(targets, i) * (net.label_on - net.label_off) + net.label_off))
    if data.weights.size > 0:
        spread_weights(net, data, start, mine)
    if ordered:
        meet(team)
        return rows_of(net.work, first.a, first, 0)
    return Operand(at(data.X, start * first.n), first.n, 1)


@inner
def weight_of(data, start, stop):
    """Return the weight of samples start … stop of the epoch's order, which is their number if all weights are 1."""
    if data.weights.size == 0:
        return np.float64(stop - start)
    total = 0.0
    for s in range(start, stop):
        total += np.float64(get(data.weights.at, sample(data, s)))
    return total

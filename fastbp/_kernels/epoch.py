"""Whole epochs in one call, and the other entries from Python."""

import math

from .activations import activate_output
from .backward import descend, hidden_errors, output_errors
from .codes import EPOCH, SAMPLE, Operand
from .forward import forward, layer_of, rows_of
from .jit import kernel
from .llvm import HEIGHT, at, lanes, load, load_first, put, store, store_first
from .random import shuffle
from .team import meet, slice_of
from .updates import update


@kernel
def copy_row(target, source, n):
    """n numbers, by vectors."""
    width = lanes(source, 1)
    whole = n // width * width
    for i in range(0, whole, width):
        store(target, i, load(source, i, 1))
    if whole < n:
        store_first(target, whole, load_first(source, whole, n - whole), n - whole)


@kernel
def gather(plan, buffers, data, start, m, team):
    """Rows start … start + m of the epoch's order: y (or its classes, one-hot) into targets; returns a¹, an Operand.

    Without an order the rows follow one another, and a¹ is where they lie; else they are copied into the workspace,
    each thread its own.
    """
    first, last = layer_of(plan, 0), layer_of(plan, plan.layers.shape[0] - 1)
    ordered = data.order.size > 0
    begin, length = slice_of(m, HEIGHT, team)
    for s in range(begin, begin + length):
        i = data.order[start + s] if ordered else start + s
        if ordered:
            copy_row(at(buffers.work, first.a + s * first.width), at(data.X, i * first.n), first.n)
        targets = plan.targets + s * last.width
        if data.labels.size > 0:
            for j in range(last.n):
                put(buffers.work, targets + j, 0)
            put(buffers.work, targets + data.labels[i], 1)
        elif data.targets.size > 0:
            copy_row(at(buffers.work, targets), at(data.targets, i * last.n), last.n)
    if ordered:
        meet(team)
        return rows_of(buffers.work, first.a, first, 0)
    return Operand(at(data.X, start * first.n), first.n, 1)


@kernel
def errors(plan, buffers, data, start, m, batch, team):
    """Forward and back for m samples of a batch of `batch`, up to all δ; returns a¹ and the sum of the losses."""
    x = gather(plan, buffers, data, start, m, team)
    forward(plan, buffers, x, m, True, team)
    output_errors(plan, buffers, m, batch, team)
    meet(team)
    total = 0.0
    for i in range((m + HEIGHT - 1) // HEIGHT):
        total += buffers.losses[i]
    hidden_errors(plan, buffers, m, team)
    return x, total


@kernel
def accumulate_gradients(plan, buffers, data, start, m, batch, team):
    """Gradients of m samples of a batch of `batch`, stored if start is 0, else added; returns the sum of the losses."""
    x, total = errors(plan, buffers, data, start, m, batch, team)
    eta = buffers.work.dtype.type(0 if start == 0 else -1)
    descend(plan, buffers, buffers.gradients, x, m, eta, team)
    return total


@kernel
def train_block(plan, buffers, data, step, start, team):
    """One block of a batch; and the batch's update, if it is its last. Returns the sum of the losses."""
    batch_start = start - start % step.batch_size
    batch_stop = min(batch_start + step.batch_size, data.X.shape[0])
    m = min(step.block, batch_stop - start)
    x, total = errors(plan, buffers, data, start, m, batch_stop - batch_start, team)
    number = buffers.work.dtype.type
    eta = number(step.learning_rate)
    if m == batch_stop - batch_start:
        descend(plan, buffers, buffers.parameters, x, m, eta, team)
        return total
    descend(plan, buffers, buffers.gradients, x, m, number(0 if start == batch_start else -1), team)
    if start + m == batch_stop:
        first, length = slice_of(buffers.parameters.size, lanes(buffers.parameters, 1), team)
        update(buffers.parameters, buffers.gradients, first, length, eta)
        meet(team)
    return total


@kernel
def train(plan, buffers, data, step, progress, budget, team):
    """Train from where progress stands until its epochs are full, a loss isn't finite, or `budget` blocks are done.

    A batch larger than a block goes through the workspace in several; its update comes after the last of them, and
    the position never depends on how the calls were cut. Every thread of the team calls this; the first of them keeps
    the progress. Returns the number of blocks done.
    """
    if not meet(team):
        return 0
    n, losses = data.X.shape[0], progress.losses
    epoch, start = progress.position[EPOCH], progress.position[SAMPLE]
    total = losses[epoch]
    for done in range(budget):
        if start == 0 and data.order.size > 0:
            if team.thread == 0:
                shuffle(data.order, progress.random)
            meet(team)
        total += train_block(plan, buffers, data, step, start, team)
        batch_stop = min(start - start % step.batch_size + step.batch_size, n)
        start = min(start + step.block, batch_stop)
        mean = total / n if start == n else total
        if team.thread == 0:
            losses[epoch] = mean
        if start == n:
            epoch, start, total = epoch + 1, 0, 0.0
        if team.thread == 0:
            progress.position[EPOCH], progress.position[SAMPLE] = epoch, start
        if start == 0 and (epoch == losses.size or not math.isfinite(mean)):
            return done + 1
    return budget


@kernel
def predict(plan, buffers, data, start, stop, block, output, team):
    """Rows start … stop of aᴸ into output, (n, n_L), by blocks."""
    last = layer_of(plan, plan.layers.shape[0] - 1)
    mask, targets = at(buffers.work, plan.mask), at(buffers.work, plan.targets)
    for first in range(start, stop, block):
        m = min(block, stop - first)
        forward(plan, buffers, gather(plan, buffers, data, first, m, team), m, False, team)
        z = rows_of(buffers.work, last.a, last, 0)
        for i in range(0, m, HEIGHT):
            rows = min(HEIGHT, m - i)
            activate_output(rows_of(buffers.work, last.a, last, i), targets, mask, rows, last.n, last.activation)
        for i in range(m):
            copy_row(at(output, (first + i) * last.n), at(z.at, i * last.width), last.n)


@kernel
def evaluate(plan, buffers, data, start, stop, block, output, losses, team):
    """Sums of the losses of blocks of rows start … stop; their aᴸ into output, (n, n_L), unless it is empty."""
    last = layer_of(plan, plan.layers.shape[0] - 1)
    for first in range(start, stop, block):
        m = min(block, stop - first)
        forward(plan, buffers, gather(plan, buffers, data, first, m, team), m, False, team)
        output_errors(plan, buffers, m, m, team)
        total = 0.0
        for i in range((m + HEIGHT - 1) // HEIGHT):
            total += buffers.losses[i]
        losses[first // block] = total
        if output.size > 0:
            for i in range(m):
                copy_row(at(output, (first + i) * last.n), at(buffers.work, last.a + i * last.width), last.n)

"""Whole epochs in one call, and predictions and losses of rows."""

import math

import numpy as np

from .backward import activate_outputs, descend, hidden_errors, output_errors
from .codes import AFTER_BATCH, AT_ONCE, BY_OTHERS, EPOCH, NEVER, SAMPLE, Dropping, Operand
from .finite import run_is_finite
from .forward import forward
from .jit import inlined, inner
from .llvm import at, get, lanes, load, load_first, number_of, put, store, store_first
from .random import reorder
from .records import layer_of, rows_of, sample
from .team import end_if_tired, meet, slice_of, was_last
from .tuning import HEIGHT
from .updates import step_along

NO_SEED = np.uint64(0)

LEAST_RATE = 1.2e-38  # the least normal number of float32: below it η could round to 0, which has another meaning


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


@inner
def sum_of_losses(net, m):
    """Return the sum of the losses of m samples, which is added in the same order for any number of threads."""
    total = 0.0
    for i in range((m + HEIGHT - 1) // HEIGHT):
        total += get(net.losses, i)
    return total


@inlined
def batch_of(step, data, start):
    """Return where the batch of row `start` begins and ends in the epoch's order: only its part, if others have it."""
    if step.ends == BY_OTHERS:
        return step.part.first, step.part.stop
    first = start - start % step.batch_size
    return first, min(first + step.batch_size, data.n)


@inlined
def train_block(net, data, step, kept, epoch, start, steps, current, team):
    """Train with one block of a batch, and update the parameters if it is the last. Return the sum of the losses.

    Step.ends says what happens to the gradients. steps: the number of batches before this one. current: whether
    the mirrors that lead are equal to the parameters.
    """
    part, at_once = step.part, step.ends == AT_ONCE
    batch_start, batch_stop = batch_of(step, data, start)
    first = epoch * data.n if data.order.size > data.n else 0  # of the epoch in the order
    m, weight, row = min(step.block, batch_stop - start), part.weight, start - batch_start
    if step.ends != BY_OTHERS:
        weight = weight_of(data, first + batch_start, first + batch_stop)
    dropping = Dropping(step.ends != NEVER, steps, part.row + row, step.seed)
    x = gather(net, data, first + start, m, team)
    forward(net, x, m, True, current, dropping, team)
    output_errors(net, m, weight, data.weights.size > 0, team)
    meet(team)
    total = sum_of_losses(net, m)
    if not math.isfinite(total) and step.ends != NEVER:  # the weights stay as they were when the loss diverged
        return total
    hidden_errors(net, m, dropping, team)
    batch = epoch * ((data.n + step.batch_size - 1) // step.batch_size) + batch_start // step.batch_size
    rate = get(step.rates.at, min(batch, step.rates.size - 1))
    eta = max(rate, LEAST_RATE) if at_once else (0.0 if row == 0 else -1.0)  # 0 stores the gradient
    out, ahead = net.parameters if at_once else net.gradients, 0 if data.order.size > 0 else m * x.row
    descend(net, out, x, m, number_of(net.work, eta), ahead, at_once, team)
    if step.ends == AFTER_BATCH and start + m == batch_stop:
        total += weight * step_along(net, kept, step, rate, steps, weight, team)
    return total


@inlined
def train(net, rows, step, kept, progress, budget, team):
    """Train from where progress stands until its epochs are done, the loss isn't finite, or `budget` blocks are done.

    A batch that is larger than a block takes several blocks. The result doesn't depend on how the calls are cut.
    Every thread of the team calls this; the first one stores the progress. Return the number of blocks done.
    If the batch ends BY_OTHERS, the call ends behind the part, without an update and before the end of the epoch.
    """
    if not meet(team):
        return 0
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    epoch, start, steps = get(position, EPOCH), get(position, SAMPLE), get(kept.steps, 0)
    total, whole, at_once = get(losses, epoch), step.ends != BY_OTHERS, step.ends == AT_ONCE
    for done in range(budget):
        if start == 0 and rows.shuffles:
            if team.thread == 0:
                reorder(rows, progress.random)
            meet(team)
        end_if_tired(done, team)
        total += train_block(net, rows, step, kept, epoch, start, steps, at_once and done > 0, team)
        finite, (_, batch_stop) = math.isfinite(total), batch_of(step, rows, start)
        start = min(start + step.block, batch_stop)
        ends_batch, ends_epoch = start == batch_stop, whole and start == rows.n
        if team.thread == 0:
            put(losses, epoch, total / rows.weight if finite and ends_epoch and rows.weight > 0 else total)
        if not finite:
            return done + 1
        steps += 1 if whole and ends_batch else 0
        if ends_epoch:
            epoch, start, total = epoch + 1, 0, 0.0
        if team.thread == 0:
            put(position, EPOCH, epoch)
            put(position, SAMPLE, start)
            put(kept.steps, 0, steps)
        if epoch == epochs or (ends_batch and not whole) or was_last(done, team):
            return done + 1
    return budget


@inlined
def update(net, kept, step, rate, weight, team):
    """Update the parameters with the gradients of a whole batch of that weight. Return the penalty in J."""
    if not meet(team):
        return 0.0
    return step_along(net, kept, step, rate, get(kept.steps, 0), weight, team)


@inlined
def evaluate(net, rows, cut, output, losses, team):
    """Compute rows start … stop in blocks: aᴸ goes to output, (n · n_L,), sums of losses to losses, unless it is empty.

    cut: start, stop and the rows of a block. The team has one thread. Return whether X is finite. If a block isn't,
    nothing more is written.
    """
    start, stop, block = cut
    last = layer_of(net, net.depth - 1)
    for begin in range(start, stop, block):
        m = min(block, stop - begin)
        x = gather(net, rows, begin, m, team)
        if not run_is_finite(x.at, m * layer_of(net, 0).n):
            return False
        forward(net, x, m, False, False, Dropping(False, 0, 0, NO_SEED), team)
        if losses.size > 0:
            output_errors(net, m, 1.0, rows.weights.size > 0, team)
            put(losses.at, begin // block, sum_of_losses(net, m))
        else:
            activate_outputs(net, m)
        if output.size > 0:
            for i in range(m):
                copy_row(at(output.at, (begin + i) * last.n), at(net.work, last.a + i * last.width), last.n)
    return True

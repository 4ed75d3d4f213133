"""Whole epochs of a graph in one call, and predictions and losses of rows: as in the base's `epoch` and `watching`."""

import math

from ..backward import activate_outputs
from ..codes import (
    AFTER_BATCH,
    BAD_LOSS,
    BAD_WEIGHT,
    BEST_EPOCH,
    BY_OTHERS,
    ENDED,
    EPOCH,
    GOES_ON,
    NEVER,
    SAMPLE,
    STOPPED,
    WAITED,
    Dropping,
)
from ..finite import run_is_finite
from ..jit import inlined, inner
from ..llvm import at, get, put
from ..random import reorder
from ..records import layer_of
from ..samples import copy_row, gather, weight_of
from ..team import end_if_tired, meet, was_last
from ..tuning import BLOCK
from ..watching import NO_SEED, keep, keep_memory, sum_of_losses
from .affine import mirror_affine
from .nodes import LEARNING, MEASURING, PREDICTING, Moving
from .passes import graph_backward, graph_forward, graph_gradients
from .places import averaged
from .row_losses import graph_output_errors
from .step import bounds_gradients, step_graph


@inlined
def rows_of_epoch(graph, step, data):
    """Return how many rows an epoch trains with. A single batch isn't left out."""
    if graph.drops_last and step.ends == AFTER_BATCH and data.n >= step.batch_size:
        return data.n - data.n % step.batch_size
    return data.n


@inlined
def batch_of(graph, step, data, start):
    """Return where the batch of row `start` begins and ends in the epoch's order: only its part, if others have it."""
    if step.ends == BY_OTHERS:
        return step.part.first, step.part.stop
    first = start - start % step.batch_size
    return first, min(first + step.batch_size, rows_of_epoch(graph, step, data))


@inlined
def of_batch(run, batch):
    """Return the number of a batch in a run whose last one is also for later batches."""
    return get(run.at, min(batch, run.size - 1))


@inlined
def train_block(net, graph, data, step, kept, epoch, start, steps, mirrored, team):
    """Train with one block of a batch, and update the parameters if it is the last. Return the sum of the losses.

    steps: the number of batches before this one. mirrored: whether the mirrors are those of the parameters.
    """
    part, learns = step.part, step.ends != NEVER
    batch_start, batch_stop = batch_of(graph, step, data, start)
    first = epoch * data.n if data.order.size > data.n else 0  # of the epoch in the order
    m, weight, row = min(step.block, batch_stop - start), part.weight, start - batch_start
    if step.ends != BY_OTHERS:
        weight = weight_of(data, first + batch_start, first + batch_stop)
    a_batches = (rows_of_epoch(graph, step, data) + step.batch_size - 1) // step.batch_size
    batch, mode = epoch * a_batches + batch_start // step.batch_size, LEARNING if learns else MEASURING
    x = gather(net, data, first + start, m, team)
    if not mirrored or row == 0:
        mirror_affine(net, graph, m, team)
    dropping = Dropping(learns, steps, part.row + row, step.seed)
    graph_forward(net, graph, x, m, mode, of_batch(graph.dropouts, batch), dropping, team)
    graph_output_errors(net, m, weight, data.weights.size > 0, team)
    meet(team)
    total = sum_of_losses(net, m)
    if not math.isfinite(total) and learns:  # the weights stay as they were when the loss diverged
        return total
    graph_backward(net, graph, x, m, mode, team)
    meet(team)
    is_last = step.ends == AFTER_BATCH and start + m == batch_stop
    at_once = is_last and not bounds_gradients(step)
    moving = Moving(at_once, step.rule, of_batch(step.rates, batch), of_batch(graph.decays, batch), steps + 1)
    graph_gradients(net, graph, x, m, 0.0 if row == 0 else -1.0, mode, kept, moving, team)
    if is_last:
        total += weight * step_graph(net, graph, kept, step, moving, weight, team)
    return total


@inlined
def mean_loss(graph, step, data, epoch, total):
    """Return the mean loss of an epoch."""
    used, weight = rows_of_epoch(graph, step, data), data.weight
    if used < data.n:
        first = epoch * data.n if data.order.size > data.n else 0
        weight = weight_of(data, first, first + used)
    return total / weight if weight > 0 else total


@inlined
def train_graph(machine, graph, rows, step, kept, progress, watch, budget, team):
    """Train from where progress stands until its epochs are done, the loss isn't finite, or `budget` blocks are done.

    The same as `epoch.train`.
    """
    if not meet(team):
        return 0
    net = averaged(machine, graph) if step.ends == NEVER else machine
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    epoch, start, steps = get(position, EPOCH), get(position, SAMPLE), get(kept.steps, 0)
    total, whole, used = get(losses, epoch), step.ends != BY_OTHERS, rows_of_epoch(graph, step, rows)
    watches = watch.losses.size > 0
    for done in range(budget):
        if start == 0 and watches:
            keep(net, watch, progress.random, team)
            keep_memory(watch, kept, team)
        if start == 0 and rows.shuffles:
            if team.thread == 0:
                reorder(rows, progress.random)
            meet(team)
        end_if_tired(done, team)
        total += train_block(net, graph, rows, step, kept, epoch, start, steps, done > 0, team)
        finite, (_, batch_stop) = math.isfinite(total), batch_of(graph, step, rows, start)
        start = min(start + step.block, batch_stop)
        ends_batch, ends_epoch = start == batch_stop, whole and start == used
        if team.thread == 0:
            put(losses, epoch, mean_loss(graph, step, rows, epoch, total) if finite and ends_epoch else total)
        if not finite:
            return done + 1
        steps += 1 if whole and ends_batch else 0
        if ends_epoch:
            epoch, start, total = epoch + 1, 0, 0.0
        if team.thread == 0:
            put(position, EPOCH, epoch)
            put(position, SAMPLE, start)
            put(kept.steps, 0, steps)
        if ends_epoch and watches and not goes_on(net, graph, watch, epoch - 1, team):
            return done + 1
        if epoch == epochs or (ends_batch and not whole) or was_last(done, team):
            return done + 1
    return budget


@inlined
def update_graph(net, graph, kept, step, rate, weight, team):
    """Update the parameters with the gradients of a whole batch of that weight. Return the penalty in J."""
    if not meet(team):
        return 0.0
    moving = Moving(False, step.rule, rate, of_batch(graph.decays, 0), get(kept.steps, 0) + 1)
    return step_graph(net, graph, kept, step, moving, weight, team)


@inner
def sum_over(net, graph, rows, team):
    """Return the sum of the losses of all samples. It is added up like those that `evaluate_graph` stores."""
    total, nothing = 0.0, Dropping(False, 0, 0, NO_SEED)
    for start in range(0, rows.n, BLOCK):
        m = min(BLOCK, rows.n - start)
        meet(team)  # all have added up the losses of the block before
        x = gather(net, rows, start, m, team)
        graph_forward(net, graph, x, m, PREDICTING, 1.0, nothing, team)
        graph_output_errors(net, m, 1.0, rows.weights.size > 0, team)
        meet(team)
        total += sum_of_losses(net, m)
    return total


@inner
def goes_on(net, graph, watch, epoch, team):
    """Measure the loss of the samples that validate, after an epoch. Return whether training goes on.

    The same as `watching.goes_on`, with the moving average of the parameters if there is one.
    """
    meet(team)
    public = averaged(net, graph)
    loss, better, waited, ended = 0.0, False, get(watch.counts, WAITED) + 1, GOES_ON
    if not run_is_finite(net.parameters, watch.start.parameters.size):
        ended = BAD_WEIGHT
    else:
        loss = sum_over(public, graph, watch.rows, team) / get(watch.weight, 0)
        better = get(watch.best, 0) - loss > watch.min_delta
        if not math.isfinite(loss):
            ended = BAD_LOSS
        elif not better and waited >= watch.patience:
            ended = STOPPED
    meet(team)  # all have read what the first thread changes now
    if team.thread == 0:
        put(watch.losses.at, epoch, loss)
        put(watch.counts, ENDED, ended)
        if ended < BAD_WEIGHT:
            put(watch.counts, WAITED, 0 if better else waited)
        if ended < BAD_WEIGHT and better:
            put(watch.best, 0, loss)
            put(watch.counts, BEST_EPOCH, epoch)
            copy_row(watch.parameters.at, public.parameters, watch.parameters.size)
    return ended == GOES_ON


@inlined
def evaluate_graph(machine, graph, rows, cut, output, losses, team):
    """Compute rows start … stop in blocks: aᴸ goes to output, (n · n_L,), sums of losses to losses, unless it is empty.

    The same as `epoch.evaluate`.
    """
    start, stop, block = cut
    net, nothing = averaged(machine, graph), Dropping(False, 0, 0, NO_SEED)
    last = layer_of(net, net.depth - 1)
    for begin in range(start, stop, block):
        m = min(block, stop - begin)
        x = gather(net, rows, begin, m, team)
        if not run_is_finite(x.at, m * layer_of(net, 0).n):
            return False
        graph_forward(net, graph, x, m, PREDICTING, 1.0, nothing, team)
        if losses.size > 0:
            graph_output_errors(net, m, 1.0, rows.weights.size > 0, team)
            put(losses.at, begin // block, sum_of_losses(net, m))
        else:
            activate_outputs(net, m, team)
        if output.size > 0:
            for i in range(m):
                copy_row(at(output.at, (begin + i) * last.n), at(net.work, last.a + i * last.width), last.n)
    return True

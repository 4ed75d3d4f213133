"""Whole epochs in one call, and predictions and losses of rows."""

import math

from .backward import activate_outputs, descend, hidden_errors, output_errors
from .codes import AFTER_BATCH, AT_ONCE, BY_OTHERS, EPOCH, NEVER, SAMPLE, Dropping, Machine, Team
from .finite import run_is_finite
from .forward import forward
from .jit import inlined
from .llvm import at, get, number_of, put
from .random import reorder
from .records import layer_of
from .samples import copy_row, gather, weight_of
from .team import end_if_tired, meet, piece_of, slice_of, was_last
from .tuning import HEIGHT
from .updates import step_along
from .watching import NO_SEED, goes_on, keep, keep_memory, sum_of_losses

LEAST_RATE = 1.2e-38  # the least normal number of float32: below it η could round to 0, which has another meaning


@inlined
def batch_of(step, data, start):
    """Return where the batch of row `start` begins and ends in the epoch's order: only its part, if others have it."""
    if step.ends == BY_OTHERS:
        return step.part.first, step.part.stop
    first = start - start % step.batch_size
    return first, min(first + step.batch_size, data.n)


@inlined
def machine_of(net, part, row):
    """Return the network with the workspace and the gradients of a part of a block, whose first row is given."""
    return Machine(
        net.layers,
        net.depth,
        net.loss,
        net.use_bias,
        net.zeros,
        net.targets,
        net.mask,
        net.parameter,
        net.weights,
        net.label_off,
        net.label_on,
        net.dropout,
        net.foreign,
        net.packed,
        net.work_apart,
        net.gradients_apart,
        net.parameters,
        at(net.gradients, part * net.gradients_apart),
        at(net.work, part * net.work_apart),
        at(net.losses, row // HEIGHT),
    )


@inlined
def learn(net, data, step, begin, m, weight, eta, dropping, current, team):
    """Compute the gradients of m samples from a place in the order on. Return the sum of their losses.

    Step.ends says what happens to the gradients. If the sum isn't finite, there are none, except for NEVER.
    """
    at_once = step.ends == AT_ONCE
    x = gather(net, data, begin, m, team)
    forward(net, x, m, True, current, dropping, team)
    output_errors(net, m, weight, data.weights.size > 0, team)
    hidden_errors(net, m, dropping, team)
    total = sum_of_losses(net, m)
    if not math.isfinite(total) and step.ends != NEVER:  # the weights stay as they were when the loss diverged
        return total
    out, ahead = net.parameters if at_once else net.gradients, 0 if data.order.size > 0 else step.block * x.row
    descend(net, out, x, m, number_of(net.work, eta), ahead, at_once, team)
    return total


@inlined
def parts_of(parts, m, team):
    """Return how many parts a batch of m samples has, the range of this thread's parts, and the team for each part.

    A batch with too few samples has one part, which all threads share.
    """
    if parts == 1 or m < parts * HEIGHT:
        return 1, 0, 1, team
    first, count = slice_of(parts, 1, team)
    return parts, first, first + count, Team(team.meeting, 0, 1)


@inlined
def train_block(net, data, step, kept, epoch, start, steps, current, team):
    """Train with one block of a batch, and update the parameters if it is the last. Return the sum of the losses.

    Step.ends says what happens to the gradients. steps: the number of batches before this one. current: whether
    the mirrors that lead are equal to the parameters.
    """
    batch_start, batch_stop = batch_of(step, data, start)
    first = epoch * data.n if data.order.size > data.n else 0  # of the epoch in the order
    m, weight, row, total = min(step.block, batch_stop - start), step.part.weight, start - batch_start, 0.0
    if step.ends != BY_OTHERS:
        weight = weight_of(data, first + batch_start, first + batch_stop)
    batch = epoch * ((data.n + step.batch_size - 1) // step.batch_size) + batch_start // step.batch_size
    rate = get(step.rates.at, min(batch, step.rates.size - 1))
    eta = 0.0 if row == 0 else -1.0  # 0 stores the gradient
    if step.ends == AT_ONCE:
        eta = max(rate, LEAST_RATE)
    parts, mine, stop, crew = parts_of(step.parts, batch_stop - batch_start, team)
    for i in range(mine, stop):
        top, rows = piece_of(m, HEIGHT, i, parts)
        dropping = Dropping(step.ends != NEVER, steps, step.part.row + row + top, step.seed)
        if rows > 0:
            begin, own = first + start + top, machine_of(net, i, top)
            total = learn(own, data, step, begin, rows, weight, eta, dropping, current, crew)
    if parts > 1:
        meet(team)
        total = sum_of_losses(net, m)
    if not math.isfinite(total) and step.ends != NEVER:
        return total
    if step.ends == AFTER_BATCH and start + m == batch_stop:
        total += weight * step_along(net, kept, step, parts, rate, steps, weight, team)
    elif parts > 1:
        meet(team)  # all have added up the losses of the block
    return total


@inlined
def train(net, rows, step, kept, progress, watch, budget, team):
    """Train from where progress stands until its epochs are done, the loss isn't finite, or `budget` blocks are done.

    A batch that is larger than a block takes several blocks. The result doesn't depend on how the calls are cut.
    Every thread of the team calls this; the first one stores the progress. Return the number of blocks done.
    If the batch ends BY_OTHERS, the call ends behind the part, without an update and before the end of the epoch. With
    a watch, each epoch is followed by a validation, which may end the training.
    """
    if not meet(team):
        return 0
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    epoch, start, steps = get(position, EPOCH), get(position, SAMPLE), get(kept.steps, 0)
    total, whole, at_once = get(losses, epoch), step.ends != BY_OTHERS, step.ends == AT_ONCE
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
        if ends_epoch and watches and not goes_on(net, watch, epoch - 1, team):
            return done + 1
        if epoch == epochs or (ends_batch and not whole) or was_last(done, team):
            return done + 1
    return budget


@inlined
def update(net, kept, step, rate, weight, team):
    """Update the parameters with the gradients of a whole batch of that weight. Return the penalty in J."""
    if not meet(team):
        return 0.0
    return step_along(net, kept, step, 1, rate, get(kept.steps, 0), weight, team)


@inlined
def evaluate(net, rows, cut, output, losses, team):
    """Compute rows start … stop in blocks: aᴸ goes to output, (n · n_L,), sums of losses to losses, unless it is empty.

    cut: start, stop and the rows of a block. The threads of a team share each block. Return whether X is finite. If a
    block isn't, nothing more is written.
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
            meet(team)
            put(losses.at, begin // block, sum_of_losses(net, m))
        else:
            activate_outputs(net, m, team)
        if output.size > 0:
            first, count = slice_of(m, HEIGHT, team)
            for i in range(first, first + count):
                copy_row(at(output.at, (begin + i) * last.n), at(net.work, last.a + i * last.width), last.n)
        meet(team)
    return True

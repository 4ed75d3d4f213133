"""What a training with validation does around each epoch: it keeps its state, measures the loss and watches it."""

import math

import numpy as np

from .backward import output_errors
from .codes import BAD_LOSS, BAD_WEIGHT, BEST_EPOCH, ENDED, GOES_ON, STOPPED, WAITED, Dropping
from .finite import run_is_finite
from .forward import forward
from .jit import inner
from .llvm import get, put
from .samples import copy_row, gather
from .team import meet
from .tuning import BLOCK, HEIGHT

NO_SEED = np.uint64(0)


@inner
def sum_of_losses(net, m):
    """Return the sum of the losses of m samples, which is added in the same order for any number of threads."""
    total = 0.0
    for i in range((m + HEIGHT - 1) // HEIGHT):
        total += get(net.losses, i)
    return total


@inner
def keep(net, watch, random, team):
    """Store the parameters and the random state at the start of an epoch, to return to it after a divergence."""
    if team.thread == 0:
        copy_row(watch.start.parameters.at, net.parameters, watch.start.parameters.size)
        put(watch.start.random, 0, get(random, 0))


@inner
def keep_memory(watch, memory, team):
    """Store the state of the optimizer, likewise."""
    if team.thread == 0:
        copy_row(watch.start.first.at, memory.first, watch.start.first.size)
        copy_row(watch.start.second.at, memory.second, watch.start.second.size)
        put(watch.start.steps, 0, get(memory.steps, 0))


@inner
def sum_over(net, rows, team):
    """Return the sum of the losses of all samples. It is added up like those that `epoch.evaluate` stores."""
    total = 0.0
    for start in range(0, rows.n, BLOCK):
        m = min(BLOCK, rows.n - start)
        meet(team)  # all have added up the losses of the block before
        x = gather(net, rows, start, m, team)
        forward(net, x, m, False, False, Dropping(False, 0, 0, NO_SEED), team)
        output_errors(net, m, 1.0, rows.weights.size > 0, team)
        meet(team)
        total += sum_of_losses(net, m)
    return total


@inner
def goes_on(net, watch, epoch, team):
    """Measure the loss of the samples that validate, after an epoch. Return whether training goes on.

    It ends if a weight or the loss isn't finite, or after `patience` epochs in a row without improvement. The weights
    of the best epoch are stored, if there is room.
    """
    meet(team)
    loss, better, waited, ended = 0.0, False, get(watch.counts, WAITED) + 1, GOES_ON
    if not run_is_finite(net.parameters, watch.start.parameters.size):
        ended = BAD_WEIGHT
    else:
        loss = sum_over(net, watch.rows, team) / get(watch.weight, 0)
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
            copy_row(watch.parameters.at, net.parameters, watch.parameters.size)
    return ended == GOES_ON

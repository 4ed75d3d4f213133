"""Whole epochs in one call, and the other entries from Python."""

import math

from .activations import activate
from .backward import backward
from .codes import EPOCH, SAMPLE
from .forward import forward, layer
from .jit import kernel
from .losses import output_error
from .random import shuffle
from .updates import update


@kernel
def gather(plan, buffers, data, start, m):
    """Rows start … start + m of the epoch's order: X into a¹, y (or its classes, one-hot) into targets."""
    n_in, n_out = plan.sizes[0], plan.sizes[-1]
    a = layer(buffers.a, plan, 0, m, 0)
    for s in range(m):
        i = data.order[start + s] if data.order.size > 0 else start + s
        a[s, :n_in] = data.X[i]
        t = buffers.targets[s * n_out : (s + 1) * n_out]
        if data.labels.size > 0:
            t[:] = 0
            t[data.labels[i]] = 1
        elif data.targets.size > 0:
            t[:] = data.targets[i]


@kernel
def output_errors(plan, buffers, m, batch):
    """zᴸ of a block's m samples → aᴸ, δᴸ; returns the sum of their losses. `batch`: the m of the method."""
    last = plan.sizes.size - 1
    n_out = plan.sizes[last]
    z, delta = layer(buffers.a, plan, last, m, 0), layer(buffers.delta, plan, last, m, 1)
    total = 0.0
    for s in range(m):
        t = buffers.targets[s * n_out : (s + 1) * n_out]
        total += output_error(z[s, :n_out], t, delta[s, :n_out], plan.activations[last], plan.loss, batch)
    return total


@kernel
def accumulate_gradients(plan, buffers, data, start, m, batch):
    """Add the gradients of m samples of a batch of `batch`; returns the sum of the samples' losses, float64."""
    gather(plan, buffers, data, start, m)
    forward(plan, buffers, m)
    total = output_errors(plan, buffers, m, batch)
    backward(plan, buffers, m)
    return total


@kernel
def train(plan, buffers, data, step, progress, budget):
    """Train from where progress stands until its epochs are full, a loss isn't finite, or `budget` blocks are done.

    A batch larger than a block goes through the workspace in several; its update comes after the last of them, and
    the position never depends on how the calls were cut. Returns the number of blocks done.
    """
    n, losses, position = data.X.shape[0], progress.losses, progress.position
    for done in range(budget):
        epoch, start = position[EPOCH], position[SAMPLE]
        if start == 0 and data.order.size > 0:
            shuffle(data.order, progress.random)
        batch_start = start - start % step.batch_size
        batch_stop = min(batch_start + step.batch_size, n)
        stop = min(start + step.block, batch_stop)
        if start == batch_start:
            buffers.gradients[:] = 0
        losses[epoch] += accumulate_gradients(plan, buffers, data, start, stop - start, batch_stop - batch_start)
        if stop == batch_stop:
            update(buffers.parameters, buffers.gradients, step.learning_rate)
        position[SAMPLE] = stop
        if stop == n:
            losses[epoch] /= n
            position[SAMPLE] = 0
            position[EPOCH] += 1
            if position[EPOCH] == losses.size or not math.isfinite(losses[epoch]):
                return done + 1
    return budget


@kernel
def predict(plan, buffers, data, start, m, output):
    """Rows start … start + m of aᴸ into output, (n, n_L)."""
    last = plan.sizes.size - 1
    gather(plan, buffers, data, start, m)
    forward(plan, buffers, m)
    z = layer(buffers.a, plan, last, m, 0)
    for s in range(m):
        row = output[start + s]
        row[:] = z[s, : plan.sizes[last]]
        activate(row, plan.activations[last])


@kernel
def evaluate(plan, buffers, data, start, m, output):
    """The sum of the losses of rows start … start + m, float64; their aᴸ into output, (n, n_L), unless it is empty."""
    last = plan.sizes.size - 1
    gather(plan, buffers, data, start, m)
    forward(plan, buffers, m)
    total = output_errors(plan, buffers, m, m)
    if output.size > 0:
        output[start : start + m] = layer(buffers.a, plan, last, m, 0)[:, : plan.sizes[last]]
    return total

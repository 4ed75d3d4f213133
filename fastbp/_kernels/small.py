"""The same training for tiny networks: vectors run across the samples of a batch, a lane for each.

Where layers are narrower than a vector, rows of units would waste most of it. Here the workspace has aˡ and δˡ the
other way round: a row for each unit, `span` numbers long, the samples of the batch up to a whole vector. A unit's z is
one vector summed over the inputs, a weight's gradient a sum over lanes. One thread does it all. `like` is any vector of
the width in use.
"""

import math

import numpy as np

from .addresses import layer_of, machine, samples
from .bits import total
from .blocks import add_products, column_of_zeros, totals
from .codes import BINARY_CROSS_ENTROPY, EPOCH, RELU, SAMPLE, SIGMOID, SOFTMAX, SQUARED_ERROR, TANH
from .elementary import at_least, exp, log, sigmoid, softplus_tail, tanh
from .jit import inlined, kernel, merged
from .llvm import at, fma, get, lanes, load, number_of, put, ramp, splat, store, where_equal, where_less
from .random import shuffle

GROUP = 32  # batches gathered together: a vector waits that is read right after its numbers were written one by one


@inlined
def f(z, activation):
    """a = f(z) of a vector; z itself for softmax, which needs all units."""
    if activation == SIGMOID:
        z = sigmoid(z)
    elif activation == TANH:
        z = tanh(z)
    elif activation == RELU:
        z = at_least(z, 0)
    return z


@inlined
def derivative(a, activation):
    """f′(z) from a = f(z); 1 for softmax."""
    out = a * 0 + 1
    if activation == SIGMOID:
        out = a - a * a
    elif activation == TANH:
        out = 1 - a * a
    elif activation == RELU:
        out = where_less(0, a, out, 0)
    return out


@inlined
def copy_columns(out, source, n, rows, start, m, span):
    """Rows of n numbers, from the start-th of the epoch's order on, as columns; 0 in the lanes that have no sample."""
    for k in range(n):
        if rows.ordered:
            for s in range(m):
                put(out, k * span + s, get(source, get(rows.order, start + s) * n + k))
        else:
            for s in range(m):
                put(out, k * span + s, get(source, (start + s) * n + k))
        for s in range(m, span):
            put(out, k * span + s, 0)


@kernel
def gather(net, rows, start, stop, size, span):
    """Batches of `size` samples from start to stop into columns: for each, n_1 and n_L rows of `span` numbers."""
    n_in, n_out = layer_of(net, 0).n, layer_of(net, net.depth - 1).n
    x = at(net.work, net.columns + span)
    for begin in range(start, stop, size):
        m, t = min(size, stop - begin), at(x, n_in * span)
        copy_columns(x, rows.X, n_in, rows, begin, m, span)
        if rows.has_labels:
            for i in range(n_out * span):
                put(t, i, 0)
            for s in range(m):
                i = get(rows.order, begin + s) if rows.ordered else begin + s
                put(t, get(rows.labels, i) * span + s, 1)
        else:
            copy_columns(t, rows.targets, n_out, rows, begin, m, span)
        x = at(t, n_out * span)


@inlined
def forward(net, x, span, like):
    """x = a¹ → zᴸ, in the workspace."""
    layer, a = layer_of(net, 0), x
    for l in range(1, net.depth):
        above = layer_of(net, l)
        theta, z = at(net.parameters, layer.theta), at(net.work, above.a)
        hidden = above.activation if l < net.depth - 1 else SOFTMAX
        for j in range(above.n):
            for s in range(0, span, lanes(z, like)):
                v = splat(get(theta, layer.n * above.width + j), like)
                for k in range(layer.n):
                    v = fma(get(theta, k * above.width + j), load(a, k * span + s, like), v)
                store(z, j * span + s, f(v, hidden))
        layer, a = above, z


@inlined
def softmax(z, t, n, span, s, like):
    """z ← e^z / Σ e^z over the units of one vector of samples; returns Σ y (log Σ e^z − z)."""
    largest = load(z, s, like)
    for j in range(1, n):
        v = load(z, j * span + s, like)
        largest = where_less(largest, v, v, largest)
    sum_of_e = linear = largest * 0
    for j in range(n):
        v, y = load(z, j * span + s, like) - largest, load(t, j * span + s, like)
        e = exp(v)
        store(z, j * span + s, e)
        sum_of_e = sum_of_e + e
        linear = linear + where_equal(y, 0, 0, v * y)
    for j in range(n):
        store(z, j * span + s, load(z, j * span + s, like) / sum_of_e)
    return log(sum_of_e) - linear


@inlined
def couple(delta, a, n, span, s, like):
    """δ_j ← a_j (δ_j − Σ_k δ_k a_k): softmax's derivative, for one vector of samples."""
    mean = load(a, s, like) * load(delta, s, like)
    for j in range(1, n):
        mean = fma(load(a, j * span + s, like), load(delta, j * span + s, like), mean)
    for j in range(n):
        store(delta, j * span + s, load(a, j * span + s, like) * (load(delta, j * span + s, like) - mean))


@inlined
def output_errors(net, t, m, span, like):
    """zᴸ → δᴸ, 0 in the lanes that have no sample; returns the sum of the losses. The formulas: losses.py."""
    last, loss = layer_of(net, net.depth - 1), net.loss
    z, delta, inverse_m = at(net.work, last.a), at(net.work, last.delta), number_of(net.work, 1 / m)
    coupled = last.activation == SOFTMAX and loss == SQUARED_ERROR
    inner = last.activation if loss == SQUARED_ERROR else SOFTMAX  # the others have f′ in their closed form
    value = 0.0
    for s in range(0, span, lanes(z, like)):
        left, losses = number_of(net.work, m - s), splat(inverse_m, like) * 0
        if last.activation == SOFTMAX:
            losses = softmax(z, t, last.n, span, s, like)
        if coupled:
            losses = losses * 0
        for j in range(last.n):
            v, y = load(z, j * span + s, like), load(t, j * span + s, like)
            a = f(v, last.activation)
            error = where_less(ramp(z, like), left, a - y, 0)
            if loss == SQUARED_ERROR:
                losses = fma(error * 0.5, error, losses)
            elif loss == BINARY_CROSS_ENTROPY:
                losses = losses + (at_least(v, 0) - v * y + softplus_tail(v))
            store(delta, j * span + s, error * inverse_m * derivative(a, inner))
        if coupled:
            couple(delta, z, last.n, span, s, like)
        value += np.float64(total(where_less(ramp(z, like), left, losses, 0)))
    return value


@inlined
def hidden_errors(net, span, like):
    """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ) for l = L − 1 … 2."""
    above = layer_of(net, net.depth - 1)
    for l in range(net.depth - 2, 0, -1):
        layer = layer_of(net, l)
        a, delta, theta = at(net.work, layer.a), at(net.work, layer.delta), at(net.parameters, layer.theta)
        incoming = at(net.work, above.delta)
        for k in range(layer.n):
            for s in range(0, span, lanes(a, like)):
                d = get(theta, k * above.width) * load(incoming, s, like)
                for j in range(1, above.n):
                    d = fma(get(theta, k * above.width + j), load(incoming, j * span + s, like), d)
                store(delta, k * span + s, d * derivative(load(a, k * span + s, like), layer.activation))
        above = layer


@inlined
def descend(net, x, span, eta, like):
    """Θˡ ← Θˡ − η (δˡ⁺¹)ᵀ aˡ and bˡ ← bˡ − η Σ δˡ⁺¹, a few weights from one unit at once."""
    layer, a = layer_of(net, 0), x
    for l in range(1, net.depth):
        above = layer_of(net, l)
        delta, theta = at(net.work, above.delta), at(net.parameters, layer.theta)
        for k in range(layer.n + net.use_bias):
            unit = at(a, k * span) if k < layer.n else at(net.work, net.columns)  # or ones, for the bias
            for j in range(0, above.n, lanes(theta, 4)):
                block = column_of_zeros(delta, like, 4)
                for s in range(0, span, lanes(delta, like)):
                    block = add_products(block, load(unit, s, like), at(delta, j * span + s), span)
                i = k * above.width + j
                store(theta, i, fma(-eta, totals(block), load(theta, i, 4)))
        layer, a = above, at(net.work, above.a)


@merged
def prepare(net, span):
    """Ones at net.columns, and δ = 0 for the units that only pad a layer; descend sums over them too."""
    for i in range(span):
        put(net.work, net.columns + i, 1)
    for l in range(1, net.depth):
        layer, group = layer_of(net, l), lanes(net.work, 4)
        for i in range(layer.n * span, (layer.n + group - 1) // group * group * span):
            put(net.work, layer.delta + i, 0)


def make_train(part):
    """Make the entry for vectors that are a `part`-th of a register.

    The closure holds a number alone: one that held kernels would miss the cache on disk in every new process.
    """

    @kernel
    def train(plan, buffers, data, step, progress, budget):
        """As epoch.train, for one thread, and batches that are one block. Returns the number of blocks done."""
        net, rows, order, state = machine(plan, buffers), samples(data), data.order, progress.random
        epochs, losses, position = progress.losses.size, at(progress.losses, 0), at(progress.position, 0)
        eta = number_of(net.work, step.learning_rate)
        like = splat(eta, part)
        size, n_in = step.batch_size, layer_of(net, 0).n
        span = (size + lanes(net.work, part) - 1) // lanes(net.work, part) * lanes(net.work, part)
        stride = (n_in + layer_of(net, net.depth - 1).n) * span
        epoch, start, gathered = get(position, EPOCH), get(position, SAMPLE), 0
        prepare(net, span)
        for done in range(budget):
            if start == 0 and rows.ordered:
                shuffle(order, state)
            if done == 0 or start == 0 or start == gathered + GROUP * size:
                gathered = start
                gather(net, rows, start, min(start + GROUP * size, rows.n), size, span)
            m = min(size, rows.n - start)
            x = at(net.work, net.columns + span + (start - gathered) // size * stride)
            forward(net, x, span, like)
            total = get(losses, epoch) + output_errors(net, at(x, n_in * span), m, span, like)
            put(losses, epoch, total)
            if not math.isfinite(total):
                return done + 1
            hidden_errors(net, span, like)
            descend(net, x, span, eta, like)
            start += m
            if start == rows.n:
                put(losses, epoch, total / rows.n)
                epoch, start = epoch + 1, 0
            put(position, EPOCH, epoch)
            put(position, SAMPLE, start)
            if epoch == epochs:
                return done + 1
        return budget

    return train


train_full, train_quarter = make_train(1), make_train(4)

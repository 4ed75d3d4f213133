"""The same training as in epoch.py for tiny networks: a vector is a square of SIDE units by SIDE samples.

If layers are narrower than a vector, rows of units waste most of it. Here the workspace has a block in groups of SIDE
samples. For each group, aˡ and y are consecutive squares, with a row for each unit and a column for each sample. δˡ is
the same, transposed. All products are products of squares in registers, for several groups at once if the batch has as
many. One thread does everything.

Places without a sample are 0 in a¹, y and δ. Places without a unit are 0 in δ, and finite in a.
"""

import math

import numpy as np

from .activations import target_times
from .bits import total
from .codes import (
    BINARY_CROSS_ENTROPY,
    EPOCH,
    RELU,
    SAMPLE,
    SIGMOID,
    SOFTMAX,
    SQUARED_ERROR,
    TANH,
)
from .curves import relu_slope, sigmoid_slope, tanh_slope
from .elementary import at_least, exp, log, sigmoid, tanh
from .jit import inlined
from .llvm import at, fma, get, number_of, put, record, store, where_less
from .losses import binary_cross_entropy
from .random import reorder
from .records import layer_of, sample
from .squares import (
    SIDE,
    across,
    add_product,
    add_product_of_rows,
    column_maxima,
    column_numbers,
    column_sums,
    columns_of,
    down,
    joined,
    load_row,
    load_rows,
    load_square,
    load_squares,
    row_numbers,
    store_rows,
    store_squares,
    transposed,
    zeros,
)
from .tasks import (
    TASK_FIELDS,
    BackwardTask,
    BiasTask,
    ForwardTask,
    GatherTask,
    OutputTask,
    WeightTask,
)
from .watching import goes_on, keep


@inlined
def f(z, activation):
    """Return a = f(z) of a vector, or z for softmax, which needs all units."""
    if activation == SIGMOID:
        z = sigmoid(z)
    elif activation == TANH:
        z = tanh(z)
    elif activation == RELU:
        z = at_least(z, 0)
    return z


@inlined
def derivative(a, activation):
    """Return f′(z) from a = f(z), or 1 for softmax."""
    out = a * 0 + 1
    if activation == SIGMOID:
        out = sigmoid_slope(a)
    elif activation == TANH:
        out = tanh_slope(a)
    elif activation == RELU:
        out = relu_slope(a)
    return out


@inlined
def gather(work, tasks, rows, source, n, start, m):
    """Copy n numbers of each of m samples to columns of squares. The other places become 0."""
    for i in range(tasks.count):
        t = record(GatherTask, tasks.at, i * TASK_FIELDS)
        s = start + t.sample
        some = columns_of(
            load_row(source, sample(rows, s) * n + t.feature, t.features),
            load_row(source, sample(rows, s + 1) * n + t.feature, t.features),
            load_row(source, sample(rows, s + 2) * n + t.feature, t.features),
            load_row(source, sample(rows, s + 3) * n + t.feature, t.features),
        )
        store(work, t.square, where_less(column_numbers(some), m - t.sample, some, 0))


@inlined
def gather_labels(net, tasks, rows, start, m):
    """Store the labels of m samples as one-hot columns of squares."""
    for i in range(tasks.count):
        store(net.work, record(GatherTask, tasks.at, i * TASK_FIELDS).square, zeros(net.work))
    width = layer_of(net, net.depth - 1).width
    for s in range(m):
        label, column = get(rows.labels.at, sample(rows, start + s)), s % SIDE
        put(net.work, net.targets + (s - column) * width + label * SIDE + column, 1)


@inlined
def inside(x, units, m):
    """Return x where a place of a square has a unit and a sample, else 0."""
    return where_less(row_numbers(x), units, where_less(column_numbers(x), m, x, 0), 0)


@inlined
def softmax(z, t, n):
    """z ← e^z / Σ e^z over the n units of a group, and 0 beyond. Return Σ y (log Σ e^z − z) in every row."""
    largest = load_square(z, 0)
    largest = where_less(row_numbers(largest), n, largest, across(z, 0, 0, False))
    for j in range(SIDE, n, SIDE):
        v = load_square(z, j * SIDE)
        largest = where_less(row_numbers(v), n - j, where_less(largest, v, v, largest), largest)
    largest = column_maxima(largest)
    sum_of_e = linear = largest * 0
    for j in range(0, n, SIDE):
        v, y = load_square(z, j * SIDE) - largest, load_square(t, j * SIDE)
        e = where_less(row_numbers(v), n - j, exp(v), 0)
        store(z, j * SIDE, e)
        sum_of_e = sum_of_e + e
        linear = linear + target_times(y, v)
    sum_of_e = column_sums(sum_of_e)
    for j in range(0, n, SIDE):
        store(z, j * SIDE, load_square(z, j * SIDE) / sum_of_e)
    return log(sum_of_e) - column_sums(linear)


@inlined
def couple(delta, a, n):
    """δ_j ← a_j (δ_j − Σ_k δ_k a_k), the derivative of softmax, for a group."""
    mean = zeros(a)
    for j in range(0, n, SIDE):
        mean = fma(load_square(a, j * SIDE), transposed(load_square(delta, j * SIDE)), mean)
    mean = column_sums(mean)
    for j in range(0, n, SIDE):
        change = load_square(delta, j * SIDE) - transposed(mean)
        store(delta, j * SIDE, transposed(load_square(a, j * SIDE)) * change)


def make_passes(several):
    """Make the ways forward and back for tasks with one group of samples, or with several at once."""

    @inlined
    def forward(net, tasks):
        """a¹ → zᴸ; method.md, step 1."""
        for i in range(tasks.count):
            t = record(ForwardTask, tasks.at, i * TASK_FIELDS)
            z = down(net.parameters, t.bias, several)
            for k in range(t.n):
                a = across(net.work, t.a + k * SIDE, t.step, several)
                z = fma(down(net.parameters, t.theta + k * t.row, several), a, z)
            store_squares(net.work, t.z, t.row * SIDE, f(z, t.activation))

    @inlined
    def output_errors(net, tasks, m):
        """zᴸ → δᴸ, with aᴸ in place of zᴸ for softmax; method.md, step 2. Return a square of sums of losses."""
        last, loss = layer_of(net, net.depth - 1), net.loss
        inner = last.activation if loss == SQUARED_ERROR else SOFTMAX  # the closed forms of the others contain f′
        step, inverse_m = last.width * SIDE, number_of(net.work, 1 / m)
        value = zeros(load_squares(net.work, 0, 0, several))
        for i in range(tasks.count):
            t = record(OutputTask, tasks.at, i * TASK_FIELDS)
            z, y = load_squares(net.work, t.z, step, several), load_squares(net.work, t.targets, step, several)
            a = f(z, last.activation)
            error = inside(a - y, t.units, m - t.sample)
            if loss == SQUARED_ERROR:
                value = fma(error * 0.5, error, value)
            elif loss == BINARY_CROSS_ENTROPY:
                value = value + inside(binary_cross_entropy(z, y), t.units, m - t.sample)
            store_squares(net.work, t.delta, step, transposed(error * inverse_m * derivative(a, inner)))
        return joined(value)

    @inlined
    def hidden_errors(net, tasks):
        """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ) for l = L − 1 … 2; method.md, step 3."""
        for i in range(tasks.count):
            t = record(BackwardTask, tasks.at, i * TASK_FIELDS)
            a = load_squares(net.work, t.a, t.step, several)
            d = zeros(a)
            for j in range(0, t.n, SIDE):
                block = load_rows(at(net.parameters, t.theta + j), t.row, t.units)
                d = add_product(d, block, load_squares(net.work, t.incoming + j * SIDE, t.row * SIDE, several))
            d = d * derivative(a, t.activation)
            store_squares(net.work, t.delta, t.step, transposed(where_less(row_numbers(d), t.units, d, 0)))

    return forward, output_errors, hidden_errors


forward_alone, output_errors_alone, hidden_errors_alone = make_passes(False)
forward_beside, output_errors_beside, hidden_errors_beside = make_passes(True)


@inlined
def output_errors(net, program, m):
    """zᴸ → δᴸ for a batch; method.md, step 2. Return a square of sums of losses."""
    last, of_softmax = layer_of(net, net.depth - 1), zeros(net.work)
    groups = program.groups * SIDE if last.activation == SOFTMAX else 0
    for s in range(0, groups, SIDE):
        place = s * last.width
        entropies = softmax(at(net.work, last.a + place), at(net.work, net.targets + place), last.n)
        if net.loss != SQUARED_ERROR:
            of_softmax = of_softmax + inside(entropies, 1, m - s)
    value = output_errors_beside(net, program.beside.outputs, m) + output_errors_alone(net, program.alone.outputs, m)
    if net.loss == SQUARED_ERROR:
        for s in range(0, groups, SIDE):
            couple(at(net.work, last.delta + s * last.width), at(net.work, last.a + s * last.width), last.n)
    return value + of_softmax


@inlined
def descend(net, program, eta):
    """Θˡ ← Θˡ − η (δˡ⁺¹)ᵀ aˡ and bˡ ← bˡ − η Σ δˡ⁺¹; method.md, steps 3 and 4."""
    for i in range(program.weights.count):
        t = record(WeightTask, program.weights.at, i * TASK_FIELDS)
        block = zeros(net.work)
        for s in range(0, program.groups * SIDE, SIDE):
            a = load_square(net.work, t.a + s * t.a_step)
            block = add_product_of_rows(block, a, net.work, t.delta + s * t.delta_step)
        theta = at(net.parameters, t.theta)
        store_rows(theta, t.row, t.rows, fma(-eta, block, load_rows(theta, t.row, t.rows)))
    if net.use_bias:
        for i in range(program.biases.count):
            b = record(BiasTask, program.biases.at, i * TASK_FIELDS)
            total = zeros(net.work)
            for s in range(0, program.groups * SIDE, SIDE):
                total = total + load_square(net.work, b.delta + s * b.delta_step)
            bias = at(net.parameters, b.bias)
            store_rows(bias, 0, 1, fma(-eta, column_sums(total), across(bias, 0, 0, False)))


@inlined
def train(net, todo, rows, step, progress, watch, budget, team):
    """Train like epoch.train, in one thread and with batches of one block. Return the number of blocks done."""
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    n_in, n_out = layer_of(net, 0).n, layer_of(net, net.depth - 1).n
    epoch, start = get(position, EPOCH), get(position, SAMPLE)
    for done in range(budget):
        if start == 0 and watch.losses.size > 0:
            keep(net, watch, progress.random, team)
        if start == 0 and rows.shuffles:
            reorder(rows, progress.random)
        m = min(step.batch_size, rows.n - start)
        first = epoch * rows.n + start if rows.order.size > rows.n else start
        gather(net.work, todo.inputs, rows, rows.X, n_in, first, m)
        if rows.labels.size > 0:
            gather_labels(net, todo.targets, rows, first, m)
        else:
            gather(net.work, todo.targets, rows, rows.targets.at, n_out, first, m)
        forward_beside(net, todo.beside.forward)
        forward_alone(net, todo.alone.forward)
        sums = output_errors(net, todo, m)
        hidden_errors_beside(net, todo.beside.backward)
        hidden_errors_alone(net, todo.alone.backward)
        loss = get(losses, epoch) + np.float64(total(sums))  # after δ, so that the two overlap in the processor
        put(losses, epoch, loss)
        if not math.isfinite(loss):
            return done + 1
        batch = epoch * ((rows.n + step.batch_size - 1) // step.batch_size) + start // step.batch_size
        eta = get(step.rates.at, min(batch, step.rates.size - 1))
        descend(net, todo, number_of(net.work, eta))
        start += m
        if start == rows.n:
            put(losses, epoch, loss / rows.weight)
            epoch, start = epoch + 1, 0
        put(position, EPOCH, epoch)
        put(position, SAMPLE, start)
        if start == 0 and watch.losses.size > 0 and not goes_on(net, watch, epoch - 1, team):
            return done + 1
        if epoch == epochs:
            return done + 1
    return budget

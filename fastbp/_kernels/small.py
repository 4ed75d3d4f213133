"""The same training as in epoch.py for tiny networks: a vector is a square of SIDE units by SIDE samples.

If layers are narrower than a vector, rows of units waste most of it. Here the workspace has a block in groups of SIDE
samples. For each group, aˡ and y are consecutive squares, with a row for each unit and a column for each sample. δˡ is
the same, transposed. All products are products of squares in registers, for several groups at once if the batch has as
many. One thread does everything. options.py has what few networks use.

Places without a sample are 0 in δ. In a¹ and y they repeat the last sample, so that a and f′ are finite there if they
are finite elsewhere. Places without a unit are 0 in y and δ, and finite in a.
"""

import math

import numpy as np

from .activations import target_times
from .bits import total
from .codes import AT_ONCE, BINARY_CROSS_ENTROPY, CROSS_ENTROPY, EPOCH, KEPT, SAMPLE, SOFTMAX, SQUARED_ERROR
from .elementary import exp, log
from .jit import inlined
from .llvm import at, fma, get, number_of, put, record, store, where_less
from .losses import binary_cross_entropy
from .options import (
    activate_squares,
    derivative,
    f,
    inside,
    is_basic,
    next_powers,
    other_output_errors,
    powers_of,
    smooth,
    step_along,
)
from .random import reorder
from .records import layer_of
from .samples import weight_of
from .squares import (
    SIDE,
    across,
    add_product,
    add_product_of_rows,
    column_maxima,
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
    ActivateTask,
    BackwardTask,
    BiasTask,
    ForwardTask,
    GatherTask,
    OutputTask,
    WeightTask,
)
from .watching import goes_on, keep, keep_memory


@inlined
def row_of(rows, i):
    """Return the row of the i-th sample in the epoch's order."""
    return get(rows.order.at, i) if rows.order.size > 0 else i


@inlined
def gather(work, tasks, rows, source, n, start, m):
    """Copy n numbers of each of m samples to columns of squares."""
    last = start + m - 1
    for i in range(tasks.count):
        t = record(GatherTask, tasks.at, i * TASK_FIELDS)
        s = start + t.sample
        some = columns_of(
            load_row(source, row_of(rows, min(s, last)) * n + t.feature, t.features),
            load_row(source, row_of(rows, min(s + 1, last)) * n + t.feature, t.features),
            load_row(source, row_of(rows, min(s + 2, last)) * n + t.feature, t.features),
            load_row(source, row_of(rows, min(s + 3, last)) * n + t.feature, t.features),
        )
        store(work, t.square, some)


@inlined
def gather_labels(net, tasks, rows, start, m):
    """Store the labels of m samples as one-hot columns of squares."""
    for i in range(tasks.count):
        store(net.work, record(GatherTask, tasks.at, i * TASK_FIELDS).square, zeros(net.work))
    if net.label_off > 0:
        smooth(net, tasks)
    width = layer_of(net, net.depth - 1).width
    for s in range(m):
        label, column = get(rows.labels.at, row_of(rows, start + s)), s % SIDE
        put(net.work, net.targets + (s - column) * width + label * SIDE + column, number_of(net.work, net.label_on))


@inlined
def gather_targets(net, tasks, rows, start, m):
    """Store y of m samples, and their weights if they have some."""
    if rows.labels.size > 0:
        gather_labels(net, tasks, rows, start, m)
    else:
        gather(net.work, tasks, rows, rows.targets.at, layer_of(net, net.depth - 1).n, start, m)
        if net.label_off > 0:
            smooth(net, tasks)
    if rows.weights.size > 0:
        for s in range(m):
            put(net.work, net.weights + s, get(rows.weights.at, row_of(rows, start + s)))


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
    def forward(net, tasks, activations, steps, seed):
        """a¹ → zᴸ; method.md, step 1. Dropout draws from steps, the number of batches before this one, and the seed."""
        for i in range(tasks.count):
            t = record(ForwardTask, tasks.at, i * TASK_FIELDS)
            z = down(net.parameters, t.bias, several)
            for k in range(t.n):
                a = across(net.work, t.a + k * SIDE, t.step, several)
                z = fma(down(net.parameters, t.theta + k * t.row, several), a, z)
            store_squares(net.work, t.z, t.row * SIDE, f(z, t.activation))
            if t.activation >= KEPT:
                place = (t.activation - KEPT) * TASK_FIELDS
                activate_squares(net, record(ActivateTask, activations.at, place), steps, seed)

    @inlined
    def output_errors(net, tasks, m, inverse, weighted):
        """zᴸ → δᴸ, with aᴸ in place of zᴸ for softmax; method.md, step 2. Return a square of sums of losses."""
        last, loss = layer_of(net, net.depth - 1), net.loss
        inner = last.activation if loss == SQUARED_ERROR else SOFTMAX  # the closed forms of the others contain f′
        step, value = last.width * SIDE, zeros(load_squares(net.work, 0, 0, several))
        for i in range(tasks.count):
            t = record(OutputTask, tasks.at, i * TASK_FIELDS)
            z, y = load_squares(net.work, t.z, step, several), load_squares(net.work, t.targets, step, several)
            a = f(z, last.activation)
            error = inside(a - y, t.units, m - t.sample)
            weighed = error
            if weighted:
                weighed = error * across(net.work, net.weights + t.sample, SIDE, several)
            if loss == SQUARED_ERROR:
                value = fma(weighed * 0.5, error, value)
            elif loss == BINARY_CROSS_ENTROPY:
                entropy = binary_cross_entropy(z, y)
                if weighted:
                    entropy = entropy * across(net.work, net.weights + t.sample, SIDE, several)
                value = value + inside(entropy, t.units, m - t.sample)
            store_squares(net.work, t.delta, step, transposed(weighed * inverse * derivative(a, inner)))
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
def output_errors(net, program, m, inverse, weighted):
    """zᴸ → δᴸ for a batch; method.md, step 2. Return a square of sums of losses.

    inverse: 1/m, or 1 over the sum of the samples' weights.
    """
    last, of_softmax = layer_of(net, net.depth - 1), zeros(net.work)
    groups = program.groups * SIDE if last.activation == SOFTMAX else 0
    for s in range(0, groups, SIDE):
        place = s * last.width
        entropies = softmax(at(net.work, last.a + place), at(net.work, net.targets + place), last.n)
        if net.loss == CROSS_ENTROPY:
            if weighted:
                entropies = entropies * across(net.work, net.weights + s, 0, False)
            of_softmax = of_softmax + inside(entropies, 1, m - s)
    if is_basic(net, last):
        value = output_errors_beside(net, program.beside.outputs, m, inverse, weighted)
        value = value + output_errors_alone(net, program.alone.outputs, m, inverse, weighted)
    else:
        value = other_output_errors(net, program.groups, m, inverse, weighted)
    if net.loss != CROSS_ENTROPY:
        for s in range(0, groups, SIDE):
            couple(at(net.work, last.delta + s * last.width), at(net.work, last.a + s * last.width), last.n)
    return value + of_softmax


@inlined
def descend(net, program, at_once, eta):
    """Store ∂J/∂Θˡ = (δˡ⁺¹)ᵀ aˡ and ∂J/∂bˡ = Σ δˡ⁺¹, or descend along them at once; method.md, steps 3 and 4."""
    out = net.parameters if at_once else net.gradients
    for i in range(program.weights.count):
        t = record(WeightTask, program.weights.at, i * TASK_FIELDS)
        block, theta = zeros(net.work), at(out, t.theta)
        for s in range(0, program.groups * SIDE, SIDE):
            a = load_square(net.work, t.a + s * t.a_step)
            block = add_product_of_rows(block, a, net.work, t.delta + s * t.delta_step)
        if at_once:
            block = fma(-eta, block, load_rows(theta, t.row, t.rows))
        store_rows(theta, t.row, t.rows, block)
    if net.use_bias:
        for i in range(program.biases.count):
            b = record(BiasTask, program.biases.at, i * TASK_FIELDS)
            total, bias = zeros(net.work), at(out, b.bias)
            for s in range(0, program.groups * SIDE, SIDE):
                total = total + load_square(net.work, b.delta + s * b.delta_step)
            total = column_sums(total)
            if at_once:
                total = fma(-eta, total, across(bias, 0, 0, False))
            store_rows(bias, 0, 1, total)


@inlined
def train_batch(net, todo, rows, step, kept, first, m, batch, steps, powers, loss):
    """Train with m samples, from `first` in the order on, with the rate of a batch. Return the sum of losses so far.

    loss: the sum before them. If it isn't finite with them, the parameters stay as they were.
    """
    weighted, weight, inverse = rows.weights.size > 0, np.float64(m), 1 / m
    if weighted:
        weight = weight_of(rows, first, first + m)
        inverse = 1 / weight if weight > 0 else 0.0
    gather(net.work, todo.inputs, rows, rows.X, layer_of(net, 0).n, first, m)
    gather_targets(net, todo.targets, rows, first, m)
    forward_beside(net, todo.beside.forward, todo.beside.activations, steps, step.seed)
    forward_alone(net, todo.alone.forward, todo.alone.activations, steps, step.seed)
    sums = output_errors(net, todo, m, number_of(net.work, inverse), weighted)
    hidden_errors_beside(net, todo.beside.backward)
    hidden_errors_alone(net, todo.alone.backward)
    loss = loss + np.float64(total(sums))  # after δ, so that the two overlap in the processor
    if math.isfinite(loss):
        rate = get(step.rates.at, min(batch, step.rates.size - 1))
        at_once = step.ends == AT_ONCE
        descend(net, todo, at_once, number_of(net.work, rate))
        if not at_once:
            loss += weight * step_along(net, todo.steps, kept, step, rate, powers, weight)
    return loss


@inlined
def train(net, todo, rows, step, kept, progress, watch, budget, team):
    """Train like epoch.train, in one thread and with batches of one block. Return the number of blocks done."""
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    epoch, start, steps = get(position, EPOCH), get(position, SAMPLE), get(kept.steps, 0)
    batch = epoch * ((rows.n + step.batch_size - 1) // step.batch_size) + start // step.batch_size
    watches, at_once, powers = watch.losses.size > 0, step.ends == AT_ONCE, powers_of(step.rule, steps)
    for done in range(budget):
        if start == 0 and watches:
            keep(net, watch, progress.random, team)
            keep_memory(watch, kept, team)
        if start == 0 and rows.shuffles:
            reorder(rows, progress.random)
        m = min(step.batch_size, rows.n - start)
        first = epoch * rows.n + start if rows.order.size > rows.n else start
        if not at_once:
            powers = next_powers(step.rule, powers, steps)
        loss = train_batch(net, todo, rows, step, kept, first, m, batch, steps, powers, get(losses, epoch))
        put(losses, epoch, loss)
        if not math.isfinite(loss):
            return done + 1
        start, batch, steps = start + m, batch + 1, steps + 1
        if start == rows.n:
            put(losses, epoch, loss / rows.weight if rows.weight > 0 else loss)
            epoch, start = epoch + 1, 0
        put(position, EPOCH, epoch)
        put(position, SAMPLE, start)
        put(kept.steps, 0, steps)
        if start == 0 and watches and not goes_on(net, watch, epoch - 1, team):
            return done + 1
        if epoch == epochs:
            return done + 1
    return budget

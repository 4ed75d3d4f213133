"""The same training as in epoch.py for batches of one to four samples and networks with few weights.

Such a batch is one chain of dependent instructions. Here the chain is as short as possible: units lie in the lanes of
vectors, everything is inlined, and instructions for which the next batch doesn't wait come last.

The kernel trains copies of the weights, W and V, and writes the parameters from them when the call ends. A row of W is
a row of the parameters: the weights from one unit to all units above. A row of V is a row of Θ: the weights from all
units below to one unit. The way back needs V. The way forward needs W, except for a last layer with few units: it uses
V and has no W. W and V stay equal, because both add the same products in the same order. e is −η δ.
"""

import math

import numpy as np

from .activations import target_times
from .bits import greatest, total
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
from .elementary import at_least, exp, log_of_number, sigmoid_soon, tanh
from .jit import inlined
from .llvm import (
    at,
    fma,
    get,
    lanes,
    load,
    number_of,
    put,
    ramp,
    record,
    splat,
    store,
    where_equal,
    where_less,
)
from .losses import binary_cross_entropy
from .random import reorder
from .records import layer_of, sample
from .samples import weight_of
from .shapes import SIDE
from .squares import load_row, sums_of_lanes
from .tasks import ONLINE_FIELDS, AheadTask, BackTask, CopyTask, ErrorTask, FewTask, RowsTask
from .watching import goes_on, keep, keep_memory


@inlined
def f(z, activation):
    """Return a = f(z) of a vector, or z for softmax, which needs all units."""
    if activation == SIGMOID:
        z = sigmoid_soon(z)
    elif activation == TANH:
        z = tanh(z)
    elif activation == RELU:
        z = at_least(z, 0)
    return z


@inlined
def derivative(a, activation):
    """Return f′(z) from a = f(z)."""
    out = a * 0 + 1
    if activation == SIGMOID:
        out = sigmoid_slope(a)
    elif activation == TANH:
        out = tanh_slope(a)
    elif activation == RELU:
        out = relu_slope(a)
    return out


@inlined
def copy(net, plan, back):
    """Copy the parameters to W, b and V, or back from those that lead."""
    for i in range(plan.copies.count):
        t = record(CopyTask, plan.copies.at, i * ONLINE_FIELDS)
        for r in range(t.rows):
            for c in range(t.columns):
                there, here = t.theta + r * t.row + c, t.place + r * t.place_row + c * t.place_column
                if not back:
                    put(plan.work, here, get(net.parameters, there))
                elif t.back == 1:
                    put(net.parameters, there, get(plan.work, here))


@inlined
def gather(net, plan, rows, start, m, n_in, n_out):
    """Copy the inputs, targets and weights of m samples."""
    work, labelled, weighted = plan.work, rows.labels.size > 0, rows.weights.size > 0
    for s in range(m):
        i, x, y = sample(rows, start + s), at(work, plan.x + s * plan.x_row), at(work, plan.y + s * plan.y_row)
        source = at(rows.X, i * n_in)
        for k in range(0, n_in, SIDE):
            store(x, k, load_row(source, k, n_in - k))
        if not labelled:
            targets = at(rows.targets.at, i * n_out)
            for j in range(0, n_out, SIDE):
                t = load_row(targets, j, n_out - j)
                store(y, j, fma(t, net.label_on - net.label_off, net.label_off))
        if labelled or weighted:
            for j in range(n_out):
                if labelled:
                    put(y, j, net.label_on if get(rows.labels.at, i) == j else net.label_off)
                if weighted:
                    put(y, plan.y_size + j, get(rows.weights.at, i))


def make_forward(part):
    """Make the tasks of the way forward for vectors of a `part`-th of a register."""

    @inlined
    def ahead(work, t):
        """a ← f(b + Σ_k x_k W_k), with four chains of multiply-adds."""
        w, row, rest = at(work, t.w), t.row, t.n // 4 * 4
        x = at(work, t.x)
        z = load(work, t.b, part)
        z_1 = z_2 = z_3 = splat(number_of(work, 0), part)
        for k in range(0, rest, 4):
            z = fma(load(w, k * row, part), get(x, k), z)
            z_1 = fma(load(w, (k + 1) * row, part), get(x, k + 1), z_1)
            z_2 = fma(load(w, (k + 2) * row, part), get(x, k + 2), z_2)
            z_3 = fma(load(w, (k + 3) * row, part), get(x, k + 3), z_3)
        if rest < t.n:
            z = fma(load(w, rest * row, part), get(x, rest), z)
        if rest + 1 < t.n:
            z_1 = fma(load(w, (rest + 1) * row, part), get(x, rest + 1), z_1)
        if rest + 2 < t.n:
            z_2 = fma(load(w, (rest + 2) * row, part), get(x, rest + 2), z_2)
        a = f((z + z_1) + (z_2 + z_3), t.activation)
        store(work, t.z, where_less(ramp(work, part), t.lanes, a, 0))

    @inlined
    def products(work, x, v, b, below):
        """Return b, in the first lane, and a_k V_k: all add up to z."""
        z = where_equal(ramp(work, part), 0, get(work, b), 0)
        for k in range(0, below, lanes(work, part)):
            z = fma(load(work, x + k, part), load(work, v + k, part), z)
        return z

    @inlined
    def sums(work, t):
        """Return z of four places of the last layer."""
        z_1 = z_2 = z_3 = splat(number_of(work, 0), part)
        z_0 = products(work, t.x_0, t.v_0, t.b_0, t.below)
        if t.places > 1:
            z_1 = products(work, t.x_1, t.v_1, t.b_1, t.below)
        if t.places > 2:
            z_2 = products(work, t.x_2, t.v_2, t.b_2, t.below)
            z_3 = products(work, t.x_3, t.v_3, t.b_3, t.below)
        return sums_of_lanes(z_0, z_1, z_2, z_3)

    return ahead, sums


def make_backward(part):
    """Make the tasks of the way back, and those of the update."""

    @inlined
    def back(work, t):
        """e ← Σ_j e_j V_j ⊙ f′, from e of the layer above. Return it."""
        e, v, row = at(work, t.incoming), at(work, t.v), t.row
        slope = derivative(load(work, t.a, part), t.activation)  # V f′ comes first, because it doesn't wait for e
        d = load(v, 0, part) * slope * get(e, 0)
        for j in range(1, t.units):
            d = fma(load(v, j * row, part) * slope, get(e, j), d)
        store(work, t.e, d)
        return d

    @inlined
    def descend_along(work, t, e):
        """W_k ← W_k + x_k e and b ← b + e, or V_j ← V_j + e_j x."""
        w, x, row = at(work, t.w), at(work, t.x), t.row
        for k in range(t.rows):
            store(w, k * row, fma(e, get(x, k), load(w, k * row, part)))
        if t.b >= 0:
            store(work, t.b, load(work, t.b, part) + e)

    @inlined
    def descend(work, t, m):
        """W_k ← W_k + Σ_s x_sk e_s and b ← b + Σ_s e_s, or V_j ← V_j + Σ_s e_sj x_s."""
        if m == 1:
            descend_along(work, t, load(work, t.e, part))
        else:
            w, x, e, row, step, e_step = at(work, t.w), at(work, t.x), at(work, t.e), t.row, t.x_step, t.e_step
            e_0, e_1 = load(e, 0, part), load(e, e_step, part)
            e_2, e_3 = load(e, 2 * e_step, part), load(e, 3 * e_step, part)
            for k in range(t.rows):
                even = fma(e_2, get(x, 2 * step + k), fma(e_0, get(x, k), load(w, k * row, part)))
                store(w, k * row, even + fma(e_3, get(x, 3 * step + k), e_1 * get(x, step + k)))
            if t.b >= 0:
                store(work, t.b, load(work, t.b, part) + ((e_0 + e_2) + (e_1 + e_3)))

    return back, descend_along, descend


ahead_half, sums_half = make_forward(2)
ahead_full, sums_full = make_forward(1)
back_half, descend_along_half, descend_half = make_backward(2)
back_full, descend_along_full, descend_full = make_backward(1)


@inlined
def softmax(z, y, n):
    """z ← e^z / Σ e^z for a row of n numbers. Return log Σ e^z − Σ y z."""
    of = load_row(z, 0, 0)
    largest = where_less(ramp(z, of), n, load(z, 0, of), splat(get(z, 0), of))
    for j in range(SIDE, n, SIDE):
        v = load(z, j, of)
        largest = where_less(ramp(z, of), n - j, where_less(largest, v, v, largest), largest)
    largest = splat(greatest(largest), of)
    sum_of_e = linear = of
    for j in range(0, n, SIDE):
        v = load(z, j, of) - largest
        e = where_less(ramp(z, of), n - j, exp(v), 0)
        store(z, j, e)
        sum_of_e = sum_of_e + e
        linear = linear + where_less(ramp(z, of), n - j, target_times(load(y, j, of), v), 0)
    sum_of_e = total(sum_of_e)
    for j in range(0, n, SIDE):
        store(z, j, load(z, j, of) / splat(sum_of_e, of))
    return log_of_number(sum_of_e) - np.float64(total(linear))


@inlined
def output_errors(net, plan, activation, m, n_out, scale, weighted):
    """zᴸ → aᴸ and e. Return the sum of losses; method.md, step 2."""
    work, size, entropy = plan.work, plan.y_size, 0.0
    value = z = load_row(work, 0, 0)
    if activation == SOFTMAX:
        for s in range(m):
            y = plan.y + s * plan.y_row
            h = softmax(at(work, y + 2 * size), at(work, y), n_out)
            entropy += h * np.float64(get(work, y + size)) if weighted else h
    for i in range(plan.errors.count):
        t = record(ErrorTask, plan.errors.at, i * ONLINE_FIELDS)
        if plan.few.count == 0:
            z = load(work, t.place + 2 * size, z)
        else:
            few = record(FewTask, plan.few.at, i * ONLINE_FIELDS)
            z = sums_full(work, few) if few.full == 1 else sums_half(work, few)
        y, a = load(work, t.place, z), f(z, activation)
        error = a - y
        e = error * scale
        loss = error * error * 0.5
        if net.loss == SQUARED_ERROR:
            e = e * derivative(a, activation)
        elif net.loss == BINARY_CROSS_ENTROPY:
            loss = binary_cross_entropy(z, y)
        else:
            loss = loss * 0
        if weighted:
            w = load(work, t.place + size, z)
            loss, e = loss * w, e * w
        used = min((m - t.sample) * t.units - t.before, t.places)
        store(work, t.place + 3 * size, where_less(ramp(work, z), used, e, 0))
        value = value + where_less(ramp(work, z), used, loss, 0)
    return np.float64(total(value)) + entropy


@inlined
def forward(plan):
    """a¹ → zᴸ, or aᴸ⁻¹ if V leads; method.md, step 1."""
    work = plan.work
    for i in range(plan.ahead.count):
        t = record(AheadTask, plan.ahead.at, i * ONLINE_FIELDS)
        if t.full == 0:
            ahead_half(work, t)
        else:
            ahead_full(work, t)


@inlined
def hidden_errors(plan):
    """e of all layers; method.md, step 3. With one sample, W and b follow at once: the way back doesn't need them."""
    work = plan.work
    for i in range(plan.back.count):
        t = record(BackTask, plan.back.at, i * ONLINE_FIELDS)
        if t.full == 0:
            e = back_half(work, t)
            if plan.m == 1:
                descend_along_half(work, record(RowsTask, plan.along.at, i * ONLINE_FIELDS), e)
        else:
            e = back_full(work, t)
            if plan.m == 1:
                descend_along_full(work, record(RowsTask, plan.along.at, i * ONLINE_FIELDS), e)


@inlined
def descend(plan):
    """The other weights and biases move along −η ∂J/∂Θ and −η ∂J/∂b; method.md, step 4."""
    for i in range(plan.rows.count):
        t = record(RowsTask, plan.rows.at, i * ONLINE_FIELDS)
        if t.full == 0:
            descend_half(plan.work, t, plan.m)
        else:
            descend_full(plan.work, t, plan.m)


@inlined
def train_batch(net, plan, rows, step, first, m, batch, loss):
    """Train with m samples, from `first` in the order on, with the rate of a batch. Return the sum of losses so far.

    loss: the sum before them. If it isn't finite with them, the parameters stay as they were.
    """
    last = layer_of(net, net.depth - 1)
    gather(net, plan, rows, first, m, layer_of(net, 0).n, last.n)
    weight = weight_of(rows, first, first + m)
    eta = get(step.rates.at, min(batch, step.rates.size - 1))
    scale = number_of(plan.work, -eta / weight if weight > 0 else 0.0)
    forward(plan)
    loss += output_errors(net, plan, last.activation, m, last.n, scale, rows.weights.size > 0)
    if math.isfinite(loss):
        hidden_errors(plan)
        descend(plan)
    return loss


@inlined
def train(net, plan, rows, step, kept, progress, watch, budget, team):
    """Train like epoch.train, in one thread and with batches of one block. Return the number of blocks done."""
    epochs, losses, position = progress.losses.size, progress.losses.at, progress.position
    epoch, start, steps = get(position, EPOCH), get(position, SAMPLE), get(kept.steps, 0)
    batch = epoch * ((rows.n + step.batch_size - 1) // step.batch_size) + start // step.batch_size
    done, goes, watches = 0, True, watch.losses.size > 0
    copy(net, plan, False)
    while goes and done < budget:
        if start == 0 and watches:
            keep(net, watch, progress.random, team)
            keep_memory(watch, kept, team)
        if start == 0 and rows.shuffles:
            reorder(rows, progress.random)
        m = min(step.batch_size, rows.n - start)
        first = epoch * rows.n + start if rows.order.size > rows.n else start
        loss = train_batch(net, plan, rows, step, first, m, batch, get(losses, epoch))
        put(losses, epoch, loss)
        done += 1
        if not math.isfinite(loss):
            break
        start, batch, steps = start + m, batch + 1, steps + 1
        ends = start == rows.n
        if ends:
            put(losses, epoch, loss / rows.weight if rows.weight > 0 else loss)
            epoch, start = epoch + 1, 0
        put(position, EPOCH, epoch)
        put(position, SAMPLE, start)
        put(kept.steps, 0, steps)
        goes = epoch < epochs
        if ends and watches:
            copy(net, plan, True)
            goes = goes_on(net, watch, epoch - 1, team) and goes
    copy(net, plan, True)
    return done

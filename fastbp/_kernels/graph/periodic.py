"""Numbers as waves: PBLD (Holzmüller et al., 2024) and periodic embeddings (Gorishniy et al., 2022).

A number x of PBLD becomes x itself and k values Σ_f W_cf h_f + b_c with h_f = cos(2π x w_f + φ_f). With
g_f = −sin(2π x w_f + φ_f) Σ_c δ_c W_cf, its gradients are Σ δ_c h_f for W, Σ δ_c for b, Σ g_f for φ, Σ 2π x g_f for w,
and Σ_f 2π w_f g_f + δ for x. Its vectors run along the samples, so that the sum over frequencies needs no sum of lanes.
The waves are computed again on the way back, which takes less time than to store them. QUAD values are computed at a
time: beyond the k-th they are copies of the last one, which nobody reads.
"""

from ..apart import apart
from ..bits import total
from ..codes import Machine, Operand, Team
from ..jit import inlined, inner
from ..llvm import at, fma, get, lanes, load, load_first, number_of, put, splat, store, store_first
from ..team import slice_of
from .inputs import errors_at, errors_of_x, read_from, written_at
from .nodes import Graph, Rows
from .places import clear, node_of, tensor_of
from .stack import LANES, on_stack, read_column, write_number
from .turns import cosine_of_turns, sine_and_cosine_of_turns

TAU = 6.283185307179586
QUAD = 4
SAMPLES = 256  # in a piece of a block, for which x and QUAD columns of δ are on the stack
COLUMNS = (1 + QUAD) * SAMPLES
BESIDE = (1 + QUAD) * LANES


@inlined
def of_number(memory, tensor, k):
    """Return a pointer to row k of a Tensor, in the parameters or the gradients."""
    return at(memory, tensor.start + k * tensor.width)


@inlined
def four_rows(weights, width, left):
    """Return pointers to four rows. Beyond the last of those that are left, they are the last one."""
    last = left - 1
    return (
        weights,
        at(weights, min(1, last) * width),
        at(weights, min(2, last) * width),
        at(weights, min(3, last) * width),
    )


@inner
def four_values(out, x, frequency, phase, weights, width, left, inner_size):
    """Store Σ_f W_cf h_f for four rows of W and a vector of samples, one vector after the other."""
    w_0, w_1, w_2, w_3 = four_rows(weights, width, left)
    turn, step = number_of(x, 1 / TAU), lanes(x, 1)
    numbers = load(x, 0, 1)
    y_0 = y_1 = y_2 = y_3 = numbers * 0
    for f in range(inner_size):
        h = cosine_of_turns(fma(numbers, get(frequency, f), splat(get(phase, f) * turn, 1)))
        y_0, y_1 = fma(h, get(w_0, f), y_0), fma(h, get(w_1, f), y_1)
        y_2, y_3 = fma(h, get(w_2, f), y_2), fma(h, get(w_3, f), y_3)
    store(out, 0, y_0)
    store(out, step, y_1)
    store(out, 2 * step, y_2)
    store(out, 3 * step, y_3)


@inlined
def pbld_parameters(net, graph, node, k):
    """Return pointers to number k's frequencies, phases, weights and biases, the width of weights, and their rows."""
    frequency, phase = tensor_of(graph, node.parameters), tensor_of(graph, node.parameters + 1)
    weight, bias = tensor_of(graph, node.parameters + 2), tensor_of(graph, node.parameters + 3)
    return (
        of_number(net.parameters, frequency, k),
        of_number(net.parameters, phase, k),
        of_number(net.parameters, weight, k * bias.n),
        of_number(net.parameters, bias, k),
        weight.width,
        bias.n,
    )


@apart
def forward_pbld(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Compute the values of each number for this thread's rows."""
    node, step = node_of(graph, i), lanes(net.work, 1)
    numbers, values = on_stack(net.work, LANES), on_stack(net.work, BESIDE)
    for k in range(node.n_read):
        frequency, phase, weights, bias, width, size = pbld_parameters(net, graph, node, k)
        for s in range(rows.first, rows.first + rows.count, step):
            count = min(step, rows.first + rows.count - s)
            read_column(net, numbers, at(read_from(x, node, s), k), x.row, count)
            y = at(written_at(net, node, s), k * (1 + size))
            for r in range(count):
                put(y, r * node.out_width, get(numbers, r))
            for c in range(0, size, QUAD):
                four_values(values, numbers, frequency, phase, at(weights, c * width), width, size - c, node.inner)
                for r in range(count):
                    for q in range(min(QUAD, size - c)):
                        put(y, r * node.out_width + 1 + c + q, get(values, q * step + r) + get(bias, c + q))


@inlined
def errors_of_waves(numbers, frequency, phase, turn, d, w):
    """Return h and g. d and w: four vectors of δ, and four weights."""
    sine, h = sine_and_cosine_of_turns(fma(numbers, frequency, splat(phase * turn, 1)))
    slope = fma(d[0], w[0], fma(d[1], w[1], fma(d[2], w[2], d[3] * w[3])))
    return h, -sine * slope


@inlined
def read_errors(net, columns, delta, row, count, left):
    """Copy up to four columns of δ to the stack, SAMPLES apart, with zeros for those that there aren't."""
    for q in range(QUAD):
        if q < left:
            read_column(net, at(columns, q * SAMPLES), at(delta, q), row, count)
        else:
            clear(net, at(columns, q * SAMPLES), count)


@inner
def add_errors_of_x(out, row, columns, count, frequency, phase, weights, width, left, inner_size):
    """Add Σ_f 2π w_f g_f of four rows of W to ∂J/∂X for a vector of samples, `row` apart."""
    w_0, w_1, w_2, w_3 = four_rows(weights, width, left)
    turn, numbers, delta = number_of(columns, 1 / TAU), load(columns, 0, 1), at(columns, SAMPLES)
    d = load(delta, 0, 1), load(delta, SAMPLES, 1), load(delta, 2 * SAMPLES, 1), load(delta, 3 * SAMPLES, 1)
    sums = numbers * 0
    for f in range(inner_size):
        w = get(w_0, f), get(w_1, f), get(w_2, f), get(w_3, f)
        _, g = errors_of_waves(numbers, get(frequency, f), get(phase, f), turn, d, w)
        sums = fma(g, get(frequency, f), sums)
    store(columns, 0, sums * TAU)
    for r in range(count):
        put(out, r * row, get(out, r * row) + get(columns, r))


@apart
def backward_pbld(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Add ∂J/∂x of each number to ∂J/∂X for this thread's rows."""
    node, step = node_of(graph, i), lanes(net.work, 1)
    columns = on_stack(net.work, COLUMNS)
    for k in range(node.n_read):
        frequency, phase, weights, _, width, size = pbld_parameters(net, graph, node, k)
        for s in range(rows.first, rows.first + rows.count, step):
            count = min(step, rows.first + rows.count - s)
            delta, out = at(errors_at(net, node, s), k * (1 + size)), at(errors_of_x(net, node, s), k)
            for r in range(count):
                put(out, r * node.in_width, get(out, r * node.in_width) + get(delta, r * node.out_width))
            for c in range(0, size, QUAD):
                read_column(net, columns, at(read_from(x, node, s), k), x.row, count)
                read_errors(net, at(columns, SAMPLES), at(delta, 1 + c), node.out_width, count, size - c)
                add_errors_of_x(
                    out,
                    node.in_width,
                    columns,
                    count,
                    frequency,
                    phase,
                    at(weights, c * width),
                    width,
                    size - c,
                    node.inner,
                )


@inner
def sums_of_frequency(columns, count, frequency, phase, w):
    """Return Σ 2π x g, Σ g and Σ δ_c h for four c over the samples of a piece, for one frequency."""
    turn, delta = number_of(columns, 1 / TAU), at(columns, SAMPLES)
    of_w = of_phase = of_0 = of_1 = of_2 = of_3 = load(columns, 0, 1) * 0
    for s in range(0, count, lanes(columns, 1)):
        numbers, place = load(columns, s, 1), at(delta, s)
        d = load(place, 0, 1), load(place, SAMPLES, 1), load(place, 2 * SAMPLES, 1), load(place, 3 * SAMPLES, 1)
        h, g = errors_of_waves(numbers, frequency, phase, turn, d, w)
        of_w, of_phase = fma(numbers, g, of_w), of_phase + g
        of_0, of_1 = fma(d[0], h, of_0), fma(d[1], h, of_1)
        of_2, of_3 = fma(d[2], h, of_2), fma(d[3], h, of_3)
    return total(of_w * TAU), total(of_phase), total(of_0), total(of_1), total(of_2), total(of_3)


@inlined
def write_four(memory, width, left, sums, adds):
    """Store or add the last four of six sums, `width` apart, but only as many as are left."""
    write_number(memory, 0, sums[2], adds)
    if left > 1:
        write_number(memory, width, sums[3], adds)
    if left > 2:
        write_number(memory, 2 * width, sums[4], adds)
    if left > 3:
        write_number(memory, 3 * width, sums[5], adds)


@inner
def add_gradients_of_number(net, graph, node, k, columns, count, c, first, stop, more):
    """Add a piece of samples to the gradients of number k's frequencies first … stop, for four rows of W from c on."""
    frequency, phase, weights, _, width, size = pbld_parameters(net, graph, node, k)
    w_0, w_1, w_2, w_3 = four_rows(at(weights, c * width), width, size - c)
    start = node.parameters
    of_frequency = of_number(net.gradients, tensor_of(graph, start), k)
    of_phase = of_number(net.gradients, tensor_of(graph, start + 1), k)
    of_weight = of_number(net.gradients, tensor_of(graph, start + 2), k * size + c)
    for f in range(first, stop):
        w = get(w_0, f), get(w_1, f), get(w_2, f), get(w_3, f)
        sums = sums_of_frequency(columns, count, get(frequency, f), get(phase, f), w)
        write_number(of_frequency, f, sums[0], more or c > 0)
        write_number(of_phase, f, sums[1], more or c > 0)
        write_four(at(of_weight, f), width, size - c, sums, more)
    if first == 0:
        of_bias = of_number(net.gradients, tensor_of(graph, start + 3), k)
        for q in range(min(QUAD, size - c)):
            sums_of_delta = load(columns, 0, 1) * 0
            for s in range(0, count, lanes(columns, 1)):
                sums_of_delta = sums_of_delta + load(columns, (1 + q) * SAMPLES + s, 1)
            write_number(of_bias, c + q, total(sums_of_delta), more)


@apart
def gradients_pbld(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, mode: int, team: Team):
    """Compute the gradients of this thread's frequencies. The first frequency of a number brings its biases."""
    node, columns = node_of(graph, i), on_stack(net.work, COLUMNS)
    size = tensor_of(graph, node.parameters + 3).n
    start, length = slice_of(node.n_read * node.inner, 1, team)
    for k in range(start // node.inner, (start + length + node.inner - 1) // node.inner):
        first, stop = max(start - k * node.inner, 0), min(start + length - k * node.inner, node.inner)
        for s in range(0, m, SAMPLES):
            count, delta = min(SAMPLES, m - s), at(errors_at(net, node, s), k * (1 + size) + 1)
            read_column(net, columns, at(read_from(x, node, s), k), x.row, count)
            for c in range(0, size, QUAD):
                read_errors(net, at(columns, SAMPLES), at(delta, c), node.out_width, count, size - c)
                more = eta != 0 or s > 0
                add_gradients_of_number(net, graph, node, k, columns, count, c, first, stop, more)


@apart
def forward_periodic(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Compute the waves of each number for this thread's rows."""
    node = node_of(graph, i)
    frequency, size = tensor_of(graph, node.parameters), node.inner
    for s in range(rows.first, rows.first + rows.count):
        numbers, y = read_from(x, node, s), written_at(net, node, s)
        for k in range(node.n_read):
            w, number, sines = of_number(net.parameters, frequency, k), get(numbers, k), at(y, 2 * k * size)
            for f in range(0, size, lanes(w, 1)):
                sine, cosine = sine_and_cosine_of_turns(load_first(w, f, size - f) * number)
                store_first(sines, f, sine, size - f)
                store_first(sines, size + f, cosine, size - f)


@inlined
def errors_of_turns(delta, f, size, w, number):
    """Return ∂J/∂(2πwx) of a vector of frequencies."""
    sine, cosine = sine_and_cosine_of_turns(w * number)
    return load_first(delta, f, size - f) * cosine - load_first(delta, size + f, size - f) * sine


@apart
def backward_periodic(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Add ∂J/∂x of each number to ∂J/∂X for this thread's rows."""
    node = node_of(graph, i)
    frequency, size = tensor_of(graph, node.parameters), node.inner
    for s in range(rows.first, rows.first + rows.count):
        numbers, delta, out = read_from(x, node, s), errors_at(net, node, s), errors_of_x(net, node, s)
        for k in range(node.n_read):
            place = of_number(net.parameters, frequency, k)
            sums = load(place, 0, 1) * 0
            for f in range(0, size, lanes(place, 1)):
                w = load_first(place, f, size - f)
                sums = fma(errors_of_turns(at(delta, 2 * k * size), f, size, w, get(numbers, k)), w, sums)
            put(out, k, get(out, k) + total(sums * TAU))


@apart
def gradients_periodic(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, mode: int, team: Team):
    """Compute the gradients of this thread's frequencies, a vector of them at a time."""
    node, width = node_of(graph, i), lanes(net.work, 1)
    frequency, size = tensor_of(graph, node.parameters), node.inner
    vectors = (size + width - 1) // width
    start, length = slice_of(node.n_read * vectors, 1, team)
    for item in range(start, start + length):
        k, f = item // vectors, item % vectors * width
        w, gradient = (
            load_first(of_number(net.parameters, frequency, k), f, size - f),
            of_number(net.gradients, frequency, k),
        )
        sums = w * 0
        for s in range(m):
            number = get(read_from(x, node, s), k)
            delta = at(errors_at(net, node, s), 2 * k * size)
            sums = fma(errors_of_turns(delta, f, size, w, number), number, sums)
        sums = sums * TAU
        if eta != 0:
            sums = sums + load_first(gradient, f, size - f)
        store_first(gradient, f, sums, size - f)

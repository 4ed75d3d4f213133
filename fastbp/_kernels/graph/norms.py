"""Layer norm and batch norm; Ba et al., 2016, and Ioffe and Szegedy, 2015.

Both give y = γ ⊙ x̂ + β with x̂ = (x − mean) r, r = 1/√(variance + ε), and keep x̂. Batch norm takes the mean and the
variance of each column over all samples of the batch, which is one block: its threads meet before and after such sums.
Where there is no batch to speak of, in predictions, if it is frozen, and for a single sample, it takes the running
mean and variance. Layer.statistics has r of each row for layer norm, and rows of columns for batch norm.

Gradients: ∂J/∂γ = Σ δ ⊙ x̂ and ∂J/∂β = Σ δ over the samples, and ∂J/∂x = r (g − mean of g − x̂ · mean of g ⊙ x̂) with
g = γ ⊙ δ, where the means are those over what x̂ was computed from.
"""

from ..apart import apart
from ..bits import total
from ..codes import Machine, Operand, Team
from ..elementary import at_least
from ..jit import inlined, inner
from ..llvm import (
    at,
    fma,
    get,
    lanes,
    load,
    load_first,
    number_of,
    put,
    ramp,
    splat,
    square_root,
    store,
    store_first,
    where_less,
)
from ..team import meet, slice_of_lines
from .nodes import LEARNING, PREDICTING, Graph, Rows
from .places import node_of, real_of, tensor_of
from .stack import LANES, on_stack

# Rows of a batch norm's statistics. The sums for the gradients replace the moments, which are then no longer needed.
SCALE, MEAN, VARIANCE = range(3)
SUM_OF_ERRORS, SUM_OF_PRODUCTS = MEAN, VARIANCE


@inlined
def first_lanes(value, memory, left):
    """Return a vector with 0 in place of its lanes from number `left` on."""
    return where_less(ramp(memory, 1), left, value, 0)


@inlined
def store_in_row(memory, j, vector, row):
    """Store a vector from column j on, but not beyond the end of a row that is shorter than a vector."""
    if row < lanes(memory, 1):
        store_first(memory, j, vector, row - j)
    else:
        store(memory, j, vector)


@inlined
def store_or_add(memory, j, vector, row, adds):
    """Store the ∂J/∂x of a row from column j on, or add it to what is there."""
    store_in_row(memory, j, vector + load(memory, j, 1) if adds else vector, row)


@inlined
def sums_of_row(x, n):
    """Return Σ d and Σ d² of the differences d of n numbers from the first. With these, no digits cancel later."""
    origin, width = splat(get(x, 0), 1), lanes(x, 1)
    sums = squares = origin * 0
    for j in range(0, n, width):
        d = load(x, j, 1) - origin
        if j + width > n:
            d = first_lanes(d, x, n - j)
        sums, squares = sums + d, fma(d, d, squares)
    return total(sums), total(squares)


@inlined
def normalize_row(y, kept, x, gamma, beta, n, row, mean, scale):
    """Store y and x̂ of a row. mean: less the first number."""
    mean += get(x, 0)
    for j in range(0, n, lanes(y, 1)):
        v = (load(x, j, 1) - mean) * scale
        store_in_row(kept, j, v, row)
        store_in_row(y, j, fma(load(gamma, j, 1), v, load(beta, j, 1)), row)


@apart
def forward_layer_norm(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Normalize each row of this thread, as many at a time as a vector has lanes, so that they share a square root."""
    node, step = node_of(graph, i), lanes(net.work, 1)
    gamma = at(net.parameters, tensor_of(graph, node.parameters).start)
    beta = at(net.parameters, tensor_of(graph, node.parameters + 1).start)
    means, scales, n = on_stack(net.work, LANES), on_stack(net.work, LANES), node.n_in
    inverse, epsilon = number_of(net.work, 1 / n), number_of(net.work, real_of(graph, node, 0))
    for top in range(rows.first, rows.first + rows.count, step):
        count = min(step, rows.first + rows.count - top)
        for r in range(count):
            sums, squares = sums_of_row(at(net.work, node.a_in + (top + r) * node.in_width), n)
            put(means, r, sums)
            put(scales, r, squares)
        mean = load(means, 0, 1) * inverse
        variance = at_least(load(scales, 0, 1) * inverse - mean * mean, 0)  # rounding could make it negative
        store(means, 0, mean)
        store(scales, 0, 1 / square_root(variance + epsilon))
        store_first(at(net.work, node.statistics), top, load(scales, 0, 1), count)
        for r in range(count):
            source, place = at(net.work, node.a_in + (top + r) * node.in_width), (top + r) * node.out_width
            y, kept = at(net.work, node.a_out + place), at(net.work, node.kept + place)
            normalize_row(y, kept, source, gamma, beta, n, node.out_width, get(means, r), get(scales, r))


@inlined
def sums_of_errors(delta, kept, gamma, n):
    """Return Σ g and Σ g ⊙ x̂ of a row."""
    width = lanes(delta, 1)
    sums = products = load(delta, 0, 1) * 0
    for j in range(0, n, width):
        g = load(delta, j, 1) * load(gamma, j, 1)
        if j + width > n:
            g = first_lanes(g, delta, n - j)
        sums, products = sums + g, fma(g, load(kept, j, 1), products)
    return total(sums), total(products)


@inlined
def errors_of_row(delta_in, delta, kept, gamma, node, scale, mean, product):
    """Store r g less the two means of a row, which are multiplied by r."""
    n, width = node.n_in, lanes(delta, 1)
    for j in range(0, n, width):
        g = load(delta, j, 1) * load(gamma, j, 1)
        v = fma(load(kept, j, 1), -product, fma(g, scale, -mean))
        if j + width > n:
            v = first_lanes(v, delta, n - j)
        store_or_add(delta_in, j, v, node.in_width, node.adds != 0)


@apart
def backward_layer_norm(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Compute ∂J/∂x of each row of this thread, as many at a time as a vector has lanes."""
    node, step = node_of(graph, i), lanes(net.work, 1)
    gamma = at(net.parameters, tensor_of(graph, node.parameters).start)
    means, products, inverse = on_stack(net.work, LANES), on_stack(net.work, LANES), number_of(net.work, 1 / node.n_in)
    for top in range(rows.first, rows.first + rows.count, step):
        count = min(step, rows.first + rows.count - top)
        for r in range(count):
            place = (top + r) * node.out_width
            delta, kept = at(net.work, node.d_out + place), at(net.work, node.kept + place)
            mean, product = sums_of_errors(delta, kept, gamma, node.n_in)
            put(means, r, mean)
            put(products, r, product)
        scales = load_first(at(net.work, node.statistics), top, count) * inverse
        store(means, 0, load(means, 0, 1) * scales)
        store(products, 0, load(products, 0, 1) * scales)
        for r in range(count):
            place, scale = (top + r) * node.out_width, get(net.work, node.statistics + top + r)
            delta, kept = at(net.work, node.d_out + place), at(net.work, node.kept + place)
            delta_in = at(net.work, node.d_in + (top + r) * node.in_width)
            errors_of_row(delta_in, delta, kept, gamma, node, scale, get(means, r), get(products, r))


@inlined
def sums_of_column(delta, kept, row, m):
    """Return Σ δ and Σ δ ⊙ x̂ of m rows for the columns of a vector.

    Rows take turns with two sums each, because a single sum would have to wait for each addition.
    """
    errors = products = load(delta, 0, 1) * 0
    more_errors, more_products = errors, products
    for s in range(0, m - 1, 2):
        d, e = load(delta, s * row, 1), load(delta, s * row + row, 1)
        errors, more_errors = errors + d, more_errors + e
        products = fma(d, load(kept, s * row, 1), products)
        more_products = fma(e, load(kept, s * row + row, 1), more_products)
    if m % 2 == 1:
        d = load(delta, (m - 1) * row, 1)
        errors, products = errors + d, fma(d, load(kept, (m - 1) * row, 1), products)
    return errors + more_errors, products + more_products


@inlined
def write_gradient(net, tensor, j, vector, eta):
    """Store the gradient of the parameters from number j on, or add it if η isn't 0."""
    if tensor.learns:
        place = at(net.gradients, tensor.start)
        if eta != 0:
            vector = vector + load(place, j, 1)
        store_first(place, j, vector, tensor.n - j)


@apart
def gradients_layer_norm(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, mode: int, team: Team):
    """Compute ∂J/∂γ and ∂J/∂β for this thread's columns."""
    node, width = node_of(graph, i), lanes(net.work, 1)
    gamma, beta = tensor_of(graph, node.parameters), tensor_of(graph, node.parameters + 1)
    first, columns = slice_of_lines(node.n_out, width, team)
    for j in range(first, first + columns, width):
        errors, products = sums_of_column(at(net.work, node.d_out + j), at(net.work, node.kept + j), node.out_width, m)
        write_gradient(net, gamma, j, products, eta)
        write_gradient(net, beta, j, errors, eta)


@inlined
def has_batch(node, m, mode):
    """Return whether a batch norm takes the mean and the variance of the batch."""
    return mode != PREDICTING and node.learns != 0 and m > 1


@inlined
def statistics_of(net, node, row):
    """Return a pointer to a row of a batch norm's statistics."""
    return at(net.work, node.statistics + row * node.out_width)


@inner
def column_moments(x, row, m, j, epsilon):
    """Return mean, variance and r of the columns of a vector."""
    sums = more = load(x, j, 1) * 0
    for s in range(0, m - 1, 2):
        sums, more = sums + load(x, s * row + j, 1), more + load(x, s * row + row + j, 1)
    if m % 2 == 1:
        sums = sums + load(x, (m - 1) * row + j, 1)
    inverse = number_of(x, 1 / m)
    mean = (sums + more) * inverse
    sums = more = mean * 0
    for s in range(0, m - 1, 2):
        d, e = load(x, s * row + j, 1) - mean, load(x, s * row + row + j, 1) - mean
        sums, more = fma(d, d, sums), fma(e, e, more)
    if m % 2 == 1:
        d = load(x, (m - 1) * row + j, 1) - mean
        sums = fma(d, d, sums)
    variance = (sums + more) * inverse
    return mean, variance, 1 / square_root(variance + number_of(x, epsilon))


@inner
def measure_batch(net, graph, node, m, team):
    """Compute the statistics of the batch for this thread's columns."""
    source, width, row = at(net.work, node.a_in), lanes(net.work, 1), node.out_width
    first, columns = slice_of_lines(node.n_in, width, team)
    for j in range(first, first + columns, width):
        mean, variance, scale = column_moments(source, node.in_width, m, j, real_of(graph, node, 0))
        store_in_row(statistics_of(net, node, MEAN), j, mean, row)
        store_in_row(statistics_of(net, node, VARIANCE), j, variance, row)
        store_in_row(statistics_of(net, node, SCALE), j, scale, row)


@inner
def take_running(net, graph, node):
    """Copy the running statistics. All threads write the same numbers, so that they need not meet."""
    mean = at(net.parameters, tensor_of(graph, node.parameters + 2).start)
    variance = at(net.parameters, tensor_of(graph, node.parameters + 3).start)
    epsilon = number_of(net.work, real_of(graph, node, 0))
    for j in range(0, node.n_in, lanes(net.work, 1)):
        scale = 1 / square_root(load(variance, j, 1) + epsilon)
        store_in_row(statistics_of(net, node, MEAN), j, load(mean, j, 1), node.out_width)
        store_in_row(statistics_of(net, node, SCALE), j, scale, node.out_width)


@apart
def forward_batch_norm(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Normalize the columns of this thread's rows."""
    node = node_of(graph, i)
    if has_batch(node, rows.m, mode):
        meet(team)
        measure_batch(net, graph, node, rows.m, team)
        meet(team)
    else:
        take_running(net, graph, node)
    mean, scale = statistics_of(net, node, MEAN), statistics_of(net, node, SCALE)
    gamma = at(net.parameters, tensor_of(graph, node.parameters).start)
    beta = at(net.parameters, tensor_of(graph, node.parameters + 1).start)
    for s in range(rows.first, rows.first + rows.count):
        source = at(net.work, node.a_in + s * node.in_width)
        kept, y = at(net.work, node.kept + s * node.out_width), at(net.work, node.a_out + s * node.out_width)
        for j in range(0, node.n_in, lanes(y, 1)):
            v = (load(source, j, 1) - load(mean, j, 1)) * load(scale, j, 1)
            store_in_row(kept, j, v, node.out_width)
            store_in_row(y, j, fma(load(gamma, j, 1), v, load(beta, j, 1)), node.out_width)


@inner
def remember_batch(net, graph, node, m, team):
    """Move the running mean and variance of this thread's columns towards those of the batch."""
    running_mean, running_variance = tensor_of(graph, node.parameters + 2), tensor_of(graph, node.parameters + 3)
    momentum, width = real_of(graph, node, 1), lanes(net.work, 1)
    stays, comes = number_of(net.work, 1 - momentum), number_of(net.work, momentum)
    unbiased = number_of(net.work, momentum * m / (m - 1))
    first, columns = slice_of_lines(node.n_in, width, team)
    for j in range(first, first + columns, width):
        place, left = at(net.parameters, running_mean.start + j), node.n_in - j
        mean = load_first(place, 0, left) * stays + load(statistics_of(net, node, MEAN), j, 1) * comes
        store_first(place, 0, mean, left)
        place = at(net.parameters, running_variance.start + j)
        variance = load_first(place, 0, left) * stays + load(statistics_of(net, node, VARIANCE), j, 1) * unbiased
        store_first(place, 0, variance, left)


@inner
def sum_batch(net, node, m, team):
    """Compute Σ δ and Σ δ ⊙ x̂ for this thread's columns."""
    width = lanes(net.work, 1)
    first, columns = slice_of_lines(node.n_out, width, team)
    for j in range(first, first + columns, width):
        errors, products = sums_of_column(at(net.work, node.d_out + j), at(net.work, node.kept + j), node.out_width, m)
        store_in_row(statistics_of(net, node, SUM_OF_ERRORS), j, errors, node.out_width)
        store_in_row(statistics_of(net, node, SUM_OF_PRODUCTS), j, products, node.out_width)


@apart
def backward_batch_norm(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Compute the sums over the batch, and ∂J/∂x of this thread's rows. If learning, update the running statistics."""
    node = node_of(graph, i)
    batch = has_batch(node, rows.m, mode)
    if batch and mode == LEARNING:
        remember_batch(net, graph, node, rows.m, team)
    if mode != PREDICTING and node.learns != 0:
        meet(team)
        sum_batch(net, node, rows.m, team)
        meet(team)
    if node.d_in < 0:
        return
    gamma = at(net.parameters, tensor_of(graph, node.parameters).start)
    scale, inverse = statistics_of(net, node, SCALE), number_of(net.work, 1 / rows.m if batch else 0.0)
    errors, products = statistics_of(net, node, SUM_OF_ERRORS), statistics_of(net, node, SUM_OF_PRODUCTS)
    for s in range(rows.first, rows.first + rows.count):
        delta, kept = at(net.work, node.d_out + s * node.out_width), at(net.work, node.kept + s * node.out_width)
        for j in range(0, node.n_in, lanes(delta, 1)):
            v = load(delta, j, 1)
            if batch:
                v = v - fma(load(kept, j, 1), load(products, j, 1), load(errors, j, 1)) * inverse
            v = v * (load(gamma, j, 1) * load(scale, j, 1))
            store_or_add(at(net.work, node.d_in + s * node.in_width), j, v, node.in_width, node.adds != 0)


@apart
def gradients_batch_norm(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, mode: int, team: Team):
    """Copy ∂J/∂γ and ∂J/∂β, which are the sums of `backward_batch_norm`, for this thread's columns."""
    node, width = node_of(graph, i), lanes(net.work, 1)
    gamma, beta = tensor_of(graph, node.parameters), tensor_of(graph, node.parameters + 1)
    first, columns = slice_of_lines(node.n_out, width, team)
    for j in range(first, first + columns, width):
        write_gradient(net, gamma, j, load(statistics_of(net, node, SUM_OF_PRODUCTS), j, 1), eta)
        write_gradient(net, beta, j, load(statistics_of(net, node, SUM_OF_ERRORS), j, 1), eta)

"""Operations that go number by number: activations, sums and copies for residual blocks, and scales."""

from ..activations import activate, multiply_by_derivative
from ..apart import apart
from ..codes import KEPT, Dropping, Machine, Operand, Share, Team
from ..dropout import drop_out
from ..jit import inlined, inner
from ..levels import REGISTER
from ..llvm import at, fma, lanes, load, load_first, number_of, splat, store, store_first
from ..team import slice_of_lines
from ..tile import sum_rows
from .nodes import ADD, COPY, Graph, Rows
from .places import (
    delta_in,
    delta_out,
    input_of,
    kept_of,
    kept_too_of,
    node_of,
    output_of,
    real_of,
    tensor_of,
)

STRIP_BYTES = 1 << 15  # of the first cache, which has 32 KB or more


def make_rowwise(formula):
    """Make the kernel that stores formula(y, x, s) in y for each number of some rows of n, with one row of s."""

    @inner
    def rowwise(y, x, s, rows, n):
        width = lanes(y.at, 1)
        whole = n // width * width
        for r in range(rows):
            y_r, x_r = at(y.at, r * y.row), at(x.at, r * x.row)
            for j in range(0, whole, width):
                store(y_r, j, formula(load(y_r, j, 1), load(x_r, j, 1), load(s, j, 1)))
            if whole < n:
                left = n - whole
                y_j, x_j, s_j = load_first(y_r, whole, left), load_first(x_r, whole, left), load_first(s, whole, left)
                store_first(y_r, whole, formula(y_j, x_j, s_j), left)

    return rowwise


copy_rowwise = make_rowwise(inlined(lambda y, x, s: x))
add_rowwise = make_rowwise(inlined(lambda y, x, s: y + x))
scale_rowwise = make_rowwise(inlined(lambda y, x, s: x * s))
add_scaled_rowwise = make_rowwise(inlined(lambda y, x, s: fma(x, s, y)))


@inlined
def mixed(f, x, slope, alpha):
    """Return x + α (f − x), f − x, and the slope 1 + α (f′ − 1)."""
    less = f - x
    return fma(less, alpha - 1, f), less, fma(slope - 1, alpha, 1)


@inner
def mix_rowwise(z, less, slope, alpha, rows, n):
    """Turn f, x and f′ into what `mixed` returns, for rows of n with one row of α."""
    width = lanes(alpha, 1)
    whole = n // width * width
    for r in range(rows):
        z_r, x_r, s_r = at(z.at, r * z.row), at(less.at, r * less.row), at(slope.at, r * slope.row)
        for j in range(0, whole, width):
            a, g, d = mixed(load(z_r, j, 1), load(x_r, j, 1), load(s_r, j, 1), load(alpha, j, 1))
            store(z_r, j, a)
            store(x_r, j, g)
            store(s_r, j, d)
        if whole < n:
            i, left = whole, n - whole
            f, x, s, p = load_first(z_r, i, left), load_first(x_r, i, left), load_first(s_r, i, left), alpha
            a, g, d = mixed(f, x, s, load_first(p, i, left))
            store_first(z_r, i, a, left)
            store_first(x_r, i, g, left)
            store_first(s_r, i, d, left)


@inner
def multiply_both_rowwise(delta, less, slope, rows, n):
    """Store δ ⊙ (f − x) in place of f − x, and δ ⊙ f′ in place of δ, for rows of n."""
    width = lanes(delta.at, 1)
    whole = n // width * width
    for r in range(rows):
        d_r, g_r, s_r = at(delta.at, r * delta.row), at(less.at, r * less.row), at(slope.at, r * slope.row)
        for j in range(0, whole, width):
            d = load(d_r, j, 1)
            store(g_r, j, load(g_r, j, 1) * d)
            store(d_r, j, load(s_r, j, 1) * d)
        if whole < n:
            d = load_first(d_r, whole, n - whole)
            store_first(g_r, whole, load_first(g_r, whole, n - whole) * d, n - whole)
            store_first(d_r, whole, load_first(s_r, whole, n - whole) * d, n - whole)


@inlined
def alpha_of(net, graph, node):
    """Return the pointer to the parameters α of an activation, or to γ, s and others that are one row."""
    return at(net.parameters, tensor_of(graph, node.parameters).start)


@inlined
def rows_in_strip(net, node):
    """Return how many rows of three arrays the first cache holds."""
    return max(STRIP_BYTES // (3 * node.out_width * (REGISTER // lanes(net.work, 1))), 1)


@inner
def activate_strip(net, graph, node, first, count, rate, dropping):
    """Do what `forward_activate` does for some rows, whose slopes are kept."""
    z, slope, n = output_of(net, node, first), kept_of(net, node, first), node.n_out
    mixes = node.n_parameters > 0
    less, alpha = z, z.at
    if mixes:
        less, alpha = kept_too_of(net, node, first), alpha_of(net, graph, node)
        copy_rowwise(less, z, z.at, count, n)
    activate(z, slope.at, count, n, node.code, True)
    if mixes:
        mix_rowwise(z, less, slope, alpha, count, n)
    if rate > 0:
        place = Share(dropping.row + first, count, 0, n)
        drop_out(z, slope.at, place, n, rate, dropping.batch, node.number, dropping.seed)
        if mixes and node.learns:  # with the same units; δ isn't computed yet, so its place is free
            spare = delta_out(net, node, first)
            drop_out(less, spare.at, place, n, rate, dropping.batch, node.number, dropping.seed)


@apart
def forward_activate(net: Machine, graph: Graph, i: int, rows: Rows, factor: float, dropping: Dropping):
    """Store y = f(x), or x + α (f(x) − x), in place for a thread's rows, and drop units. factor: of dropout's rate."""
    node = node_of(graph, i)
    if node.kept < 0:  # f′ comes from a
        z = output_of(net, node, rows.first)
        activate(z, z.at, rows.count, node.n_out, node.code, False)
        return
    rate, unit = real_of(graph, node, 0) * factor if dropping.active else 0.0, rows_in_strip(net, node)
    for first in range(0, rows.count, unit):
        activate_strip(net, graph, node, rows.first + first, min(unit, rows.count - first), rate, dropping)


@apart
def backward_activate(net: Machine, graph: Graph, i: int, rows: Rows):
    """δ ← δ ⊙ f′ in place for a thread's rows. If α learns, δ ⊙ (f − x) is stored for its gradient."""
    node = node_of(graph, i)
    delta, n = delta_out(net, node, rows.first), node.n_out
    if node.n_parameters > 0 and node.learns:
        less, slope = kept_too_of(net, node, rows.first), kept_of(net, node, rows.first)
        multiply_both_rowwise(delta, less, slope, rows.count, n)
    elif node.kept < 0:
        multiply_by_derivative(delta, output_of(net, node, rows.first), rows.count, n, node.code)
    else:
        multiply_by_derivative(delta, kept_of(net, node, rows.first), rows.count, n, KEPT)


@apart
def forward_simple(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows):
    """Copy, add or scale a thread's rows."""
    node = node_of(graph, i)
    y, a, n = output_of(net, node, rows.first), input_of(net, node, x, rows.first), node.n_out
    if node.op == COPY:
        copy_rowwise(y, a, y.at, rows.count, n)
    elif node.op == ADD:
        add_rowwise(y, a, y.at, rows.count, n)
    else:
        scale_rowwise(y, a, alpha_of(net, graph, node), rows.count, n)


@apart
def backward_simple(net: Machine, graph: Graph, i: int, rows: Rows):
    """Store ∂J/∂x of a copy, a sum or a scale for a thread's rows, or add it."""
    node = node_of(graph, i)
    below, above, n = delta_in(net, node, rows.first), delta_out(net, node, rows.first), node.n_out
    scales = node.op != COPY and node.op != ADD
    if scales and node.adds:
        add_scaled_rowwise(below, above, alpha_of(net, graph, node), rows.count, n)
    elif scales:
        scale_rowwise(below, above, alpha_of(net, graph, node), rows.count, n)
    elif node.adds:
        add_rowwise(below, above, above.at, rows.count, n)
    else:
        copy_rowwise(below, above, above.at, rows.count, n)


@inner
def sum_products(c, a, b, rows, columns, eta):
    """C ← Σ a ⊙ b over rows if η is 0, else C ← C − η times it. C is one row. The order of additions is fixed."""
    for j in range(0, columns, lanes(c, 1)):
        first = second = third = fourth = splat(number_of(c, 0), 1)
        left, count = rows % 4, columns - j
        for s in range(left):
            first = fma(load_first(a.at, s * a.row + j, count), load_first(b.at, s * b.row + j, count), first)
        for s in range(left, rows, 4):
            p, q = at(a.at, s * a.row + j), at(b.at, s * b.row + j)
            first = fma(load_first(p, 0, count), load_first(q, 0, count), first)
            second = fma(load_first(p, a.row, count), load_first(q, b.row, count), second)
            third = fma(load_first(p, 2 * a.row, count), load_first(q, 2 * b.row, count), third)
            fourth = fma(load_first(p, 3 * a.row, count), load_first(q, 3 * b.row, count), fourth)
        total = (first + second) + (third + fourth)
        if eta != 0:
            total = fma(-eta, total, load_first(c, j, count))
        store_first(c, j, total, count)


@apart
def gradients_simple(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, team: Team):
    """Store ∂J/∂α or ∂J/∂s over m rows if η is 0, or add it if it is −1: a thread's part of the columns."""
    node = node_of(graph, i)
    tensor, factor = tensor_of(graph, node.parameters), number_of(net.work, eta)
    first, columns = slice_of_lines(node.n_out, lanes(net.work, 1), team)
    out = at(net.gradients, tensor.start + first)
    if node.kept_too >= 0:
        less = kept_too_of(net, node, 0)
        sum_rows(out, Operand(at(less.at, first), less.row, 1), m, columns, factor)
    else:
        a, delta = input_of(net, node, x, 0), delta_out(net, node, 0)
        a, delta = Operand(at(a.at, first), a.row, 1), Operand(at(delta.at, first), delta.row, 1)
        sum_products(out, a, delta, m, columns, factor)

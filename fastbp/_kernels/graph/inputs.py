"""What reads columns of X without formulas of waves: numbers as they are, embeddings of categories, and bins.

Each operation writes its own columns of a_out, and ∂J/∂X only to the columns that it reads. That of a category is 0.
"""

from ..apart import apart
from ..bits import total
from ..codes import Machine, Operand, Team
from ..elementary import at_least, at_most
from ..jit import inlined, inner
from ..levels import LINE, REGISTER
from ..llvm import at, get, lanes, load, load_first, prefetch, put, ramp, splat, store, store_first, where_less
from ..samples import copy_row
from ..team import slice_of
from ..tuning import AHEAD
from .nodes import COUNT, LEARNING, TOUCHED, Graph, Rows
from .places import clear, node_of, rows_of_batch, tensor_of


@inner
def add_row(target, source, n):
    """Add n numbers to a run that may begin and end within other vectors."""
    width = lanes(source, 1)
    whole = n // width * width
    for j in range(0, whole, width):
        store(target, j, load(target, j, 1) + load(source, j, 1))
    if whole < n:
        left = n - whole
        store_first(target, whole, load_first(target, whole, left) + load_first(source, whole, left), left)


@inlined
def read_from(x, node, s):
    """Return a pointer to the first number of row s that a node reads in X."""
    return at(x.at, s * x.row + node.first)


@inlined
def written_at(net, node, s):
    """Return a pointer to the first number of row s that a node writes."""
    return at(net.work, node.a_out + s * node.out_width + node.column)


@inlined
def errors_at(net, node, s):
    """Return a pointer to ∂J/∂y of row s, for the columns that a node writes."""
    return at(net.work, node.d_out + s * node.out_width + node.column)


@inlined
def errors_of_x(net, node, s):
    """Return a pointer to ∂J/∂X of row s, for the columns that a node reads."""
    return at(net.work, node.d_in + s * node.in_width + node.first)


@apart
def forward_numbers(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Copy columns of X for this thread's rows."""
    node = node_of(graph, i)
    for s in range(rows.first, rows.first + rows.count):
        copy_row(written_at(net, node, s), read_from(x, node, s), node.n_read)


@apart
def backward_numbers(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Add ∂J/∂y to ∂J/∂X for this thread's rows."""
    node = node_of(graph, i)
    for s in range(rows.first, rows.first + rows.count):
        add_row(errors_of_x(net, node, s), errors_at(net, node, s), node.n_read)


@inlined
def category(x, node, s, count):
    """Return the category of row s. Python has checked it; the bound is for the memory's sake, as for a NaN."""
    code = get(x.at, s * x.row + node.first)
    return int(code) if 0 <= code < count else 0


@inlined
def prefetch_row(memory, n):
    """Ask for n numbers that are read soon."""
    for j in range(0, n, LINE // REGISTER * lanes(memory, 1)):
        prefetch(memory, j)


@apart
def forward_embed(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Copy the table's row of each category for this thread's rows."""
    node = node_of(graph, i)
    table, stop = tensor_of(graph, node.parameters), rows.first + rows.count
    for s in range(rows.first, stop):
        ahead = category(x, node, min(s + AHEAD, stop - 1), table.rows)
        prefetch_row(at(net.parameters, table.start + ahead * table.width), table.n)
        row = at(net.parameters, table.start + category(x, node, s, table.rows) * table.width)
        copy_row(written_at(net, node, s), row, table.n)


@inlined
def places_of(graph, table):
    """Return a pointer to the place of each row of a table among the rows of the batch."""
    return at(graph.touched, table.touched + TOUCHED + table.rows)


@apart
def touch_rows(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float):
    """List the rows of a table that m samples have. Set a row's gradient to 0 when the batch first has it.

    The batch begins if η is 0. The gradients of the listed rows lie in the order of the list.
    """
    node = node_of(graph, i)
    table = tensor_of(graph, node.parameters)
    touched, places = at(graph.touched, table.touched + TOUCHED), places_of(graph, table)
    count = 0 if eta == 0 else rows_of_batch(graph, table)
    for s in range(m):
        prefetch(places, category(x, node, min(s + AHEAD, m - 1), table.rows))
        code = category(x, node, s, table.rows)
        k = get(places, code)
        if k >= count or get(touched, k) != code:  # for a new row, its place is that in an earlier batch
            put(places, code, count)
            put(touched, count, code)
            clear(net, at(net.gradients, table.start + count * table.width), table.width)
            count += 1
    put(graph.touched, table.touched + COUNT, count)


@apart
def gradients_embed(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, mode: int, team: Team):
    """Add ∂J/∂y of each sample to its category's gradient: each thread for its own categories, in the samples' order.

    The gradient is 0 before a batch's first block: all of it, or the rows of `touch_rows`.
    """
    node = node_of(graph, i)
    table = tensor_of(graph, node.parameters)
    by_row, places = table.by_row != 0 and mode == LEARNING, places_of(graph, table)
    first, count = slice_of(table.rows, 1, team)
    for s in range(m):
        code = category(x, node, s, table.rows)
        if first <= code < first + count:
            k = get(places, code) if by_row else code
            add_row(at(net.gradients, table.start + k * table.width), errors_at(net, node, s), table.n)


@inlined
def bins_at(edges, t, count, number):
    """Return y and ∂y/∂x of the bins from t on, of `count`. The first and the last one are open.

    An empty bin is a step: 0 below its edge, else 1.
    """
    low, high = load_first(edges, t, count - t), load_first(edges, t + 1, count - t)
    place, span = ramp(edges, 1) + t, high - low
    u = where_less(0, span, (number - low) / span, where_less(number, low, 0, 1))
    slope = where_less(0, span, 1 / span, 0)
    slope = where_less(0, u, slope, where_less(place, 0.5, slope, 0))
    slope = where_less(u, 1, slope, where_less(count - 1.5, place, slope, 0))
    y = where_less(place, 0.5, u, at_least(u, 0))
    return where_less(count - 1.5, place, y, at_most(y, 1)), slope


@apart
def forward_piecewise(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Compute the bins of each number for this thread's rows."""
    node = node_of(graph, i)
    edges, bins = tensor_of(graph, node.parameters), node.inner
    for s in range(rows.first, rows.first + rows.count):
        numbers, y = read_from(x, node, s), written_at(net, node, s)
        for k in range(node.n_read):
            number = splat(get(numbers, k), 1)
            for t in range(0, bins, lanes(y, 1)):
                value, _ = bins_at(at(net.parameters, edges.start + k * edges.width), t, bins, number)
                store_first(y, k * bins + t, value, bins - t)


@apart
def backward_piecewise(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, mode: int, team: Team):
    """Add Σ δ ∂y/∂x over a number's bins to ∂J/∂X for this thread's rows."""
    node = node_of(graph, i)
    edges, bins = tensor_of(graph, node.parameters), node.inner
    for s in range(rows.first, rows.first + rows.count):
        numbers, delta, out = read_from(x, node, s), errors_at(net, node, s), errors_of_x(net, node, s)
        for k in range(node.n_read):
            number = splat(get(numbers, k), 1)
            sums = number * 0
            for t in range(0, bins, lanes(delta, 1)):
                _, slope = bins_at(at(net.parameters, edges.start + k * edges.width), t, bins, number)
                sums = sums + load_first(delta, k * bins + t, bins - t) * slope
            put(out, k, get(out, k) + total(sums))

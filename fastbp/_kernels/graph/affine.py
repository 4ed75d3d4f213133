"""y = x Θᵀ + b: forward and backward for a thread's rows, and the gradients, which threads divide like the base's.

The way back needs Θ in the other order. For few samples, δ is transposed; for many, a mirror of Θ is made.
"""

from ..apart import apart
from ..codes import Extent, Machine, Memory, Operand, Share, Team
from ..jit import inlined, inner
from ..levels import REGISTER
from ..llvm import at, lanes, number_of
from ..team import division, first_share, meet, next_share, slice_of_lines
from ..tile import multiply, sum_rows, transpose
from ..tuning import HEIGHT, TALL
from ..wide import is_wide, multiply_rows, multiply_wide, pack_rows, ready_columns
from .nodes import AFFINE, PIECE_BYTES, TURNS_BELOW, TURNS_FROM, TURNS_TO, Graph, Moving, Rows
from .places import delta_in, delta_out, input_of, node_of, output_of, tensor_of
from .step import factors_for, move_tensor, moves_early


@inlined
def multiply_own(net, graph, c, a, b, extent, start, eta, rows, team):
    """C ← s + A B or C ← C − η(s + A B) for a thread's rows. It packs A for itself if that pays."""
    if is_wide(extent.rows, extent.inner, b.row, lanes(net.work, 1)):
        packed = at(net.work, net.packed + rows.first // HEIGHT * graph.room)
        pack_rows(packed, a, extent.rows, extent.inner, Team(team.meeting, 0, 1))
        multiply_wide(c, packed, b, extent, start, eta, 0)
    else:
        multiply(c, a, b, extent, start, eta, 0)


@apart
def forward_affine(net: Machine, graph: Graph, i: int, x: Operand, rows: Rows, team: Team):
    """Store y = x Θᵀ + b for a thread's rows."""
    node = node_of(graph, i)
    weight, bias = tensor_of(graph, node.parameters), tensor_of(graph, node.parameters + 1)
    multiply_own(
        net,
        graph,
        output_of(net, node, rows.first),
        input_of(net, node, x, rows.first),
        Operand(at(net.parameters, weight.start), weight.width, 1),
        Extent(rows.count, node.n_out, node.n_in),
        Operand(at(net.parameters, bias.start), 0, 1),
        number_of(net.work, 0),
        rows,
        team,
    )


@inlined
def turns(node, m):
    """Return whether δ is transposed, and not Θ, for blocks of m samples."""
    few, many = min(node.n_in, node.n_out), max(node.n_in, node.n_out)
    return few >= TURNS_FROM and many <= TURNS_TO and TURNS_BELOW * m <= few


@inner
def backward_turned(net, graph, node, rows):
    """Store δ Θ for a thread's rows, or add it, as (Θᵀ δᵀ)ᵀ, with the same bits."""
    width, weight = lanes(net.work, 1), tensor_of(graph, node.parameters)
    row = width // 2 if rows.count <= width // 2 else (rows.count + width - 1) // width * width
    place = net.packed + rows.first // HEIGHT * graph.room
    turned = Operand(at(net.work, place), row, 1)
    below = Operand(at(net.work, place + node.n_out * row), row, 1)
    out = delta_in(net, node, rows.first)
    transpose(turned, delta_out(net, node, rows.first), rows.count, node.n_out, node.n_out)
    if node.adds:
        transpose(below, out, rows.count, node.n_in, node.n_in)
    multiply(
        below,
        Operand(at(net.parameters, weight.start), weight.width, 1),
        turned,
        Extent(node.n_in, rows.count, node.n_out),
        Operand(at(net.work, net.zeros), 0, 0),
        number_of(net.work, -1.0 if node.adds else 0.0),
        0,
    )
    transpose(out, below, node.n_in, rows.count, rows.count)


@apart
def backward_affine(net: Machine, graph: Graph, i: int, rows: Rows, team: Team):
    """Store δ Θ for a thread's rows, or add it."""
    node = node_of(graph, i)
    if turns(node, rows.m):
        if rows.count > 0:
            backward_turned(net, graph, node, rows)
        return
    multiply_own(
        net,
        graph,
        delta_in(net, node, rows.first),
        delta_out(net, node, rows.first),
        Operand(at(net.work, node.mirror), node.in_width, 1),
        Extent(rows.count, node.n_in, node.n_out),
        Operand(at(net.work, net.zeros), 0, 0),
        number_of(net.work, -1.0 if node.adds else 0.0),
        rows,
        team,
    )


@inlined
def move_share(net, kept, weight, mine, place, code, factors):
    """Do a step of the optimizer for a share of Θ. place: of its gradient in Machine.gradients."""
    first = weight.start + mine.row * weight.width + mine.column
    if mine.column == 0 and mine.columns >= weight.n:
        move_tensor(net, kept, first, place, mine.rows * weight.width, code, factors)
    else:
        for r in range(mine.rows):  # Numba would add an error for steps of 0
            move_tensor(net, kept, first + r * weight.width, place + r * weight.width, mine.columns, code, factors)


@inlined
def rows_at_once(net, weight, mine, moves):
    """Return how many rows of a share are computed before they move: all, or as many as stay in the cache."""
    if not moves:
        return max(mine.rows, 1)
    return max(PIECE_BYTES // (weight.width * (REGISTER // lanes(net.work, 1))) // TALL, 1) * TALL


@apart
def gradients_affine(
    net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, kept: Memory, moving: Moving, team: Team
):
    """Store δᵀ x and Σ δ over m rows if η is 0, or add them if it is −1: a thread's share of them.

    If the weights move at once, each thread moves those whose gradients it has computed.
    """
    node, width, factor = node_of(graph, i), lanes(net.work, 1), number_of(net.work, eta)
    weight, bias = tensor_of(graph, node.parameters), tensor_of(graph, node.parameters + 1)
    if bias.learns:
        first, columns = slice_of_lines(node.n_out, width, team)
        delta = Operand(at(net.work, node.d_out + first), node.out_width, 1)
        sum_rows(at(net.gradients, bias.start + first), delta, m, columns, factor)
    if not weight.learns:
        return
    zeros = Operand(at(net.work, net.zeros), 0, 0)
    a = ready_columns(net, input_of(net, node, x, 0), node.n_in, m, weight.width, team)
    cut = division(node.n_in, node.n_out, node.n_in * weight.width, a.packed, width, team)
    moves, rule = moving.at_once and moves_early(net, weight), moving.rule
    factors = factors_for(net, graph, node.parameters, rule, moving.eta, moving.decay, 1.0, moving.step)
    more, mine = first_share(cut, team)
    while more:
        unit = rows_at_once(net, weight, mine, moves)
        for part in range((mine.rows + unit - 1) // unit):
            top = part * unit
            some = Share(mine.row + top, min(unit, mine.rows - top), mine.column, mine.columns)
            # Gradients that are used at once, all parts store in the same place, which stays in the cache.
            place = weight.start + (mine.row + (0 if moves and eta == 0 else top)) * weight.width + mine.column
            theta = Operand(at(net.gradients, place), weight.width, 1)
            delta = Operand(at(net.work, node.d_out + mine.column), node.out_width, 1)
            multiply_rows(net, theta, a, some.row, delta, Extent(some.rows, some.columns, m), zeros, factor, 0)
            if moves:
                move_share(net, kept, weight, some, place, rule.code, factors)
        more, mine = next_share(cut, team)
    if cut.tickets > 0 or a.packed:
        meet(team)  # before another product draws tickets or packs


@apart
def mirror_affine(net: Machine, graph: Graph, m: int, team: Team):
    """Copy Θ of the operations that need it on the way back of m samples, not transposed: a thread's part."""
    for i in range(graph.n_nodes):
        node = node_of(graph, i)
        if node.op == AFFINE and node.d_in >= 0 and not turns(node, m):
            weight = tensor_of(graph, node.parameters)
            first, columns = slice_of_lines(node.n_in, lanes(net.work, 1), team)
            transpose(
                Operand(at(net.work, node.mirror + first), node.in_width, 1),
                Operand(at(net.parameters, weight.start + first * weight.width), weight.width, 1),
                columns,
                node.n_out,
                weight.width,
            )

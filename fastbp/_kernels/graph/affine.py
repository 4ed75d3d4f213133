"""y = x Θᵀ + b: forward and backward for a thread's rows, and the gradients, which threads divide like the base's."""

from ..apart import apart
from ..codes import Extent, Machine, Operand, Team
from ..jit import inlined
from ..llvm import at, lanes, number_of
from ..team import division, first_share, meet, next_share, slice_of_lines
from ..tile import multiply, sum_rows, transpose
from ..tuning import HEIGHT
from ..wide import is_wide, multiply_rows, multiply_wide, pack_rows, ready_columns
from .nodes import AFFINE, Graph, Rows
from .places import delta_in, delta_out, input_of, node_of, output_of, tensor_of


@inlined
def multiply_own(net, graph, c, a, b, extent, start, eta, rows, team):
    """C ← s + A B or C ← C − η(s + A B) for a thread's rows. It packs A for itself if that pays."""
    if is_wide(extent.rows, extent.inner, b.row, lanes(net.work, 1)):
        packed = at(net.work, net.packed + rows.first // HEIGHT * graph.room)
        pack_rows(packed, a, extent.rows, extent.inner, Team(team.meeting, 0, 1))
        multiply_wide(c, packed, b, extent, start, eta)
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


@apart
def backward_affine(net: Machine, graph: Graph, i: int, rows: Rows, team: Team):
    """Store δ Θ for a thread's rows, or add it."""
    node = node_of(graph, i)
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


@apart
def gradients_affine(net: Machine, graph: Graph, i: int, x: Operand, m: int, eta: float, team: Team):
    """Store δᵀ x and Σ δ over m rows if η is 0, or add them if it is −1: a thread's share of them."""
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
    more, mine = first_share(cut, team)
    while more:
        theta = Operand(at(net.gradients, weight.start + mine.row * weight.width + mine.column), weight.width, 1)
        delta = Operand(at(net.work, node.d_out + mine.column), node.out_width, 1)
        multiply_rows(net, theta, a, mine.row, delta, Extent(mine.rows, mine.columns, m), zeros, factor, 0)
        more, mine = next_share(cut, team)
    if cut.tickets > 0 or a.packed:
        meet(team)  # before another product draws tickets or packs


@apart
def mirror_affine(net: Machine, graph: Graph, team: Team):
    """Copy Θ of all operations that need it on the way back, not transposed: a thread's part of the columns."""
    for i in range(graph.n_nodes):
        node = node_of(graph, i)
        if node.op == AFFINE and node.d_in >= 0:
            weight = tensor_of(graph, node.parameters)
            first, columns = slice_of_lines(node.n_in, lanes(net.work, 1), team)
            transpose(
                Operand(at(net.work, node.mirror + first), node.in_width, 1),
                Operand(at(net.parameters, weight.start + first * weight.width), weight.width, 1),
                columns,
                node.n_out,
                weight.width,
            )

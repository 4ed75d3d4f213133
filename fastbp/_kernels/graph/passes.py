"""A block of samples through all operations, forward and backward, and the gradients of the parameters."""

from ..apart import apart
from ..codes import Dropping, Machine, Memory, Operand, Team
from ..jit import inlined
from ..llvm import at, lanes
from ..records import layer_of
from ..team import meet, slice_of
from ..tuning import HEIGHT
from .affine import backward_affine, forward_affine, gradients_affine
from .inputs import (
    backward_numbers,
    backward_piecewise,
    forward_embed,
    forward_numbers,
    forward_piecewise,
    gradients_embed,
    touch_rows,
)
from .nodes import (
    ACTIVATE,
    ADD,
    AFFINE,
    BATCH_NORM,
    COPY,
    EMBED,
    LAYER_NORM,
    LEARNING,
    NUMBERS,
    PBLD,
    PERIODIC,
    PIECEWISE,
    SCALE,
    Graph,
    Moving,
    Rows,
)
from .norms import (
    backward_batch_norm,
    backward_layer_norm,
    forward_batch_norm,
    forward_layer_norm,
    gradients_batch_norm,
    gradients_layer_norm,
)
from .periodic import (
    backward_pbld,
    backward_periodic,
    forward_pbld,
    forward_periodic,
    gradients_pbld,
    gradients_periodic,
)
from .places import clear, node_of, tensor_of
from .simple import backward_activate, backward_simple, forward_activate, forward_simple, gradients_simple


@apart
def graph_forward(
    net: Machine, graph: Graph, x: Operand, m: int, mode: int, factor: float, dropping: Dropping, team: Team
):
    """Go from x = a¹ of m samples to zᴸ. Each thread has its own rows, from beginning to end.

    mode: PREDICTING, MEASURING or LEARNING. factor: of the rates of dropout.
    """
    first, count = slice_of(m, HEIGHT, team)
    rows = Rows(first, count, m)
    for i in range(graph.n_nodes):
        op = node_of(graph, i).op
        if op == AFFINE:
            forward_affine(net, graph, i, x, rows, team)
        elif op == ACTIVATE:
            forward_activate(net, graph, i, rows, factor, dropping)
        elif op == ADD or op == COPY or op == SCALE:
            forward_simple(net, graph, i, x, rows)
        elif op == LAYER_NORM:
            forward_layer_norm(net, graph, i, x, rows, mode, team)
        elif op == BATCH_NORM:
            forward_batch_norm(net, graph, i, x, rows, mode, team)
        elif op == NUMBERS:
            forward_numbers(net, graph, i, x, rows, mode, team)
        elif op == EMBED:
            forward_embed(net, graph, i, x, rows, mode, team)
        elif op == PBLD:
            forward_pbld(net, graph, i, x, rows, mode, team)
        elif op == PERIODIC:
            forward_periodic(net, graph, i, x, rows, mode, team)
        elif op == PIECEWISE:
            forward_piecewise(net, graph, i, x, rows, mode, team)


@apart
def graph_backward(net: Machine, graph: Graph, x: Operand, m: int, mode: int, team: Team):
    """Go from δᴸ down to ∂J/∂a of the tensors that need it, each thread for its own rows."""
    first, count = slice_of(m, HEIGHT, team)
    rows, bottom = Rows(first, count, m), layer_of(net, 0)
    if graph.wants_inputs:
        clear(net, at(net.work, bottom.delta + first * bottom.width), count * bottom.width)
    for k in range(graph.n_nodes):
        i = graph.n_nodes - 1 - k
        node = node_of(graph, i)
        if node.d_out < 0:
            continue
        op, below = node.op, node.d_in >= 0
        if op == ACTIVATE:
            backward_activate(net, graph, i, rows)
        elif op == AFFINE and below:
            backward_affine(net, graph, i, rows, team)
        elif (op == ADD or op == COPY or op == SCALE) and below:
            backward_simple(net, graph, i, rows)
        elif op == LAYER_NORM and below:
            backward_layer_norm(net, graph, i, x, rows, mode, team)
        elif op == BATCH_NORM:
            backward_batch_norm(net, graph, i, x, rows, mode, team)
        elif op == NUMBERS and below:
            backward_numbers(net, graph, i, x, rows, mode, team)
        elif op == PBLD and below:
            backward_pbld(net, graph, i, x, rows, mode, team)
        elif op == PERIODIC and below:
            backward_periodic(net, graph, i, x, rows, mode, team)
        elif op == PIECEWISE and below:
            backward_piecewise(net, graph, i, x, rows, mode, team)


@inlined
def clear_tables(net, graph, x, m, eta, mode, team):
    """Set the gradients of embeddings to 0 where the batch begins, or for each row where the batch first has it."""
    any_table = False
    for i in range(graph.n_nodes):
        node = node_of(graph, i)
        if node.op == EMBED and node.learns:
            table = tensor_of(graph, node.parameters)
            if table.by_row and mode == LEARNING:
                any_table = True
                if i % team.n_threads == team.thread:
                    touch_rows(net, graph, i, x, m, eta)
            elif eta == 0:
                any_table = True
                first, count = slice_of(table.rows * table.width, HEIGHT * lanes(net.work, 1), team)
                clear(net, at(net.gradients, table.start + first), count)
    if any_table:
        meet(team)


@apart
def graph_gradients(
    net: Machine,
    graph: Graph,
    x: Operand,
    m: int,
    eta: float,
    mode: int,
    kept: Memory,
    moving: Moving,
    team: Team,
):
    """Store the gradients of the parameters over m rows if η is 0, or add them if it is −1. All threads meet.

    Some parameters move at once, as Moving says.
    """
    clear_tables(net, graph, x, m, eta, mode, team)
    for i in range(graph.n_nodes):
        node = node_of(graph, i)
        if not node.learns:
            continue
        if node.op == AFFINE:
            gradients_affine(net, graph, i, x, m, eta, kept, moving, team)
        elif node.op == ACTIVATE or node.op == SCALE:
            gradients_simple(net, graph, i, x, m, eta, team)
        elif node.op == LAYER_NORM:
            gradients_layer_norm(net, graph, i, x, m, eta, mode, team)
        elif node.op == BATCH_NORM:
            gradients_batch_norm(net, graph, i, x, m, eta, mode, team)
        elif node.op == EMBED:
            gradients_embed(net, graph, i, x, m, eta, mode, team)
        elif node.op == PBLD:
            gradients_pbld(net, graph, i, x, m, eta, mode, team)
        elif node.op == PERIODIC:
            gradients_periodic(net, graph, i, x, m, eta, mode, team)
    meet(team)

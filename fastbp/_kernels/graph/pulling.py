"""∂J/∂X, V ∂aᴸ/∂X and ∂aᴸ/∂X: the recursion of δ, one operation further than training goes."""

from ..activations import multiply_by_derivative, multiply_by_softmax_derivative
from ..backward import activate_outputs
from ..codes import KEPT, LEAKY_RELU, SOFTMAX, Dropping
from ..finite import run_is_finite
from ..jit import inlined, inner
from ..llvm import at, number_of, put
from ..records import layer_of, rows_of
from ..samples import copy_row, gather
from ..watching import NO_SEED
from .affine import mirror_affine
from .nodes import OF_LOSS, OF_OUTPUTS, PREDICTING
from .passes import graph_backward, graph_forward
from .places import averaged, clear
from .row_losses import graph_output_errors


@inner
def go_through_output(net, m):
    """Turn ∂/∂aᴸ in the place of δᴸ into ∂/∂zᴸ."""
    last = layer_of(net, net.depth - 1)
    delta, a = rows_of(net.work, last.delta, last, 0), rows_of(net.work, last.a, last, 0)
    if last.activation == SOFTMAX:
        multiply_by_softmax_derivative(delta, a, m)
    elif last.activation >= LEAKY_RELU:
        multiply_by_derivative(delta, rows_of(net.work, last.slope, last, 0), m, last.n, KEPT)
    else:
        multiply_by_derivative(delta, a, m, last.n, last.activation)


@inlined
def take_vectors(net, vectors, begin, m):
    """Copy rows of V to the place of δᴸ."""
    last = layer_of(net, net.depth - 1)
    for i in range(m):
        copy_row(at(net.work, last.delta + i * last.width), at(vectors.at, (begin + i) * last.n), last.n)


@inlined
def take_output(net, j, m):
    """Store a unit vector in each row of δᴸ: output j alone."""
    last = layer_of(net, net.depth - 1)
    clear(net, at(net.work, last.delta), m * last.width)
    for i in range(m):
        put(net.work, last.delta + i * last.width + j, number_of(net.work, 1))


@inlined
def give_inputs(net, output, place, apart, m):
    """Copy ∂/∂X of m rows to the output: the first to a place, the others so many numbers apart."""
    bottom = layer_of(net, 0)
    for i in range(m):
        copy_row(at(output.at, place + i * apart), at(net.work, bottom.delta + i * bottom.width), bottom.n)


@inlined
def pull_graph(machine, graph, rows, cut, how, vectors, output, team):
    """Go forward and back to X for rows start … stop in blocks. The team has one thread. Return whether X is finite.

    cut: start, stop and the rows of a block. how: (mode, weight) of PullCall.
    """
    (start, stop, block), (mode, weight) = cut, how
    net, nothing = averaged(machine, graph), Dropping(False, 0, 0, NO_SEED)
    n, n_out = layer_of(net, 0).n, layer_of(net, net.depth - 1).n
    mirror_affine(net, graph, min(block, stop - start), team)
    for begin in range(start, stop, block):
        m = min(block, stop - begin)
        x = gather(net, rows, begin, m, team)
        if not run_is_finite(x.at, m * n):
            return False
        graph_forward(net, graph, x, m, PREDICTING, 1.0, nothing, team)
        if mode == OF_LOSS:
            graph_output_errors(net, m, weight, rows.weights.size > 0, team)
        else:
            activate_outputs(net, m, team)
        for j in range(n_out if mode == OF_OUTPUTS else 1):
            if mode == OF_OUTPUTS:
                take_output(net, j, m)
            elif mode != OF_LOSS:
                take_vectors(net, vectors, begin, m)
            if mode != OF_LOSS:
                go_through_output(net, m)
            graph_backward(net, graph, x, m, PREDICTING, team)
            if mode == OF_OUTPUTS:
                give_inputs(net, output, (begin * n_out + j) * n, n_out * n, m)
            else:
                give_inputs(net, output, begin * n, n, m)
    return True

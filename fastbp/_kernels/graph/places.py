"""How kernels of graphs find their operations, parameters and rows. In all kernels, x is a¹ of the block."""

from ..codes import Machine, Operand
from ..jit import inlined, inner
from ..llvm import at, get, lanes, load, record, store
from ..records import layer_of
from .nodes import COUNT, FACTORS, NODE_FIELDS, REALS, TENSOR_FIELDS, TOUCHED, Node, Tensor


@inner
def node_of(graph, i):
    """Return operation i. In all kernels, graph is a Graph."""
    return record(Node, graph.nodes, i * NODE_FIELDS)


@inner
def tensor_of(graph, i):
    """Return parameter i."""
    return record(Tensor, graph.tensors, i * TENSOR_FIELDS)


@inlined
def real_of(graph, node, k):
    """Return the k-th real number of an operation."""
    return get(graph.reals, node.real * REALS + k)


@inlined
def factor_of(graph, i, k):
    """Return the factor of η (k = 0) or of the decay (k = 1) for parameter i."""
    return get(graph.factors, i * FACTORS + k)


@inlined
def rows_of_batch(graph, tensor):
    """Return how many rows of a table the batch has, if the table is updated by row."""
    return get(graph.touched, tensor.touched + COUNT)


@inlined
def row_of_batch(graph, tensor, k):
    """Return the k-th of these rows, whose gradient is the k-th of the table's."""
    return get(graph.touched, tensor.touched + TOUCHED + k)


@inlined
def input_of(net, node, x, row):
    """Return the rows of a_in from some row on. Those of X aren't padded."""
    if node.a_in == layer_of(net, 0).a:
        return Operand(at(x.at, row * x.row), x.row, 1)
    return Operand(at(net.work, node.a_in + row * node.in_width), node.in_width, 1)


@inlined
def output_of(net, node, row):
    """Return the rows of a_out from some row on."""
    return Operand(at(net.work, node.a_out + row * node.out_width), node.out_width, 1)


@inlined
def delta_in(net, node, row):
    """Return the rows of ∂J/∂a_in from some row on."""
    return Operand(at(net.work, node.d_in + row * node.in_width), node.in_width, 1)


@inlined
def delta_out(net, node, row):
    """Return the rows of ∂J/∂a_out from some row on."""
    return Operand(at(net.work, node.d_out + row * node.out_width), node.out_width, 1)


@inlined
def kept_of(net, node, row):
    """Return the rows of what the forward pass keeps, from some row on."""
    return Operand(at(net.work, node.kept + row * node.out_width), node.out_width, 1)


@inlined
def kept_too_of(net, node, row):
    """Return the rows of the second thing that it keeps."""
    return Operand(at(net.work, node.kept_too + row * node.out_width), node.out_width, 1)


@inner
def clear(net, numbers, count):
    """Set so many numbers to 0, and up to the end of the last vector."""
    zero = load(net.work, net.zeros, 1)  # from memory, or LLVM would call the C library's memset
    for j in range(0, count, lanes(numbers, 1)):
        store(numbers, j, zero)


@inner
def averaged(net, graph):
    """Return the network with the parameters that predict: their moving average, if there is one."""
    return Machine(
        net.layers,
        net.depth,
        net.loss,
        net.use_bias,
        net.zeros,
        net.targets,
        net.mask,
        net.parameter,
        net.weights,
        net.label_off,
        net.label_on,
        net.dropout,
        net.foreign,
        net.packed,
        net.work_apart,
        net.gradients_apart,
        graph.average.at if graph.average.size > 0 else net.parameters,
        net.gradients,
        net.work,
        net.losses,
    )

"""Records of arrays as records of addresses, for kernels to pass on; and a layer's row of the plan."""

from .codes import LAYER_FIELDS, TASK_FIELDS, Layer, Machine, Moments, Operand, Program, Samples, Tasks
from .jit import inlined, inner
from .llvm import at, get


@inlined
def machine(plan, buffers):
    """Plan and Buffers by their addresses."""
    return Machine(
        at(plan.layers, 0),
        plan.layers.size // LAYER_FIELDS,
        plan.loss,
        plan.use_bias,
        plan.zeros,
        plan.one,
        plan.targets,
        plan.mask,
        plan.parameter,
        plan.weights,
        plan.label_off,
        plan.label_on,
        at(plan.dropout, 0),
        plan.foreign,
        at(buffers.parameters, 0),
        at(buffers.gradients, 0),
        at(buffers.work, 0),
        at(buffers.losses, 0),
    )


@inlined
def samples(data):
    """Data by its addresses."""
    return Samples(
        at(data.X.reshape(-1), 0),
        at(data.targets.reshape(-1), 0),
        at(data.labels, 0),
        at(data.order, 0),
        data.X.shape[0],
        data.targets.size > 0,
        data.labels.size > 0,
        data.order.size > 0,
        at(data.weights, 0),
        data.weights.size > 0,
        data.weight,
        data.order.size > 0 and data.shuffles,
        data.order.size if data.order.size > 0 else data.X.shape[0],
    )


@inlined
def moments(memory):
    """Memory by its addresses."""
    return Moments(at(memory.first, 0), at(memory.second, 0), at(memory.sums, 0))


@inlined
def tasks(numbers):
    """A list of tasks by its address."""
    return Tasks(at(numbers, 0), numbers.size // TASK_FIELDS)


@inlined
def addressed(program):
    """Program with lists by their addresses."""
    return Program(
        program.groups,
        tasks(program.inputs),
        tasks(program.targets),
        tasks(program.forward),
        tasks(program.outputs),
        tasks(program.backward),
        tasks(program.weights),
        tasks(program.biases),
    )


@inner
def layer_of(net, l):
    """Layer l of the table; net is a Machine here and wherever else it comes."""
    t = at(net.layers, l * LAYER_FIELDS)
    return Layer(get(t, 0), get(t, 1), get(t, 2), get(t, 3), get(t, 4), get(t, 5), get(t, 6), get(t, 7))


@inner
def rows_of(work, offset, layer, row):
    """An Operand of what the workspace has of a layer from some row on."""
    return Operand(at(work, offset + row * layer.width), layer.width, 1)

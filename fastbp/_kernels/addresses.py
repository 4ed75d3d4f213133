"""Functions that turn records of arrays into records of addresses, which kernels pass on."""

from .codes import (
    HEAD_FIELDS,
    LABEL_FIELDS,
    LAYER_FIELDS,
    Head,
    LabelValues,
    Layer,
    Machine,
    Moments,
    Operand,
    Rates,
    Samples,
    Step,
    Team,
)
from .jit import inlined, inner
from .llvm import at, get, record
from .tasks import TASK_FIELDS, Passes, Program, Tasks


@inlined
def machine(plan, buffers):
    """Return Plan and Buffers by their addresses."""
    return Machine(
        layers=at(plan.layers, 0),
        depth=plan.layers.size // LAYER_FIELDS,
        loss=plan.loss,
        use_bias=plan.use_bias,
        zeros=plan.zeros,
        targets=plan.targets,
        mask=plan.mask,
        parameter=plan.parameter,
        weights=plan.weights,
        label_off=plan.label_off,
        label_on=plan.label_on,
        dropout=at(plan.dropout, 0),
        foreign=plan.foreign,
        packed=plan.packed,
        parameters=at(buffers.parameters, 0),
        gradients=at(buffers.gradients, 0),
        work=at(buffers.work, 0),
        losses=at(buffers.losses, 0),
    )


@inlined
def machine_of(numbers, rates, parameters, work, sums):
    """Return the same for a plan in arrays (codes.in_arrays). It has no gradients: it is for the way forward."""
    head, labels = record(Head, numbers, 0), record(LabelValues, rates, 0)
    return Machine(
        layers=at(numbers, HEAD_FIELDS),
        depth=(numbers.size - HEAD_FIELDS) // LAYER_FIELDS,
        loss=head.loss,
        use_bias=head.use_bias != 0,
        zeros=head.zeros,
        targets=head.targets,
        mask=head.mask,
        parameter=head.parameter,
        weights=head.weights,
        label_off=labels.label_off,
        label_on=labels.label_on,
        dropout=at(rates, LABEL_FIELDS),
        foreign=head.foreign,
        packed=head.packed,
        parameters=at(parameters, 0),
        gradients=at(parameters, 0),
        work=at(work, 0),
        losses=at(sums, 0),
    )


@inlined
def samples(data):
    """Return Data by its addresses."""
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
def samples_of(X, targets, labels, weights):
    """Return samples in the order of X by their addresses."""
    return Samples(
        at(X.reshape(-1), 0),
        at(targets.reshape(-1), 0),
        at(labels, 0),
        at(labels, 0),
        X.shape[0],
        targets.size > 0,
        labels.size > 0,
        False,
        at(weights, 0),
        weights.size > 0,
        0.0,
        False,
        X.shape[0],
    )


@inlined
def sample(rows, i):
    """Return the row of the i-th sample in the epoch's order, or of the last sample if i is too large."""
    i = min(i, rows.entries - 1)
    return get(rows.order, i) if rows.ordered else i


@inlined
def moments(memory):
    """Return Memory by its addresses."""
    return Moments(at(memory.first, 0), at(memory.second, 0), at(memory.sums, 0))


@inlined
def pace(step):
    """Return Step with its rates by their address."""
    return Step(
        step.rule,
        step.bounds,
        Rates(at(step.rates, 0), step.rates.size - 1),
        step.seed,
        step.batch_size,
        step.block,
        step.alpha,
        step.ends,
        step.part,
    )


@inlined
def member(team):
    """Return Team with its meeting by its address."""
    return Team(at(team.meeting, 0), team.thread, team.n_threads)


@inlined
def tasks(numbers):
    """Return a list of tasks by its address."""
    return Tasks(at(numbers, 0), numbers.size // TASK_FIELDS)


@inlined
def passes(lists):
    """Return Passes with lists by their addresses."""
    return Passes(tasks(lists.forward), tasks(lists.outputs), tasks(lists.backward))


@inlined
def addressed(program):
    """Return Program with lists by their addresses."""
    return Program(
        program.groups,
        tasks(program.inputs),
        tasks(program.targets),
        passes(program.beside),
        passes(program.alone),
        tasks(program.weights),
        tasks(program.biases),
    )


@inner
def layer_of(net, l):
    """Return layer l. In all kernels, net is a Machine."""
    return record(Layer, net.layers, l * LAYER_FIELDS)


@inner
def rows_of(work, offset, layer, row):
    """Return an Operand: the rows of a layer in the workspace, from some row on."""
    return Operand(at(work, offset + row * layer.width), layer.width, 1)

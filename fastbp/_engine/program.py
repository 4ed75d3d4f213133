"""The task lists of small.py: what training a tiny network does for each batch, square by square.

Loops over layers, units and samples would take a tiny network three times as long as its arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .._kernels import codes, tasks
from .._kernels.shapes import SIDE, beside

FROM_LOGITS = (codes.CROSS_ENTROPY, codes.BINARY_CROSS_ENTROPY, codes.POISSON)


def _flat(items: Sequence[tuple[int, ...]]) -> tasks.Tasks:
    """Return a list of tasks in one array, in which each has room for tasks.TASK_FIELDS numbers."""
    rows = np.zeros((len(items), tasks.TASK_FIELDS), np.int64)
    for row, task in zip(rows, items, strict=True):
        row[: len(task)] = task
    return tasks.Tasks(rows.ravel(), len(items))


def _squares(layer: codes.Layer) -> range:
    """Return the first units of a layer's squares."""
    return range(0, layer.n, SIDE)


def _gathers(layer: codes.Layer, place: int, groups: range) -> list[tasks.GatherTask]:
    return [
        tasks.GatherTask(square=place + s * layer.width + k * SIDE, sample=s, feature=k, features=layer.n - k)
        for s in groups
        for k in _squares(layer)
    ]


def _keeps_slope(machine: codes.Machine, number: int, layer: codes.Layer) -> bool:
    """Return whether options.py activates a layer on the way forward, and stores f′."""
    rare = layer.activation >= codes.LEAKY_RELU
    if number < machine.depth - 1:
        return rare or bool(machine.dropout[number] > 0)
    if machine.loss in FROM_LOGITS or layer.activation == codes.SOFTMAX:
        return False
    return rare or machine.loss != codes.SQUARED_ERROR


def _forward(
    layers: Sequence[codes.Layer], kept: Sequence[bool], groups: range
) -> tuple[list[tasks.ForwardTask], list[tasks.ActivateTask]]:
    """Return the tasks of the way forward. kept: for each layer, whether its f′ is stored."""
    last, forward = layers[-1], []
    activations: list[tasks.ActivateTask] = []
    for number, (layer, above) in enumerate(pairwise(layers), 1):
        # z itself for outputs, because the loss is computed from z
        activation = codes.SOFTMAX if above is last or kept[number] else above.activation
        for j in _squares(above):
            for s in groups:
                if kept[number] and j == _squares(above)[-1] and s == groups[-1]:
                    activation = codes.KEPT + len(activations)
                    activations.append(tasks.ActivateTask(number, groups.start, groups.stop - groups.start))
                task = tasks.ForwardTask(
                    z=above.a + s * above.width + j * SIDE,
                    a=layer.a + s * layer.width,
                    theta=layer.theta + j,
                    row=above.width,
                    n=layer.n,
                    bias=layer.theta + j + layer.n * above.width,
                    activation=activation,
                    step=layer.width * SIDE,
                )
                forward.append(task)
    return forward, activations


def _backward(layers: Sequence[codes.Layer], kept: Sequence[bool], groups: range) -> list[tasks.BackwardTask]:
    """Return the tasks of the way back. kept: as in `_forward`."""
    backward = []
    for number, (layer, above) in reversed(list(enumerate(pairwise(layers[1:]), 1))):
        for s in groups:
            for k in _squares(layer):
                place = s * layer.width + k * SIDE
                back = tasks.BackwardTask(
                    delta=layer.delta + place,
                    a=(layer.slope if kept[number] else layer.a) + place,
                    theta=layer.theta + k * above.width,
                    row=above.width,
                    units=layer.n - k,
                    incoming=above.delta + s * above.width,
                    n=above.n,
                    activation=codes.KEPT if kept[number] else layer.activation,
                    step=layer.width * SIDE,
                )
                backward.append(back)
    return backward


def _passes(layers: Sequence[codes.Layer], kept: Sequence[bool], targets: int, groups: range) -> tasks.Passes:
    """Return the tasks for groups of samples. Each task covers as many groups as the step of `groups`."""
    last = layers[-1]
    outputs = [
        tasks.OutputTask(last.delta + place, last.a + place, targets + place, sample=s, units=last.n - j)
        for s in groups
        for j in _squares(last)
        for place in [s * last.width + j * SIDE]
    ]
    forward, activations = _forward(layers, kept, groups)
    return tasks.Passes(_flat(forward), _flat(activations), _flat(outputs), _flat(_backward(layers, kept, groups)))


def program(machine: codes.Machine, m: int, itemsize: int) -> tasks.Program:
    """Return the tasks for a batch of up to m samples, with places in the workspace and the parameters from `machine`.

    A square is SIDE units of a layer for a group of SIDE samples, or SIDE by SIDE weights. Offsets count numbers: of
    squares in the workspace, of weights in the parameters. `_kernels.tasks` describes the tasks.
    """
    layers = [codes.Layer(*row) for row in machine.layers.reshape(-1, codes.LAYER_FIELDS)]
    kept = [number > 0 and _keeps_slope(machine, number, layer) for number, layer in enumerate(layers)]
    groups, together = range(0, m, SIDE), beside(itemsize) * SIDE
    end = len(groups) * SIDE
    cut = end // together * together  # samples whose groups are side by side
    weights, biases, steps = [], [], []
    for layer, above in pairwise(layers):
        for j in _squares(above):
            delta = above.delta + j * SIDE
            for k in _squares(layer):
                task = tasks.WeightTask(
                    theta=layer.theta + j + k * above.width,
                    row=above.width,
                    rows=layer.n - k,
                    a=layer.a + k * SIDE,
                    a_step=layer.width,
                    delta=delta,
                    delta_step=above.width,
                )
                weights.append(task)
            biases.append(tasks.BiasTask(layer.theta + j + layer.n * above.width, delta, above.width))
        count = layer.n * above.width
        steps.append(tasks.StepTask(layer.theta, count + above.width, weights=count))
    return tasks.Program(
        len(groups),
        _flat(_gathers(layers[0], layers[0].a, groups)),
        _flat(_gathers(layers[-1], machine.targets, groups)),
        _passes(layers, kept, machine.targets, range(0, cut, together)),
        _passes(layers, kept, machine.targets, range(cut, end, SIDE)),
        _flat(weights),
        _flat(biases),
        _flat(steps),
    )

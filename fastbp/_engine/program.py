"""The task lists of small.py: what training a tiny network does for each batch, square by square.

Loops over layers, units and samples would take a tiny network three times as long as its arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .._kernels import codes
from .._kernels.squares import SIDE, beside


def _tasks(rows: Sequence[tuple[int, ...]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    tasks = np.zeros((len(rows), codes.TASK_FIELDS), np.int64)
    for task, row in zip(tasks, rows, strict=True):
        task[: len(row)] = row
    return tasks.ravel()


def _squares(layer: codes.Layer) -> range:
    """Return the first units of a layer's squares."""
    return range(0, layer.n, SIDE)


def _inputs(layer: codes.Layer, place: int, groups: range) -> list[tuple[int, ...]]:
    return [(place + s * layer.width + k * SIDE, s, k, layer.n - k) for s in groups for k in _squares(layer)]


def _passes(layers: Sequence[codes.Layer], targets: int, groups: range) -> codes.Passes:
    """Return the tasks for groups of samples. Each task covers as many groups as the step of `groups`."""
    last = layers[-1]
    forward, backward = [], []
    for layer, above in pairwise(layers):
        activation = above.activation if above is not last else codes.SOFTMAX  # z itself: the loss is computed from z
        for j in _squares(above):
            theta = layer.theta + j
            bias = theta + layer.n * above.width
            for s in groups:
                a, z = layer.a + s * layer.width, above.a + s * above.width + j * SIDE
                forward.append((z, a, theta, above.width, layer.n, bias, activation, layer.width * SIDE))
    for layer, above in reversed(list(pairwise(layers[1:]))):
        for s in groups:
            for k in _squares(layer):
                place, incoming = s * layer.width + k * SIDE, above.delta + s * above.width
                theta = layer.theta + k * above.width
                row = (layer.delta + place, layer.a + place, theta, above.width, layer.n - k, incoming, above.n)
                backward.append((*row, layer.activation, layer.width * SIDE))
    outputs = [
        (last.delta + place, last.a + place, targets + place, s, last.n - j)
        for s in groups
        for j in _squares(last)
        for place in [s * last.width + j * SIDE]
    ]
    return codes.Passes(_tasks(forward), _tasks(outputs), _tasks(backward))


def program(plan: codes.Plan, m: int, itemsize: int) -> codes.Program:
    """Return the tasks for a batch of up to m samples, with places in the workspace and the parameters from `plan`.

    A square is SIDE units of a layer for a group of SIDE samples, or SIDE by SIDE weights. Offsets count numbers: of
    squares in the workspace, of weights in the parameters. `codes.Program` describes the fields.
    """
    layers = [codes.Layer(*row) for row in plan.layers.reshape(-1, codes.LAYER_FIELDS)]
    groups, together = range(0, m, SIDE), beside(itemsize) * SIDE
    cut = len(groups) * SIDE // together * together  # samples whose groups are side by side
    weights, biases = [], []
    for layer, above in pairwise(layers):
        for j in _squares(above):
            theta, delta = layer.theta + j, above.delta + j * SIDE
            for k in _squares(layer):
                a, place = layer.a + k * SIDE, theta + k * above.width
                weights.append((place, above.width, layer.n - k, a, layer.width, delta, above.width))
            biases.append((theta + layer.n * above.width, delta, above.width))
    return codes.Program(
        len(groups),
        _tasks(_inputs(layers[0], layers[0].a, groups)),
        _tasks(_inputs(layers[-1], plan.targets, groups)),
        _passes(layers, plan.targets, range(0, cut, together)),
        _passes(layers, plan.targets, range(cut, m, SIDE)),
        _tasks(weights),
        _tasks(biases),
    )

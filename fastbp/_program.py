"""What training a tiny network does to a batch, square by square: the lists of tasks that small.py goes through.

Loops over layers, units and samples would cost a tiny network three times what its numbers cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ._kernels import codes
from ._kernels.squares import SIDE


def _tasks(rows: Sequence[tuple[int, ...]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    tasks = np.zeros((len(rows), codes.TASK_FIELDS), np.int64)
    for task, row in zip(tasks, rows, strict=True):
        task[: len(row)] = row
    return tasks.ravel()


def program(plan: codes.Plan, m: int) -> codes.Program:
    """The tasks of a batch of up to m samples, in the workspace and the parameters as `plan` has them.

    A square is SIDE units of a layer by a group of SIDE samples, or SIDE by SIDE weights. Offsets are in numbers: of
    squares in the workspace, of weights in the parameters. What the fields are, `codes.Program` says.
    """
    layers = [codes.Layer(*row) for row in plan.layers.reshape(-1, codes.LAYER_FIELDS)]
    first, last, groups = layers[0], layers[-1], range(0, m, SIDE)

    def squares(layer: codes.Layer) -> range:
        return range(0, layer.n, SIDE)

    def rows(source: codes.Layer, place: int) -> list[tuple[int, ...]]:
        return [(place + s * source.width + k * SIDE, s, k, source.n - k) for s in groups for k in squares(source)]

    forward, backward, weights, biases = [], [], [], []
    for layer, above in pairwise(layers):
        for j in squares(above):
            theta, delta = layer.theta + j, above.delta + j * SIDE
            bias = theta + layer.n * above.width
            activation = above.activation if above is not last else codes.SOFTMAX  # z itself: the loss goes on from it
            for s in groups:
                a, z = layer.a + s * layer.width, above.a + s * above.width + j * SIDE
                forward.append((z, a, theta, above.width, layer.n, bias, activation))
            for k in squares(layer):
                a, place = layer.a + k * SIDE, theta + k * above.width
                weights.append((place, above.width, layer.n - k, a, layer.width, delta, above.width))
            biases.append((bias, delta, above.width))
    for layer, above in reversed(list(pairwise(layers[1:]))):
        for s in groups:
            for k in squares(layer):
                place, incoming = s * layer.width + k * SIDE, above.delta + s * above.width
                theta = layer.theta + k * above.width
                row = (layer.delta + place, layer.a + place, theta, above.width, layer.n - k, incoming, above.n)
                backward.append((*row, layer.activation))
    outputs = [
        (last.delta + place, last.a + place, plan.targets + place, s, last.n - j)
        for s in groups
        for j in squares(last)
        for place in [s * last.width + j * SIDE]
    ]
    return codes.Program(
        len(groups),
        _tasks(rows(first, first.a)),
        _tasks(rows(last, plan.targets)),
        _tasks(forward),
        _tasks(outputs),
        _tasks(backward),
        _tasks(weights),
        _tasks(biases),
    )

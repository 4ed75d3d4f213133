"""The tasks of a tiny network's batch: every number of the method is in one task, and in one only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fastbp._engine.layout import Layout
from fastbp._engine.program import program
from fastbp._kernels.codes import Layer, Objective
from fastbp._kernels.squares import SIDE, beside
from fastbp._kernels.tasks import TASK_FIELDS

SIZES = [(1, 1), (2, 2, 1), (4, 8, 3), (5, 3, 9, 2), (13, 20, 4)]


def planned(sizes, m):
    plan, size = Layout(sizes, 4).plan((1,) * (len(sizes) - 1), Objective(0), True, m)
    layers = [Layer(*row) for row in plan.layers.reshape(len(sizes), -1)]
    return plan, size, layers, program(plan, m, 4)


def squares_of(layer, place, m):
    """Where a layer's squares of a batch begin."""
    return {place + s * layer.width + unit * SIDE for s in range(0, m, SIDE) for unit in range(0, layer.n, SIDE)}


def made_by(lists, name, layers):
    """First squares of the tasks of `Passes`, and those that they make beside them."""
    made = []
    for passes, count in ((lists.beside, beside(4)), (lists.alone, 1)):
        for place, *_ in getattr(passes, name).reshape(-1, TASK_FIELDS).tolist():
            kind = "delta" if name in ("outputs", "backward") else "a"
            layer = max((layer for layer in layers if getattr(layer, kind) <= place), key=lambda l: getattr(l, kind))
            made += [place + g * SIDE * layer.width for g in range(count)]
    return made


@pytest.mark.parametrize("m", [1, 4, 7, 16, 27, 32])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_each_square_is_made_once(sizes, m):
    plan, size, layers, tasks = planned(sizes, m)
    lists = {
        "inputs": squares_of(layers[0], layers[0].a, m),
        "targets": squares_of(layers[-1], plan.targets, m),
        "forward": set().union(*(squares_of(layer, layer.a, m) for layer in layers[1:])),
        "outputs": squares_of(layers[-1], layers[-1].delta, m),
        "backward": set().union(*(squares_of(layer, layer.delta, m) for layer in layers[1:-1])),
    }
    for name, expected in lists.items():
        if name in tasks._fields:
            made = getattr(tasks, name).reshape(-1, TASK_FIELDS)[:, 0].tolist()
        else:
            made = made_by(tasks, name, layers)
        assert sorted(made) == sorted(expected), name
        assert all(place + SIDE * SIDE <= size for place in made)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_each_parameter_moves_once(sizes):
    layout = Layout(sizes, 4)
    _, _, _, tasks = planned(sizes, 4)
    moved = np.zeros(layout.size, np.int64)
    for theta, row, rows, *_ in tasks.weights.reshape(-1, TASK_FIELDS):
        for r in range(min(rows, SIDE)):
            moved[theta + r * row : theta + r * row + SIDE] += 1
    for bias, *_ in tasks.biases.reshape(-1, TASK_FIELDS):
        moved[bias : bias + SIDE] += 1
    assert moved.max() == 1
    for view in layout.weight_views(moved) + layout.bias_views(moved):
        assert view.all()
    assert moved.sum() == sum((n + 1) * -(-above // SIDE) * SIDE for n, above in pairwise(sizes))

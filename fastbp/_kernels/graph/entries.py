"""The entries of the library for graphs: functions of C, like those of the base's `entries`."""

from typing import Any

import numpy as np
from numba import types

from .. import entries as base
from ..apart import compiled_apart
from ..codes import Team
from ..jit import c_function
from ..llvm import put
from ..records import read
from . import epoch, pulling
from .nodes import GraphCall, GraphEvaluateCall, PullCall


def training(number):
    """Return the entries `train`, which returns the number of blocks done, and `update`. number: a NumPy type."""

    def train(call, thread):
        c = read(GraphCall, number, call)
        team = Team(c.team.meeting, thread, c.team.n_threads)
        return epoch.train_graph(c.machine, c.graph, c.data, c.step, c.memory, c.progress, c.watch, c.budget, team)

    def update(call, thread):
        c = read(GraphCall, number, call)
        team = Team(c.team.meeting, thread, c.team.n_threads)
        penalty = epoch.update_graph(c.machine, c.graph, c.memory, c.step, c.rate, c.weight, team)
        if thread == 0:
            put(c.penalty, 0, penalty)
        return 0

    return {"train": train, "update": update}


def evaluating(number):
    """Return the entries `evaluate` and `pull`, which return whether X is finite, and `reorder`."""

    def evaluate(call, thread):
        c = read(GraphEvaluateCall, number, call)
        team = Team(call, 0, 1)  # one thread: no meetings
        cut = (c.start, c.stop, c.block)
        return epoch.evaluate_graph(c.machine, c.graph, c.data, cut, c.output, c.losses, team)

    def pull(call, thread):
        c = read(PullCall, number, call)
        team, cut = Team(call, 0, 1), (c.start, c.stop, c.block)
        return pulling.pull_graph(c.machine, c.graph, c.data, cut, (c.mode, c.weight), c.vectors, c.output, team)

    return {"evaluate": evaluate, "pull": pull, "reorder": base.predicting(number)["reorder"]}


PARTS = {"training": training, "evaluating": evaluating, "finite": base.finite, "standing": base.standing}


def compiled(part: str, number: Any) -> list[tuple[str, Any]]:
    """Compile the entries of a part for a NumPy type. Return pairs (name, C function) in a fixed order."""
    if part not in PARTS:
        return compiled_apart(part, getattr(types, np.dtype(number).name))
    memory = getattr(types, np.dtype(number).name) if part == "finite" else types.int64
    c = c_function(types.int64(types.CPointer(memory), types.int64))
    return [(name, c(function)) for name, function in PARTS[part](number).items()]

"""The entries of the library: functions of C that take the address of a record and the number of a thread."""

import math
from typing import Any

import numpy as np
from numba import types

from . import epoch, small
from .apart import compiled_apart
from .calls import EvaluateCall, ReorderCall, TinyCall, TrainCall, slot_of
from .codes import EPOCH, Many, Progress, Team
from .finite import run_is_finite
from .jit import c_function, inner
from .llvm import get, put
from .random import shuffle
from .records import read

PARAMETERS, RATES = slot_of(TinyCall, "machine", "parameters"), slot_of(TinyCall, "step", "rates")
POSITION, RANDOM, LOSSES = (slot_of(TinyCall, "progress", name) for name in Progress._fields)
MANY_PARAMETERS, MANY_RATES, MANY_POSITIONS, MANY_RANDOMS, MANY_LOSSES = (
    slot_of(TinyCall, "many", name) for name in Many._fields
)
SIZE = 1  # an array's size is in the slot after its address


def training(number):
    """Return the entries `train`, which returns the number of blocks done, and `update`. number: a NumPy type."""

    def train(call, thread):
        c = read(TrainCall, number, call)
        team = Team(c.team.meeting, thread, c.team.n_threads)
        return epoch.train(c.machine, c.data, c.step, c.memory, c.progress, c.watch, c.budget, team)

    def update(call, thread):
        c = read(TrainCall, number, call)
        team = Team(c.team.meeting, thread, c.team.n_threads)
        penalty = epoch.update(c.machine, c.memory, c.step, c.rate, c.weight, team)
        if thread == 0:
            put(c.penalty, 0, penalty)
        return 0

    return {"train": train, "update": update}


def predicting(number):
    """Return the entries `evaluate`, which returns whether X is finite, and `reorder`."""

    def evaluate(call, thread):
        c = read(EvaluateCall, number, call)
        team = Team(call, 0, 1)  # one thread: no meetings
        return epoch.evaluate(c.machine, c.data, (c.start, c.stop, c.block), c.output, c.losses, team)

    def reorder(call, thread):
        c = read(ReorderCall, number, call)
        shuffle(c.order, c.random)
        return 0

    return {"evaluate": evaluate, "reorder": reorder}


def tiny(number):
    """Return the entries for tiny networks, which return the number of blocks done."""
    itemsize = np.dtype(number).itemsize

    @inner
    def train(call, budget):
        c = read(TinyCall, number, call)
        team = Team(call, 0, 1)  # one thread: no meetings
        return small.train(c.machine, c.program, c.data, c.step, c.progress, c.watch, budget, team)

    def train_tiny(call, thread):
        return train(call, read(TinyCall, number, call).budget)

    def train_tiny_each(call, thread):
        """Train each network in one workspace, until its epochs are done or its loss isn't finite."""
        c, done = read(TinyCall, number, call), 0
        many, budget = c.many, c.budget
        count = many.rates.size
        size, epochs = many.parameters.size // count, many.losses.size // count
        parameters, rates, positions = get(call, MANY_PARAMETERS), get(call, MANY_RATES), get(call, MANY_POSITIONS)
        randoms, losses = get(call, MANY_RANDOMS), get(call, MANY_LOSSES)
        put(call, RATES + SIZE, 1)
        put(call, LOSSES + SIZE, epochs)
        for i in range(count):
            epoch = get(many.positions.at, 2 * i + EPOCH)
            if epoch < epochs and math.isfinite(get(many.losses.at, i * epochs + epoch)) and done < budget:
                put(call, PARAMETERS, parameters + i * size * itemsize)
                put(call, RATES, rates + i * 8)
                put(call, POSITION, positions + i * 16)
                put(call, RANDOM, randoms + i * 8)
                put(call, LOSSES, losses + i * epochs * 8)
                done += train(call, budget - done)
        return done

    return {"train_tiny": train_tiny, "train_tiny_each": train_tiny_each}


def finite(number):
    """Return the entry `is_finite`, which takes the address of an array and its size."""

    def is_finite(values, count):
        return run_is_finite(values, count)

    return {"is_finite": is_finite}


PARTS = {"training": training, "predicting": predicting, "tiny": tiny, "finite": finite}


def compiled(part: str, number: Any) -> list[tuple[str, Any]]:
    """Compile the entries of a part for a NumPy type. Return pairs (name, C function) in a fixed order."""
    if part not in PARTS:
        return compiled_apart(part, getattr(types, np.dtype(number).name))
    memory = getattr(types, np.dtype(number).name) if part == "finite" else types.int64
    c = c_function(types.int64(types.CPointer(memory), types.int64))
    return [(name, c(function)) for name, function in PARTS[part](number).items()]

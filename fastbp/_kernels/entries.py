"""The entries of the library: functions of C that take the address of a record and the number of a thread."""

import math
from typing import Any

import numpy as np
from numba import types

from . import epoch, online, small, workers
from .apart import compiled_apart
from .calls import EvaluateCall, ReorderCall, TinyCall, TrainCall, slot_of
from .codes import EPOCH, STATES, Many, Progress, Team
from .finite import run_is_finite
from .jit import c_function, inner
from .llvm import get, put
from .random import shuffle
from .records import read

# The slots that hold what one network has of its own, and those that hold the lists of it for many networks
PARAMETERS, RATES = slot_of(TinyCall, "machine", "parameters"), slot_of(TinyCall, "step", "rates")
SEED = slot_of(TinyCall, "step", "seed")
MOMENTS = slot_of(TinyCall, "memory", "first"), slot_of(TinyCall, "memory", "second")
STEPS = slot_of(TinyCall, "memory", "steps")
POSITION, RANDOM, LOSSES = (slot_of(TinyCall, "progress", name) for name in Progress._fields)
OF_MANY = Many(*(slot_of(TinyCall, "many", name) for name in Many._fields))
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
        team = Team(c.team.meeting, thread, max(c.team.n_threads, 1))
        return epoch.evaluate(c.machine, c.data, (c.start, c.stop, c.block), c.output, c.losses, team)

    def reorder(call, thread):
        c = read(ReorderCall, number, call)
        shuffle(c.order, c.random)
        return 0

    return {"evaluate": evaluate, "reorder": reorder}


def tiny(number):
    """Return the entry for tiny networks, which returns the number of blocks done."""
    itemsize = np.dtype(number).itemsize

    @inner
    def take(call, many, i, size, epochs):
        """Write what network i of many has of its own into the call."""
        put(call, PARAMETERS, get(call, OF_MANY.parameters) + i * size * itemsize)
        put(call, MOMENTS[0], get(call, OF_MANY.first) + i * size * itemsize)
        put(call, MOMENTS[1], get(call, OF_MANY.second) + i * size * itemsize)
        put(call, RATES, get(call, OF_MANY.rates) + i * 8)
        put(call, RATES + SIZE, 1)
        put(call, SEED, get(many.seeds.at, i))
        put(call, STEPS, get(call, OF_MANY.steps) + i * 8)
        put(call, POSITION, get(call, OF_MANY.positions) + i * 16)
        put(call, RANDOM, get(call, OF_MANY.randoms) + i * 8)
        put(call, LOSSES, get(call, OF_MANY.losses) + i * epochs * 8)
        put(call, LOSSES + SIZE, epochs)

    def train_tiny(call, thread):
        """Train the network, or each of many in one workspace until its epochs are done or its loss isn't finite.

        It is one entry for both, because each entry is compiled with all that it calls.
        """
        c, done, team = read(TinyCall, number, call), 0, Team(call, 0, 1)  # one thread: no meetings
        many, count = c.many, c.many.rates.size
        for i in range(max(count, 1)):
            if count > 0:
                size, epochs = many.parameters.size // count, many.losses.size // count
                epoch = get(many.positions.at, 2 * i + EPOCH)
                if epoch == epochs or not math.isfinite(get(many.losses.at, i * epochs + epoch)) or done == c.budget:
                    continue
                take(call, many, i, size, epochs)
            t = read(TinyCall, number, call)
            left = t.budget - done
            if t.online.m > 0:
                done += online.train(t.machine, t.online, t.data, t.step, t.memory, t.progress, t.watch, left, team)
            else:
                done += small.train(t.machine, t.program, t.data, t.step, t.memory, t.progress, t.watch, left, team)
        return done

    return {"train_tiny": train_tiny}


def finite(number):
    """Return the entry `is_finite`, which takes the address of an array and its size."""

    def is_finite(values, count):
        return run_is_finite(values, count)

    return {"is_finite": is_finite}


def standing(number):
    """Return the entries by which threads stay between calls, and work together: see workers.py."""

    def serve(box, _):
        return workers.serve(box)

    def change(box, states):
        return workers.change(box, states // STATES, states % STATES)

    def run_with_workers(crew, n_workers):
        return workers.run_with_workers(crew, n_workers)

    def run_ranges(ranges, _):
        return workers.run_ranges(ranges)

    return {"serve": serve, "change": change, "run_with_workers": run_with_workers, "run_ranges": run_ranges}


PARTS = {"training": training, "predicting": predicting, "tiny": tiny, "finite": finite, "standing": standing}


def compiled(part: str, number: Any) -> list[tuple[str, Any]]:
    """Compile the entries of a part for a NumPy type. Return pairs (name, C function) in a fixed order."""
    if part not in PARTS:
        return compiled_apart(part, getattr(types, np.dtype(number).name))
    memory = getattr(types, np.dtype(number).name) if part == "finite" else types.int64
    c = c_function(types.int64(types.CPointer(memory), types.int64))
    return [(name, c(function)) for name, function in PARTS[part](number).items()]

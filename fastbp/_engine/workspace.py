"""The memory for kernel calls."""

from __future__ import annotations

from ctypes import addressof, c_int64
from typing import Any, NamedTuple

import numpy as np

from .._kernels import codes
from .._kernels.calls import EvaluateCall
from .._kernels.tasks import Online, Program
from .._kernels.tuning import BLOCK
from .._library.library import address_of_entry, any_library
from .._library.slots import Slots
from .online import online
from .pool import FIRST, Crew, by_team
from .program import program

Array = np.ndarray[Any, np.dtype[Any]]

RangesCall = c_int64 * 6  # what `run_ranges` reads


class Prediction(NamedTuple):
    """The arguments of the latest prediction, for the next one of as many rows."""

    call: Slots
    address: Any
    X: Array
    output: Array


class Workspace:
    """The memory for a kernel call, with the machine that describes it.

    Parameters
    ----------
    rows : the most rows of a block
    machine : the network and the memory
    parts : how many parts of a block have memory of their own
    """

    def __init__(self, rows: int, machine: codes.Machine, parts: int = 1) -> None:
        self.rows, self.machine, self.parts = rows, machine, parts
        self._programs: dict[int, Program] = {}  # by the number of samples in a batch
        self._online: dict[int, Online] = {}  # likewise
        self._calls: dict[Any, Slots] = {}
        self._prediction: Prediction | None = None

    def predict(self, X: Array, evaluate: Any, threads: int = 0) -> Array | None:
        """Return the output for up to `rows` rows of X, by the entry `evaluate`; None if X isn't finite.

        The arguments are those of the prediction before, if it had as many rows. threads: how many
        share the rows; 0 for a call without a team.
        """
        known = self._prediction
        if known is None or len(known.X) != len(X):
            known = self._prediction = self._new_prediction(len(X))
        known.X[...] = X  # takes a third of the time of finding the address of X
        finite = by_team(evaluate, known.call, threads) if threads else evaluate(known.address, FIRST)
        return known.output.copy() if finite else None

    def _new_prediction(self, n: int) -> Prediction:
        call, machine = self._new_call(EvaluateCall), self.machine
        nothing: Any = np.empty(0)
        sizes = machine.layers[:: codes.LAYER_FIELDS]
        X, output = (np.empty((n, size), machine.parameters.dtype) for size in (sizes[0], sizes[-1]))
        data = codes.Data(X, nothing, nothing, nothing, nothing, float(n), False, n)
        for name, value in (("data", data), ("stop", n), ("block", n), ("output", output)):
            call.write(name, value)
        return Prediction(call, call.address, X, output)

    def program(self, m: int) -> Program:
        """Return small.py's tasks for a batch of m samples, which are made only once."""
        if m not in self._programs:
            self._programs[m] = program(self.machine, m, self.machine.parameters.itemsize)
        return self._programs[m]

    def online(self, m: int) -> Online:
        """Return online.py's memory for a batch of m samples."""
        if m not in self._online:
            self._online[m] = online(self.machine, m)
        return self._online[m]

    def call(self, kind: Any) -> Slots:
        """Return the memory of the arguments of an entry, which has the machine already."""
        slots = self._calls.get(kind)
        if slots is None:
            slots = self._new_call(kind)
            self._calls[kind] = slots  # whole, also if Ctrl-C came before
        return slots

    def _new_call(self, kind: Any) -> Slots:
        slots = Slots(kind)
        slots.write("machine", self.machine)
        return slots


class Ranges:
    """Calls of an entry for ranges of rows, in several threads.

    Parameters
    ----------
    entry : which returns whether X is finite
    calls : its arguments for each thread, whose memory only this thread uses
    fields : of all calls, except the rows
    """

    def __init__(self, entry: Any, calls: list[Slots], fields: dict[str, Any]) -> None:
        first, self._n, self._next = calls[0], fields["data"].n, c_int64(0)
        first.write("block", BLOCK)
        for name, value in fields.items():
            first.write(name, value)
        for call in calls[1:]:
            call.copy_from(first, "data")
        place, common = first.place("start"), (address_of_entry(entry), addressof(self._next))
        self._ranges = [RangesCall(*common, call.address.value or 0, place, 0, 0) for call in calls]

    def run(self, crew: Crew, count: int, most: int) -> bool:
        """Go over all rows, `count` in a range, and `most` in a call, after which Ctrl-C works."""
        addresses, finite = [addressof(ranges) for ranges in self._ranges], True
        for start in range(0, self._n, most):
            self._next.value = start
            for ranges in self._ranges:
                ranges[4:] = [count, min(start + most, self._n)]
            finite = bool(crew.run(any_library().run_ranges, *addresses)) and finite
        return finite


class Lent:
    """The context in which a workspace is used. It goes back to the list of idle ones."""

    def __init__(self, workspace: Workspace, idle: list[Workspace]) -> None:
        self._workspace, self._idle = workspace, idle

    def __enter__(self) -> Workspace:
        return self._workspace

    def __exit__(self, *_: object) -> None:
        self._idle.append(self._workspace)
